package state

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"lintel.dev/internal/nearcache/wire"
	"lintel.dev/internal/sequence"
)

// The model: a server with one lane, and a process with a near cache and two
// callers. What other processes do is done by the server. The process runs the
// Table, the Source and the Link of this package, unchanged. All interleavings of
// the actions below are tried, breadth first, from a state in which the feed is
// followed. Two near caches do not influence each other except through the
// server, so one is enough.
//
// Invariants:
//
//   - A read returns a value that the server held at some moment not earlier than
//     maxStale before the read began. An evicted value counts as held until the key
//     is changed.
//   - A read that begins after an own write ended returns that value or a later one.
//   - When no caller is busy, no key is pending or writing.

const (
	tick        = int64(time.Second)
	maxStale    = 1 * tick
	none        = 0 // the version of a key that has no value
	feedRoom    = 3
	maxVersions = 4
)

// scenario bounds what happens, and how.
type scenario struct {
	keys    int
	depth   int
	ticks   int64
	callers int
	writes  int    // changes by all processes, at most maxVersions
	allowed string // letters of actions

	mutants Mutants
	server  serverMutants
}

// serverMutants are faults of a server.
type serverMutants struct {
	publishFirst bool // a record is sent before the change is applied
	frozen       bool // sequences stand still while the feed has no subscriber
	perKey       bool // numbers are counted for each key
	addSilent    bool // a change of a missing key is not published
}

// publication is a message of the feed on its way.
type publication struct {
	wire.Header
	records []wire.Record
}

type answer struct {
	nonce uint64
	epoch int
	last  uint64
}

type caller struct {
	state   byte // i idle, r read sent, R read executed, w write sent, W write executed
	key     int
	p       Pending
	old     Value
	have    bool
	reply   Reply
	invoked int64
	floor   int
	version int
}

type world struct {
	sc *scenario

	now   int64
	table *Table
	src   *Source
	link  *Link

	epoch    int
	seq      [2]uint64 // by key with perKey, else only [0]
	held     [2]int    // version, or none
	deleted  [2]int    // the version at which the key was last without a value
	logical  [2]int    // the version that readers may see although it was evicted
	versions int
	lastHeld [2][maxVersions + 1]int64
	unsaid   [2]int // publishFirst: versions to be applied
	feed     []publication
	cut      bool // the feed is half-open
	asked    []uint64
	answers  []answer
	callers  [2]caller
	floor    [2]int // version of the last own write that ended
	fault    string
}

func newWorld(sc *scenario) *world {
	w := &world{sc: sc, now: 100 * tick, table: NewTable(Config{MaxBytes: 1 << 16, Negative: 1 << 62, Mutants: sc.mutants}), src: NewSource("s")}
	w.link = NewLink(w.table, w.src)
	w.epoch = 1
	for k := range w.lastHeld {
		for v := range w.lastHeld[k] {
			w.lastHeld[k][v] = -1 << 60
		}
	}
	for range 2 { // a fence for the epoch, and one that is reached
		w.link.Answer(w.link.Ask(w.now), epochOf(1), []uint64{0})
		w.link.Publication(w.now, &wire.Header{Epoch: epochOf(1)}, nil)
	}
	if _, ok := w.src.Fresh(); !ok {
		panic("the feed is not followed")
	}
	return w
}

func epochOf(n int) sequence.Epoch { return sequence.Epoch{7: byte(n)} }

func (w *world) clone() *world {
	c := *w
	t := &Table{shards: make([]shard, 1), shift: w.table.shift}
	t.tokens.Store(w.table.tokens.Load())
	from, to := &w.table.shards[0], &t.shards[0]
	to.queues, to.busy, to.waste = from.queues, maps.Clone(from.busy), from.waste
	to.maxValue, to.negative, to.mutants, to.stats = from.maxValue, from.negative, from.mutants, from.stats
	to.index, to.ghost = slices.Clone(from.index), slices.Clone(from.ghost)
	to.chunks = make([][]entry, len(from.chunks))
	c.src = NewSource("s")
	c.src.gen.Store(w.src.gen.Load())
	c.src.fresh.Store(w.src.fresh.Load())
	for i := range from.chunks {
		to.chunks[i] = slices.Clone(from.chunks[i])
		for j := range to.chunks[i] {
			if to.chunks[i][j].src != nil {
				to.chunks[i][j].src = c.src
			}
		}
	}
	c.table = t
	l := *w.link
	l.table, l.src, l.lanes = t, c.src, slices.Clone(l.lanes)
	l.fence = w.link.fence.Clone()
	c.link = &l
	c.feed, c.asked, c.answers = slices.Clone(w.feed), slices.Clone(w.asked), slices.Clone(w.answers)
	for i := range c.callers {
		if c.callers[i].p.src != nil {
			c.callers[i].p.src = c.src
		}
	}
	return &c
}

