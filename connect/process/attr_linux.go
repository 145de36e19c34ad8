package process

import "syscall"

// attributes makes a process the first of a group of its own, so that what it has started ends with it, and keys for the worker do not
// reach it. The kernel ends it when its worker ends, however that does.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
