package memcachetest

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// metaFlags maps the letters of a meta command's flags to their tokens.
type metaFlags struct {
	order []string
	arg   map[byte]string
}

func parseFlags(tokens []string) (metaFlags, string) {
	f := metaFlags{order: tokens, arg: make(map[byte]string)}
	for _, t := range tokens {
		if _, twice := f.arg[t[0]]; twice {
			return f, "CLIENT_ERROR duplicate flag"
		}
		f.arg[t[0]] = t[1:]
		switch t[0] {
		case 'T', 'N', 'R', 'C', 'E', 'F', 'D', 'J':
			if _, err := strconv.ParseInt(t[1:], 10, 64); err != nil {
				if _, err := strconv.ParseUint(t[1:], 10, 64); err != nil {
					return f, "CLIENT_ERROR bad token in command line format"
				}
			}
		}
	}
	return f, ""
}

func (f metaFlags) has(flag byte) bool {
	_, ok := f.arg[flag]
	return ok
}

func (f metaFlags) int(flag byte) int64 {
	n, _ := strconv.ParseInt(f.arg[flag], 10, 64)
	return n
}

func (f metaFlags) uint(flag byte, def uint64) uint64 {
	if !f.has(flag) {
		return def
	}
	n, _ := strconv.ParseUint(f.arg[flag], 10, 64)
	return n
}

// meta executes mg, ms, md, ma and mn.
func (c *session) meta(args []string, data []byte) bool {
	if args[0] == "mn" {
		c.reply("MN")
		return true
	}
	first := 2
	if args[0] == "ms" {
		first = 3
	}
	if len(args) < first || len(args[1]) > 250 {
		c.reply(badFormat)
		return true
	}
	f, bad := parseFlags(args[first:])
	if bad != "" {
		c.reply(bad)
		return true
	}
	key := args[1]
	if f.has('b') {
		b, err := base64.StdEncoding.DecodeString(key)
		if err != nil {
			c.reply("CLIENT_ERROR error decoding key")
			return true
		}
		key = string(b)
	}
	switch args[0] {
	case "mg":
		c.metaGet(args[1], key, f)
	case "ms":
		c.metaSet(args[1], key, f, data)
	case "md":
		c.metaDelete(args[1], key, f)
	case "ma":
		c.metaArith(args[1], key, f)
	}
	return true
}

// ret returns the return flags in the order of the request.
func (c *session) ret(sent string, f metaFlags, it *item) string {
	out := ""
	for _, t := range f.order {
		switch t[0] {
		case 'O':
			out += " " + t
		case 'k':
			out += " k" + sent
		case 'b':
			out += " b"
		}
		if it == nil {
			continue
		}
		switch t[0] {
		case 'f':
			out += fmt.Sprintf(" f%d", it.flags)
		case 'c':
			out += fmt.Sprintf(" c%d", it.cas)
		case 's':
			out += fmt.Sprintf(" s%d", len(it.value))
		case 't':
			out += fmt.Sprintf(" t%d", c.s.left(it))
		}
	}
	return out
}

func (c *session) metaGet(sent, key string, f metaFlags) {
	it := c.s.find(key)
	won, lost := false, false
	switch {
	case it == nil && f.has('N'):
		it = &item{cas: c.s.nextCAS(), expiry: c.s.expiry(f.int('N')), told: true, value: []byte{}}
		c.s.items[key] = it
		won = true
	case it == nil:
		if !f.has('q') {
			c.reply("EN" + c.ret(sent, f, nil))
		}
		return
	default:
		if f.has('T') {
			it.expiry = c.s.expiry(f.int('T'))
		}
		switch {
		case it.told:
			lost = true
		case it.stale, f.has('R') && !it.expiry.IsZero() && c.s.left(it) < f.int('R'):
			won, it.told = true, true
		}
	}
	ret := c.ret(sent, f, it)
	if lost {
		ret += " Z"
	}
	if it.stale {
		ret += " X"
	}
	if won {
		ret += " W"
	}
	if !f.has('v') || f.has('C') && it.cas == f.uint('C', 0) {
		c.reply("HD" + ret)
		return
	}
	c.reply(fmt.Sprintf("VA %d%s", len(it.value), ret))
	c.w.Write(it.value)
	c.reply("")
}

func (c *session) metaSet(sent, key string, f metaFlags, data []byte) {
	mode := byte('S')
	if f.has('M') && len(f.arg['M']) > 0 {
		mode = f.arg['M'][0]
	}
	res, it := c.s.put(key, mode, data, uint32(f.uint('F', 0)), c.s.expiry(f.int('T')), f.has('C'), f.uint('C', 0), f.has('I'))
	if res == tooLarge {
		c.reply(large)
		return
	}
	if res == stored && f.has('q') {
		return
	}
	c.reply([]string{"HD", "NS", "EX", "NF"}[res] + c.ret(sent, f, it))
}

func (c *session) metaDelete(sent, key string, f metaFlags) {
	it := c.s.find(key)
	code := "HD"
	switch {
	case it == nil:
		code = "NF"
	case f.has('C') && it.cas != f.uint('C', 0):
		code = "EX"
	case f.has('I'):
		it.stale, it.told, it.cas = true, false, c.s.nextCAS()
		if f.has('T') {
			it.expiry = c.s.expiry(f.int('T'))
		}
	default:
		delete(c.s.items, key)
	}
	if code == "HD" && f.has('q') {
		return
	}
	c.reply(code + c.ret(sent, f, nil))
}

func (c *session) metaArith(sent, key string, f metaFlags) {
	it := c.s.find(key)
	switch {
	case it == nil && f.has('N'):
		it = &item{cas: c.s.nextCAS(), expiry: c.s.expiry(f.int('N')), value: strconv.AppendUint(nil, f.uint('J', 0), 10)}
		c.s.items[key] = it
	case it == nil:
		c.reply("NF" + c.ret(sent, f, nil))
		return
	case f.has('C') && it.cas != f.uint('C', 0):
		c.reply("EX" + c.ret(sent, f, nil))
		return
	default:
		down := f.arg['M'] == "D" || f.arg['M'] == "-"
		if _, ok := c.s.add(it, f.uint('D', 1), down); !ok {
			c.reply(badNumber)
			return
		}
	}
	if !f.has('v') || f.has('C') && it.cas == f.uint('C', 0) {
		c.reply("HD" + c.ret(sent, f, it))
		return
	}
	c.reply(fmt.Sprintf("VA %d%s", len(it.value), c.ret(sent, f, it)))
	c.reply(string(it.value))
}
