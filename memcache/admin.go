package memcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"lintel.dev/internal/memcache/pipeline"
)

// FlushAll invalidates every item of every server.
func (c *Client) FlushAll(ctx context.Context) error {
	return c.each(ctx, c.command("flush_all", "OK"), nil)
}

// Ping asks every server for its version. The error joins an [*Error] for each server
// that did not answer.
func (c *Client) Ping(ctx context.Context) error {
	return c.each(ctx, c.command("version", "VERSION "), nil)
}

// Stats returns each server's statistics, by server. sub is a subcommand such as
// "items", or "". With an error, it returns the statistics of the servers that
// answered.
func (c *Client) Stats(ctx context.Context, sub string) (map[string]map[string]string, error) {
	line := "stats"
	if sub != "" {
		if strings.ContainsFunc(sub, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("memcache: stats %q: control character", sub)
		}
		line += " " + sub
	}
	out := make(map[string]map[string]string)
	err := c.each(ctx, func() *pipeline.Call {
		cl := c.newCall(pipeline.OpStats, "")
		cl.Command = line
		return cl
	}, func(s *server, cl *pipeline.Call) { out[s.name] = cl.Stats })
	return out, err
}

// Command sends a command without a data block to one server of the fleet, by its name
// in Servers, and returns the reply: one line without its end, which begins with
// expect. An error of the server matches ErrServer: a server that does not know the
// command answers ERROR. Any other reply is an error and closes the connection. Command
// is for commands that the client does not have.
func (c *Client) Command(ctx context.Context, server, line, expect string) (string, error) {
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("memcache: command %.80q: control character", line)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if c.ctx.Err() != nil {
		return "", ErrClosed
	}
	for _, s := range c.fleet.Load().servers {
		if s.name != server {
			continue
		}
		cl := c.command(line, expect)()
		defer cl.Release()
		if err := s.roundTrip(ctx, cl); err != nil {
			if errors.Is(err, pipeline.ErrUnsent) {
				err = pipeline.ErrConnLost
			}
			return "", s.named(err)
		}
		return string(cl.Buf), nil
	}
	return "", &Error{Server: server, Err: fmt.Errorf("%w with this name", ErrNoServers)}
}

func (c *Client) command(line, expect string) func() *pipeline.Call {
	return func() *pipeline.Call {
		cl := c.newCall(pipeline.OpCommand, "")
		cl.Command, cl.Expect = line, expect
		return cl
	}
}

// each sends one call to every server concurrently and joins the errors. got, if not
// nil, takes the result of a call that succeeded.
func (c *Client) each(ctx context.Context, mk func() *pipeline.Call, got func(*server, *pipeline.Call)) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	f := c.fleet.Load()
	calls := make([]*pipeline.Call, len(f.servers))
	errs := make([]error, len(f.servers))
	var wg sync.WaitGroup
	for i, s := range f.servers {
		calls[i] = mk()
		wg.Go(func() { errs[i] = s.roundTrip(ctx, calls[i]) })
	}
	wg.Wait()
	for i, s := range f.servers {
		switch err := errs[i]; {
		case err == nil && got != nil:
			got(s, calls[i])
		case errors.Is(err, pipeline.ErrUnsent):
			errs[i] = &Error{Server: s.name, Err: pipeline.ErrConnLost}
		case err != nil:
			errs[i] = s.named(err)
		}
		calls[i].Release()
	}
	return errors.Join(errs...)
}

// named adds the server's name to err if it has none.
func (s *server) named(err error) error {
	if named, ok := errors.AsType[*Error](err); ok && named.Server != "" {
		return err
	}
	return &Error{Server: s.name, Err: err}
}

