package memcached

import (
	"fmt"
	"iter"
	"strconv"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// scanStep is how many items a scan looks at before other connections get
// their turn.
const scanStep = 512

// maxCacheDump bounds the reply to stats cachedump, in bytes.
const maxCacheDump = 2 << 20

// scan is a job that walks the cache and answers with what each makes of the
// items, and at the end with what finish makes of the rest.
type scan struct {
	next   func() (store.Item, bool)
	cancel func()
	each   func(t *turn, it store.Item) (more bool)
	finish func(t *turn)
	closed func()
}

// startScan makes t's connection run a scan. done is called once, at the end
// or when the connection closes before.
func (t *turn) startScan(each func(*turn, store.Item) bool, finish func(*turn), done func()) {
	next, cancel := iter.Pull(func(yield func(store.Item) bool) { t.srv.store.Scan(yield) })
	t.job = &scan{next: next, cancel: cancel, each: each, finish: finish, closed: done}
}

func (s *scan) step(t *turn) (done bool) {
	for range scanStep {
		it, ok := s.next()
		if !ok || !s.each(t, it) {
			s.finish(t)
			return true
		}
		if t.w.Full() {
			return false
		}
	}
	return false
}

func (s *scan) stop() {
	s.cancel()
	if s.closed != nil {
		s.closed()
		s.closed = nil
	}
}

// dump is lru_crawler metadump and mgdump. Replies that have not left yet are in
// memcached's way; what the client has sent behind the command waits.
func (t *turn) dump(name, list string) {
	meta := name == "metadump"
	switch {
	case !t.srv.tuning.crawls():
		t.reply(replyNoCrawler)
		return
	case t.srv.opts.DisableDump && meta:
		t.reply("ERROR metadump not allowed")
		return
	case t.srv.opts.DisableDump:
		t.reply("ERROR key dump not allowed")
		return
	case len(t.w.B) > 0:
		t.reply("ERROR cannot pipeline other commands before " + name)
		return
	}
	if list == "hash" {
		list = "all"
	}
	want, ok := parseClasses(list)
	if !ok {
		t.reply(replyBadClass)
		return
	}
	if !t.srv.tuning.beginCrawl() {
		t.reply("BUSY currently processing crawler request")
		return
	}
	t.reply(replyOK)
	line, end := appendMetaDump, "END\r\n"
	if !meta {
		line, end = appendKeyDump, "EN\r\n"
	}
	t.startScan(func(t *turn, it store.Item) bool {
		if want == nil || want(it.Class) {
			t.w.B = line(t.w.B, &it)
		}
		return true
	}, func(t *turn) {
		t.w.B = append(t.w.B, end...)
	}, t.srv.tuning.endCrawl)
}

// appendMetaDump appends a metadump line: unlike every other it ends in a
// space and a bare LF.
func appendMetaDump(b []byte, it *store.Item) []byte {
	exp := it.Expiry
	if exp == 0 {
		exp = -1
	}
	b = mcproto.AppendKey(append(b, "key="...), it.Key)
	b = strconv.AppendInt(append(b, " exp="...), exp, 10)
	b = strconv.AppendInt(append(b, " la="...), it.LastAccess, 10)
	b = strconv.AppendUint(append(b, " cas="...), it.CAS, 10)
	b = append(append(b, " fetch="...), yesNo(it.Fetched)...)
	b = strconv.AppendInt(append(b, " cls="...), int64(it.Class), 10)
	b = strconv.AppendInt(append(b, " size="...), int64(it.Size), 10)
	b = strconv.AppendUint(append(b, " flags="...), uint64(it.Flags), 10)
	return append(b, " \n"...)
}

// appendKeyDump appends an mgdump line, a command that gets the item. A key
// that a line cannot hold goes as base64.
func appendKeyDump(b []byte, it *store.Item) []byte {
	b = append(b, "mg "...)
	for _, c := range it.Key {
		if c <= ' ' || c == 0x7f {
			b = mcproto.EncodeKey(b, it.Key)
			return append(b, " b\r\n"...)
		}
	}
	return append(append(b, it.Key...), '\r', '\n')
}

// cacheDump is stats cachedump CLASS LIMIT.
func (t *turn) cacheDump(words []string) {
	if t.srv.opts.DisableDump {
		t.reply("CLIENT_ERROR stats cachedump not allowed")
		return
	}
	if len(words) < 3 {
		t.reply("CLIENT_ERROR bad command line")
		return
	}
	class, ok1 := mcproto.ArgUint32([]byte(words[1]))
	limit, ok2 := mcproto.ArgUint32([]byte(words[2]))
	switch {
	case !ok1 || !ok2:
		t.reply(mcproto.ErrFormat)
		return
	case class > lastClass:
		t.reply("CLIENT_ERROR Illegal slab id")
		return
	}
	size, n := 0, uint32(0)
	t.startScan(func(t *turn, it store.Item) bool {
		if uint32(it.Class) != class {
			return true
		}
		value := it.Size - store.ItemSize(len(it.Key), 0, it.Flags, !t.srv.opts.DisableCAS)
		before := len(t.w.B)
		t.w.B = fmt.Appendf(t.w.B, "ITEM %s [%d b; %d s]\r\n", it.Key, value, it.Expiry)
		size += len(t.w.B) - before
		n++
		return size < maxCacheDump && (limit == 0 || n < limit)
	}, func(t *turn) {
		t.w.B = append(t.w.B, "END\r\n"...)
	}, nil)
}

// sizeBucket is the width of the buckets of stats sizes, in bytes.
const sizeBucket = 32

// sizes is stats sizes: how many items there are of each size. stat and end say
// how the protocol puts it.
func (t *turn) sizes(stat func(t *turn, name, value string), end func(t *turn)) {
	if !t.srv.opts.TrackSizes {
		stat(t, "sizes_status", "disabled")
		end(t)
		return
	}
	counts := make([]uint64, t.srv.opts.MaxItemSize/sizeBucket+2)
	t.startScan(func(_ *turn, it store.Item) bool {
		counts[min((it.Size+sizeBucket-1)/sizeBucket, len(counts)-1)]++
		return true
	}, func(t *turn) {
		for i, n := range counts {
			if n > 0 {
				stat(t, strconv.Itoa(i*sizeBucket), strconv.FormatUint(n, 10))
			}
		}
		end(t)
	}, nil)
}
