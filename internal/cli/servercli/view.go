package servercli

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lintel.dev/internal/cli/webpage"
	"lintel.dev/memcached"
)

// hottest is how many keys and prefixes the page shows.
const hottest = 12

// The columns of the history of one server.
const (
	colHits = iota
	colMisses
	colSets
	colDeletes
	colOthers
	colIn
	colOut
	colEvictions
	colExpired
	colRatio
	colP50
	colP99
	colP999
	colUsed
	colItems
	colConnections
	numCols
)

// monitor follows one server for the page: it adds the rates and percentiles of each interval to a history.
type monitor struct {
	name    string
	server  *memcached.Server
	history webpage.History

	mu     sync.Mutex // guards what follows
	last   totals
	lastAt time.Time
}

// totals are the counters of a server that the page shows as rates.
type totals struct {
	hits, misses, sets, deletes, others float64
	in, out, evictions, expired         float64
	buckets                             []uint64 // latency of all kinds of command
}

// statValues are the lines of stats that are numbers.
func statValues(server *memcached.Server) map[string]float64 {
	values := make(map[string]float64)
	for _, l := range server.All("") {
		if v, err := strconv.ParseFloat(l.Value, 64); err == nil {
			values[l.Name] = v
		}
	}
	return values
}

func newTotals(server *memcached.Server, v map[string]float64) totals {
	t := totals{
		hits: v["get_hits"], misses: v["get_misses"], sets: v["cmd_set"],
		deletes:   v["delete_hits"] + v["delete_misses"],
		others:    v["incr_hits"] + v["incr_misses"] + v["decr_hits"] + v["decr_misses"] + v["cmd_touch"],
		in:        v["bytes_read"],
		out:       v["bytes_written"],
		evictions: v["evictions"],
		expired:   v["get_expired"] + v["reclaimed"],
	}
	for _, l := range server.Latency() {
		if t.buckets == nil {
			t.buckets = make([]uint64, len(l.Buckets))
		}
		for i, n := range l.Buckets {
			t.buckets[i] += n
		}
	}
	return t
}

// sample adds a row for the time since the last one.
func (m *monitor) sample(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	values, st := statValues(m.server), m.server.Stats()
	t := newTotals(m.server, values)
	seconds := now.Sub(m.lastAt).Seconds()
	if !m.lastAt.IsZero() && seconds > 0 {
		rate := func(now, before float64) float64 { return max(0, now-before) / seconds } // stats reset sets counters to 0
		row := make([]float64, numCols)
		row[colHits] = rate(t.hits, m.last.hits)
		row[colMisses] = rate(t.misses, m.last.misses)
		row[colSets] = rate(t.sets, m.last.sets)
		row[colDeletes] = rate(t.deletes, m.last.deletes)
		row[colOthers] = rate(t.others, m.last.others)
		row[colIn] = rate(t.in, m.last.in)
		row[colOut] = rate(t.out, m.last.out)
		row[colEvictions] = rate(t.evictions, m.last.evictions)
		row[colExpired] = rate(t.expired, m.last.expired)
		row[colRatio] = row[colHits] / (row[colHits] + row[colMisses])
		delta := make([]uint64, len(t.buckets))
		for i := range delta {
			delta[i] = t.buckets[i] - m.last.buckets[i]
		}
		row[colP50], row[colP99], row[colP999] = quantile(delta, 0.5), quantile(delta, 0.99), quantile(delta, 0.999)
		row[colUsed] = float64(st.Used)
		row[colItems] = float64(st.Items)
		row[colConnections] = float64(st.Connections)
		m.history.Add(row...)
	}
	m.last, m.lastAt = t, now
}

// quantile returns the duration, in seconds, below which the share q of the observations lies, NaN without any. It
// interpolates within a bucket, whose bounds are those of memcached.Bounds.
func quantile(buckets []uint64, q float64) float64 {
	total := uint64(0)
	for _, n := range buckets {
		total += n
	}
	if total == 0 {
		return math.NaN()
	}
	bounds := memcached.Bounds()
	rank, seen := q*float64(total), 0.0
	for i, n := range buckets {
		if seen+float64(n) < rank || n == 0 {
			seen += float64(n)
			continue
		}
		if i == len(bounds) {
			break // slower than the last bound
		}
		low := 0.0
		if i > 0 {
			low = bounds[i-1].Seconds()
		}
		return low + (bounds[i].Seconds()-low)*(rank-seen)/float64(n)
	}
	return bounds[len(bounds)-1].Seconds()
}

