package pgm

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"time"
)

// ReceiverConfig is the configuration of a receiver. A zero field has the
// default beside it.
type ReceiverConfig struct {
	Group    netip.Addr
	DestPort uint16
	// Window is how many packets of one source may wait behind a gap.
	Window int // 1024
	// Backoff is the upper bound of the random delay of a NAK. With it, one of
	// many receivers that miss the same packet sends the NAK.
	Backoff time.Duration // 50 ms
	// Repeat is the time after which a NAK without confirmation is repeated,
	// Data that of a confirmed one without a repair.
	Repeat, Data time.Duration // 200 ms each
	// Retries bounds the repetitions of each of the two for one packet.
	Retries int // 50
	// Expiry is the time after which a silent source is forgotten.
	Expiry time.Duration // 300 s
	// MaxSources bounds the number of sources. A new one replaces one that has
	// sent a single packet; if there is none, its packets are counted and
	// dropped.
	MaxSources int // 256
	// MaxBuffered bounds the bytes that wait behind gaps, of all sources
	// together. Above it a packet is dropped and requested again later.
	MaxBuffered int // 8 MiB
	// Rand returns a number in [0,1). The default is math/rand's.
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

// ReceiverStats has the counters of a receiver.
type ReceiverStats struct {
	Data, Repairs, Duplicates uint64 // packets accepted; Duplicates includes those that came too late
	NAKs                      uint64 // sent
	Lost                      uint64 // packets given up
	Refused                   uint64 // malformed, for another port, or of a source over the bound
}

// Event is what Receiver.Input and Receiver.Output yield: the next unit of a
// source in order, or, if Lost is above zero, the number of its packets that
// are lost for good.
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
	held    int       // bytes of all cells
	cells   int       // of all rings
	next    time.Time // what Output returned
	sooner  bool
	parsed  Packet
	out     []byte
	list    []uint32
}

// window is the receive window of one source (section 6).
type window struct {
	tsi    TSI
	nla    netip.Addr // the source's, from its SPMs
	from   netip.Addr // sender of its packets, used until an SPM arrives
	next   uint32     // the next to deliver
	lead   uint32     // the newest that is known
	spm    uint32
	hasSPM bool
	heard  time.Time
	known  bool // has sent more than one packet
	gaps   int
	asked  int       // of those, in waitNCF or waitData
	queued bool      // gaps wait until fewer packets are requested
	ring   []cell    // a power of two long, grown as gaps need it
	wake   time.Time // the earliest timer of its gaps
}

type state uint8

const (
	empty state = iota
	have
	backoff  // delays its NAK, because another receiver may send it first
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

// NewReceiver returns a receiver without sources.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	return &Receiver{cfg: cfg.withDefaults(), sources: map[TSI]*window{}}
}

// Stats returns the counters.
func (r *Receiver) Stats() ReceiverStats { return r.stats }

// Sooner reports whether Output must be called before the time that it returned
// last.
func (r *Receiver) Sooner() bool { return r.sooner }

// Input handles a packet and calls yield with what became ready.
func (r *Receiver) Input(b []byte, from netip.Addr, now time.Time, yield func(Event)) {
	p := &r.parsed
	if Parse(b, p) != nil || p.DestPort != r.cfg.DestPort || p.Type.upstream() {
		r.stats.Refused++
		return
	}
	w := r.sources[p.TSI]
	if w == nil {
		// Only new data or an SPM can begin a window. A repair is old data for
		// another receiver.
		if p.Type == NCF || p.Type == RDATA {
			r.stats.Duplicates++
			return
		}
		if len(r.sources) >= r.cfg.MaxSources && !r.evict(yield) {
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
		r.sooner = r.sooner || r.next.IsZero() // its expiry needs a timer
	} else {
		w.known = true
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
			r.settle(w, c, have)
			c.data = bytes.Clone(p.Data)
			r.held += len(p.Data)
			return
		}
		// In order: delivered from the datagram itself.
		r.settle(w, c, empty)
		w.next++
		yield(Event{TSI: w.tsi, Unit: p.Data})
	case NCF:
		r.confirm(w, p.Sqn, now)
		for _, sqn := range p.More {
			r.confirm(w, sqn, now)
		}
	}
	r.deliver(w, yield)
}

