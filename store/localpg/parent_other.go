//go:build !linux

package localpg

import "syscall"

// endWithParent does nothing: the system has no means. The next start stops what a killed starter left.
func endWithParent(*syscall.SysProcAttr) {}
