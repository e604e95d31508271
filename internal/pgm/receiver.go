package pgm

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// ReceiverConfig says how a receiver asks for repairs. Zero fields take the
// defaults named beside them.
type ReceiverConfig struct {
	Group    netip.Addr
	DestPort uint16
	// Window is how many packets of one source may wait behind a gap.
	Window int // 1024
	// Backoff is the most a NAK waits, at random, so that of many receivers
	// that miss the same packet one asks.
	Backoff time.Duration // 50 ms
	// Repeat is how long a NAK waits for its confirmation, Data how long a
	// confirmed one waits for the repair.
	Repeat, Data time.Duration // 200 ms each
	// Retries bounds each of the two kinds of waiting for one packet.
	Retries int // 50
	// Expiry forgets a source that was silent for so long.
	Expiry time.Duration // 300 s
	// MaxSources bounds the sources listened to at once; packets of others
	// are counted and dropped.
	MaxSources int // 256
	// MaxBuffered bounds the bytes that wait behind gaps, of all sources
	// together; over it a packet is dropped and asked for again later.
	MaxBuffered int // 8 MiB
	// Rand returns a number in [0,1); nil takes the runtime's.
	Rand func() float64
}

func (c ReceiverConfig) withDefaults() ReceiverConfig {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	num := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	num(&c.Window, 1024)
	set(&c.Backoff, 50*time.Millisecond)
	set(&c.Repeat, 200*time.Millisecond)
	set(&c.Data, 200*time.Millisecond)
	num(&c.Retries, 50)
	set(&c.Expiry, 300*time.Second)
	num(&c.MaxSources, 256)
	num(&c.MaxBuffered, 8<<20)
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return c
}

// ReceiverStats counts what a receiver did since it began.
type ReceiverStats struct {
	Data, Repairs, Duplicates uint64 // packets taken; Duplicates also counts those of no use any more
	NAKs                      uint64 // sent
	Lost                      uint64 // packets given up
	Refused                   uint64 // malformed, for another port, or of a source over the bound
}

// Event is what Receiver.Input and Receiver.Output hand to the caller: the next unit
// of a source in order, or, with Lost over zero, that so many of its packets
// will never come.
type Event struct {
	TSI  TSI
	Unit []byte // valid during the call
	Lost uint32
	Gone bool // the source was forgotten
}

// Receiver is the receiving side of all sources of a group. Its methods must
// not be called at the same time.
type Receiver struct {
	cfg     ReceiverConfig
	stats   ReceiverStats
	sources map[TSI]*window
	held    int // bytes of all cells
	parsed  Packet
	out     []byte
	list    []uint32
}

// window is the receive window of one source (section 6).
type window struct {
	tsi    TSI
	nla    netip.Addr // the source's, from its SPMs
	from   netip.Addr // where its packets came from, until an SPM tells
	next   uint32     // the next to hand over
	lead   uint32     // the newest known of
	spm    uint32
	hasSPM bool
	heard  time.Time
	gaps   int
	ring   []cell    // only while there are gaps
	wake   time.Time // the earliest timer of its gaps
}

type state uint8

const (
	empty state = iota
	have
	backoff  // waits before asking, lest another asks first
	waitNCF  // asked
	waitData // confirmed
	givenUp
)

type cell struct {
	state state
	tries int
	at    time.Time
	data  []byte
}

// NewReceiver returns a receiver that knows no source yet.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	return &Receiver{cfg: cfg.withDefaults(), sources: map[TSI]*window{}}
}

// Stats returns the counters.
func (r *Receiver) Stats() ReceiverStats { return r.stats }

// Sources returns how many sources are listened to.
func (r *Receiver) Sources() int { return len(r.sources) }