// evict forgets the oldest source that has sent a single packet, so that forged
// packets cannot lock out a real source.
func (r *Receiver) evict(yield func(Event)) bool {
	var old *window
	for _, w := range r.sources {
		if !w.known && (old == nil || w.heard.Before(old.heard)) {
			old = w
		}
	}
	if old == nil {
		return false
	}
	r.forget(old, yield)
	return true
}

func (r *Receiver) forget(w *window, yield func(Event)) {
	r.free(w)
	r.dropRing(w)
	delete(r.sources, w.tsi)
	yield(Event{TSI: w.tsi, Gone: true})
}

func (w *window) cell(sqn uint32) *cell { return &w.ring[int(sqn)&(len(w.ring)-1)] }

// missing reports whether the packet of the cell may still arrive.
func (c *cell) missing() bool { return c.state == backoff || c.asked() }
func (c *cell) asked() bool   { return c.state == waitNCF || c.state == waitData }

// settle sets the final state of a cell and lets further gaps be requested.
func (r *Receiver) settle(w *window, c *cell, to state) {
	if c.missing() {
		w.gaps--
	}
	if c.asked() {
		w.asked--
		if w.queued && w.asked <= maxAsked/2 {
			w.queued = false
			r.arm(w, w.heard)
		}
	}
	c.state = to
}

// advance extends the window to lead, records the missing packets, and gives up
// those that the source no longer has.
func (r *Receiver) advance(w *window, trail, lead uint32, now time.Time, yield func(Event)) {
	r.giveUp(w, trail, yield)
	size := uint32(min(r.cfg.Window, r.room(w)))
	if before(w.lead, lead) && lead-w.lead > size {
		// A long silence, a restart under the same identity or a forged number:
		// begin at the present, as for a new source. Otherwise each such packet
		// would cause a window full of NAKs.
		r.lose(w, lead, yield)
	}
	if !before(w.lead, lead) {
		return
	}
	// Make room for what does not fit.
	r.giveUp(w, lead-size+1, yield)
	// One delay for the whole gap, so that one NAK requests all of it.
	at := now.Add(r.backoff())
	r.arm(w, at)
	for before(w.lead, lead) {
		if int(w.lead+1-w.next) == len(w.ring) {
			r.grow(w)
		}
		w.lead++
		*w.cell(w.lead) = cell{state: backoff, at: at}
		w.gaps++
	}
}

// Lengths of a ring: of the first, and of the longest that is kept while there
// are no gaps.
const (
	minRing  = 64
	keepRing = 1024
)

// room returns the largest length of the ring of w. All sources together get
// two windows of the largest size, so forged sequence numbers cannot use more.
func (r *Receiver) room(w *window) int {
	n := max(len(w.ring), minRing)
	for 2*n <= powerOfTwo(r.cfg.Window) && r.cells-len(w.ring)+2*n <= 2*powerOfTwo(r.cfg.Window) {
		n *= 2
	}
	return n
}

// grow makes room behind the lead.
func (r *Receiver) grow(w *window) {
	old := *w
	w.ring = make([]cell, max(2*len(old.ring), minRing))
	r.cells += len(w.ring) - len(old.ring)
	for sqn := w.next; !before(w.lead, sqn); sqn++ {
		*w.cell(sqn) = *old.cell(sqn)
	}
}

func (r *Receiver) arm(w *window, t time.Time) {
	if w.wake.IsZero() || t.Before(w.wake) {
		w.wake = t
	}
	if r.next.IsZero() || t.Before(r.next) {
		r.sooner = true
	}
}