// print returns what decides about the future, without absolute times and
// counters.
func (w *world) print(b []byte) []byte {
	gen := w.src.gen.Load()
	age := func(at int64) int64 { return min((w.now-at)/tick, 5) }
	fresh, _ := w.src.Fresh()
	b = fmt.Appendf(b, "%d %d %v|", w.now/tick, age(fresh), w.cut)
	for k := range w.sc.keys {
		b = fmt.Appendf(b, "%d %d %d %d %d ", w.held[k], w.deleted[k], w.logical[k], w.floor[k], w.unsaid[k])
		for v := range w.versions + 1 {
			b = fmt.Appendf(b, "%d,", age(w.lastHeld[k][v]))
		}
	}
	s := &w.table.shards[0]
	if e := s.find(hashOf); e != nil {
		b = fmt.Appendf(b, "e%s %d %d %d %v", e.key(), e.cas, min(gen-e.gen, 2), age(e.asked), e.missing)
	}
	b = fmt.Appendf(b, "|b%d %v|%d", s.busy[hashOf].writes, s.busy[hashOf].token != 0, w.versions)
	lane := lane{}
	if len(w.link.lanes) > 0 {
		lane = w.link.lanes[0]
	}
	b = fmt.Appendf(b, "|l%v %v %d %d %d %v", w.link.epoch[7], lane.known, w.seq[0], w.seq[1], lane.next, w.epoch)
	f := reflect.ValueOf(&w.link.fence).Elem()
	nonce := f.FieldByName("nonce").Uint()
	if open := f.FieldByName("open").Bool(); open {
		b = fmt.Appendf(b, "|f%d %v", age((f.FieldByName("openAt").FieldByName("ext").Int()-epoch1970)*tick), f.FieldByName("targets"))
	}
	if asked := f.FieldByName("asked").FieldByName("ext").Int(); asked != 0 {
		b = fmt.Appendf(b, "w%d", age((asked-epoch1970)*tick))
	}
	for _, p := range w.feed {
		b = fmt.Appendf(b, "p%d %d %d", p.Epoch[7], p.First, p.Count)
		for _, r := range p.records {
			b = append(b, '0'+byte(r.Op))
		}
	}
	for _, n := range w.asked {
		b = fmt.Appendf(b, "a%v", n == nonce)
	}
	for _, a := range w.answers {
		b = fmt.Appendf(b, "A%v %d %d", a.nonce == nonce, a.epoch, a.last)
	}
	var cs []string
	for i := range w.callers {
		c := &w.callers[i]
		if c.state == 0 {
			c.state = 'i'
		}
		if c.state == 'i' {
			cs = append(cs, "i")
			continue
		}
		cs = append(cs, fmt.Sprintf("%c%d %v %d %v %d %d %v %v %d %d %d", c.state, c.key, c.p.token != 0 && s.busy[hashOf].token == c.p.token,
			min(gen-c.p.gen, 2), c.have, c.old.CAS, c.reply.Value.CAS, c.reply.Value.Missing, c.reply.Unchanged, age(c.invoked), c.floor, c.version))
	}
	slices.Sort(cs)
	return append(b, strings.Join(cs, ";")...)
}

// epoch1970 is the field of time.Time that counts seconds, of 1970.
var epoch1970 = reflect.ValueOf(at(0)).FieldByName("ext").Int()

// hashOf is the hash of all keys: two keys collide.
const hashOf = 0x1234

var keyNames = [2]string{"a", "b"}

// publish numbers a record and sends it, as a server does with the lock of the
// shard held.
func (w *world) publish(k int, r wire.Record) {
	n := 0
	if w.sc.server.perKey {
		n = k
	}
	if !w.cut || !w.sc.server.frozen {
		w.seq[n]++
	}
	if !w.cut {
		w.feed = append(w.feed, publication{wire.Header{Epoch: epochOf(w.epoch), First: w.seq[n], Count: 1}, []wire.Record{r}})
	}
}

// change is a mutation of key k at the server; deleted if v is none.
func (w *world) change(k int, remove bool) (version int) {
	w.versions++
	if w.sc.server.addSilent && w.held[k] == none {
		w.set(k, w.versions, remove)
		return w.versions
	}
	if w.sc.server.publishFirst {
		w.publish(k, wire.Record{Op: wire.Changed, Hash: hashOf})
		w.unsaid[k] = w.versions
		if remove {
			w.unsaid[k] = -w.versions
		}
		return w.versions
	}
	w.set(k, w.versions, remove)
	w.publish(k, wire.Record{Op: wire.Changed, Hash: hashOf})
	return w.versions
}

