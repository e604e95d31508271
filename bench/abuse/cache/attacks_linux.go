package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// attack is something that a client, or many, do to a server.
type attack struct {
	name     string
	flags    []string // of the server, beside the common ones
	before   []string // commands sent first
	oursOnly bool     // memcached does not have what is attacked
	tls      bool     // the server listens with TLS too, and a second good client uses it
	run      func(ctx context.Context, s *server) error
}

var attacks = []attack{
	{name: "watchers, gets of junk", run: both(watchers(50), flood(100, junkGets("")))},
	{name: "watchers, stats detail", before: []string{"stats detail on"}, run: both(watchers(50), flood(100, junkGets("prefix%d:")))},
	{name: "watchers, sets", run: both(watchers(20), flood(20, sets))},
	{name: "cache_memlimit", run: commands("cache_memlimit 100", "cache_memlimit 1024")},
	{name: "flush_prefix", oursOnly: true, run: numbered("flush_prefix p%d:")},
	{name: "metadump", run: dumps("lru_crawler metadump all", "lru_crawler mgdump all", "lru_crawler metadump all")},
	{name: "cachedump, stats sizes", run: dumps("stats cachedump 3 0", "stats sizes", "stats cachedump 60 0")},
	{name: "lru_crawler crawl", run: commands("lru_crawler crawl all")},
	{name: "cachedump by UDP", run: datagrams("stats cachedump 3 0\r\n")},
	{name: "metrics", oursOnly: true, run: metrics},
	{name: "pipelines", run: flood(400, []byte(strings.Repeat("get key1 key2 key3\r\n", 500)))},
	{name: "failed logins", run: flood(10, login())},
	{name: "handshakes cut", tls: true, run: handshakes(64, cut)},
	{name: "handshakes cut later", tls: true, run: handshakes(64, cutLater)},
	{name: "handshakes", tls: true, run: handshakes(64, complete)},
	{name: "handshakes left half", tls: true, run: halfHandshakes(4000)},
	{name: "all together", before: []string{"stats detail on"}, run: both(
		watchers(20), flood(50, junkGets("prefix%d:")), flood(20, sets), flood(100, []byte(strings.Repeat("get key1 key2 key3\r\n", 500))),
		dumps("lru_crawler metadump all", "stats sizes"), datagrams("stats cachedump 3 0\r\n"),
	)},
}

// both runs several attacks at the same time.
func both(all ...func(context.Context, *server) error) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		errs := make([]error, len(all))
		var wg sync.WaitGroup
		for i, a := range all {
			wg.Go(func() { errs[i] = a(ctx, s) })
		}
		wg.Wait()
		return errors.Join(errs...)
	}
}

// connections makes n connections and runs use on each until ctx is done.
func connections(ctx context.Context, s *server, n int, use func(c net.Conn)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for range n {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		wg.Go(func() {
			defer stop()
			defer c.Close()
			use(c)
		})
	}
	return nil
}

// watchers are clients that watch everything and never read.
func watchers(n int) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		return connections(ctx, s, n, func(c net.Conn) {
			_, _ = io.WriteString(c, "watch fetchers mutations evictions rawcmds\r\n")
			<-ctx.Done()
		})
	}
}

// flood sends data again and again on n connections and reads the replies. A
// server may close a connection: there is another then.
func flood(n int, data []byte) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		return connections(ctx, s, n, func(c net.Conn) {
			for ctx.Err() == nil {
				go io.Copy(io.Discard, c)
				for ctx.Err() == nil {
					if _, err := c.Write(data); err != nil {
						break
					}
				}
				c.Close()
				next, err := net.Dial("tcp", s.addr)
				if err != nil {
					return
				}
				defer context.AfterFunc(ctx, func() { next.Close() })()
				c = next
			}
			c.Close()
		})
	}
}

// junkGets is a get of 60,000 keys that do not exist. prefix has room for a
// number.
func junkGets(prefix string) []byte {
	var b bytes.Buffer
	b.WriteString("get")
	for i := range 60_000 {
		b.WriteByte(' ')
		if prefix != "" {
			fmt.Fprintf(&b, prefix, i)
		}
		b.WriteByte('a')
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

var sets = []byte(strings.Repeat("set attacker 0 0 100 noreply\r\n"+strings.Repeat("x", 100)+"\r\n", 500))

// login is a binary SASL PLAIN request with a wrong password.
func login() []byte {
	mechanism, secret := "PLAIN", "\x00user\x00wrong"
	head := make([]byte, 24)
	head[0], head[1] = 0x80, 0x21
	head[3] = byte(len(mechanism))
	head[11] = byte(len(mechanism) + len(secret))
	return []byte(string(head) + mechanism + secret)
}

// commands sends each of them in turn and waits for a line.
func commands(all ...string) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		return connections(ctx, s, 1, func(c net.Conn) {
			buf := make([]byte, 4096)
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := io.WriteString(c, all[i%len(all)]+"\r\n"); err != nil {
					return
				}
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
		})
	}
}

// numbered sends command with the numbers 0, 1, 2 ...
func numbered(command string) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		return connections(ctx, s, 1, func(c net.Conn) {
			buf := make([]byte, 4096)
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := fmt.Fprintf(c, command+"\r\n", i); err != nil {
					return
				}
				if _, err := c.Read(buf); err != nil {
					return
				}
			}
		})
	}
}

// dumps asks for each of the lists on a connection of its own, again when it
// has ended.
func dumps(all ...string) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		runs := make([]func(context.Context, *server) error, len(all))
		for i, command := range all {
			runs[i] = func(ctx context.Context, s *server) error {
				return connections(ctx, s, 1, func(c net.Conn) {
					buf := make([]byte, 64<<10)
					for ctx.Err() == nil {
						if _, err := io.WriteString(c, command+"\r\n"); err != nil {
							return
						}
						for tail := ""; !ended(tail); {
							n, err := c.Read(buf)
							if err != nil {
								return
							}
							tail = string(buf[max(0, n-64):n])
						}
					}
				})
			}
		}
		return both(runs...)(ctx, s)
	}
}

// ended reports whether text is the end of a reply.
func ended(text string) bool {
	for _, end := range []string{"END\r\n", "EN\r\n", "RESET\r\n", "OK\r\n"} {
		if strings.HasSuffix(text, end) {
			return true
		}
	}
	line := text[strings.LastIndexByte(strings.TrimSuffix(text, "\r\n"), '\n')+1:]
	return strings.HasPrefix(line, "BUSY") || strings.HasPrefix(line, "CLIENT_ERROR") || strings.HasPrefix(line, "ERROR") || strings.HasPrefix(line, "DISABLED")
}

// datagrams sends a request five times a second by UDP.
func datagrams(request string) func(context.Context, *server) error {
	return func(ctx context.Context, s *server) error {
		c, err := net.Dial("udp", s.addr)
		if err != nil {
			return err
		}
		defer c.Close()
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			// A refused datagram is reported by the next write, and is no error here.
			_, _ = c.Write([]byte("\x00\x01\x00\x00\x00\x01\x00\x00" + request))
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// metrics asks for the metrics page on 50 connections.
func metrics(ctx context.Context, s *server) error {
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+"/metrics", nil)
				if err != nil {
					return
				}
				if resp, err := http.DefaultClient.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		})
	}
	wg.Wait()
	return nil
}
