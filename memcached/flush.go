package memcached

import (
	"bytes"
	"strconv"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// flushCommand is flush_all [DELAY].
func (t *turn) flushCommand(delay string) string {
	if t.srv.opts.DisableFlush {
		return "CLIENT_ERROR flush_all not allowed"
	}
	at := int64(0)
	if delay != "" {
		var ok bool
		if at, ok = mcproto.ArgInt([]byte(delay)); !ok {
			return "CLIENT_ERROR invalid exptime argument"
		}
	}
	t.flushAll(at)
	return replyOK
}

// flushAll makes all items vanish: now, or when exptime, read as that of an
// item, comes.
func (t *turn) flushAll(exptime int64) {
	now := t.srv.clock.Now()
	at := now
	if exptime > 0 {
		at = max(now, expiry(exptime, now))
	}
	if at == now {
		t.srv.dropRecent(now - 1)
	}
	t.srv.store.FlushAll(at)
	t.srv.flushed.Store(at)
	t.count(cmdFlush)
}

// dropAtOnce is in how large a cache recent items are deleted right when they
// are flushed; elsewhere they are left to the store's own sweep.
const dropAtOnce = 4096

// dropRecent deletes the items that were used since a unix second, as memcached
// does when it flushes: they are gone from the figures at once, and looking for
// one counts as a miss. Older ones are there until somebody looks, and that
// counts as get_flushed.
func (s *Server) dropRecent(since int64) {
	if s.store.Stats().Items > dropAtOnce {
		return
	}
	var keys [][]byte
	s.store.Scan(func(it store.Item) bool {
		if it.LastAccess >= since {
			keys = append(keys, bytes.Clone(it.Key))
		}
		return true
	})
	for _, key := range keys {
		tx := s.store.Begin(key)
		if tx.Find() {
			tx.Delete()
		}
		tx.End()
	}
}

// flushPrefix is flush_prefix PREFIX [b]: every item whose key begins with
// PREFIX vanishes, in constant time. With b the prefix is base64, as in the
// meta commands. It has no counterpart in memcached.
func (t *turn) flushPrefix(args []byte) string {
	if t.srv.opts.DisableFlush {
		return "CLIENT_ERROR flush_prefix not allowed"
	}
	prefix, rest := mcproto.Next(args)
	if len(prefix) == 0 || len(prefix) > mcproto.MaxKey {
		return mcproto.ErrFormat
	}
	if flag, _ := mcproto.Next(rest); string(flag) == "b" {
		var exact, ok bool
		if prefix, exact, ok = mcproto.DecodeKey(t.key[:0], prefix); !ok || !exact {
			return mcproto.ErrKey
		}
	}
	t.srv.store.FlushPrefix(prefix)
	t.count(cmdFlush)
	return replyOK
}

// metaPrefix is mp PREFIX FLAGS, the meta form of flush_prefix. It answers HD;
// of the flags b, k, O and q mean what they do elsewhere. It has no counterpart
// in memcached.
func (t *turn) metaPrefix(args []byte) {
	sent, prefix := t.metaKey(args, "")
	if prefix == nil {
		return
	}
	if t.srv.opts.DisableFlush {
		t.reply("CLIENT_ERROR flush_prefix not allowed")
		return
	}
	t.srv.store.FlushPrefix(prefix)
	t.count(cmdFlush)
	if !t.meta.Has('q') {
		t.w.B = append(t.echoes(append(t.w.B, 'H', 'D'), sent), '\r', '\n')
	}
}

// FlushAll makes every item vanish, in constant time.
func (s *Server) FlushAll() { s.store.FlushAll(s.clock.Now()) }

// FlushPrefix makes every item whose key begins with prefix vanish, in constant
// time.
func (s *Server) FlushPrefix(prefix string) { s.store.FlushPrefix([]byte(prefix)) }

func formatInt[T ~int | ~int64 | ~int32](v T) string { return strconv.FormatInt(int64(v), 10) }
