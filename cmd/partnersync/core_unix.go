//go:build unix

package main

import "syscall"

// withoutCoreDump has the kernel write no core dump of this process. Where that is forbidden, the service manager sees
// to it: LimitCORE=0.
func withoutCoreDump() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) }
