//go:build unix && !linux

package localpg

import "syscall"

// endWithParent does nothing, since the system offers no way. The next start stops the server of a killed starter.
func endWithParent(*syscall.SysProcAttr) {}
