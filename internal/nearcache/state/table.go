package state

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Value is a value of the table, or the knowledge that a key has none.
type Value struct {
	Data    string
	Flags   uint32
	CAS     uint64
	Missing bool   // the server has no item under the key
	TTL     uint32 // seconds that the item had to live when it was asked for; Unlimited is no end
	Age     int64  // nanoseconds since the value was asked for; set by Hit
}

// Unlimited is the TTL of items that do not expire.
const Unlimited = math.MaxUint32

// Endless reports that the item does not expire.
func (v *Value) Endless() bool { return v.TTL == Unlimited }

// Pending is the right to keep the reply to one question. The zero Pending
// keeps nothing.
type Pending struct {
	hash  uint64
	token uint64
	gen   uint64
	src   *Source
	fleet uint32
	asked int64
}

// Mutants switch rules off. Tests set them to show that the rules are necessary.
type Mutants struct {
	NoToken      bool // replies are kept although a record or a write came in between
	NoGen        bool // replies are kept although records may have been lost since the question
	NoWriting    bool // own writes leave the entry and the tokens alone
	ArrivalFresh bool // a publication counts as fresh at the time of its arrival
}

// Config describes a Table.
type Config struct {
	MaxBytes int64 // keys, values and the table's own memory
	MaxValue int   // largest value in bytes that is kept; 0: an eighth of a shard
	Negative int64 // nanoseconds for which the knowledge that a key is missing is kept; 0: it is not kept
	Mutants  Mutants
}

// Reply is a server's answer to a question.
type Reply struct {
	Value     Value
	Unchanged bool // the value is the one that Begin returned; only Value.TTL is set
	Leased    bool // the value is stale, or a client is loading another one: not kept
}

// Stats are counters of a Table.
type Stats struct {
	Entries  int64
	Bytes    int64
	Hits     uint64 // values served
	Suspects uint64 // questions about a value that the table had, but could not serve
	Same     uint64 // of those, answered by: unchanged
	Fills    uint64 // replies kept
	Voided   uint64 // replies not kept, because of a record, a write or a loss in between
	Removed  uint64 // entries removed by a record
	Evicted  uint64 // entries removed for room
	Bypassed uint64 // questions without a token, because the key changes more often than it is read
}

// Table is a bounded map of values by key. All methods are safe for concurrent
// use.
type Table struct {
	shards []shard
	shift  uint
	tokens atomic.Uint64
}

// The number of shards, and the memory in bytes for which one more is made.
const (
	maxShards  = 64
	shardBytes = 256 << 10
)

// NewTable returns an empty Table.
func NewTable(c Config) *Table {
	n := 1
	for n < maxShards && int64(n)*shardBytes < c.MaxBytes {
		n *= 2
	}
	t := &Table{shards: make([]shard, n), shift: uint(64 - bits.Len(uint(n-1)))}
	for i := range t.shards {
		t.shards[i].init(c, c.MaxBytes/int64(n))
	}
	return t
}

// shard returns the shard of a hash. The index of a shard uses the low bits, so
// the shard is taken from the high ones.
func (t *Table) shard(hash uint64) *shard {
	if len(t.shards) == 1 {
		return &t.shards[0]
	}
	return &t.shards[hash>>t.shift]
}

// shard is a part of the table.
type shard struct {
	mu sync.Mutex // protects all fields

	queues
	busy  map[uint64]busy // pending and writing keys
	waste waste

	maxValue int
	negative int64
	mutants  Mutants
	stats    Stats

	_ [64]byte // keeps the locks of two shards on different cache lines
}

// busy is a key that is pending (token is not 0) or writing.
type busy struct {
	token  uint64
	writes int32
}

func (s *shard) init(c Config, maxBytes int64) {
	s.maxBytes = maxBytes
	s.maxValue = c.MaxValue
	if most := int(maxBytes/8) - entryCost; s.maxValue == 0 || s.maxValue > most {
		s.maxValue = max(most, 0)
	}
	s.negative, s.mutants = c.Negative, c.Mutants
	s.busy = make(map[uint64]busy)
}

// Hit returns the value under key if it may be served at time now: its server's
// changes are known up to now - maxStale, or it was asked for later than that.
// fleet is the version of the placement.
func (t *Table) Hit(hash uint64, key string, fleet uint32, now, maxStale int64) (v Value, ok bool) {
	s := t.shard(hash)
	s.mu.Lock()
	e := s.find(hash)
	if e == nil || e.key() != key || e.fleet != fleet || !e.usable(now, maxStale) {
		s.mu.Unlock()
		return Value{}, false
	}
	if e.freq < maxFreq {
		e.freq++
	}
	s.stats.Hits++
	v = e.value()
	v.Age = now - e.asked
	s.mu.Unlock()
	return v, true
}

