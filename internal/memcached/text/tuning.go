package text

import (
	"math"
	"strconv"

	"lintel.dev/internal/memcached/exec"
	"lintel.dev/internal/memcached/mcproto"
	"lintel.dev/internal/memcached/store"
)

// slabs is slabs reassign and slabs automove. There are no slabs here. The replies
// are those of a memcached that has nothing to move.
func slabs(b *exec.Batch, words arguments) string {
	switch {
	case len(words) == 3 && short(words[0], "reassign"):
		return reassign(b, words)
	case len(words) < 2 || !short(words[0], "automove"):
		return replyError
	}
	ratio := short(words[1], "ratio")
	switch {
	case ratio, short(words[1], "freeratio"):
		f, err := strconv.ParseFloat(words.at(2), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return replyError
		}
		if ratio {
			b.Settings.Set("slab_automove_ratio", exec.Fixed(f, 2))
		} else {
			b.Settings.Set("slab_automove_freeratio", exec.Fixed(f, 3))
		}
		return replyOK
	case short(words[1], "window"):
		n, ok := mcproto.ArgUint32([]byte(words.at(2)))
		switch {
		case !ok:
			return mcproto.ErrFormat
		case n < 3 || n > 1800:
			return "CLIENT_ERROR automove window too low or too high"
		}
		b.Settings.Set("slab_automove_window", strconv.FormatUint(uint64(n), 10))
		return replyOK
	}
	n, ok := mcproto.ArgUint32([]byte(words[1]))
	switch {
	case !ok:
		return mcproto.ErrFormat
	case n > 2:
		return replyError
	}
	b.Settings.Set("slab_automove", strconv.FormatUint(uint64(n), 10))
	return replyOK
}

// reassign is slabs reassign SOURCE DESTINATION.
func reassign(b *exec.Batch, words arguments) string {
	src, ok := mcproto.ArgInt([]byte(words[1]))
	dst, ok2 := mcproto.ArgInt([]byte(words[2]))
	if src == -1 && src != dst {
		src = b.ClassToSpare(dst)
	}
	switch {
	case !b.Settings.On("slab_reassign"):
		return "CLIENT_ERROR slab reassignment disabled"
	case !ok || !ok2:
		return mcproto.ErrFormat
	case src == dst:
		return "SAME src and dst class are identical"
	case src < 0 || src > int64(store.Classes) || dst < 0 || dst > int64(store.Classes):
		return "BADCLASS invalid src or dst class id"
	case src == 0 || b.PagesOf(int(src)) < 2:
		return "NOSPARE source class has no spare pages"
	}
	return replyOK
}

// lru is lru tune, lru mode and lru temp_ttl. They change what stats settings
// reports, and nothing else.
func lru(b *exec.Batch, words arguments) string {
	switch {
	case len(words) >= 5 && short(words[0], "tune"):
		return tune(b, words)
	case len(words) < 2 || !b.Settings.On("lru_maintainer_thread"):
		return replyError
	case short(words[0], "mode"):
		flat := short(words[1], "flat")
		if !flat && !short(words[1], "segmented") {
			return replyError
		}
		b.Settings.Set("lru_segmented", exec.YesNo(!flat))
		return replyOK
	case short(words[0], "temp_ttl"):
		n, ok := mcproto.ArgInt([]byte(words[1]))
		switch {
		case !ok:
			return replyError
		case n < 0: // off: memcached shows its default
			b.Settings.Set("temp_lru", "no", "temporary_ttl", "61")
		default:
			b.Settings.Set("temp_lru", "yes", "temporary_ttl", strconv.FormatInt(n, 10))
		}
		return replyOK
	}
	return replyError
}

// tune is lru tune HOT% WARM% HOTFACTOR WARMFACTOR.
func tune(b *exec.Batch, words arguments) string {
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
	b.Settings.Set("hot_lru_pct", strconv.FormatUint(uint64(hot), 10), "warm_lru_pct", strconv.FormatUint(uint64(warm), 10),
		"hot_max_factor", exec.Fixed(hotF, 2), "warm_max_factor", exec.Fixed(warmF, 2))
	return replyOK
}