func (r *Receiver) backoff() time.Duration {
	return time.Duration(r.cfg.Rand() * float64(r.cfg.Backoff))
}

// lose empties the window and restarts it at sqn, which is after its lead.
func (r *Receiver) lose(w *window, sqn uint32, yield func(Event)) {
	r.free(w)
	lost := sqn - w.next
	w.next, w.lead = sqn, sqn-1
	r.stats.Lost += uint64(lost)
	yield(Event{TSI: w.tsi, Lost: lost})
}

// free releases all packets of w.
func (r *Receiver) free(w *window) {
	for sqn := w.next; !before(w.lead, sqn); sqn++ {
		c := w.cell(sqn)
		r.held -= len(c.data)
		*c = cell{}
	}
	if len(w.ring) > keepRing {
		r.dropRing(w)
	}
	w.gaps, w.asked, w.queued, w.wake = 0, 0, false, time.Time{}
}

func (r *Receiver) dropRing(w *window) {
	r.cells -= len(w.ring)
	w.ring = nil
}

// giveUp marks the gaps before trail as lost: the source no longer repairs
// them.
func (r *Receiver) giveUp(w *window, trail uint32, yield func(Event)) {
	if w.gaps == 0 || !before(w.next, trail) {
		return
	}
	for sqn := w.next; before(sqn, trail) && !before(w.lead, sqn); sqn++ {
		if c := w.cell(sqn); c.missing() {
			r.settle(w, c, givenUp)
		}
	}
	r.deliver(w, yield)
}

func (r *Receiver) confirm(w *window, sqn uint32, now time.Time) {
	if before(sqn, w.next) || before(w.lead, sqn) {
		return
	}
	c := w.cell(sqn)
	if c.state == backoff {
		w.asked++
		c.state = waitNCF
	}
	if c.state == waitNCF {
		c.state, c.tries, c.at = waitData, 0, now.Add(r.cfg.Data)
		r.arm(w, c.at)
	}
}

// deliver yields the packets that are in order at the trailing edge.
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
			*c = cell{}
			w.next++
		default:
			tell()
			return
		}
	}
	tell()
	r.free(w)
}

// Output calls emit with each packet to send now and its destination, and yield
// with what timers made ready. It returns when to call again if nothing happens
// before; the zero time means no timer runs.
func (r *Receiver) Output(now time.Time, emit func(packet []byte, to netip.Addr), yield func(Event)) time.Time {
	var next time.Time
	earliest := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, w := range r.sources {
		if !now.Before(w.heard.Add(r.cfg.Expiry)) {
			r.forget(w, yield)
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
	r.next, r.sooner = next, false
	return next
}

// maxAsked is the number of packets of a source that are requested at once, the
// oldest first. More repairs than a socket buffer holds would be lost too.
const maxAsked = 128

// timers handles the gaps of w that are due: a NAK is sent, repeated, or the
// packet given up.
func (r *Receiver) timers(w *window, now time.Time, emit func([]byte, netip.Addr)) {
	w.wake = time.Time{}
	r.list = r.list[:0]
	again := now.Add(r.backoff())
	for sqn := w.next; !before(w.lead, sqn); sqn++ {
		c := w.cell(sqn)
		switch {
		case !c.missing():
		case now.Before(c.at):
			r.arm(w, c.at)
		case c.asked() && c.tries >= r.cfg.Retries:
			r.settle(w, c, givenUp)
		case c.asked():
			// Repeat the NAK after a new random delay (section 6.3).
			c.tries++
			c.state, c.at = backoff, again
			w.asked--
			r.arm(w, c.at)
		case w.asked >= maxAsked:
			w.queued = true
		default:
			c.state, c.at = waitNCF, now.Add(r.cfg.Repeat)
			w.asked++
			r.arm(w, c.at)
			r.list = append(r.list, sqn)
			if len(r.list) == 1+maxNAKList {
				r.nak(w, emit)
			}
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
