package pipeline

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Op is the operation of a Call.
type Op uint8

// The operations, idempotent ones first.
const (
	OpGet Op = iota
	OpGetInto
	OpGetMulti
	OpRead
	OpReadMulti
	OpTouch
	OpStats
	OpStore
	OpStoreMulti
	OpDelete
	OpDeleteMulti
	OpArith
	OpLease
	OpInvalidate
	OpCommand
	OpProof // of Conn.Proof

	lastIdempotent = OpStats
	lastOp         = OpProof
)

// Mode is the condition of OpStore: the M flag of ms, or the classic command.
type Mode byte

// The modes.
const (
	ModeSet     Mode = 'S'
	ModeAdd     Mode = 'E'
	ModeReplace Mode = 'R'
	ModeAppend  Mode = 'A'
	ModePrepend Mode = 'P'
	ModeCAS     Mode = 'C' // a set with a C flag
)

// Item is an item that was read. It has the fields of memcache.Item, so that
// pointers to one convert to pointers to the other.
type Item struct {
	Key   string
	Value []byte
	Flags uint32
	TTL   time.Duration
	CAS   uint64
}

// Read is the result of OpRead: an item with what the server knows about it.
type Read struct {
	Item      *Item
	Found     bool  // there is an item; Item is nil if it is unchanged
	Unchanged bool  // it still has the version that the caller has
	Leased    bool  // it is stale, or a client has the right to replace it
	TTL       int64 // seconds left; -1 for no limit, or if the server does not tell
}

// Call is one request and its reply. The caller fills in the request, sends it and
// reads the result after Wait returned true. In between the connection owns the Call.
// Both hold a reference: a caller that gives up leaves a live Call behind, with which
// the connection matches the late reply.
type Call struct {
	Op   Op
	Mode Mode
	Decr bool // OpArith: subtract
	Gat  bool // OpGet: also set the TTL
	// Encoded: some keys are sent in base64, which only meta commands can do.
	Encoded bool
	// Internal is for the client: the request is not one that its caller made.
	Internal bool
	Key      string

	Flags   uint32
	TTL     int32
	CAS     uint64 // of OpRead: the version that the caller has, or 0
	Delta   uint64
	Value   []byte // read by Send, never later
	Vivify  int32  // OpLease: TTL in seconds of the placeholder made on a miss, or 0
	Recache int32  // OpLease: remaining seconds below which one caller reloads, or 0

	Keys  []string // of a multi-key request
	CASs  []uint64 // with Keys: of OpReadMulti, the versions that the caller has; nil is none
	Reads []Read   // with Keys: the results of OpReadMulti
	Items []*Item  // with Keys: the results of OpGetMulti, what OpStoreMulti stores
	TTLs  []int32  // with Keys: of OpStoreMulti
	Errs  []error  // with Keys: the results of OpStoreMulti and OpDeleteMulti

	Command string            // OpCommand and OpStats: the line to send
	Expect  string            // OpCommand: the prefix of a successful answer
	Stats   map[string]string // OpStats: the result

	// The result, written by the owner of reading.
	Item   *Item
	Buf    []byte // OpGetInto: the value; OpCommand: the answer
	Read   Read   // OpRead: the result
	Num    uint64 // OpArith: the number; OpLease: the TTL left, as an int64
	Won    bool   // OpLease: this caller is to reload the value
	Stale  bool   // OpLease: the value was invalidated
	Lost   bool   // OpLease: another caller is reloading the value
	Err    error
	Server string // for the client: of OpRead, the server that answered
	Sent   bool   // the server may have received some of the request

	opaque     uint64
	start, end uint64 // position of the request in the connection's output
	refs       atomic.Int32
	done       chan struct{}
	pool       *sync.Pool
}

// keepBuf is the largest result buffer in bytes that a pooled Call keeps.
const keepBuf = 64 << 10

// NewCall returns a Call from pool with one reference. A pool belongs to one client:
// channels made in a testing/synctest bubble must not leave it.
func NewCall(pool *sync.Pool, op Op, key string) *Call {
	cl, _ := pool.Get().(*Call)
	if cl == nil {
		cl = &Call{done: make(chan struct{}, 1), pool: pool}
	}
	cl.Op, cl.Key = op, key
	cl.refs.Store(1)
	return cl
}

// Release gives up a reference. The last one returns the Call to its pool.
func (cl *Call) Release() {
	if cl.refs.Add(-1) != 0 {
		return
	}
	select {
	case <-cl.done:
	default:
	}
	buf := cl.Buf[:0]
	if cap(buf) > keepBuf {
		buf = nil
	}
	done, pool := cl.done, cl.pool
	*cl = Call{Buf: buf, done: done, pool: pool}
	pool.Put(cl)
}

// finish hands the result to the caller and gives up the connection's reference.
func (cl *Call) finish(err error) {
	cl.Err = err
	cl.done <- struct{}{}
	cl.Release()
}

// wait waits for the result. It returns false if ctx ended first; the result then
// still belongs to the connection.
func (cl *Call) wait(ctx context.Context) bool {
	d := ctx.Done()
	if d == nil {
		<-cl.done
		return true
	}
	select {
	case <-cl.done:
		return true
	case <-d:
		return false
	}
}

// Idempotent reports whether the request may be sent again although the server may
// have executed it.
func (cl *Call) Idempotent() bool { return cl.Op <= lastIdempotent }

// Repeatable reports whether executing the request twice has the effect of executing
// it once, provided that no other client writes in between. Failover policies repeat
// such requests.
func (cl *Call) Repeatable() bool {
	switch cl.Op {
	case OpStore:
		return cl.Mode == ModeSet
	case OpStoreMulti, OpDelete, OpDeleteMulti, OpInvalidate:
		return true
	}
	return cl.Idempotent()
}

// newItem returns an item whose Value has n bytes. Up to 4 KiB, item and value are one
// allocation: that is one allocation for a Get instead of two.
func newItem(n int) *Item {
	switch {
	case n == 0:
		return &Item{Value: []byte{}}
	case n <= 32:
		b := new(struct {
			Item
			a [32]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 64:
		b := new(struct {
			Item
			a [64]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 128:
		b := new(struct {
			Item
			a [128]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 256:
		b := new(struct {
			Item
			a [256]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 512:
		b := new(struct {
			Item
			a [512]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 1024:
		b := new(struct {
			Item
			a [1024]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 2048:
		b := new(struct {
			Item
			a [2048]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	case n <= 4096:
		b := new(struct {
			Item
			a [4096]byte
		})
		b.Value = b.a[:n:n]
		return &b.Item
	}
	return &Item{Value: make([]byte, n)}
}