func (w *world) set(k, version int, remove bool) {
	w.leave(k)
	w.held[k], w.logical[k] = version, version
	if remove {
		w.held[k], w.logical[k], w.deleted[k] = none, none, version
	}
}

// leave notes that the value of k was held until now.
func (w *world) leave(k int) {
	w.lastHeld[k][w.logical[k]] = w.now
	w.lastHeld[k][w.held[k]] = w.now
}

// check is called with the version that a read returned.
func (w *world) check(how string, c *caller, v int) {
	k := c.key
	held := w.lastHeld[k][v]
	if v == w.logical[k] || v == w.held[k] {
		held = w.now
	}
	if held < c.invoked-maxStale {
		w.fault = fmt.Sprintf("%s of %s returns version %d, which the server last held %d s before the read", how, keyNames[k], v, (c.invoked-held)/tick)
	}
	position := v
	if v == none {
		position = w.deleted[k]
		if w.held[k] == none {
			position = maxVersions + 1
		}
	}
	if position < c.floor {
		w.fault = fmt.Sprintf("%s of %s returns version %d after the process wrote version %d", how, keyNames[k], v, c.floor)
	}
}

func versionOf(v Value) int {
	if v.Missing {
		return none
	}
	return int(v.CAS)
}

// The actions: a letter, and a number for a key or a caller.
type action struct {
	name byte
	n    int8
}

var what = map[byte]string{
	't': "tick", 'p': "another process writes", 'x': "another process deletes", 'v': "evict", 'f': "flush_all", 'R': "restart",
	'd': "deliver a publication", 'l': "lose a publication", 'h': "heartbeat", 'c': "the feed becomes half-open", 'C': "the feed is connected again",
	'a': "ask for a fence", 's': "the server answers the fence", 'A': "deliver the fence's answer",
	'r': "caller reads a", 'q': "caller reads b", 'w': "caller writes a", 'e': "the server executes the caller's request", 'y': "deliver the reply", 'z': "the caller gives up", 'u': "apply what was published",
}

// actions returns what can happen in w.
func (w *world) actions() (as []action) {
	can := func(name byte, n int, enabled bool) {
		if enabled && strings.IndexByte(w.sc.allowed, name) >= 0 {
			as = append(as, action{name, int8(n)})
		}
	}
	can('t', 0, w.now/tick-100 < w.sc.ticks)
	for k := range w.sc.keys {
		free := w.versions < w.sc.writes && len(w.feed) < feedRoom && w.unsaid[k] == 0
		can('p', k, free)
		can('x', k, free && w.held[k] != none)
		can('v', k, w.held[k] != none && w.unsaid[k] == 0)
		can('u', k, w.unsaid[k] != 0)
	}
	can('f', 0, len(w.feed) < feedRoom && w.held != [2]int{})
	can('R', 0, w.epoch < 2 && w.unsaid == [2]int{})
	can('d', 0, len(w.feed) > 0)
	can('l', 0, len(w.feed) > 0)
	can('h', 0, len(w.feed) < feedRoom && !w.cut)
	can('c', 0, !w.cut)
	can('C', 0, w.cut)
	can('a', 0, len(w.asked)+len(w.answers) == 0)
	can('s', 0, len(w.asked) > 0)
	can('A', 0, len(w.answers) > 0)
	for i := range w.sc.callers {
		c := &w.callers[i]
		idle := c.state == 0 || c.state == 'i'
		if idle && i > 0 && (w.callers[0].state == 0 || w.callers[0].state == 'i') {
			continue // the first idle caller acts: they are alike
		}
		can('r', i, idle)
		can('q', i, idle && w.sc.keys > 1)
		can('w', i, idle && w.versions < w.sc.writes)
		can('e', i, c.state == 'r' || c.state == 'w' && w.versions < w.sc.writes && len(w.feed) < feedRoom && w.unsaid[c.key] == 0)
		can('y', i, c.state == 'R' || c.state == 'W' && w.unsaid[c.key] == 0)
		can('z', i, !idle)
	}
	return as
}

