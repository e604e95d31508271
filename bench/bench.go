// Package bench holds our client and our sockets beside those of others, in
// the same process and the same run. One file per peer adapts it to the
// interfaces here; nothing of theirs reaches the go.mod of the libraries.
//
//	go test -bench . -count 6 | tee new.txt
//	go test -tags libzmq -bench Push   # libzmq itself, through cgo (libzmq3-dev)
package bench

import (
	"context"
	"io"
)

// cache is a client for memcached-protocol servers, used by many goroutines
// at once.
type cache interface {
	get(key string) ([]byte, error)
	getMulti(keys []string) (found int, err error)
	set(key string, value []byte) error
	io.Closer
}

// caches makes a client of each kind for a fleet. callers is the number of
// goroutines that will use it: what pools connections may pool as many for each
// server.
var caches = []struct {
	name string
	dial func(fleet []string, callers int) (cache, error)
}{
	{"lintel", dialLintel},
	{"gomemcache", dialGomemcache},
}

// socket is one end of a pattern. send and recv are for one goroutine each.
type socket interface {
	bind(endpoint string) (addr string, err error)
	connect(addr string) error
	send(b []byte) error
	recv() ([]byte, error)
	io.Closer
}

// sockets makes a socket of a type ("PUSH", "PULL", "REQ", "REP", "PUB",
// "SUB"; a SUB subscribes to everything) of each kind.
var sockets = append([]socketMaker{
	{"lintel", newLintel},
	{"go-zeromq", newGoZeroMQ},
}, cgoSockets...)

type socketMaker struct {
	name string
	make func(ctx context.Context, typ string) (socket, error)
}
