package shim

import (
	"hash/crc32"
	"net"
	"strings"
	"sync"
)

// addr is a resolved address. It keeps the name that it was resolved from.
type addr struct{ network, address, host string }

func (a *addr) Network() string { return a.network }
func (a *addr) String() string  { return a.address }

// Resolve resolves server addresses: "host:port", or the path of a unix socket.
func Resolve(servers []string) ([]net.Addr, error) {
	addrs := make([]net.Addr, len(servers))
	for i, server := range servers {
		if strings.Contains(server, "/") {
			a, err := net.ResolveUnixAddr("unix", server)
			if err != nil {
				return nil, err
			}
			addrs[i] = &addr{network: a.Network(), address: a.String()}
			continue
		}
		a, err := net.ResolveTCPAddr("tcp", server)
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(server)
		addrs[i] = &addr{network: a.Network(), address: a.String(), host: host}
	}
	return addrs, nil
}

// List is gomemcache's ServerList. The zero value is an empty list.
type List struct {
	mu    sync.RWMutex // protects addrs
	addrs []net.Addr
}

// SetServers resolves and replaces the servers. After an error the list is unchanged.
func (l *List) SetServers(servers ...string) error {
	addrs, err := Resolve(servers)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addrs = addrs
	return nil
}

// Each calls f for each server until f returns an error.
func (l *List) Each(f func(net.Addr) error) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, a := range l.addrs {
		if err := f(a); err != nil {
			return err
		}
	}
	return nil
}

// PickServer returns the server for key: the CRC-32 of key modulo the number of servers.
func (l *List) PickServer(key string) (net.Addr, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch len(l.addrs) {
	case 0:
		return nil, ErrNoServers
	case 1:
		return l.addrs[0], nil
	}
	buf := keys.Get().(*[256]byte)
	defer keys.Put(buf)
	return l.addrs[crc32.ChecksumIEEE(buf[:copy(buf[:], key)])%uint32(len(l.addrs))], nil
}

// keys has buffers for copies of keys: the argument of ChecksumIEEE escapes.
var keys = sync.Pool{New: func() any { return new([256]byte) }}
