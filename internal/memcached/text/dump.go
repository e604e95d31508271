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

// dump is lru_crawler metadump and mgdump. Like memcached it does not run while
// replies are waiting. Commands behind it wait for its end.
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
	if b.Conn.Datagram {
		b.Reply(replyDatagram)
		return
	}
	if !b.Crawler.BeginDump() {
		b.Reply(replyBusy)
		return
	}
	b.Reply(replyOK)
	line, end := appendMetaDump, "END\r\n"
	if !meta {
		line, end = appendKeyDump, "EN\r\n"
	}
	job := exec.Scan(func(out []byte, it *store.Item) ([]byte, bool) {
		if want.Has(it.Class) {
			out = line(out, it)
		}
		return out, true
	}, func(out []byte) []byte { return append(out, end...) })
	job.Dump = true
	startJob(b, job)
}

// replyDatagram refuses a job or a watch over UDP.
const replyDatagram = "SERVER_ERROR not available over UDP"

// startJob starts j, or answers that it cannot run over UDP.
func startJob(b *exec.Batch, j *exec.Job) {
	if !b.StartJob(j) {
		b.Reply(replyDatagram)
	}
}

func appendEnd(out []byte) []byte { return append(out, "END\r\n"...) }

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
	if b.ItemsOf(int(class)) == 0 {
		b.Reply("END")
		return
	}
	size, n := 0, uint32(0)
	startJob(b, exec.Scan(func(out []byte, it *store.Item) ([]byte, bool) {
		if uint32(it.Class) != class {
			return out, true
		}
		before := len(out)
		out = fmt.Appendf(out, "ITEM %s [%d b; %d s]\r\n", it.Key, it.ValueSize, it.Expiry)
		size += len(out) - before
		n++
		return out, size < maxCacheDump && (limit == 0 || n < limit)
	}, appendEnd))
}
