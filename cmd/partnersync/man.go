package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the manual pages",
		Long: `Man writes a manual page for the program and for each of its commands into DIRECTORY, which it makes
if it is missing. The pages have the date of SOURCE_DATE_EPOCH, or today's.`,
		Example: "  partnersync man /usr/local/share/man/man1 && man partnersync-check",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true // no section that only says what wrote the page, and when
			header := &doc.GenManHeader{Source: "partnersync " + version(), Manual: "User Commands"}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fails(exitFailed, fmt.Errorf("writing the manual pages: %w", err))
			}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fails(exitFailed, fmt.Errorf("writing the manual pages: %w", err))
			}
			return nil
		},
	}
}
