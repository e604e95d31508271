package memcached

import (
	"net"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"lintel.dev/internal/memcached/netloop"
)

// sinceReset are the figures of the loops with what stats reset took off.
func (s *Server) sinceReset() netloop.Stats {
	st := s.loopStats()
	if b := s.baseline.Load(); b != nil {
		st.Accepted -= b.Accepted
		st.Rejected -= b.Rejected
		st.BytesRead -= b.BytesRead
		st.BytesWritten -= b.BytesWritten
		st.IdleKicks -= b.IdleKicks
		st.Pauses -= b.Pauses
		st.PausedFor -= b.PausedFor
		st.BadHandshakes -= b.BadHandshakes
	}
	return st
}

// connStats are the lines of stats conns. self is the connection that asks.
func (s *Server) connStats(self *session) []Stat {
	type row struct {
		id                  int
		addr, listen, state string
		idle                int64
	}
	now := s.clock.Now()
	s.mu.Lock()
	rows := make([]row, 0, s.sessions+int64(len(s.listeners)))
	for _, l := range s.listeners {
		rows = append(rows, row{id: descriptor(l), addr: addrName(l.Addr()), state: "conn_listening", idle: now - s.started})
	}
	for _, l := range s.loops {
		if u, ok := l.(*udpLoop); ok {
			rows = append(rows, row{id: u.ID(), addr: addrName(u.LocalAddr()), state: "conn_read", idle: max(0, now-max(u.Active(), s.started))})
		}
	}
	for n := s.first; n != nil; n = n.next {
		if _, ok := n.conn.(*udpLoop); ok {
			continue
		}
		state := stateNames[n.state.Load()]
		if n == self {
			state = "conn_parse_cmd"
		}
		r := row{id: n.conn.ID(), addr: addrName(n.conn.RemoteAddr()), state: state, idle: max(0, now-n.conn.Active())}
		r.listen = addrName(n.conn.LocalAddr())
		if strings.HasPrefix(r.listen, "unix:") {
			r.addr = r.listen // the peer has no name
		}
		rows = append(rows, r)
	}
	s.mu.Unlock()
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

// addrName is an address as stats conns shows it.
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

// descriptor is a listener's file descriptor, -1 where it has none.
func descriptor(l net.Listener) int {
	id := -1
	if t, ok := l.(tlsListener); ok {
		l = t.plain
	}
	if c, ok := l.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { id = int(fd) })
		}
	}
	return id
}
