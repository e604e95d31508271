package memcache_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lintel.dev/memcache"
)

// oldServer is a fake that stores items with classic commands. It executes the data
// block of a command that it does not know, line by line.
type oldServer struct {
	known  string            // the commands that it knows, each between spaces
	odd    map[string]string // other answers, by command; "close" closes the connection
	closes bool              // at unknown commands

	mu       sync.Mutex
	items    map[string]string
	executed []string // lines
}

const classicCommands = " get gets set add replace append prepend cas delete incr decr touch gat gats version "

func (s *oldServer) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go s.serve(theirs)
	return ours, nil
}

func (s *oldServer) serve(nc net.Conn) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		word, rest, _ := strings.Cut(line, " ")
		args := strings.Fields(rest)
		answer, odd := s.odd[word]
		value := ""
		switch {
		case odd:
		case !strings.Contains(s.known, " "+word+" ") || word == "":
			answer = "ERROR\r\n"
			if s.closes {
				return
			}
		case strings.Contains(" set add replace append prepend cas ", " "+word+" ") && len(args) >= 4:
			n, _ := strconv.Atoi(args[3])
			block := make([]byte, n+2)
			if _, err := io.ReadFull(r, block); err != nil {
				return
			}
			value = string(block[:n])
		}
		s.mu.Lock()
		s.executed = append(s.executed, line)
		if answer == "" {
			answer = s.execute(word, args, value)
		}
		s.mu.Unlock()
		if answer == "close" {
			return
		}
		if _, err := io.WriteString(nc, answer); err != nil {
			return
		}
	}
}

// execute returns the reply to a known command.
func (s *oldServer) execute(word string, args []string, value string) string {
	if word == "version" {
		return "VERSION 1.4.0\r\n"
	}
	key := args[0]
	if word == "gat" || word == "gats" {
		args = args[1:]
	}
	old, found := s.items[key]
	store := func(v string) string {
		if ttl, _ := strconv.Atoi(args[2]); ttl > 30*24*60*60 && ttl < 1e9 {
			delete(s.items, key)
		} else {
			s.items[key] = v
		}
		return "STORED\r\n"
	}
	switch word {
	case "get", "gets", "gat", "gats":
		var b strings.Builder
		for _, key := range args {
			if v, ok := s.items[key]; ok {
				fmt.Fprintf(&b, "VALUE %s 0 %d 7\r\n%s\r\n", key, len(v), v)
			}
		}
		return b.String() + "END\r\n"
	case "set":
		return store(value)
	case "add", "replace", "append", "prepend":
		switch {
		case found == (word == "add"):
			return "NOT_STORED\r\n"
		case word == "append":
			value = old + value
		case word == "prepend":
			value += old
		}
		return store(value)
	case "cas":
		switch {
		case !found:
			return "NOT_FOUND\r\n"
		case args[4] != "7":
			return "EXISTS\r\n"
		}
		return store(value)
	case "delete":
		delete(s.items, key)
		return map[bool]string{true: "DELETED\r\n", false: "NOT_FOUND\r\n"}[found]
	case "touch":
		return map[bool]string{true: "TOUCHED\r\n", false: "NOT_FOUND\r\n"}[found]
	}
	n, err := strconv.ParseUint(old, 10, 64) // incr, decr
	switch {
	case !found:
		return "NOT_FOUND\r\n"
	case err != nil:
		return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
	}
	s.items[key] = strconv.FormatUint(n+1, 10)
	return s.items[key] + "\r\n"
}

// commandValue is a value that a server must not execute.
const commandValue = "x\r\nflush_all\r\nset k 0 0 1\r\n!"

// firstCalls are calls of each kind. want is the answer of a server that knows the
// commands in uses, and has the items k = commandValue and n = 1.
var firstCalls = []struct {
	name string
	uses []string
	call func(context.Context, *memcache.Client) error
	want error
}{
	{"Set", []string{"set"}, func(ctx context.Context, c *memcache.Client) error {
		return c.Set(ctx, &memcache.Item{Key: "k", Value: []byte(commandValue)})
	}, nil},
	{"SetMulti", []string{"set"}, func(ctx context.Context, c *memcache.Client) error {
		return c.SetMulti(ctx, []*memcache.Item{{Key: "k", Value: []byte(commandValue)}, {Key: "l", Value: []byte(commandValue)}})
	}, nil},
	{"Add", []string{"add"}, func(ctx context.Context, c *memcache.Client) error {
		return c.Add(ctx, &memcache.Item{Key: "k", Value: []byte(commandValue)})
	}, memcache.ErrNotStored},
	{"Replace", []string{"replace"}, func(ctx context.Context, c *memcache.Client) error {
		return c.Replace(ctx, &memcache.Item{Key: "k", Value: []byte(commandValue)})
	}, nil},
	{"Append", []string{"append"}, func(ctx context.Context, c *memcache.Client) error {
		return c.Append(ctx, "none", []byte(commandValue))
	}, memcache.ErrNotStored},
	{"Prepend", []string{"prepend"}, func(ctx context.Context, c *memcache.Client) error {
		return c.Prepend(ctx, "none", []byte(commandValue))
	}, memcache.ErrNotStored},
	{"CompareAndSwap", []string{"cas"}, func(ctx context.Context, c *memcache.Client) error {
		return c.CompareAndSwap(ctx, &memcache.Item{Key: "k", Value: []byte(commandValue), CAS: 9})
	}, memcache.ErrCASConflict},
	{"Get", []string{"gets"}, func(ctx context.Context, c *memcache.Client) error {
		it, err := c.Get(ctx, "k")
		if err == nil && string(it.Value) != commandValue {
			return fmt.Errorf("value %q", it.Value)
		}
		return err
	}, nil},
	{"GetMulti", []string{"gets"}, func(ctx context.Context, c *memcache.Client) error {
		got, err := c.GetMulti(ctx, []string{"k", "none", "n"})
		if err == nil && len(got) != 2 {
			return fmt.Errorf("items %v", got)
		}
		return err
	}, nil},
	{"Increment", []string{"incr"}, func(ctx context.Context, c *memcache.Client) error {
		_, err := c.Increment(ctx, "n", 1)
		return err
	}, nil},
	{"Touch", []string{"touch"}, func(ctx context.Context, c *memcache.Client) error { return c.Touch(ctx, "k", time.Hour) }, nil},
	{"Delete", []string{"delete"}, func(ctx context.Context, c *memcache.Client) error { return c.Delete(ctx, "none") }, memcache.ErrCacheMiss},
	{"Fetch", nil, func(ctx context.Context, c *memcache.Client) error {
		v, err := c.Fetch(ctx, "none", memcache.FetchOptions{}, func(context.Context) ([]byte, error) { return []byte(commandValue), nil })
		if err == nil && string(v) != commandValue {
			return fmt.Errorf("value %q", v)
		}
		return err
	}, nil},
	{"Namespace", []string{"set", "add"}, func(ctx context.Context, c *memcache.Client) error {
		return c.Namespace("ns", time.Minute).Set(ctx, &memcache.Item{Key: "k", Value: []byte(commandValue)})
	}, nil},
	{"Typed", []string{"set"}, func(ctx context.Context, c *memcache.Client) error {
		return (&memcache.Typed[string]{Cache: c}).Set(ctx, "k", commandValue, 0)
	}, nil},
}

