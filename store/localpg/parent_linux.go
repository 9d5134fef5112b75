package localpg

import "syscall"

// endWithParent has the system send the program the signal for a fast shutdown when we end, however we do.
func endWithParent(attr *syscall.SysProcAttr) {
	attr.Pdeathsig = syscall.SIGINT
}
