//go:build !unix

package peers

const noSuspending = "this system has no signal that suspends a process"

// Stop skips the test: a peer cannot be suspended on this system.
func (p *Proc) Stop() {
	p.t.Helper()
	p.t.Skip(noSuspending)
}

// Continue skips the test, as Stop does.
func (p *Proc) Continue() {
	p.t.Helper()
	p.t.Skip(noSuspending)
}
