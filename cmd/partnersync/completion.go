package main

import (
	"github.com/spf13/cobra"

	"partnersync/cmd/partnersync/config"
)

// completionExamples say where each shell looks for its script.
var completionExamples = map[string]string{
	"bash": "  partnersync completion bash > /etc/bash_completion.d/partnersync\n" +
		"  source <(partnersync completion bash)",
	"zsh":        `  partnersync completion zsh > "${fpath[1]}/_partnersync"`,
	"fish":       "  partnersync completion fish > ~/.config/fish/completions/partnersync.fish",
	"powershell": "  partnersync completion powershell >> $PROFILE",
}

// complete tells the shell's completion the values of flags; cobra's own command, completion, knows the rest. It gets
// help texts like ours.
func (a *app) complete(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		const when = ", for shells that are started from then on."
		cmd.Long, cmd.Example = cmd.Short+when, completionExamples["bash"]
		for _, shell := range cmd.Commands() {
			shell.Long, shell.Example = shell.Short+when, completionExamples[shell.Name()]
		}
	}
	values := map[string]cobra.CompletionFunc{
		"config": cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt),
		"log-level": cobra.FixedCompletions(
			[]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp),
		"partner":  a.completePartners,
		"customer": cobra.NoFileCompletions,
		"since":    cobra.NoFileCompletions,
		"before":   cobra.NoFileCompletions,
	}
	for _, cmd := range append(root.Commands(), root) {
		for name, complete := range values {
			if cmd.LocalFlags().Lookup(name) != nil && (cmd == root || cmd.InheritedFlags().Lookup(name) == nil) {
				_ = cmd.RegisterFlagCompletionFunc(name, complete) // it fails for unknown flags only
			}
		}
	}
}

// completePartners suggests the partners of the configuration, or none if it has mistakes.
func (a *app) completePartners(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, err := config.Load(a.options(config.NeedsPartners))
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