func (w *world) do(a action) {
	n := int(a.n)
	c := &w.callers[n]
	switch a.name {
	case 't':
		w.now += tick
	case 'p', 'x':
		w.change(n, a.name == 'x')
	case 'u':
		v := w.unsaid[n]
		w.unsaid[n] = 0
		w.set(n, max(v, -v), v < 0)
	case 'v':
		w.leave(n)
		w.held[n] = none
		w.deleted[n] = max(w.deleted[n], w.logical[n])
	case 'f':
		for k := range w.sc.keys {
			w.leave(k)
			w.held[k], w.logical[k], w.deleted[k] = none, none, w.versions
		}
		w.publish(0, wire.Record{Op: wire.FlushAll})
	case 'R':
		w.epoch++
		w.seq = [2]uint64{}
		for k := range w.sc.keys {
			w.leave(k)
			w.held[k], w.logical[k], w.deleted[k] = none, none, w.versions
		}
	case 'd':
		p := w.feed[0]
		w.feed = w.feed[1:]
		w.link.Publication(w.now, &p.Header, p.records)
	case 'l':
		w.feed = w.feed[1:]
	case 'h':
		w.feed = append(w.feed, publication{Header: wire.Header{Epoch: epochOf(w.epoch), First: max(w.seq[0], w.seq[1])}})
	case 'c':
		w.cut = true
	case 'C':
		w.cut = false
	case 'a':
		w.asked = append(w.asked, w.link.Ask(w.now))
	case 's':
		w.answers = append(w.answers, answer{w.asked[0], w.epoch, max(w.seq[0], w.seq[1])})
		w.asked = nil
	case 'A':
		x := w.answers[0]
		w.answers = nil
		w.link.Answer(x.nonce, epochOf(x.epoch), []uint64{x.last})
	case 'r', 'q':
		w.read(c, map[byte]int{'r': 0, 'q': 1}[a.name])
	case 'w':
		*c = caller{state: 'w', invoked: w.now}
		w.table.BeginWrite(hashOf)
	case 'e':
		w.execute(c)
	case 'y':
		w.deliver(c)
	case 'z':
		if c.state == 'r' || c.state == 'R' {
			w.table.Abort(c.p)
		} else {
			w.table.EndWrite(hashOf)
		}
		*c = caller{}
	}
	idle := true
	for i := range w.callers {
		idle = idle && (w.callers[i].state == 0 || w.callers[i].state == 'i')
	}
	if idle && len(w.table.shards[0].busy) > 0 {
		w.fault = "a key is pending or writing, but no caller is busy"
	}
}

func (w *world) read(c *caller, k int) {
	*c = caller{key: k, invoked: w.now, floor: w.floor[k]}
	if v, ok := w.table.Hit(hashOf, keyNames[k], 0, w.now, maxStale); ok {
		w.check("a hit", c, versionOf(v))
		*c = caller{}
		return
	}
	c.state = 'r'
	c.p, c.old, c.have = w.table.Begin(hashOf, keyNames[k], w.src, 0, w.now)
}

// execute lets the server execute the caller's request.
func (w *world) execute(c *caller) {
	k := c.key
	if c.state == 'w' {
		c.state, c.version = 'W', w.change(k, false)
		return
	}
	c.state = 'R'
	v := Value{CAS: uint64(w.held[k]), Missing: w.held[k] == none, TTL: Unlimited}
	c.reply = Reply{Value: v}
	if c.have && !v.Missing && !c.old.Missing && c.old.CAS == v.CAS {
		c.reply = Reply{Value: Value{TTL: v.TTL}, Unchanged: true}
	}
}

func (w *world) deliver(c *caller) {
	if c.state == 'W' {
		w.table.EndWrite(hashOf)
		w.floor[c.key] = max(w.floor[c.key], c.version)
	} else {
		v := w.table.Finish(c.p, keyNames[c.key], c.old, c.reply, 0)
		w.check("a read", c, versionOf(v))
	}
	*c = caller{}
}

// explore tries all interleavings and returns the number of states, and the way to
// the first fault.
func explore(sc *scenario) (states, edges int, fault string) {
	type node struct {
		parent int32
		by     action
	}
	nodes := []node{{parent: -1}}
	path := func(n int) (as []action) {
		for ; nodes[n].parent >= 0; n = int(nodes[n].parent) {
			as = append(as, nodes[n].by)
		}
		slices.Reverse(as)
		return as
	}
	type print [2]uint64
	var buf []byte
	fingerprint := func(w *world) print {
		buf = w.print(buf[:0])
		a := xxhash.Sum64(buf)
		return print{a, xxhash.Sum64(append(buf, byte(a)))}
	}
	seen := map[print]bool{fingerprint(newWorld(sc)): true}
	first, last := 0, 1
	for depth := 0; depth < sc.depth && first < last; depth++ {
		for n := first; n < last; n++ {
			w := newWorld(sc)
			for _, a := range path(n) {
				w.do(a)
			}
			for _, a := range w.actions() {
				next := w.clone()
				next.do(a)
				edges++
				if next.fault != "" {
					var b strings.Builder
					for _, a := range append(path(n), a) {
						fmt.Fprintf(&b, "\n  %s (%d)", what[a.name], a.n)
					}
					return len(nodes), edges, next.fault + ":" + b.String()
				}
				if fp := fingerprint(next); !seen[fp] {
					seen[fp] = true
					nodes = append(nodes, node{int32(n), a})
				}
			}
		}
		first, last = last, len(nodes)
	}
	return len(nodes), edges, ""
}
