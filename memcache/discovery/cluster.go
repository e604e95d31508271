package discovery

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"lintel.dev/internal/memcache/pipeline"
)

// maxCluster is the largest accepted answer to "config get cluster" in bytes.
const maxCluster = 1 << 20

// Cluster asks a server for the fleet that it belongs to ("config get cluster").
// dial makes a connection for each question, encrypted and authenticated if the
// server requires it; Cluster closes it. ctx bounds the question. An answer with a
// lower version than an earlier one is ignored.
func Cluster(dial func(ctx context.Context) (net.Conn, error)) Source {
	return &cluster{dial: dial}
}

type cluster struct {
	dial    func(ctx context.Context) (net.Conn, error)
	version uint64 // of servers
	servers []string
}

func (c *cluster) Servers(ctx context.Context) ([]string, error) {
	nc, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	version, servers, err := ask(nc)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	case c.servers == nil || version >= c.version:
		c.version, c.servers = version, servers
	}
	return c.servers, nil
}

// ask sends the question and parses the answer:
//
//	CONFIG cluster 0 <size>\r\n
//	<version>\n
//	<host>|<ip>|<port> <host>|<ip>|<port> ...\n
//	\r\nEND\r\n
func ask(nc net.Conn) (version uint64, servers []string, err error) {
	if _, err := io.WriteString(nc, "config get cluster\r\n"); err != nil {
		return 0, nil, err
	}
	br := bufio.NewReader(nc)
	line, err := br.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return 0, nil, err
	}
	line = bytes.TrimRight(line, "\r\n")
	head := bytes.Fields(line)
	if len(head) != 4 || string(head[0]) != "CONFIG" || string(head[1]) != "cluster" {
		return 0, nil, fmt.Errorf("%w: config get cluster: got %.80q, expected CONFIG cluster", pipeline.ErrServer, line)
	}
	size, err := strconv.ParseUint(string(head[3]), 10, 32)
	if err != nil || size > maxCluster {
		return 0, nil, fmt.Errorf("%w: config get cluster: size %.20q, expected 0 to %d", pipeline.ErrServer, head[3], maxCluster)
	}
	body := make([]byte, size+2)
	if _, err := io.ReadFull(br, body); err != nil {
		return 0, nil, err
	}
	if !bytes.HasSuffix(body, []byte("\r\n")) {
		return 0, nil, fmt.Errorf("%w: config get cluster: no line ending after %d bytes", pipeline.ErrProtocol, size)
	}
	return parse(string(body[:size]))
}

// parse parses the version and the members.
func parse(body string) (version uint64, servers []string, err error) {
	head, list, _ := strings.Cut(body, "\n")
	version, err = strconv.ParseUint(strings.TrimSpace(head), 10, 64)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: cluster version %.20q, expected a number", pipeline.ErrProtocol, head)
	}
	for _, node := range strings.Fields(list) {
		part := strings.Split(node, "|")
		bad := fmt.Errorf("%w: cluster member %.80q, expected host|ip|port", pipeline.ErrProtocol, node)
		if len(part) != 3 {
			return 0, nil, bad
		}
		host, port := part[0], part[2]
		if host == "" {
			host = part[1]
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
			return 0, nil, bad
		}
		servers = append(servers, net.JoinHostPort(host, port))
	}
	if len(servers) == 0 {
		return 0, nil, fmt.Errorf("discovery: config get cluster: %w", pipeline.ErrNoServers)
	}
	return version, servers, nil
}