// TestFirstCall makes each kind of call the first one, once and from eight goroutines, on
// servers and proxies that know some of the classic commands and answer mn oddly. No
// server executes a value, what a server knows works, and what it does not know is an
// error line of the server.
func TestFirstCall(t *testing.T) {
	without := func(words ...string) string {
		known := classicCommands
		for _, w := range words {
			known = strings.Replace(known, " "+w+" ", " ", 1)
		}
		return known
	}
	for _, kind := range []struct {
		name   string
		server *oldServer
	}{
		{"memcached 1.4", &oldServer{known: classicCommands}},
		{"memcached 1.6.0 to 1.6.9", &oldServer{known: classicCommands, odd: map[string]string{"mn": "MN\r\n", "ms": "CLIENT_ERROR invalid flag\r\n"}}},
		{"rend: no cas", &oldServer{known: without("cas")}},
		{"only set", &oldServer{known: without("cas", "append", "prepend", "add", "replace")}},
		{"no set", &oldServer{known: without("set", "cas", "append", "prepend", "add", "replace")}},
		{"cas is answered, its block is executed", &oldServer{known: classicCommands, odd: map[string]string{"cas": "STORED\r\n"}}},
		{"set is refused by SERVER_ERROR, its block is executed", &oldServer{known: classicCommands, odd: map[string]string{"set": "SERVER_ERROR read only\r\n"}}},
		{"twemproxy: closes at mn", &oldServer{known: classicCommands, odd: map[string]string{"mn": "close"}}},
		{"END for mn", &oldServer{known: classicCommands, odd: map[string]string{"mn": "END\r\n"}}},
		{"VERSION for mn", &oldServer{known: classicCommands, odd: map[string]string{"mn": "VERSION 1.2.8\r\n"}}},
		{"SERVER_ERROR for mn and for get: one server of a proxy is down", &oldServer{known: classicCommands, odd: map[string]string{"mn": "SERVER_ERROR\r\n", "get": "SERVER_ERROR Connection refused\r\n"}}},
		{"ERROR for everything", &oldServer{}},
		{"closes at everything", &oldServer{closes: true}},
	} {
		for _, protocol := range []memcache.Protocol{memcache.ProtocolAuto, memcache.ProtocolClassic} {
			for _, call := range firstCalls {
				for _, callers := range []int{1, 8} {
					t.Run(fmt.Sprintf("%s/%d/%s/%d", kind.name, protocol, call.name, callers), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							s := &oldServer{known: kind.server.known, odd: kind.server.odd, closes: kind.server.closes, items: map[string]string{"k": commandValue, "n": "1"}}
							c := newClient(t, &memcache.Options{Protocol: protocol, Dial: s.dial}, "10.0.0.1")
							var wg sync.WaitGroup
							for range callers {
								wg.Go(func() { s.check(t, call.uses, call.want, call.call(t.Context(), c)) })
							}
							wg.Wait()
							c.Close()
							synctest.Wait()
							for _, line := range s.executed {
								if line == "flush_all" || line == "set k 0 0 1" || line == "x" || line == "!" {
									t.Fatalf("the server executed a value: %q", s.executed)
								}
							}
							if slices.ContainsFunc(slices.Collect(maps.Keys(s.items)), func(k string) bool { return strings.HasPrefix(k, "lintel:hello") }) {
								t.Errorf("a proof is left: %q", s.items)
							}
						})
					})
				}
			}
		}
	}
}

// check compares the error of a call that uses some commands with the answer of a server
// that knows them.
func (s *oldServer) check(t *testing.T, uses []string, want, err error) {
	knows := s.known != ""
	for _, word := range uses {
		_, odd := s.odd[word]
		knows = knows && strings.Contains(s.known, " "+word+" ") && !odd
	}
	switch {
	case knows && !errors.Is(err, want), knows && want == nil && err != nil:
		t.Errorf("%v, want %v", err, want)
	case !knows && uses != nil && !errors.Is(err, memcache.ErrServer) && !errors.Is(err, memcache.ErrServerDown):
		t.Errorf("%v, want an error of the server", err)
	}
}
