//go:build unix

package peers

import "syscall"

// Stop suspends the peer. Its connections stay open and are not served.
func (p *Proc) Stop() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
}

// Continue undoes [Proc.Stop].
func (p *Proc) Continue() {
	p.t.Helper()
	p.signal(syscall.SIGCONT)
}
