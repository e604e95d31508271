// Package bench holds our client and our sockets beside those of others, in
// the same process and the same run. One file per peer adapts it to the
// interfaces here; nothing of theirs reaches the go.mod of the libraries.
//
//	go test -bench . -count 6 | tee new.txt
//	go test -tags libzmq -bench Push   # libzmq itself, through cgo (libzmq3-dev)
//
// make bench-go runs the sockets in turns and prints medians.
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
	{"compat-gomemcache", dialCompatGomemcache},
	{"grafana", dialGrafana},
	{"compat-grafana", dialCompatGrafana},
}

// socket is one end of a pattern. send and recv are for one goroutine each;
// those of several frames are for DEALER and ROUTER.
type socket interface {
	bind(endpoint string) (addr string, err error)
	connect(addr string) error
	send(b []byte) error
	recv() ([]byte, error)
	sendFrames(m [][]byte) error
	recvFrames() ([][]byte, error)
	io.Closer
}

// sockets makes a socket of a type ("PUSH", "PULL", "REQ", "REP", "PUB",
// "SUB", "DEALER", "ROUTER"; a SUB subscribes to everything) of each kind, with
// the options that the kind has by itself, but PUB and SUB without high-water
// marks. A DEALER has the routing id name, which go-zeromq's ROUTER cannot do
// without.
var sockets = append([]socketMaker{
	{"lintel", newLintel},
	{"go-zeromq", newGoZeroMQ},
	{"compat-gozeromq", newCompatZeroMQ},
}, cgoSockets...)

type socketMaker struct {
	name string
	make func(ctx context.Context, typ, name string) (socket, error)
}
