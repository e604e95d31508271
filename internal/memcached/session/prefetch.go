package session

import (
	"bytes"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/netloop"
	"lintel.dev/internal/memcached/store"
)

// prefetch starts to load the items of the first commands of in, at most most of
// them, so that the cache misses of pipelined commands overlap. It parses only as
// far as that takes: what it takes for a key need not be one, and the commands are
// parsed again when they are executed. It returns how much of in it has seen.
func prefetch(b *exec.Batch, in []byte, most int) (seen int) {
	b.Keys.Reset()
	change := false
	keys := 0
	for keys < most {
		rest := in[seen:]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			seen = len(in)
			break
		}
		if seen == 0 && end+1 == len(in) {
			return len(in) // there is no second command
		}
		line := rest[:end]
		seen += end + 1
		verb, key, args := cutKey(line)
		if len(key) == 0 || len(key) > store.MaxKey {
			continue
		}
		keys = b.Keys.Add(key)
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
	if keys > 1 {
		b.Keys.Load(change)
	}
	return seen
}

// Prefetch implements netloop.Prefetcher for the first command of in.
func (s *Session) Prefetch(in []byte) (h netloop.Hint) {
	if s.proto != ascii || s.Pending != nil || s.engine.AuthText() && !s.Authed {
		return h
	}
	end := bytes.IndexByte(in, '\n')
	if end < 0 {
		return h
	}
	verb, key, _ := cutKey(in[:end])
	if len(key) == 0 || len(key) > store.MaxKey {
		return h
	}
	switch string(verb) {
	case "get", "gets", "mg":
	default:
		h.Change = true
	}
	var l store.Lookup
	s.engine.Items.Prefetch(&l, key)
	h.Hash = l.Hash()
	return h
}

// PrefetchRest implements netloop.Prefetcher.
func (s *Session) PrefetchRest(h netloop.Hint) {
	if h.Hash == 0 {
		return
	}
	l := store.Hashed(h.Hash)
	if h.Change {
		s.engine.Items.PrefetchChange(&l)
	} else {
		s.engine.Items.PrefetchItem(&l)
	}
}

// cutKey cuts the first two words off a line, which may end with a carriage
// return.
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

// dataLength returns the number that args begins with, 0 if there is none.
func dataLength(args []byte) (n int) {
	for _, c := range args {
		if c -= '0'; c > 9 || n > mcproto.MaxLength {
			break
		}
		n = n*10 + int(c)
	}
	return n
}
