//go:build !linux

package netloop

// New is a Loop with the best driver there is for each listener.
func New(cfg Config) (Loop, error) { return NewNet(cfg) }
