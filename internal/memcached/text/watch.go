package text

import (
	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/watch"
)

// watchLog is watch [STREAM...]. It reports whether the connection is a watcher
// now.
func watchLog(b *exec.Batch, args []byte) bool {
	switch {
	case b.DisableWatch:
		b.Reply("CLIENT_ERROR watch commands not allowed")
		return false
	case b.Conn.Datagram: // it has no connection that could carry the lines
		b.Reply(replyDatagram)
		return false
	case len(b.W.B) > 0:
		// memcached cannot watch while replies are waiting.
		b.Reply("ERROR cannot pipeline other commands before watch")
		return false
	}
	var want watch.Stream
	for len(args) > 0 {
		var word []byte
		if word, args = mcproto.Next(args); len(word) == 0 {
			break
		}
		s := watch.Named(string(word))
		if s == 0 {
			b.Reply("ERROR")
			return false
		}
		want |= s
	}
	if want == 0 {
		want = watch.Fetchers
	}
	if !b.Watch(want) {
		b.Reply("WATCHER_TOO_MANY log watcher limit reached")
		return false
	}
	b.Reply("OK")
	return true
}
