//go:build unix

package main

import (
	"os"
	"syscall"
)

// exposure is what exposed says of the file at the path.
func exposure(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return exposed(path, info.Mode(), !ok || int(owner.Uid) == os.Geteuid())
}
