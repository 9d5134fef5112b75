//go:build unix

package config

import (
	"os"
	"syscall"
)

// Exposure says who can read the secret file at the path besides its owner, and what to do about it; "" if nobody can
// or there is no such file.
func Exposure(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return exposure(path, info.Mode(), !ok || int(owner.Uid) == os.Geteuid())
}
