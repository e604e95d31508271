package text

import (
	"strconv"
	"strings"
	"time"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
)

const (
	replyOK    = "OK"
	replyError = "ERROR"
)

// admin executes a command that is not about one item. args is what follows
// verb. It returns false for an unknown command.
func admin(b *exec.Batch, verb string, args []byte) bool {
	var buf [16][]byte
	split, _ := mcproto.Split(buf[:0], args, len(buf))
	words := make(arguments, len(split))
	for i, w := range split {
		words[i] = string(w)
	}
	n := len(words)
	quiet := n > 0 && words[n-1] == "noreply"
	if quiet && verb != "stats" {
		words = words[:n-1]
	}
	switch verb {
	case "stats":
		stats(b, words)
	case "flush_all":
		b.Answer(quiet, flushAll(b, words.at(0)))
	case "flush_prefix":
		if problem := flushPrefix(b, args, quiet); problem != "" {
			b.Answer(quiet, problem)
		}
	case "verbosity":
		if n == 0 { // memcached takes noreply for the level
			b.Reply(mcproto.ErrFormat)
			break
		}
		b.Answer(quiet, verbosity(b, words.at(0)))
	case "cache_memlimit":
		b.Answer(quiet, memLimit(b, words.at(0)))
	case "slabs":
		b.Answer(quiet, slabs(b, words))
	case "lru":
		b.Answer(quiet, lru(b, words))
	case "lru_crawler":
		crawler(b, words, quiet)
	case "refresh_certs":
		b.Answer(quiet, refreshCerts(b))
	case "debugtime":
		if !b.Debug {
			return false
		}
		b.Answer(quiet, debugTime(b, words.at(0)))
	case "config":
		if b.Cluster == nil || words.at(0) != "get" || words.at(1) != "cluster" {
			return false
		}
		b.W.B = b.Cluster(b.W.B, b.Conn.Net.LocalAddr())
	default:
		return false
	}
	return true
}

// arguments are the words behind a verb.
type arguments []string

// at returns word i, empty if there is none.
func (a arguments) at(i int) string {
	if i < len(a) {
		return a[i]
	}
	return ""
}

// short reports whether word abbreviates name. memcached compares most of its
// subcommands only up to the length it was given.
func short(word, name string) bool { return strings.HasPrefix(name, word) }

// flushAll is flush_all [DELAY].
func flushAll(b *exec.Batch, delay string) string {
	if b.DisableFlush {
		return "CLIENT_ERROR flush_all not allowed"
	}
	at := int64(0)
	if delay != "" {
		var ok bool
		if at, ok = mcproto.ArgInt([]byte(delay)); !ok {
			return badExptime
		}
	}
	b.FlushAll(at)
	return replyOK
}

// flushPrefix is flush_prefix PREFIX [b]: every item whose key begins with PREFIX
// vanishes. With b the prefix is in base64, as in the meta commands. memcached has
// no such command. It returns what is wrong with args, or has answered.
func flushPrefix(b *exec.Batch, args []byte, quiet bool) (problem string) {
	if b.DisableFlush {
		return "CLIENT_ERROR flush_prefix not allowed"
	}
	prefix, rest := mcproto.Next(args)
	if len(prefix) == 0 || len(prefix) > mcproto.MaxKey {
		return mcproto.ErrFormat
	}
	if flag, _ := mcproto.Next(rest); string(flag) == "b" {
		var exact, ok bool
		if prefix, exact, ok = mcproto.DecodeKey(b.Key[:0], prefix); !ok || !exact {
			return mcproto.ErrKey
		}
	}
	reply := replyOK + "\r\n"
	if quiet {
		reply = ""
	}
	if !b.FlushPrefix(prefix, reply) {
		return replyDatagram
	}
	return ""
}

// verbosity is verbosity LEVEL.
func verbosity(b *exec.Batch, arg string) string {
	level, ok := mcproto.ArgUint32([]byte(arg))
	if !ok {
		return mcproto.ErrFormat
	}
	b.SetVerbosity(int(min(level, 3)))
	return replyOK
}