// Input takes a packet and calls yield with what became ready.
func (r *Receiver) Input(b []byte, from netip.Addr, now time.Time, yield func(Event)) {
	p := &r.parsed
	if Parse(b, p) != nil || p.DestPort != r.cfg.DestPort || p.Type.upstream() {
		r.stats.Refused++
		return
	}
	w := r.sources[p.TSI]
	if w == nil {
		// Only new data or its edges can begin a window: a repair is of the
		// past, and for somebody else.
		if p.Type == NCF || p.Type == RDATA {
			r.stats.Duplicates++
			return
		}
		if len(r.sources) >= r.cfg.MaxSources {
			r.stats.Refused++
			return
		}
		w = &window{tsi: p.TSI, from: from}
		switch p.Type {
		case SPM:
			w.lead, w.next = p.Lead, p.Lead+1
		default:
			w.lead, w.next = p.Sqn-1, p.Sqn
		}
		r.sources[p.TSI] = w
	}
	w.heard = now
	switch p.Type {
	case SPM:
		if w.hasSPM && !before(w.spm, p.Sqn) {
			return
		}
		w.spm, w.hasSPM = p.Sqn, true
		w.nla = p.Source
		r.advance(w, p.Trail, p.Lead, now, yield)
	case ODATA, RDATA:
		if p.Type == RDATA {
			r.stats.Repairs++
		} else {
			r.stats.Data++
		}
		if before(p.Sqn, w.next) {
			r.stats.Duplicates++
			return
		}
		if w.gaps == 0 && p.Sqn == w.next && p.Sqn == w.lead+1 {
			w.next++
			w.lead++
			yield(Event{TSI: w.tsi, Unit: p.Data})
			return
		}
		r.advance(w, p.Trail, p.Sqn, now, yield)
		if before(p.Sqn, w.next) {
			r.stats.Duplicates++
			return
		}
		c := w.cell(p.Sqn)
		if c.state == have {
			r.stats.Duplicates++
			return
		}
		if p.Sqn != w.next {
			if r.held+len(p.Data) > r.cfg.MaxBuffered {
				r.stats.Duplicates++
				return
			}
			c.data = append([]byte(nil), p.Data...)
			r.held += len(p.Data)
			c.state = have
			w.gaps--
			return
		}
		// In order: handed over from the datagram itself.
		if c.state != givenUp {
			w.gaps--
		}
		c.state = empty
		w.next++
		yield(Event{TSI: w.tsi, Unit: p.Data})
	case NCF:
		w.confirm(p.Sqn, now, r.cfg.Data)
		for _, sqn := range p.More {
			w.confirm(sqn, now, r.cfg.Data)
		}
	}
	r.deliver(w, yield)
}

func (w *window) cell(sqn uint32) *cell { return &w.ring[int(sqn%uint32(len(w.ring)))] }

// advance makes the window reach lead, noting what is missing, and gives up
// what the source no longer keeps.
func (r *Receiver) advance(w *window, trail, lead uint32, now time.Time, yield func(Event)) {
	r.giveUp(w, trail, yield)
	size := uint32(r.cfg.Window)
	if before(w.lead, lead) && lead-w.lead > size {
		// Nothing between would fit: a long silence, a restart under the
		// same identity or a forged number. Begin again where the window can
		// still reach.
		r.lose(w, lead-size+1, yield)
	}
	for before(w.lead, lead) {
		if w.lead+1-w.next >= size {
			r.dropOldest(w, yield)
			continue
		}
		w.lead++
		if w.ring == nil {
			w.ring = make([]cell, size)
		}
		c := w.cell(w.lead)
		*c = cell{state: backoff, at: now.Add(r.backoff())}
		w.gaps++
		w.arm(c.at)
	}
}

func (w *window) arm(t time.Time) {
	if w.wake.IsZero() || t.Before(w.wake) {
		w.wake = t
	}
}

func (r *Receiver) backoff() time.Duration {
	return time.Duration(r.cfg.Rand() * float64(r.cfg.Backoff))
}

// lose empties the window and begins again at sqn, which is after its lead.
func (r *Receiver) lose(w *window, sqn uint32, yield func(Event)) {
	r.free(w)
	lost := sqn - w.next
	w.next, w.lead = sqn, sqn-1
	r.stats.Lost += uint64(lost)
	yield(Event{TSI: w.tsi, Lost: lost})
}

// free lets go of all that w holds.
func (r *Receiver) free(w *window) {
	for i := range w.ring {
		r.held -= len(w.ring[i].data)
	}
	w.ring, w.gaps, w.wake = nil, 0, time.Time{}
}

// dropOldest gives up the gap that holds the window, and hands over what it
// held back.
func (r *Receiver) dropOldest(w *window, yield func(Event)) {
	c := w.cell(w.next)
	if c.state != have {
		w.gaps--
		c.state = givenUp
	}
	r.deliver(w, yield)
}

