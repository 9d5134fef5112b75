package main

import (
	"github.com/spf13/cobra"
)

// complete teaches the shell's completion the values of flags: cobra's own command, completion, knows the rest.
func (a *app) complete(root *cobra.Command) {
	values := map[string]cobra.CompletionFunc{
		"config":    cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt),
		"log-level": cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp),
		"partner":   a.completePartners,
		"customer":  cobra.NoFileCompletions,
		"since":     cobra.NoFileCompletions,
		"before":    cobra.NoFileCompletions,
	}
	for _, cmd := range append(root.Commands(), root) {
		for name, complete := range values {
			if cmd.LocalFlags().Lookup(name) != nil && (cmd == root || cmd.InheritedFlags().Lookup(name) == nil) {
				_ = cmd.RegisterFlagCompletionFunc(name, complete) // the flag is there, and has none yet
			}
		}
	}
}

// completePartners suggests the partners of the configuration; none if that has mistakes.
func (a *app) completePartners(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	path, chosenBy := findConfig(a.configPath, a.lookupEnv)
	c, err := loadConfig(path, chosenBy, a.lookupEnv)
	if err != nil {
		cobra.CompDebugln("no partners to suggest: the configuration cannot be used", true)
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, p := range c.Partners {
		names = append(names, p.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