// usable reports whether e may be served.
func (e *entry) usable(now, maxStale int64) bool {
	// fresh is loaded before gen: a fresh that was moved on after a loss comes
	// with the generation that the loss began.
	fresh := max(e.src.fresh.Load(), e.asked)
	return e.gen == e.src.gen.Load() && now-fresh <= maxStale && now-e.asked < e.life()
}

// Begin is called before the server src is asked for key at time now. p is the
// right to keep the reply. If the table has a value that the server could
// confirm, Begin returns it and have is true. Each Begin needs one Finish or Abort.
func (t *Table) Begin(hash uint64, key string, src *Source, fleet uint32, now int64) (p Pending, old Value, have bool) {
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(hash); e != nil && e.key() == key {
		if e.src != src {
			s.remove(e)
		} else {
			old, have = e.value(), true
			s.stats.Suspects++
			if e.fleet != fleet {
				e.fleet = fleet // the key is still on its server
			}
		}
	}
	if _, taken := s.busy[hash]; taken {
		return Pending{}, old, have
	}
	if s.waste.bypasses(hash, now) {
		s.stats.Bypassed++
		return Pending{}, old, have
	}
	p = Pending{hash: hash, token: t.tokens.Add(1), gen: src.gen.Load(), src: src, fleet: fleet, asked: now}
	s.busy[hash] = busy{token: p.token}
	return p, old, have
}

// end removes the token of p and reports whether it stood.
func (s *shard) end(p Pending) bool {
	if s.busy[p.hash].token != p.token {
		return s.mutants.NoToken
	}
	delete(s.busy, p.hash)
	return true
}

// Finish ends the question p for key with the server's reply and returns the
// value. It is kept if no change can have come in between, and then replaces what
// the table had. old is what Begin returned. maxAge bounds the time in
// nanoseconds for which the value is served, from the question on, in addition to
// its TTL; 0 is no bound.
func (t *Table) Finish(p Pending, key string, old Value, r Reply, maxAge int64) Value {
	v := r.Value
	if r.Unchanged {
		ttl := v.TTL
		v = old
		v.TTL = ttl
	}
	if p.token == 0 {
		return v
	}
	s := t.shard(p.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.Missing && (maxAge == 0 || maxAge > s.negative) {
		maxAge = s.negative
	}
	if !s.end(p) || p.gen != p.src.gen.Load() && !s.mutants.NoGen {
		s.stats.Voided++
		s.waste.count(p.hash, p.asked, true)
		return v
	}
	e := s.find(p.hash)
	if r.Leased || v.Missing && s.negative == 0 || len(v.Data) > s.maxValue {
		if e != nil {
			s.remove(e)
		}
		return v
	}
	if e == nil {
		e = s.insert(p.hash)
	}
	s.put(e, key, v)
	e.src, e.gen, e.fleet, e.asked = p.src, p.gen, p.fleet, p.asked
	if s.mutants.NoGen {
		e.gen = p.src.gen.Load()
	}
	e.setLife(v.TTL, maxAge)
	s.stats.Fills++
	if r.Unchanged {
		s.stats.Same++
	}
	s.evict(e)
	return v
}

// Abort ends the question p without a reply.
func (t *Table) Abort(p Pending) {
	if p.token == 0 {
		return
	}
	s := t.shard(p.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(p)
}

// BeginWrite is called before this process asks a server to change a key.
func (t *Table) BeginWrite(hash uint64) {
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mutants.NoWriting {
		return
	}
	if e := s.find(hash); e != nil {
		s.remove(e)
	}
	s.busy[hash] = busy{writes: s.busy[hash].writes + 1}
}

// EndWrite is called when the write has ended, with whatever result. A write that
// timed out may still happen: its record will come.
func (t *Table) EndWrite(hash uint64) {
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mutants.NoWriting {
		return
	}
	if b := s.busy[hash]; b.writes > 1 {
		s.busy[hash] = busy{writes: b.writes - 1}
	} else {
		delete(s.busy, hash)
	}
}

// Invalidate removes what is known of the keys with this hash. A server published
// a change.
func (t *Table) Invalidate(hash uint64) {
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(hash); e != nil {
		s.waste.count(hash, e.asked, e.freq == 0)
		s.remember(hash, e)
		s.remove(e)
		s.stats.Removed++
	}
	if b, ok := s.busy[hash]; ok && b.token != 0 {
		delete(s.busy, hash)
	}
}

// Stats returns the sum of the counters of all shards.
func (t *Table) Stats() Stats {
	var sum Stats
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		sum.Entries += int64(s.used)
		sum.Bytes += s.bytes
		sum.Hits += s.stats.Hits
		sum.Suspects += s.stats.Suspects
		sum.Same += s.stats.Same
		sum.Fills += s.stats.Fills
		sum.Voided += s.stats.Voided
		sum.Removed += s.stats.Removed
		sum.Evicted += s.evicted
		sum.Bypassed += s.stats.Bypassed
		s.mu.Unlock()
	}
	return sum
}
