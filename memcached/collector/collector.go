// Package collector exports the statistics of a memcached.Server to Prometheus.
//
// Metrics have the names, labels and types of github.com/prometheus/memcached_exporter, so that dashboards and
// alerts made for it apply. Statistics that the exporter does not know keep the name that the stats command gives
// them, with the prefix memcached_, and _total if they only increase. A statistic has one name. Left out are the lines of
// stats that cannot change, because they belong to parts of memcached that the server does not have.
//
// A Collector reads the lines of stats, stats settings, stats items and stats slabs, and the histograms of
// Server.Latency, when it is scraped. It has no goroutines and no locks. The tables of metrics.go say which line
// becomes which metric.
//
// # Examples
//
// Example in example_test.go registers a Collector of a server.
package collector

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"lintel.dev/memcached"
)

// Collector is a prometheus.Collector of one server.
type Collector struct{ server *memcached.Server }

// New returns a Collector of s. To register those of several servers in one registry, wrap each with a label that
// differs, see prometheus.WrapRegistererWith.
func New(s *memcached.Server) *Collector { return &Collector{s} }

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	seen := make(map[*prometheus.Desc]bool)
	for _, table := range [][]metric{general, settings, classItems, classSlabs} {
		for _, m := range table {
			if !seen[m.desc] {
				seen[m.desc] = true
				ch <- m.desc
			}
		}
	}
	for _, d := range []*prometheus.Desc{up, version, duration} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(up, prometheus.GaugeValue, 1)
	lines := values(c.server.All(""))
	ch <- prometheus.MustNewConstMetric(version, prometheus.GaugeValue, 1, lines["version"])
	slabs := c.server.All("slabs")
	lines["total_malloced"] = values(slabs)["total_malloced"]
	emit(ch, general, lines)
	if lines := values(c.server.All("settings")); lines["lru_crawler"] == "yes" {
		emit(ch, settings, lines)
	} else {
		emit(ch, settings[:1], lines) // the exporter shows maxconns alone
	}
	for _, cl := range byClass(c.server.All("items"), "items:") {
		emit(ch, classItems, cl.lines, cl.number)
	}
	for _, cl := range byClass(slabs, "") {
		emit(ch, classSlabs, cl.lines, cl.number)
	}
	c.latency(ch)
}

// latency emits the histograms of commands. They stay at 0 without Options.TrackLatency.
func (c *Collector) latency(ch chan<- prometheus.Metric) {
	bounds := memcached.Bounds()
	for _, l := range c.server.Latency() {
		buckets := make(map[float64]uint64, len(bounds))
		sum := uint64(0)
		for i, bound := range bounds {
			sum += l.Buckets[i]
			buckets[bound.Seconds()] = sum
		}
		ch <- prometheus.MustNewConstHistogram(duration, l.Count, l.Sum.Seconds(), buckets, l.Command)
	}
}

func values(lines []memcached.Stat) map[string]string {
	m := make(map[string]string, len(lines)+1)
	for _, l := range lines {
		m[l.Name] = l.Value
	}
	return m
}

// class are the lines of one size class, without its number in their names.
type class struct {
	number string
	lines  map[string]string
}

// byClass returns the lines PREFIX NUMBER:NAME by their numbers, in order.
func byClass(lines []memcached.Stat, prefix string) (all []class) {
	for _, l := range lines {
		rest, ok := strings.CutPrefix(l.Name, prefix)
		number, name, isClass := strings.Cut(rest, ":")
		if !ok || !isClass {
			continue
		}
		i, found := slices.BinarySearchFunc(all, number, func(c class, number string) int {
			return cmp.Or(cmp.Compare(len(c.number), len(number)), cmp.Compare(c.number, number))
		})
		if !found {
			all = slices.Insert(all, i, class{number, make(map[string]string)})
		}
		all[i].lines[name] = l.Value
	}
	return all
}

// emit sends the metrics of a table whose lines are there. labels go before those of the table.
func emit(ch chan<- prometheus.Metric, table []metric, lines map[string]string, labels ...string) {
	for _, m := range table {
		v, ok := m.value(lines)
		if ok {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, v, append(labels[:len(labels):len(labels)], m.labels...)...)
		}
	}
}

// value returns the value of m, and whether all lines that it needs are there.
func (m *metric) value(lines map[string]string) (float64, bool) {
	v, ok := number(lines[m.stat])
	for _, name := range m.minus {
		w, there := number(lines[name])
		v, ok = v-w, ok && there
	}
	if len(m.minus) > 0 {
		v = max(v, 0) // the lines were not read at the same instant
	}
	return v, ok
}

// number parses the value of a line. yes is 1, no is 0.
func number(text string) (float64, bool) {
	switch text {
	case "yes":
		return 1, true
	case "no":
		return 0, true
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}
