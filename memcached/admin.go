package memcached

import (
	"math"
	"strconv"
	"strings"

	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

const (
	replyOK       = "OK"
	replyError    = "ERROR"
	replyBadClass = "BADCLASS invalid class id"
)

// admin handles the commands that are not about one item. args is what
// follows verb. It returns false for a command there is not.
func (t *turn) admin(verb string, args, line []byte) bool {
	var buf [16][]byte
	split, _ := mcproto.Split(buf[:0], args, len(buf))
	words := make([]string, len(split))
	for i, w := range split {
		words[i] = string(w)
	}
	n := len(words)
	quiet := n > 0 && words[n-1] == "noreply"
	if quiet && verb != "stats" {
		words = words[:n-1]
	}
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch verb {
	case "stats":
		t.stats(words)
	case "flush_all":
		t.answer(quiet, t.flushCommand(arg(0)))
	case "flush_prefix":
		t.answer(quiet, t.flushPrefix(args))
	case "verbosity":
		// memcached counts noreply as a token of its own.
		if n == 0 {
			t.reply(mcproto.ErrFormat)
			break
		}
		level, ok := mcproto.ArgUint32([]byte(arg(0)))
		if !ok {
			t.answer(quiet, mcproto.ErrFormat)
			break
		}
		t.srv.verbosity.Store(int32(min(level, 3)))
		if f := t.srv.opts.OnVerbosity; f != nil {
			f(int(min(level, 3)))
		}
		t.answer(quiet, replyOK)
	case "cache_memlimit":
		t.answer(quiet, t.memLimit(arg(0)))
	case "slabs":
		t.answer(quiet, t.slabs(words))
	case "lru":
		t.answer(quiet, t.lru(words))
	case "lru_crawler":
		t.crawler(words, quiet)
	case "refresh_certs":
		t.answer(quiet, t.refreshCerts())
	case "debugtime":
		if !t.srv.opts.Debug {
			return false
		}
		t.answer(quiet, t.debugTime(arg(0)))
	case "config":
		if t.srv.opts.Topology == nil || arg(0) != "get" || arg(1) != "cluster" {
			return false
		}
		t.w.B = t.srv.opts.Topology.append(t.w.B, t.conn.LocalAddr())
	default:
		return false
	}
	return true
}

// memLimit is cache_memlimit MEGABYTES.
func (t *turn) memLimit(arg string) string {
	mb, ok := mcproto.ArgUint32([]byte(arg))
	switch {
	case !ok:
		return replyError
	case mb < 8:
		return "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m"
	case mb > 1e9:
		return "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes"
	}
	limit := int64(mb) * mib
	if err := t.srv.store.SetLimit(t.srv.storeLimit(limit)); err != nil {
		return "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust"
	}
	t.srv.limit.Store(limit)
	return replyOK
}

// slabs is slabs reassign and slabs automove. There are no slabs to move, and
// no class can starve another: the answers are those of a memcached with
// nothing left to do.
func (t *turn) slabs(words []string) string {
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	u := &t.srv.tuning
	switch {
	case len(words) == 3 && short(words[0], "reassign"):
		src, ok := mcproto.ArgInt([]byte(words[1]))
		dst, ok2 := mcproto.ArgInt([]byte(words[2]))
		if src == -1 && src != dst {
			src = t.srv.classToSpare(dst)
		}
		switch {
		case t.srv.opts.Report.NoSlabReassign:
			return "CLIENT_ERROR slab reassignment disabled"
		case !ok || !ok2:
			return mcproto.ErrFormat
		case src == dst:
			return "SAME src and dst class are identical"
		case src < 0 || src > int64(store.Classes) || dst < 0 || dst > int64(store.Classes):
			return "BADCLASS invalid src or dst class id"
		case src == 0 || t.srv.pagesOf(int(src)) < 2:
			return "NOSPARE source class has no spare pages"
		}
		return replyOK
	case len(words) < 2 || !short(words[0], "automove"):
		return replyError
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	ratio := short(words[1], "ratio")
	switch {
	case ratio, short(words[1], "freeratio"):
		f, err := strconv.ParseFloat(arg(2), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return replyError
		}
		if ratio {
			u.automoveRatio = f
		} else {
			u.freeRatio = f
		}
		return replyOK
	case short(words[1], "window"):
		n, ok := mcproto.ArgUint32([]byte(arg(2)))
		switch {
		case !ok:
			return mcproto.ErrFormat
		case n < 3 || n > 1800:
			return "CLIENT_ERROR automove window too low or too high"
		}
		u.automoveWindow = uint64(n)
		return replyOK
	}
	n, ok := mcproto.ArgUint32([]byte(words[1]))
	switch {
	case !ok:
		return mcproto.ErrFormat
	case n > 2:
		return replyError
	}
	u.automove = int(n)
	return replyOK
}

// short reports whether word is name or its beginning: memcached compares no
// more of most of its subcommands than it was given.
func short(word, name string) bool { return strings.HasPrefix(name, word) }

// lru is lru tune, lru mode and lru temp_ttl.
func (t *turn) lru(words []string) string {
	u := &t.srv.tuning
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case len(words) >= 5 && short(words[0], "tune"):
		hot, ok1 := mcproto.ArgUint32([]byte(words[1]))
		warm, ok2 := mcproto.ArgUint32([]byte(words[2]))
		hotF, err1 := strconv.ParseFloat(words[3], 64)
		warmF, err2 := strconv.ParseFloat(words[4], 64)
		switch {
		case !ok1 || !ok2 || err1 != nil || err2 != nil:
			return replyError
		case hot > 80 || warm > 80 || hot+warm > 80:
			return "ERROR hot and warm pcts must not exceed 80"
		case !(hotF > 0) || !(warmF > 0):
			return "ERROR hot/warm age factors must be greater than 0"
		}
		u.hot, u.warm, u.hotFactor, u.warmFactor = uint64(hot), uint64(warm), hotF, warmF
		return replyOK
	case len(words) < 2 || t.srv.opts.Report.NoMaintainer:
		return replyError
	case short(words[0], "mode"):
		flat := short(words[1], "flat")
		if !flat && !short(words[1], "segmented") {
			return replyError
		}
		u.segmented = !flat
		return replyOK
	case short(words[0], "temp_ttl"):
		n, ok := mcproto.ArgInt([]byte(words[1]))
		if !ok {
			return replyError
		}
		u.tempTTL = max(n, -1)
		return replyOK
	}
	return replyError
}

// lastClass is the highest class that memcached may have. Those above
// store.Classes are always empty.
const lastClass = 63

// parseClasses reads a comma list of size classes, or all; ok is false where
// one does not exist.
func parseClasses(list string) (want func(class int) bool, ok bool) {
	if list == "all" {
		return nil, true
	}
	var in [lastClass + 1]bool
	for word := range strings.SplitSeq(list, ",") {
		n, good := mcproto.ParseUint([]byte(word))
		if !good || n < 1 || n > lastClass {
			return nil, false
		}
		in[n] = true
	}
	return func(class int) bool { return in[class] }, true
}

// crawler is lru_crawler and its many words.
func (t *turn) crawler(words []string, quiet bool) {
	u := &t.srv.tuning
	number := func(set func(n uint64) string) {
		n, ok := mcproto.ArgUint32([]byte(words[1]))
		if !ok {
			t.answer(quiet, mcproto.ErrFormat)
			return
		}
		u.mu.Lock()
		answer := set(uint64(n))
		u.mu.Unlock()
		t.answer(quiet, answer)
	}
	is := func(n int, name string) bool { return len(words) == n && short(words[0], name) }
	switch {
	case is(2, "crawl"):
		t.answer(quiet, t.crawl(words[1]))
	case is(2, "metadump"):
		t.dump("metadump", words[1])
	case is(2, "mgdump"):
		t.dump("mgdump", words[1])
	case is(2, "tocrawl"):
		number(func(n uint64) string {
			u.crawlerToCrawl = n
			return replyOK
		})
	case is(2, "sleep"):
		number(func(n uint64) string {
			if n > 1000000 {
				return "CLIENT_ERROR sleep must be one second or less"
			}
			u.crawlerSleep = n
			return replyOK
		})
	case is(1, "enable"):
		if !t.sweep(true) {
			t.answer(quiet, "ERROR failed to start lru crawler thread")
			return
		}
		t.answer(quiet, replyOK)
	case is(1, "disable"):
		t.sweep(false)
		t.answer(quiet, replyOK)
	default:
		t.answer(quiet, replyError)
	}
}

// sweep turns the crawler on or off and reports whether it was not so before.
func (t *turn) sweep(on bool) (changed bool) {
	u := &t.srv.tuning
	u.mu.Lock()
	defer u.mu.Unlock()
	changed = u.crawler != on
	u.crawler = on
	t.srv.store.SetSweep(on)
	return changed
}

const replyNoCrawler = "CLIENT_ERROR lru crawler disabled"

// crawl takes back the memory of dead items, in the background.
func (t *turn) crawl(list string) string {
	s := t.srv
	if !s.tuning.crawls() {
		return replyNoCrawler
	}
	want, ok := parseClasses(list)
	if !ok {
		return replyBadClass
	}
	if !s.tuning.beginCrawl() {
		return "BUSY currently processing crawler request"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		s.tuning.endCrawl()
		return "BUSY currently processing crawler request"
	}
	s.ticking.Go(func() {
		defer s.tuning.endCrawl()
		s.store.Crawl(want)
	})
	return replyOK
}

// shutdown is shutdown [graceful]. It reports whether the connection, which
// gets no answer then, is to be closed.
func (t *turn) shutdown(args []byte) bool {
	s := t.srv
	if !s.opts.EnableShutdown {
		t.reply("SERVER_ERROR: shutdown not enabled")
		return false
	}
	how, rest := mcproto.Next(args)
	if short(string(how), "graceful") && mcproto.Blank(rest) {
		go s.opts.OnShutdown(len(how) > 0)
		return true
	}
	t.reply("CLIENT_ERROR invalid shutdown mode")
	return false
}

// refreshCerts is refresh_certs.
func (t *turn) refreshCerts() string {
	f := t.srv.opts.RefreshCerts
	if f == nil {
		return "Error TLS not enabled"
	}
	if err := f(); err != nil {
		return "Error " + strings.NewReplacer("\r", " ", "\n", " ").Replace(err.Error())
	}
	return replyOK
}

// debugTime is debugtime p|r|SECONDS: stop, resume or move the clock.
func (t *turn) debugTime(arg string) string {
	c := t.srv.clock
	switch arg {
	case "p":
		c.pause()
		return replyOK
	case "r":
		c.resume()
		return replyOK
	}
	n, ok := mcproto.ArgInt([]byte(arg))
	if !ok {
		return replyError
	}
	c.add(n)
	return replyOK
}
