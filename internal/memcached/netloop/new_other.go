//go:build !linux

package netloop

// New returns a Loop. On Linux it serves TCP and unix sockets by epoll loops and
// all other connections by a goroutine each. On other systems it is NewNet.
func New(cfg Config) (Loop, error) { return NewNet(cfg) }