// giveUp marks the gaps before trail, which no repair can fill any more.
func (r *Receiver) giveUp(w *window, trail uint32, yield func(Event)) {
	if w.gaps == 0 || !before(w.next, trail) {
		return
	}
	for sqn := w.next; before(sqn, trail) && !before(w.lead, sqn); sqn++ {
		c := w.cell(sqn)
		if c.state != have && c.state != givenUp {
			c.state = givenUp
			w.gaps--
		}
	}
	r.deliver(w, yield)
}

func (w *window) confirm(sqn uint32, now time.Time, wait time.Duration) {
	if before(sqn, w.next) || before(w.lead, sqn) {
		return
	}
	c := w.cell(sqn)
	if c.state == backoff || c.state == waitNCF {
		c.state, c.tries, c.at = waitData, 0, now.Add(wait)
		w.arm(c.at)
	}
}

// deliver hands over what is in order at the trailing edge.
func (r *Receiver) deliver(w *window, yield func(Event)) {
	var lost uint32
	tell := func() {
		if lost > 0 {
			r.stats.Lost += uint64(lost)
			yield(Event{TSI: w.tsi, Lost: lost})
			lost = 0
		}
	}
	for !before(w.lead, w.next) {
		c := w.cell(w.next)
		switch c.state {
		case have:
			tell()
			unit := c.data
			*c = cell{}
			r.held -= len(unit)
			w.next++
			yield(Event{TSI: w.tsi, Unit: unit})
		case givenUp:
			lost++
			c.state = empty
			w.next++
		default:
			tell()
			return
		}
	}
	tell()
	r.free(w)
}

// Output calls emit with each packet that should leave now and the address it
// goes to, and yield with what timers made ready. It returns when to call
// again if nothing happens before; the zero time means no timer runs.
func (r *Receiver) Output(now time.Time, emit func(packet []byte, to netip.Addr), yield func(Event)) time.Time {
	var next time.Time
	earliest := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for tsi, w := range r.sources {
		if !now.Before(w.heard.Add(r.cfg.Expiry)) {
			r.free(w)
			delete(r.sources, tsi)
			yield(Event{TSI: tsi, Gone: true})
			continue
		}
		earliest(w.heard.Add(r.cfg.Expiry))
		if w.gaps == 0 {
			w.wake = time.Time{}
			continue
		}
		if now.Before(w.wake) {
			earliest(w.wake)
			continue
		}
		r.timers(w, now, emit)
		r.deliver(w, yield)
		earliest(w.wake)
	}
	return next
}

// timers walks the gaps of w: what is due asks, asks again, or is given up.
func (r *Receiver) timers(w *window, now time.Time, emit func([]byte, netip.Addr)) {
	w.wake = time.Time{}
	r.list = r.list[:0]
	for sqn := w.next; !before(w.lead, sqn); sqn++ {
		c := w.cell(sqn)
		if c.state != backoff && c.state != waitNCF && c.state != waitData {
			continue
		}
		if now.Before(c.at) {
			w.arm(c.at)
			continue
		}
		if c.state != backoff {
			c.tries++
			if c.tries > r.cfg.Retries {
				c.state = givenUp
				w.gaps--
				continue
			}
			// Ask again after a new random wait (section 6.3).
			c.state = backoff
			c.at = now.Add(r.backoff())
			w.arm(c.at)
			continue
		}
		c.state, c.at = waitNCF, now.Add(r.cfg.Repeat)
		w.arm(c.at)
		r.list = append(r.list, sqn)
		if len(r.list) == 1+maxNAKList {
			r.nak(w, emit)
		}
	}
	r.nak(w, emit)
}

func (r *Receiver) nak(w *window, emit func([]byte, netip.Addr)) {
	if len(r.list) == 0 {
		return
	}
	to := w.nla
	if !to.IsValid() || to.IsUnspecified() {
		to = w.from
	}
	r.out = Append(r.out[:0], &Packet{
		Type: NAK, TSI: w.tsi, DestPort: r.cfg.DestPort,
		Sqn: r.list[0], More: r.list[1:], Source: to, Group: r.cfg.Group,
	})
	r.stats.NAKs++
	r.list = r.list[:0]
	emit(r.out, to)
}
