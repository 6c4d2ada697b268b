package process

import "syscall"

// dieWithUs has the kernel kill the program when the thread that started it ends, which the
// threads of Go do with the process.
func dieWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
