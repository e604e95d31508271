package zmq4

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"lintel.dev/compat/gozeromq/transport"
)

// UnknownTransportError is returned for an endpoint whose scheme has no
// transport.
type UnknownTransportError struct {
	Name string
}

// Error names the scheme.
func (ute UnknownTransportError) Error() string {
	return fmt.Sprintf("zmq4: unknown transport %q", ute.Name)
}

// transports are the registered transports by scheme.
var transports = struct {
	sync.RWMutex
	by map[string]transport.Transport
}{by: map[string]transport.Transport{
	"inproc": newInproc(),
	"ipc":    transport.New("unix"),
	"tcp":    transport.New("tcp"),
	"udp":    transport.New("udp"),
}}

// Transports returns the schemes that have a transport, sorted.
func Transports() []string {
	transports.RLock()
	defer transports.RUnlock()
	return slices.Sorted(maps.Keys(transports.by))
}

// RegisterTransport adds a transport for the endpoints name://... A name can be
// registered once.
func RegisterTransport(name string, trans transport.Transport) error {
	transports.Lock()
	defer transports.Unlock()
	if old, ok := transports.by[name]; ok {
		return fmt.Errorf("zmq4: duplicate transport %q (%T)", name, old)
	}
	transports.by[name] = trans
	return nil
}

// resolve returns the transport of an endpoint, and the address for it.
func resolve(endpoint string) (transport.Transport, string, error) {
	name, rest, ok := strings.Cut(endpoint, "://")
	if !ok || strings.Contains(rest, "://") {
		return nil, "", fmt.Errorf("zmq4: invalid address %q: got no TRANSPORT://ADDRESS", endpoint)
	}
	transports.RLock()
	trans, ok := transports.by[name]
	transports.RUnlock()
	if !ok {
		return nil, "", UnknownTransportError{name}
	}
	addr, err := trans.Addr(rest)
	if err != nil {
		return nil, "", fmt.Errorf("zmq4: invalid address %q: %w", endpoint, err)
	}
	return trans, addr, nil
}
