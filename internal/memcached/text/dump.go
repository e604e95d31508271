package text

import (
	"fmt"
	"strconv"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// maxCacheDump bounds the reply to stats cachedump, in bytes.
const maxCacheDump = 2 << 20

const (
	replyNoCrawler = "CLIENT_ERROR lru crawler disabled"
	replyBadClass  = "BADCLASS invalid class id"
	replyBusy      = "BUSY currently processing crawler request"
)

// dump is lru_crawler metadump and mgdump. memcached cannot dump while replies
// are waiting. Commands behind it wait for its end.
func dump(b *exec.Batch, name, list string) {
	meta := name == "metadump"
	switch {
	case !b.Crawler.Enabled():
		b.Reply(replyNoCrawler)
		return
	case b.DisableDump && meta:
		b.Reply("ERROR metadump not allowed")
		return
	case b.DisableDump:
		b.Reply("ERROR key dump not allowed")
		return
	case len(b.W.B) > 0:
		b.Reply("ERROR cannot pipeline other commands before " + name)
		return
	}
	if list == "hash" {
		list = "all"
	}
	want, ok := exec.ParseClasses(list)
	if !ok {
		b.Reply(replyBadClass)
		return
	}
	if !b.Crawler.Begin() {
		b.Reply(replyBusy)
		return
	}
	b.Reply(replyOK)
	line, end := appendMetaDump, "END"
	if !meta {
		line, end = appendKeyDump, "EN"
	}
	b.StartScan(&exec.Scan{
		Each: func(b *exec.Batch, it store.Item) bool {
			if want.Has(it.Class) {
				b.W.B = line(b.W.B, &it)
			}
			return true
		},
		Finish: func(b *exec.Batch) { b.Reply(end) },
		Crawl:  true,
	})
}

// appendMetaDump appends a metadump line. Unlike other lines it ends with a space
// and a line feed alone.
func appendMetaDump(b []byte, it *store.Item) []byte {
	exp := it.Expiry
	if exp == 0 {
		exp = -1
	}
	b = mcproto.AppendKey(append(b, "key="...), it.Key)
	b = strconv.AppendInt(append(b, " exp="...), exp, 10)
	b = strconv.AppendInt(append(b, " la="...), it.LastAccess, 10)
	b = strconv.AppendUint(append(b, " cas="...), it.CAS, 10)
	b = append(append(b, " fetch="...), exec.YesNo(it.Fetched)...)
	b = strconv.AppendInt(append(b, " cls="...), int64(it.Class), 10)
	b = strconv.AppendInt(append(b, " size="...), int64(it.Size), 10)
	b = strconv.AppendUint(append(b, " flags="...), uint64(it.Flags), 10)
	return append(b, " \n"...)
}

// appendKeyDump appends an mgdump line, a command that gets the item. A key that
// a line cannot hold is in base64.
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
func cacheDump(b *exec.Batch, words []string) {
	if b.DisableDump {
		b.Reply("CLIENT_ERROR stats cachedump not allowed")
		return
	}
	if len(words) < 3 {
		b.Reply("CLIENT_ERROR bad command line")
		return
	}
	class, ok1 := mcproto.ArgUint32([]byte(words[1]))
	limit, ok2 := mcproto.ArgUint32([]byte(words[2]))
	switch {
	case !ok1 || !ok2:
		b.Reply(mcproto.ErrFormat)
		return
	case class > exec.LastClass:
		b.Reply("CLIENT_ERROR Illegal slab id")
		return
	}
	size, n := 0, uint32(0)
	b.StartScan(&exec.Scan{
		Each: func(b *exec.Batch, it store.Item) bool {
			if uint32(it.Class) != class {
				return true
			}
			before := len(b.W.B)
			b.W.B = fmt.Appendf(b.W.B, "ITEM %s [%d b; %d s]\r\n", it.Key, it.ValueSize, it.Expiry)
			size += len(b.W.B) - before
			n++
			return size < maxCacheDump && (limit == 0 || n < limit)
		},
		Finish: func(b *exec.Batch) { b.Reply("END") },
	})
}
