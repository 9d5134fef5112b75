package localpg

import "syscall"

// endWithParent makes the system send the signal for a fast shutdown to the program whenever we end.
func endWithParent(attr *syscall.SysProcAttr) {
	attr.Pdeathsig = syscall.SIGINT
}
