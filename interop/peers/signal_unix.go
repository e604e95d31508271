//go:build unix

package peers

import "syscall"

// Stop suspends the peer: its connections stay and nobody serves them.
func (p *Proc) Stop() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
}

// Continue undoes [Proc.Stop].
func (p *Proc) Continue() {
	p.t.Helper()
	p.signal(syscall.SIGCONT)
}

// Interrupt asks the peer to end.
func (p *Proc) Interrupt() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
}

func (p *Proc) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}
