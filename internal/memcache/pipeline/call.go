package memcache

import (
	"context"
	"sync"
	"sync/atomic"
)

// op is what a call asks of a server.
type op uint8

const (
	opGet op = iota
	opGetInto
	opGetMulti
	opStore
	opStoreMulti
	opDelete
	opDeleteMulti
	opArith
	opTouch
	opLease
	opInvalidate
	opCommand
	opStats
)

// mode is the M flag of ms, and the command of the classic protocol.
type mode byte

const (
	modeSet     mode = 'S'
	modeAdd     mode = 'E'
	modeReplace mode = 'R'
	modeAppend  mode = 'A'
	modePrepend mode = 'P'
	modeCAS     mode = 'C' // a set with a C flag
)

// call is one request on its way to one server and back. The caller fills in
// the request and reads the result after wait; in between the connection owns
// it. Both hold a reference, so that a caller who gives up leaves a live call
// behind for the reader to match the late reply with.
type call struct {
	op    op
	mode  mode
	decr  bool
	touch bool // opGet with a new TTL
	key   string
	// encoded: some of the keys have to travel in base64, and so by meta commands.
	encoded bool

	flags uint32
	ttl   int32
	cas   uint64
	delta uint64
	value []byte // read while the request is encoded, never after
	lease leaseRequest

	keys  []string // of a multi call
	items []*Item  // opGetMulti: by index of keys; opStoreMulti: what to store
	ttls  []int32  // opStoreMulti
	errs  []error  // opStoreMulti and opDeleteMulti: by index of keys

	command string            // opCommand and opStats: the line to send
	expect  string            // opCommand: the answer that means success, "" for any
	stats   map[string]string // opStats

	// The result, written by the connection's reader.
	item   *Item
	buf    []byte // opGetInto, and the text of opCommand
	num    uint64
	won    bool
	stale  bool
	lost   bool
	err    error
	sent   bool // some of the request may have reached the server
	opaque uint64
	start  uint64 // position of the request in the connection's stream
	after  uint64 // and of what follows it

	conn *conn // that took the request
	refs atomic.Int32
	done chan struct{}
	pool *sync.Pool
}

// leaseRequest is what opLease adds to a get.
type leaseRequest struct {
	vivify  int32 // N: seconds an empty placeholder lives
	recache int32 // R: seconds left below which one caller refreshes
}

// keepBuf is the largest result buffer that a pooled call holds on to.
const keepBuf = 64 << 10

// newCall takes a call from the client's pool. Pools are not shared between
// clients: a channel made in a testing/synctest bubble must not leave it.
func (c *Client) newCall(o op, key string) *call {
	cl, _ := c.calls.Get().(*call)
	if cl == nil {
		cl = &call{done: make(chan struct{}, 1), pool: &c.calls}
	}
	cl.op, cl.key = o, key
	cl.refs.Store(1)
	return cl
}

// release gives up a reference.
func (cl *call) release() {
	if cl.refs.Add(-1) != 0 {
		return
	}
	select {
	case <-cl.done:
	default:
	}
	buf := cl.buf[:0]
	if cap(buf) > keepBuf {
		buf = nil
	}
	done, pool := cl.done, cl.pool
	*cl = call{buf: buf, done: done, pool: pool}
	pool.Put(cl)
}

// finish hands the result to the caller and gives up the connection's
// reference.
func (cl *call) finish(err error) {
	cl.err = err
	cl.done <- struct{}{}
	cl.release()
}

// wait returns false when ctx ended first: the result belongs to the
// connection still.
func (cl *call) wait(ctx context.Context) bool {
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

// idempotent tells calls that may be sent again although the server may have
// carried them out.
func (cl *call) idempotent() bool {
	switch cl.op {
	case opGet, opGetInto, opGetMulti, opStats, opTouch:
		return true
	}
	return false
}

// repeatable tells calls that come to the same when they are carried out twice,
// if nobody else writes meanwhile: what a failover policy may repeat.
func (cl *call) repeatable() bool {
	switch cl.op {
	case opStore:
		return cl.mode == modeSet
	case opStoreMulti, opDelete, opDeleteMulti, opInvalidate:
		return true
	}
	return cl.idempotent()
}
