// Package zmtp is the ZeroMQ wire format: the greeting, frames, commands,
// metadata and the security mechanisms of ZMTP 1.0 to 3.1 (RFC 13, 15, 23, 37),
// CurveZMQ (RFC 25, 26), ZAP (RFC 27) and Z85 (RFC 32).
//
// The package works on bytes only. The owner of the connection passes in what
// has arrived and writes what the package appends. It starts no goroutine,
// reads no clock, takes no lock, and never allocates memory for a length that a
// peer announced.
//
// A connection goes through three stages:
//
//	g := zmtp.NewGreeting(cfg)          // until Advance says done
//	m, err := zmtp.NewCurveServer(...)  // until m.State() is StateReady
//	g.Framing(), m.Sealer()             // traffic
package zmtp
