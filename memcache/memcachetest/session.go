package memcachetest

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// session is one connection.
type session struct {
	s      *Server
	r      *bufio.Reader
	w      *bufio.Writer
	authed bool
}

const (
	badFormat = "CLIENT_ERROR bad command line format"
	badNumber = "CLIENT_ERROR cannot increment or decrement non-numeric value"
	large     = "SERVER_ERROR object too large for cache"
)

func (c *session) reply(line string) { c.w.WriteString(line + "\r\n") }

// command reads and answers one command. It returns false to end the connection.
func (c *session) command() bool {
	line, err := c.r.ReadString('\n')
	if err != nil || len(line) > 8<<20 {
		return false
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	args := strings.Fields(line)
	if len(args) == 0 {
		c.reply("ERROR")
		return true
	}
	data, ok := c.data(args)
	if !ok {
		return false
	}
	c.s.mu.Lock()
	intercept := c.s.intercept
	if handshake(args) {
		intercept = nil
	} else {
		c.s.counts[args[0]]++
	}
	c.s.mu.Unlock()
	if intercept != nil {
		if reply, handled := intercept(line); handled {
			c.w.WriteString(reply)
			return true
		}
	}
	if !c.authed {
		return c.authenticate(args, data)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.run(args, data)
}

// handshake reports whether a command is part of the handshake of package memcache's
// client, which is neither counted nor intercepted: a store on a key that begins with
// lintel:hello, or that in base64.
func handshake(args []string) bool {
	return args[0] == "ms" && len(args) > 1 &&
		(strings.HasPrefix(args[1], "lintel:hello:") || strings.HasPrefix(args[1], "bGludGVsOmhlbGxv"))
}

// data reads the block that follows a storage command.
func (c *session) data(args []string) ([]byte, bool) {
	at := -1
	switch args[0] {
	case "set", "add", "replace", "append", "prepend", "cas":
		at = 4
	case "ms":
		at = 2
	}
	if at < 0 || at >= len(args) {
		return nil, true
	}
	n, err := strconv.Atoi(args[at])
	if err != nil || n < 0 || n > 64<<20 {
		return nil, false
	}
	b, err := io.ReadAll(io.LimitReader(c.r, int64(n)+2))
	if err != nil || len(b) != n+2 || string(b[n:]) != "\r\n" {
		return nil, false
	}
	return b[:n:n], true
}

func (c *session) authenticate(args []string, data []byte) bool {
	if args[0] != "set" {
		c.reply("CLIENT_ERROR unauthenticated")
		return false
	}
	if string(data) != c.s.opts.Username+" "+c.s.opts.Password {
		c.reply("CLIENT_ERROR authentication failure")
		return false
	}
	c.authed = true
	c.reply("STORED")
	return true
}

// run executes a command. Server.mu is held.
func (c *session) run(args []string, data []byte) bool {
	switch args[0] {
	case "mg", "ms", "md", "ma", "mn":
		if c.s.opts.ClassicOnly {
			c.reply("ERROR")
			return true
		}
		return c.meta(args, data)
	case "get", "gets":
		c.values(args[1:], args[0] == "gets")
	case "gat", "gats":
		if len(args) < 3 {
			c.reply("ERROR")
			break
		}
		ttl, err := strconv.ParseInt(args[1], 10, 32)
		if err != nil {
			c.reply("CLIENT_ERROR invalid exptime argument")
			break
		}
		for _, key := range args[2:] {
			if it := c.s.find(key); it != nil {
				it.expiry = c.s.expiry(ttl)
			}
		}
		c.values(args[2:], args[0] == "gats")
	case "set", "add", "replace", "append", "prepend", "cas":
		c.store(args, data)
	case "delete":
		c.one(args, 2, func(it *item) string {
			delete(c.s.items, args[1])
			return "DELETED"
		})
	case "touch":
		c.one(args, 3, func(it *item) string {
			ttl, err := strconv.ParseInt(args[2], 10, 32)
			if err != nil {
				return "CLIENT_ERROR invalid exptime argument"
			}
			it.expiry = c.s.expiry(ttl)
			return "TOUCHED"
		})
	case "incr", "decr":
		c.one(args, 3, func(it *item) string {
			delta, err := strconv.ParseUint(args[2], 10, 64)
			if err != nil {
				return "CLIENT_ERROR invalid numeric delta argument"
			}
			n, ok := c.s.add(it, delta, args[0] == "decr")
			if !ok {
				return badNumber
			}
			return strconv.FormatUint(n, 10)
		})
	case "flush_all":
		clear(c.s.items)
		c.reply("OK")
	case "version":
		c.reply("VERSION memcachetest")
	case "verbosity":
		c.reply("OK")
	case "stats":
		if len(args) == 1 {
			c.reply("STAT pid 1")
			c.reply(fmt.Sprintf("STAT curr_items %d", len(c.s.items)))
			c.reply(fmt.Sprintf("STAT curr_connections %d", len(c.s.conns)))
			c.reply("STAT version memcachetest")
		}
		c.reply("END")
	case "config":
		if c.s.opts.Cluster == "" || strings.Join(args, " ") != "config get cluster" {
			c.reply("ERROR")
			break
		}
		body := "1\n" + c.s.opts.Cluster + "\n"
		c.reply(fmt.Sprintf("CONFIG cluster 0 %d\r\n%s\r\nEND", len(body), body))
	case "quit":
		return false
	default:
		c.reply("ERROR")
	}
	return true
}

// one runs a command on an item that must be there.
func (c *session) one(args []string, n int, do func(*item) string) {
	switch {
	case len(args) < n || len(args[1]) > 250:
		c.reply(badFormat)
	case c.s.find(args[1]) == nil:
		c.reply("NOT_FOUND")
	default:
		c.reply(do(c.s.find(args[1])))
	}
}

func (c *session) values(keys []string, cas bool) {
	for _, key := range keys {
		it := c.s.find(key)
		if it == nil {
			continue
		}
		fmt.Fprintf(c.w, "VALUE %s %d %d", key, it.flags, len(it.value))
		if cas {
			fmt.Fprintf(c.w, " %d", it.cas)
		}
		c.w.WriteString("\r\n")
		c.w.Write(it.value)
		c.w.WriteString("\r\n")
	}
	c.reply("END")
}

func (c *session) store(args []string, data []byte) {
	need := 5
	if args[0] == "cas" {
		need = 6
	}
	if len(args) < need || len(args[1]) > 250 {
		c.reply(badFormat)
		return
	}
	flags, err1 := strconv.ParseUint(args[2], 10, 32)
	ttl, err2 := strconv.ParseInt(args[3], 10, 64)
	var cas uint64
	var err3 error
	if args[0] == "cas" {
		cas, err3 = strconv.ParseUint(args[5], 10, 64)
	}
	if err1 != nil || err2 != nil || err3 != nil {
		c.reply(badFormat)
		return
	}
	mode := map[string]byte{"set": 'S', "add": 'E', "replace": 'R', "append": 'A', "prepend": 'P', "cas": 'S'}[args[0]]
	res, _ := c.s.put(args[1], mode, data, uint32(flags), c.s.expiry(ttl), args[0] == "cas", cas, false)
	c.reply([]string{"STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", large}[res])
}