// memLimit is cache_memlimit MEGABYTES.
func memLimit(b *exec.Batch, arg string) string {
	mb, ok := mcproto.ArgUint32([]byte(arg))
	switch {
	case !ok:
		return replyError
	case mb < 8:
		return "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m"
	case mb > 1e9:
		return "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes"
	case b.SetLimit(int64(mb)<<20) != nil:
		return "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust"
	}
	return replyOK
}

// crawler is lru_crawler and its subcommands.
func crawler(b *exec.Batch, words arguments, quiet bool) {
	is := func(n int, name string) bool { return len(words) == n && short(words[0], name) }
	switch {
	case is(2, "crawl"):
		b.Answer(quiet, crawl(b, words[1]))
	case is(2, "metadump"):
		dump(b, "metadump", words[1])
	case is(2, "mgdump"):
		dump(b, "mgdump", words[1])
	case is(2, "tocrawl"):
		n, ok := mcproto.ArgUint32([]byte(words[1]))
		if !ok {
			b.Answer(quiet, mcproto.ErrFormat)
			return
		}
		b.Settings.Set("lru_crawler_tocrawl", strconv.FormatUint(uint64(n), 10))
		b.Answer(quiet, replyOK)
	case is(2, "sleep"):
		n, ok := mcproto.ArgUint32([]byte(words[1]))
		switch {
		case !ok:
			b.Answer(quiet, mcproto.ErrFormat)
		case n > 1000000:
			b.Answer(quiet, "CLIENT_ERROR sleep must be one second or less")
		default:
			b.Crawler.SetSleep(time.Duration(n) * time.Microsecond)
			b.Answer(quiet, replyOK)
		}
	case is(1, "enable"):
		if !b.Crawler.Enable(true) {
			b.Answer(quiet, "ERROR failed to start lru crawler thread")
			return
		}
		b.Answer(quiet, replyOK)
	case is(1, "disable"):
		b.Crawler.Enable(false)
		b.Answer(quiet, replyOK)
	default:
		b.Answer(quiet, replyError)
	}
}

// crawl is lru_crawler crawl CLASSES.
func crawl(b *exec.Batch, list string) string {
	if !b.Crawler.Enabled() {
		return replyNoCrawler
	}
	want, ok := exec.ParseClasses(list)
	switch {
	case !ok:
		return replyBadClass
	case !b.Crawler.Crawl(want):
		return replyBusy
	}
	return replyOK
}

// shutdown is shutdown [graceful]. It reports whether the connection is to be
// closed without a reply.
func shutdown(b *exec.Batch, args []byte) bool {
	if !b.EnableShutdown {
		b.Reply("SERVER_ERROR: shutdown not enabled")
		return false
	}
	how, rest := mcproto.Next(args)
	if short(string(how), "graceful") && mcproto.Blank(rest) {
		go b.OnShutdown(len(how) > 0)
		return true
	}
	b.Reply("CLIENT_ERROR invalid shutdown mode")
	return false
}

// refreshCerts is refresh_certs.
func refreshCerts(b *exec.Batch) string {
	if b.Certs == nil {
		return "Error TLS not enabled"
	}
	if err := b.Certs.Reload(); err != nil {
		return "Error " + strings.NewReplacer("\r", " ", "\n", " ").Replace(err.Error())
	}
	return replyOK
}

// debugTime is debugtime p|r|SECONDS: it pauses, resumes or moves the clock.
func debugTime(b *exec.Batch, arg string) string {
	switch arg {
	case "p":
		b.Clock.Pause()
		return replyOK
	case "r":
		b.Clock.Resume()
		return replyOK
	}
	n, ok := mcproto.ArgInt([]byte(arg))
	if !ok {
		return replyError
	}
	b.Clock.Add(n)
	return replyOK
}