// watchServers samples the servers every webpage.Interval until ctx is done.
func watchServers(ctx context.Context, all []*monitor) {
	tick := time.NewTicker(webpage.Interval)
	defer tick.Stop()
	for {
		for _, m := range all {
			m.sample(time.Now())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// minute is the number of rows of a minute.
const minute = int(time.Minute / webpage.Interval)

// part returns what the page shows of the server.
func (m *monitor) part() webpage.Part {
	st, v := m.server.Stats(), statValues(m.server)
	h := &m.history
	mean := func(cols ...int) (sum float64) {
		for _, c := range cols {
			sum += h.Mean(c, minute)
		}
		return sum
	}
	classes := m.classes()
	keys, prefixes := m.server.Hottest(hottest)
	hits := mean(colHits)
	return webpage.Part{
		Name: m.name,
		Figures: []webpage.Figure{
			{
				Label: "Hit ratio", Value: webpage.Ratio(hits / (hits + mean(colMisses))), Share: webpage.Share(hits, hits+mean(colMisses)),
				Note: "last minute; " + webpage.Ratio(float64(st.Hits)/float64(st.Gets)) + " since start",
			},
			{
				Label: "Commands", Value: webpage.Number(mean(colHits, colMisses, colSets, colDeletes, colOthers)) + "/s",
				Note: fmt.Sprintf("%s/s get, %s/s set", webpage.Number(mean(colHits, colMisses)), webpage.Number(mean(colSets))),
			},
			{
				Label: "Latency p99", Value: webpage.Latency(mean(colP99)),
				Note: fmt.Sprintf("p50 %s, p99.9 %s, in the server", webpage.Latency(mean(colP50)), webpage.Latency(mean(colP999))),
			},
			{
				Label: "Memory", Value: webpage.Size(float64(st.Used)), Share: webpage.Share(float64(st.Used), float64(st.Limit)),
				Note: fmt.Sprintf("%s of %s", webpage.Ratio(min(1, float64(st.Used)/float64(st.Limit))), webpage.Size(float64(st.Limit))),
			},
			{
				Label: "Items", Value: webpage.Number(float64(st.Items)),
				Note: fmt.Sprintf("%s each", webpage.Size(float64(st.Bytes)/float64(st.Items))),
			},
			{
				Label: "Evictions", Value: webpage.Number(mean(colEvictions)) + "/s",
				Note: evictionNote(classes, st.Evictions, v["evicted_unfetched"]),
			},
			{
				Label: "Connections", Value: webpage.Number(float64(st.Connections)), Share: webpage.Share(float64(st.Connections), v["max_connections"]),
				Note: fmt.Sprintf("of %s; %s refused", webpage.Number(v["max_connections"]), webpage.Number(float64(st.Rejected))),
			},
			{
				Label: "Traffic", Value: webpage.Size(mean(colIn, colOut)) + "/s",
				Note: fmt.Sprintf("in %s/s, out %s/s", webpage.Size(mean(colIn)), webpage.Size(mean(colOut))),
			},
		},
		Charts: []webpage.Chart{
			{Title: "Gets", Unit: webpage.Rate, Lines: []webpage.Line{h.Line("hits", colHits), h.Line("misses", colMisses)}},
			{Title: "Hit ratio", Unit: webpage.Percent, Lines: []webpage.Line{h.Line("hits of gets", colRatio)}},
			{Title: "Latency in the server", Unit: webpage.Seconds, Lines: []webpage.Line{h.Line("p50", colP50), h.Line("p99", colP99), h.Line("p99.9", colP999)}},
			{Title: "Changes", Unit: webpage.Rate, Lines: []webpage.Line{h.Line("sets", colSets), h.Line("deletes", colDeletes), h.Line("incr, decr, touch", colOthers)}},
			{Title: "Memory", Unit: webpage.Bytes, Lines: []webpage.Line{h.Line("used", colUsed)}},
			{Title: "Removed items", Unit: webpage.Rate, Lines: []webpage.Line{h.Line("evicted", colEvictions), h.Line("expired", colExpired)}},
			{Title: "Traffic", Unit: webpage.Traffic, Lines: []webpage.Line{h.Line("in", colIn), h.Line("out", colOut)}},
			{Title: "Connections", Unit: webpage.Count, Lines: []webpage.Line{h.Line("open", colConnections)}},
		},
		Tables: []webpage.Table{
			demandTable("Hottest keys", "key", keys),
			demandTable("Hottest prefixes", "prefix", prefixes),
			classTable(classes),
		},
	}
}

func evictionNote(classes []classFigures, evictions uint64, unread float64) string {
	if evictions == 0 {
		return "none so far"
	}
	oldest := time.Duration(0)
	for _, c := range classes {
		oldest = max(oldest, c.evictedAge)
	}
	return fmt.Sprintf("unused for up to %s; %s never read", webpage.Age(oldest), webpage.Ratio(unread/float64(evictions)))
}

// classFigures are the figures of one size class.
type classFigures struct {
	size, items, bytes, evicted float64
	evictedAge                  time.Duration
}

// classes returns the figures of the size classes that have items, in order of size.
func (m *monitor) classes() []classFigures {
	byNumber := make(map[int]*classFigures)
	each := func(group, prefix string, use func(c *classFigures, name string, v float64)) {
		for _, l := range m.server.All(group) {
			number, name, ok := strings.Cut(strings.TrimPrefix(l.Name, prefix), ":")
			class, err := strconv.Atoi(number)
			v, err2 := strconv.ParseFloat(l.Value, 64)
			if !ok || err != nil || err2 != nil {
				continue
			}
			if byNumber[class] == nil {
				byNumber[class] = new(classFigures)
			}
			use(byNumber[class], name, v)
		}
	}
	each("slabs", "", func(c *classFigures, name string, v float64) {
		if name == "chunk_size" {
			c.size = v
		}
	})
	each("items", "items:", func(c *classFigures, name string, v float64) {
		switch name {
		case "number":
			c.items = v
		case "mem_requested":
			c.bytes = v
		case "evicted":
			c.evicted = v
		case "evicted_time":
			c.evictedAge = time.Duration(v) * time.Second
		}
	})
	var all []classFigures
	for _, c := range byNumber {
		if c.items > 0 {
			all = append(all, *c)
		}
	}
	slices.SortFunc(all, func(a, b classFigures) int { return cmp.Compare(a.size, b.size) })
	return all
}

func classTable(classes []classFigures) webpage.Table {
	t := webpage.Table{Title: "Memory by size class", Columns: []string{"up to", "items", "memory", "evicted", "unused for"}}
	total := 0.0
	for _, c := range classes {
		total += c.bytes
	}
	for _, c := range classes {
		age := "–"
		if c.evicted > 0 {
			age = webpage.Age(c.evictedAge)
		}
		t.Rows = append(t.Rows, webpage.Row{
			Share: c.bytes / total,
			Cells: []string{webpage.Size(c.size), webpage.Number(c.items), webpage.Size(c.bytes), webpage.Number(c.evicted), age},
		})
	}
	t.Note = "Sizes with key and overhead. “Unused for” is the time since the last access of the item evicted last."
	if len(classes) == 0 {
		t.Note = "No items."
	}
	return t
}

func demandTable(title, what string, all []memcached.Demand) webpage.Table {
	t := webpage.Table{Title: title, Columns: []string{what, "share"}, Note: "Of commands, sampled, in the last minutes."}
	for _, d := range all {
		t.Rows = append(t.Rows, webpage.Row{Share: d.Share, Cells: []string{keyText(d.Name), webpage.Ratio(d.Share)}})
	}
	if len(all) == 0 {
		t.Note = "None sampled."
	}
	return t
}

// keyText returns a key as the page shows it: bytes that are not printable are escaped, as in a Go string.
func keyText(key string) string {
	q := strconv.Quote(key)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// view returns what the page shows of all servers of the process.
func (s *serverSettings) view(all []*monitor) webpage.View {
	v := webpage.View{
		Title: "Lintel cache server", Version: "lintel " + s.build + ", memcached " + memcached.DefaultVersion,
		Note: "up " + webpage.Age(all[0].server.Stats().Uptime),
	}
	for _, m := range all {
		v.Parts = append(v.Parts, m.part())
	}
	return v
}

// name returns the addresses of the instance's sockets.
func (in *instance) name() string {
	var words []string
	add := func(a net.Addr) {
		if text := a.String(); !slices.Contains(words, text) {
			words = append(words, text)
		}
	}
	for _, l := range in.tcp {
		add(l.Addr())
	}
	for _, p := range in.packets {
		add(p.LocalAddr())
	}
	return strings.Join(words, ", ")
}