// Watch follows the log streams of every server on connections of its own: "fetchers",
// "mutations", "evictions", "deletions", "connevents"; none means fetchers. It calls
// each for every line, one call at a time, until ctx ends, and then returns nil. If
// each returns an error, Watch ends and returns it. line is valid only during the call.
func (c *Client) Watch(ctx context.Context, streams []string, each func(server string, line []byte) error) error {
	request := "watch"
	for _, s := range streams {
		if !pipeline.PlainKey(s) {
			return fmt.Errorf("memcache: watch %q: not the name of a log stream", s)
		}
		request += " " + s
	}
	var mu sync.Mutex // held while each is called
	err := c.talk(ctx, request, func(s *server, first bool, line []byte) error {
		if first {
			if string(line) != "OK" {
				return refused(line)
			}
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		return callback(each(s.name, line))
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// KeyInfo describes a key of a server.
type KeyInfo struct {
	Key        string
	Server     string
	Expiry     time.Time // zero if the item does not expire
	LastAccess time.Time
	CAS        uint64
	Fetched    bool // the item was read since it was stored
	Class      int  // slab class
	Size       int  // in bytes, overhead included
}

// Keys calls each for every key of every server, one call at a time, in no order
// ("lru_crawler metadump"). Items that change meanwhile may be missing. If each returns
// an error, Keys ends and returns it.
func (c *Client) Keys(ctx context.Context, each func(KeyInfo) error) error {
	var mu sync.Mutex // held while each is called
	return c.talk(ctx, "lru_crawler metadump all", func(s *server, first bool, line []byte) error {
		switch {
		case string(line) == "END":
			return io.EOF
		case first && string(line) == "OK":
			return nil
		case !strings.HasPrefix(string(line), "key="):
			return refused(line)
		}
		info, err := parseKeyInfo(string(line))
		if err != nil {
			return err
		}
		info.Server = s.name
		mu.Lock()
		defer mu.Unlock()
		return callback(each(info))
	})
}

// refused returns the error for a line that is not the expected answer.
func refused(line []byte) error {
	return &pipeline.ReplyError{Line: fmt.Sprintf("%.80q", line)}
}

func parseKeyInfo(line string) (KeyInfo, error) {
	var k KeyInfo
	for _, field := range strings.Fields(line) {
		name, value, _ := strings.Cut(field, "=")
		var err error
		var n int64
		switch name {
		case "key":
			k.Key, err = url.PathUnescape(value)
		case "exp":
			if n, err = strconv.ParseInt(value, 10, 64); n > 0 {
				k.Expiry = time.Unix(n, 0)
			}
		case "la":
			n, err = strconv.ParseInt(value, 10, 64)
			k.LastAccess = time.Unix(n, 0)
		case "cas":
			k.CAS, err = strconv.ParseUint(value, 10, 64)
		case "fetch":
			k.Fetched = value == "yes"
		case "cls":
			k.Class, err = strconv.Atoi(value)
		case "size":
			k.Size, err = strconv.Atoi(value)
		}
		if err != nil {
			return k, fmt.Errorf("%w: metadump: %.80q", pipeline.ErrProtocol, line)
		}
	}
	return k, nil
}

// callbackError is an error of a caller's function, which is returned unchanged.
type callbackError struct{ error }

func callback(err error) error {
	if err != nil {
		return &callbackError{err}
	}
	return nil
}

// talk sends request to every server concurrently, each on a connection of its own, and
// calls got for every line of the answers until it returns io.EOF. The first error ends
// all of them and is returned.
func (c *Client) talk(ctx context.Context, request string, got func(s *server, first bool, line []byte) error) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })
	defer stop()
	var wg sync.WaitGroup
	for _, s := range c.fleet.Load().servers {
		wg.Go(func() {
			if err := s.talk(ctx, request, got); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (s *server) talk(ctx context.Context, request string, got func(s *server, first bool, line []byte) error) error {
	nc, err := s.dialer.Open(ctx)
	if err != nil {
		return s.named(err)
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err = io.WriteString(nc, request+"\r\n")
	for first := true; err == nil; first = false {
		var line []byte
		if line, err = nc.ReadLine(); err != nil {
			break
		}
		switch err = got(s, first, line); {
		case err == io.EOF:
			return nil
		case err != nil:
			if own, ok := errors.AsType[*callbackError](err); ok {
				return own.error
			}
		}
	}
	return s.named(err)
}
