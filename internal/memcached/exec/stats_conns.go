package exec

import (
	"net"
	"sort"
	"strconv"
	"strings"
)

// ConnStats returns the lines of stats conns. self is the connection that asks.
func (e *Engine) ConnStats(self *Conn) []Stat {
	type row struct {
		id                  int
		addr, listen, state string
		idle                int64
	}
	now := e.Clock.Now()
	var rows []row
	for _, l := range e.Listening() {
		r := row{id: l.ID, addr: addrName(l.Addr), state: "conn_listening", idle: now - e.started}
		if l.Packet {
			r.state, r.idle = "conn_read", max(0, now-max(l.Active, e.started))
		}
		rows = append(rows, r)
	}
	e.mu.Lock()
	for c := e.first; c != nil; c = c.next {
		if _, ok := c.Net.RemoteAddr().(*net.UDPAddr); ok {
			continue // shown as its socket
		}
		state := stateNames[c.state.Load()]
		if c == self {
			state = "conn_parse_cmd"
		}
		r := row{id: c.Net.ID(), addr: addrName(c.Net.RemoteAddr()), state: state, idle: max(0, now-c.Net.Active())}
		r.listen = addrName(c.Net.LocalAddr())
		if strings.HasPrefix(r.listen, "unix:") {
			r.addr = r.listen // the peer has no name
		}
		rows = append(rows, r)
	}
	e.mu.Unlock()
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].id < rows[j].id })
	l := make(statLines, 0, 4*len(rows))
	for _, r := range rows {
		id := strconv.Itoa(r.id)
		l.str(id+":addr", r.addr)
		if r.listen != "" {
			l.str(id+":listen_addr", r.listen)
		}
		l.str(id+":state", r.state)
		l.int(id+":secs_since_last_cmd", r.idle)
	}
	return l
}

// addrName formats an address for stats conns.
func addrName(a net.Addr) string {
	switch a := a.(type) {
	case nil:
		return "unknown"
	case *net.TCPAddr:
		if a.IP.To4() == nil && a.IP != nil {
			return "tcp6:" + a.String()
		}
		return "tcp:" + a.String()
	case *net.UDPAddr:
		if a.IP.To4() == nil && a.IP != nil {
			return "udp6:" + a.String()
		}
		return "udp:" + a.String()
	case *net.UnixAddr:
		return "unix:" + a.Name
	}
	return a.Network() + ":" + a.String()
}
