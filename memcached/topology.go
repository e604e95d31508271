package memcached

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
)

// Node is one server of a cluster in the reply of config get cluster.
type Node struct {
	Host string // name or address that clients connect to; empty is the address to which the client has connected
	IP   string // may be empty
	Port int
}

// Topology is the list of servers in the reply of config get cluster. It is safe
// for concurrent use. The zero value has no nodes and version 0.
type Topology struct {
	mu      sync.Mutex // guards all
	version uint64
	nodes   []Node
}

// Set replaces the nodes. It increments the version, by which clients recognise a
// new list, if the nodes differ.
func (t *Topology) Set(nodes []Node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	same := len(nodes) == len(t.nodes)
	for i := 0; same && i < len(nodes); i++ {
		same = nodes[i] == t.nodes[i]
	}
	if !same {
		t.nodes = append([]Node(nil), nodes...)
		t.version++
	}
}

// Nodes returns the nodes and the version of the list.
func (t *Topology) Nodes() (nodes []Node, version uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Node(nil), t.nodes...), t.version
}

// append appends the reply of config get cluster, in the format of ElastiCache's
// auto discovery. local is the address to which the client has connected.
func (t *Topology) append(b []byte, local net.Addr) []byte {
	nodes, version := t.Nodes()
	body := strconv.AppendUint(nil, version, 10)
	body = append(body, '\n')
	for i, n := range nodes {
		if i > 0 {
			body = append(body, ' ')
		}
		if n.Host == "" {
			n.Host = "127.0.0.1"
			if a, ok := local.(*net.TCPAddr); ok {
				n.Host = a.IP.String()
			}
		}
		body = append(body, n.Host+"|"+n.IP+"|"+strconv.Itoa(n.Port)...)
	}
	body = append(body, '\n')
	b = fmt.Appendf(b, "CONFIG cluster 0 %d\r\n", len(body))
	return append(append(b, body...), "\r\nEND\r\n"...)
}

// ParseNodes reads a list of servers, host:port or host|ip|port as in config get
// cluster, separated by spaces, commas or line ends. It skips lines that begin
// with #.
func ParseNodes(list string) ([]Node, error) {
	var nodes []Node
	for line := range strings.Lines(list) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r <= ' ' }) {
			n, err := parseNode(word)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
	}
	if len(nodes) == 0 {
		return nil, errors.New("memcached: list of servers is empty, expected host:port")
	}
	return nodes, nil
}

// parseNode reads one server.
func parseNode(word string) (n Node, err error) {
	var port string
	if parts := strings.Split(word, "|"); len(parts) == 3 {
		n.Host, n.IP, port = parts[0], parts[1], parts[2]
	} else if n.Host, port, err = net.SplitHostPort(word); err != nil {
		return Node{}, fmt.Errorf("memcached: server %q: expected host:port or host|ip|port", word)
	}
	if n.Port, err = strconv.Atoi(port); err != nil || n.Port < 1 || n.Port > 65535 || n.Host == "" {
		return Node{}, fmt.Errorf("memcached: server %q: expected host:port or host|ip|port", word)
	}
	return n, nil
}
