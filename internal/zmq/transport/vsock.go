package transport

import (
	"fmt"
	"strconv"
	"strings"
)

// Wildcards: the system picks the number.
const (
	anyCID  = ^uint32(0)
	anyPort = ^uint32(0)
)

// VSOCKAddr is the address of a socket between a virtual machine and its host:
// the context id of the machine and a port.
type VSOCKAddr struct{ CID, Port uint32 }

// Network is "vsock".
func (VSOCKAddr) Network() string { return "vsock" }

// String is the address as an endpoint has it: cid:port, with * for any.
func (a VSOCKAddr) String() string { return orAny(a.CID, anyCID) + ":" + orAny(a.Port, anyPort) }

func orAny(n, wild uint32) string {
	if n == wild {
		return "*"
	}
	return strconv.FormatUint(uint64(n), 10)
}

// localCID is the context id of this machine, for connections to itself.
const localCID = 1

// parseVSOCK reads cid:port. Bind allows * for both. For a connection, the context
// id * is this machine, so that it can be made to what Bind reports.
func parseVSOCK(s string, bind bool) (VSOCKAddr, error) {
	cid, port, ok := strings.Cut(s, ":")
	if !ok {
		return VSOCKAddr{}, fmt.Errorf("address %q has no port, expected cid:port", s)
	}
	var a VSOCKAddr
	var err error
	if a.CID, err = number("context id", cid, anyCID, true); err != nil {
		return a, err
	}
	if a.CID == anyCID && !bind {
		a.CID = localCID
	}
	a.Port, err = number("port", port, anyPort, bind)
	return a, err
}

func number(what, s string, wild uint32, bind bool) (uint32, error) {
	if s == "*" && bind {
		return wild, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || uint32(n) == wild {
		return 0, fmt.Errorf("%s %q, expected a number from 0 to %d", what, s, wild-1)
	}
	return uint32(n), nil
}
