package memcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Watch follows the log streams of every server ("fetchers", "mutations",
// "evictions", "deletions", "connevents"; none means fetchers) on connections
// of its own, and calls each for every line, one call at a time, until ctx
// ends or each returns an error, which is returned. The line is only valid during the call. When
// ctx ends, Watch returns nil.
func (c *Client) Watch(ctx context.Context, streams []string, each func(server string, line []byte) error) error {
	request := "watch"
	for _, s := range streams {
		if err := checkKey(s); err != nil {
			return err
		}
		request += " " + s
	}
	var mu sync.Mutex // each is called by one server's goroutine at a time
	err := c.alone(ctx, func(s *server, w *wire, ask ask) error {
		if err := ask(request); err != nil {
			return err
		}
		line, err := w.line()
		if err != nil {
			return err
		}
		if !bytes.Equal(line, []byte("OK")) {
			return refused(line)
		}
		for {
			line, err := w.line()
			if err != nil {
				return err
			}
			mu.Lock()
			err = each(s.name, line)
			mu.Unlock()
			if err != nil {
				return &toldError{err}
			}
		}
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// KeyInfo is what a server tells of one of its keys.
type KeyInfo struct {
	Key        string
	Server     string
	Expiry     time.Time // zero when there is none
	LastAccess time.Time
	CAS        uint64
	Fetched    bool
	Class      int
	Size       int // bytes, overhead included
}

// Keys calls each for every key of every server, one call at a time, in no
// order ("lru_crawler metadump"). What changes meanwhile may or may not be
// there. An error of each stops it and is returned.
func (c *Client) Keys(ctx context.Context, each func(KeyInfo) error) error {
	var mu sync.Mutex // as in Watch
	return c.alone(ctx, func(s *server, w *wire, ask ask) error {
		if err := ask("lru_crawler metadump all"); err != nil {
			return err
		}
		for first := true; ; first = false {
			line, err := w.line()
			if err != nil {
				return err
			}
			switch {
			case bytes.Equal(line, lineEnd):
				return nil
			case first && bytes.Equal(line, []byte("OK")):
				continue
			case !bytes.HasPrefix(line, []byte("key=")):
				return refused(line)
			}
			info, err := parseKeyInfo(string(line))
			if err != nil {
				return err
			}
			info.Server = s.name
			mu.Lock()
			err = each(info)
			mu.Unlock()
			if err != nil {
				return &toldError{err}
			}
		}
	})
}

func refused(line []byte) error {
	if err, _ := errorLine(line); err != nil {
		return err
	}
	return &replyError{strconv.Quote(string(line[:min(len(line), 80)]))}
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
			return k, fmt.Errorf("%w: %.80q", ErrProtocol, line)
		}
	}
	return k, nil
}

// ask sends the server one line on a connection of its own.
type ask func(line string) error

// alone runs talk on a connection of its own to every server at once. The
// first error ends the others and is returned.
func (c *Client) alone(ctx context.Context, talk func(*server, *wire, ask) error) error {
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
			if err := s.alone(ctx, talk); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (s *server) alone(ctx context.Context, talk func(*server, *wire, ask) error) error {
	dialCtx, cancel := context.WithTimeout(ctx, s.opts.DialTimeout)
	nc, br, _, _, err := s.open(dialCtx, askNothing)
	cancel()
	if err != nil {
		return s.wrap(fmt.Errorf("%w: %w", ErrServerDown, err))
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	w := &wire{br: br, maxValue: s.opts.MaxItemSize, progress: func() {}}
	err = talk(s, w, func(line string) error {
		_, err := nc.Write([]byte(line + "\r\n"))
		return err
	})
	var told *toldError
	if errors.As(err, &told) {
		return told.error
	}
	if err != nil {
		return s.wrap(err)
	}
	return nil
}

// toldError is an error of a callback, which is returned as it is.
type toldError struct{ error }
