package memcached

import (
	"bytes"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// scout reads the commands that in begins with, up to most of them, as far as
// it takes to start fetching their items, so that a connection's commands in
// flight wait for memory together. What it takes for a key need not be one:
// the commands are read again when it is their turn. It returns how much of in
// it has seen.
func (t *turn) scout(in []byte, most int) (seen int) {
	t.scouts, t.atScout = t.scouts[:0], 0
	change := false
	for len(t.scouts) < most {
		rest := in[seen:]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			seen = len(in)
			break
		}
		if seen == 0 && end+1 == len(in) {
			return len(in) // it is the only one
		}
		line := rest[:end]
		seen += end + 1
		verb, key, args := cutKey(line)
		if len(key) == 0 || len(key) > store.MaxKey {
			continue
		}
		n := len(t.scouts)
		t.scouts = t.scouts[:n+1]
		t.srv.store.Ahead(&t.scouts[n], key)
		length := -1
		switch string(verb) {
		case "set", "add", "replace", "append", "prepend", "cas":
			for skip := 2; skip > 0 && len(args) > 0; args = args[1:] {
				if args[0] == ' ' {
					skip--
				}
			}
			length = dataLength(args)
		case "ms":
			length = dataLength(args)
		}
		if length >= 0 {
			change = true
			if seen += length + 2; seen >= len(in) {
				seen = len(in)
				break
			}
		}
	}
	if len(t.scouts) == 1 {
		return seen
	}
	for i := range t.scouts {
		if change {
			t.srv.store.ExpectChange(&t.scouts[i])
		} else {
			t.srv.store.Expect(&t.scouts[i])
		}
	}
	return seen
}

// cutKey cuts the first two words off a line that may have a carriage return
// at its end.
func cutKey(line []byte) (verb, key, args []byte) {
	i := 0
	for i < len(line) && line[i] != ' ' {
		i++
	}
	if i == len(line) {
		return nil, nil, nil
	}
	verb, key = line[:i], line[i+1:]
	if i = bytes.IndexByte(key, ' '); i >= 0 {
		return verb, key[:i], key[i+1:]
	}
	return verb, bytes.TrimSuffix(key, []byte{'\r'}), nil
}

// dataLength is the number args begins with, 0 if it begins with none.
func dataLength(args []byte) (n int) {
	for _, c := range args {
		if c -= '0'; c > 9 || n > mcproto.MaxLength {
			break
		}
		n = n*10 + int(c)
	}
	return n
}

// ahead is what scout found out about key, or else only that it is next.
func (t *turn) ahead(key []byte) *store.Ahead {
	for i := t.atScout; i < len(t.scouts); i++ {
		if a := &t.scouts[i]; len(a.Key) == len(key) && &a.Key[0] == &key[0] {
			t.atScout = i + 1
			return a
		}
	}
	a := &t.wanted[0].Ahead
	t.srv.store.Ahead(a, key)
	return a
}

// begin takes the hold on key's shard.
func (t *turn) begin(key []byte) store.Txn { return t.srv.store.BeginAhead(t.ahead(key)) }
