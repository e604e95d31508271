package placement

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// DefaultPort is the TCP port of servers that are given without one.
const DefaultPort = 11211

// MaxWeight is the largest weight of a server. Rules expand weights to lists, so
// that it bounds their memory.
const MaxWeight = 1000

// Server is one server of a fleet.
type Server struct {
	// Host and Port are the TCP address as configured. Host is a name or an IP
	// address without brackets.
	Host string
	Port int
	// Path is the path of a unix socket; Host and Port are unused if it is set.
	Path string
	// Weight is the relative share of keys, 1 to MaxWeight.
	Weight int
	// Name is an alias, or "". Rules that hash names use it instead of the
	// address: a server keeps its keys when its address changes.
	Name string
}

// Addr returns "host:port", or the path of the unix socket.
func (s Server) Addr() string {
	if s.Path != "" {
		return s.Path
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
}

// String returns the server in the syntax of ParseServer.
func (s Server) String() string {
	out := s.Addr()
	if s.Weight != 1 {
		out += ":" + strconv.Itoa(s.Weight)
	}
	if s.Name != "" {
		out += "=" + s.Name
	}
	return out
}

// stable returns the string that rendezvous hashing identifies the server by.
func (s Server) stable() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Addr()
}

// ParseServer parses "host[:port[:weight]][=name]", where an IPv6 address is in
// brackets, or a unix socket as "/path[:weight][=name]" or the same after "unix:".
// The port defaults to DefaultPort, the weight to 1.
func ParseServer(spec string) (Server, error) {
	s := Server{Port: DefaultPort, Weight: 1}
	bad := func(why string) (Server, error) {
		return Server{}, fmt.Errorf("placement: server %q: %s, expected host:port[:weight][=name] or /path[:weight][=name]", spec, why)
	}
	addr := spec
	if i := strings.IndexByte(addr, '='); i >= 0 {
		addr, s.Name = addr[:i], addr[i+1:]
		if s.Name == "" {
			return bad("empty name")
		}
	}
	if p, ok := strings.CutPrefix(addr, "unix:"); ok || strings.HasPrefix(addr, "/") {
		if ok {
			addr = p
		}
		path, weight, weighted := strings.Cut(addr, ":")
		if path == "" {
			return bad("empty path")
		}
		if weighted && !s.weigh(weight) {
			return bad("weight " + strconv.Quote(weight) + " is not 1 to 1000")
		}
		s.Path, s.Port = path, 0
		return s, nil
	}
	var rest string
	if strings.HasPrefix(addr, "[") {
		i := strings.IndexByte(addr, ']')
		if i < 0 {
			return bad("no closing bracket")
		}
		s.Host, rest = addr[1:i], addr[i+1:]
		if rest != "" && rest[0] != ':' {
			return bad("no colon after the bracket")
		}
		rest = strings.TrimPrefix(rest, ":")
	} else {
		var colon bool
		if s.Host, rest, colon = strings.Cut(addr, ":"); colon && rest == "" {
			return bad("no port after the colon")
		}
	}
	if s.Host == "" {
		return bad("no host")
	}
	if rest == "" {
		return s, nil
	}
	port, weight, weighted := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return bad("port " + strconv.Quote(port) + " is not 1 to 65535")
	}
	s.Port = int(n)
	if weighted && !s.weigh(weight) {
		return bad("weight " + strconv.Quote(weight) + " is not 1 to 1000")
	}
	return s, nil
}

// weigh sets the weight. It returns false if text is not 1 to MaxWeight.
func (s *Server) weigh(text string) bool {
	n, err := strconv.ParseUint(text, 10, 31)
	s.Weight = int(n)
	return err == nil && n > 0 && n <= MaxWeight
}
