package exec

import (
	"errors"

	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// Mode is how a value is stored.
type Mode uint8

// The modes.
const (
	Set Mode = iota
	Add
	Replace
	Append
	Prepend
	CAS
)

var modeNames = [...]string{"set", "add", "replace", "append", "prepend", "cas"}

// Outcome is the result of a change.
type Outcome uint8

// The outcomes.
const (
	Stored Outcome = iota
	NotStored
	Exists // the CAS value differs
	NotFound
	TooLarge
	NoMemory
	NonNumeric
)

// outcomeNames are the words of the mutations stream.
var outcomeNames = [...]string{"stored", "not_stored", "exists", "not_found", "too_large", "no_memory", "non_numeric"}

// Change is a storage command.
type Change struct {
	Key     []byte
	Mode    Mode
	Flags   uint32
	Exptime int64  // expiry time as sent, for the log
	Expiry  int64  // the same in unix seconds, 0 is never
	Compare uint64 // CAS value that the item must have, with Checked
	Checked bool
	Lower   bool   // a lower Compare also stores, and marks the item as stale
	NewCAS  uint64 // CAS value of the new item, 0 is the next value
	Vivify  bool   // Append and Prepend create a missing item
}

// Upload is a storage command of the text and meta protocols before its data
// block has been read.
type Upload struct {
	Change
	N       int    // length of the data block
	Quiet   bool   // noreply
	Meta    bool   // ms
	Sent    []byte // the key of an ms in the form in which it was sent
	Problem string // what is wrong with the command, although its length is known
	Fatal   bool   // the length is not known: Problem is the reply, no data is skipped
}

// The replies to a storage command that fails before its data block is used.
const (
	ReplyTooLarge = "SERVER_ERROR object too large for cache"
	ReplyNoMemory = "SERVER_ERROR out of memory storing object"
	ReplyBadChunk = "CLIENT_ERROR bad data chunk"
)

// Receive takes the data block of u, whose line with its end is n bytes of in.
// If all of it has arrived, used is the end of the block and the caller executes
// u with in[n:used]. Otherwise the step is not Next, or used is n and an error has
// been answered. The connection may have a Pending then: one that skips the data,
// or one that collects it and calls finish.
func (b *Batch) Receive(u *Upload, line, in []byte, n int, finish Finish) (used int, step netloop.Step) {
	switch {
	case u.Fatal:
		b.Reply(u.Problem)
		return n, netloop.Next
	case u.Problem == "" && b.TooBig(&u.Change, u.N):
		b.Refuse(&u.Change, u.Meta || u.Mode == Set, u.N)
		u.Problem = ReplyTooLarge
	}
	if u.Problem != "" {
		if u.Quiet {
			u.Problem = ""
		}
		b.Discard(int64(u.N)+2, u.Problem)
		return n, netloop.Next
	}
	need := u.N + 2
	if len(in)-n < need {
		b.Await(line, in[n:], need, finish)
		return len(in), netloop.NeedMore
	}
	return n + need, netloop.Next
}

// BadChunk answers a data block that does not end where u says it does, and
// returns true for one.
func (b *Batch) BadChunk(u *Upload, data []byte) bool {
	if data[u.N] == '\r' && data[u.N+1] == '\n' {
		return false
	}
	b.countClass(Sets, b.ItemSize(len(u.Key), u.N, u.Flags))
	b.Answer(u.Quiet, ReplyBadChunk)
	return true
}

// TooBig reports whether an item of c with n bytes of value is over the largest
// size.
func (b *Batch) TooBig(c *Change, n int) bool {
	return b.ItemSize(len(c.Key), n, c.Flags) > b.MaxItemSize
}

// Store executes c and returns the new CAS value, 0 unless stored, and the new
// length of the value.
func (b *Batch) Store(c *Change, value []byte) (out Outcome, cas uint64, n int) {
	sent := b.ItemSize(len(c.Key), len(value), c.Flags)
	b.countClass(Sets, sent)
	r := store.Record{Flags: c.Flags, Expiry: c.Expiry, CAS: c.NewCAS}
	r.Parts[0] = value

	var tx store.Txn
	found := b.Open(&tx, c.Key)
	b.logChange(&tx, c.Key, found)
	if c.Mode != Set {
		out = b.decide(&tx, c, &r, found)
	}
	if out == Stored {
		n = len(r.Parts[0]) + len(r.Parts[1])
		var err error
		cas, err = tx.Put(r)
		switch {
		case err == nil:
		case errors.Is(err, store.ErrTooLarge):
			// Only an append or prepend becomes larger than what TooBig saw.
			out = NotStored
		default:
			out = NoMemory
			b.Count(StoreNoMemory)
			if c.Mode == Set && found {
				// The client no longer expects the old value.
				tx.Delete()
			}
		}
	}
	tx.End()
	if b.Log.Any() {
		b.detail(c.Key, func(p *prefixCounts) { p.sets++ })
		ttl := c.Exptime
		if c.Mode == Append || c.Mode == Prepend {
			ttl = 0 // these commands have none
		}
		size := n
		if out != Stored {
			size = len(value)
		}
		b.Log.Store(b.Conn.Net.ID(), c.Key, outcomeNames[out], modeNames[c.Mode], ttl, sent, size)
	}
	return out, cas, n
}

// decide returns Stored if c, which is no set, applies to the item of tx, and
// completes the record r.
func (b *Batch) decide(tx *store.Txn, c *Change, r *store.Record, found bool) Outcome {
	switch c.Mode {
	case Add:
		if found {
			tx.Warm()
			return NotStored
		}
	case Replace:
		if !found {
			return NotStored
		}
	case Append, Prepend:
		switch {
		case !found && !c.Vivify:
			return NotStored
		case !found:
		case c.Checked && comparable(c, tx) && c.Compare != tx.CAS():
			return Exists
		default:
			old, value := tx.Value(), r.Parts[0]
			r.Flags, r.Expiry = tx.Flags(), tx.Expiry()
			r.Parts = [2][]byte{old, value}
			if c.Mode == Prepend {
				r.Parts = [2][]byte{value, old}
			}
		}
	case CAS:
		switch {
		case !found:
			b.Count(CASMisses)
			return NotFound
		case comparable(c, tx) && c.Compare == tx.CAS():
			b.countClass(CASHits, tx.Size())
		case comparable(c, tx) && c.Lower && c.Compare < tx.CAS():
			r.Expiry, r.Stale, r.Won = tx.Expiry(), true, tx.Won()
			b.countClass(CASHits, tx.Size())
		default:
			b.countClass(CASBad, tx.Size())
			return Exists
		}
	}
	return Stored
}

// comparable reports whether the CAS value of c can be compared with that of the item
// of tx. It is not if one of them is 0: with -C no item has a value, and 0 in a
// command stands for none.
func comparable(c *Change, tx *store.Txn) bool { return c.Compare != 0 && tx.CAS() != 0 }

// Refuse counts and logs a change whose value of n bytes is too large. With drop
// set it removes the old item, whose value the client no longer expects.
func (b *Batch) Refuse(c *Change, drop bool, n int) {
	b.Count(StoreTooLarge)
	if drop {
		var tx store.Txn
		if b.Peek(&tx, c.Key) {
			tx.Delete()
			tx.End()
		}
	}
	if b.Log.Any() {
		b.Log.Store(b.Conn.Net.ID(), c.Key, outcomeNames[TooLarge], modeNames[c.Mode], c.Exptime, b.ItemSize(len(c.Key), n, c.Flags), 0)
	}
}
