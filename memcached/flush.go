package memcached

import (
	"strconv"

	"lintel.dev/internal/mcproto"
)

// flushCommand is flush_all [DELAY].
func (t *turn) flushCommand(delay string) string {
	if t.srv.opts.DisableFlush {
		return "CLIENT_ERROR flush_all not allowed"
	}
	at := int64(0)
	if delay != "" {
		var ok bool
		if at, ok = mcproto.ParseInt([]byte(delay)); !ok {
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
	t.srv.store.FlushAll(at)
	t.srv.flushed.Store(at)
	t.count(cmdFlush)
	if at == now {
		t.srv.sweepSmall()
	}
}

// sweepAtOnce is how many items are taken out of the figures right when they
// are flushed; more are left to the store's own sweep.
const sweepAtOnce = 4096

// sweepSmall lets the figures of a small cache show at once what was flushed.
func (s *Server) sweepSmall() {
	if s.store.Stats().Items <= sweepAtOnce {
		s.store.Crawl(nil)
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
		var ok bool
		if prefix, ok = mcproto.DecodeKey(t.key[:0], prefix); !ok {
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
