package netloop

import (
	"testing"
	"testing/synctest"
)

// fakeHandshake is a pendingHandshake of a test.
type fakeHandshake struct {
	dead    bool
	started int
	err     error // of abort
	memory  charged
}

func (h *fakeHandshake) start() bool {
	if h.dead {
		return false
	}
	h.started++
	return true
}

func (h *fakeHandshake) abort(err error)  { h.err = err }
func (h *fakeHandshake) charge() *charged { return &h.memory }

// Handshakes that go on are served before those that begin, each in order, and
// those that have ended take no slot.
func TestPacerOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pacer{free: 1}
		first, cut, last := new(fakeHandshake), &fakeHandshake{dead: true}, new(fakeHandshake)
		for _, h := range []*fakeHandshake{first, cut, last} {
			p.begin(h)
		}
		if first.started != 1 || last.started != 0 {
			t.Fatalf("started %d and %d times with one slot, want 1 and 0", first.started, last.started)
		}
		var order []int
		for i := range 2 {
			go func() {
				p.resume()
				order = append(order, i)
			}()
			synctest.Wait() // until it waits
		}
		for i := range 2 {
			p.release()
			synctest.Wait()
			if len(order) != i+1 || order[i] != i || last.started != 0 {
				t.Fatalf("after %d releases: resumed %v, the last handshake started %d times", i+1, order, last.started)
			}
		}
		p.release()
		if cut.started != 0 || last.started != 1 {
			t.Errorf("started %d and %d times, want 0 and 1", cut.started, last.started)
		}
		p.release()
		p.resume() // the only slot is free
		if p.free != 0 {
			t.Errorf("%d slots free, want 0", p.free)
		}
	})
}

// The oldest handshakes are closed when all of them take too much memory.
func TestPacerMemory(t *testing.T) {
	p := &pacer{free: 2}
	const input = 16 << 10
	var all []*fakeHandshake
	aborted := 0
	for range 3 * maxPending / (pendingCost + input) {
		h := new(fakeHandshake)
		all = append(all, h)
		p.add(h)
		p.input(h, input)
		if p.held > maxPending {
			t.Fatalf("%d bytes held, want at most %d", p.held, maxPending)
		}
		for aborted < len(all) && all[aborted].err != nil {
			aborted++
		}
	}
	if want := len(all) - maxPending/(pendingCost+input); aborted != want {
		t.Errorf("%d handshakes were closed, want %d", aborted, want)
	}
	last := all[len(all)-1]
	if last.err != nil {
		t.Error("the newest handshake was closed")
	}
	for _, h := range all[aborted : aborted+10] {
		p.remove(h)
	}
	before := p.held
	p.begin(last)
	if last.started != 1 || p.held != before-pendingCost+computingCost {
		t.Errorf("started %d times, %d bytes held before and %d after", last.started, before, p.held)
	}
	for _, h := range all {
		p.remove(h)
		p.input(h, input) // counts no more
	}
	if p.held != 0 || p.pending.Len() != 0 {
		t.Errorf("%d bytes of %d handshakes held after the end of all", p.held, p.pending.Len())
	}
}
