package transport

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// listenIPC listens at a path, at an abstract name (@name, Linux) or, for *, at
// a path in a new directory, which is removed when the listener is closed. As in
// libzmq, an existing socket is replaced and the file of a given path stays.
func listenIPC(ctx context.Context, e Endpoint, o Options) (net.Listener, Endpoint, error) {
	var own string
	if e.Address == "*" {
		dir, err := os.MkdirTemp("", "lintel")
		if err != nil {
			return nil, e, err
		}
		own = dir
		e.Address = filepath.Join(dir, "s")
	}
	if !strings.HasPrefix(e.Address, "@") {
		if info, err := os.Lstat(e.Address); err == nil && info.Mode()&os.ModeSocket != 0 {
			os.Remove(e.Address)
		}
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "unix", e.Address)
	if err != nil {
		if own != "" {
			os.RemoveAll(own)
		}
		return nil, e, err
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(own != "")
	}
	setBacklog(ln, o.Backlog)
	if own != "" {
		ln = &temporary{ln, own}
	}
	return &tuned{ln, o}, e, nil
}

// temporary is a listener that removes its directory when it is closed.
type temporary struct {
	net.Listener
	dir string
}

func (t *temporary) Close() error {
	err := t.Listener.Close()
	os.RemoveAll(t.dir)
	return err
}
