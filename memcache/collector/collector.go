// Package collector exports metrics of a memcache.Client to Prometheus.
//
// A Collector counts in the client's hooks. It has no goroutines and no locks but those
// of the Prometheus library. keys_total counts one outcome for each key of a call: a
// Fetch that misses is one miss, however often it reads.
//
// # Examples
//
// Example in example_test.go registers a Collector of a client.
package collector

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lintel.dev/memcache"
)

// Collector is a prometheus.Collector. Several clients may share one.
type Collector struct {
	requests *prometheus.CounterVec
	keys     *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	dials    *prometheus.CounterVec
	downs    *prometheus.CounterVec
	loads    *prometheus.HistogramVec
}

// New returns a collector whose metrics begin with namespace and "_memcache_".
func New(namespace string) *Collector {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: namespace, Subsystem: "memcache", Name: name, Help: help}
	}
	buckets := prometheus.ExponentialBuckets(50e-6, 2, 16)
	return &Collector{
		requests: prometheus.NewCounterVec(opts("requests_total", "Requests to servers, by outcome."), []string{"server", "command", "outcome"}),
		keys:     prometheus.NewCounterVec(opts("keys_total", "Keys read, by whether they were found."), []string{"server", "found"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: "memcache", Name: "request_seconds", Help: "Time from the call to the reply, waiting included.", Buckets: buckets,
		}, []string{"command"}),
		dials: prometheus.NewCounterVec(opts("dials_total", "Attempts to connect."), []string{"server", "outcome"}),
		downs: prometheus.NewCounterVec(opts("disconnects_total", "Connections that ended."), []string{"server"}),
		loads: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: "memcache", Name: "load_seconds", Help: "Duration of load functions of Fetch.", Buckets: buckets,
		}, []string{"outcome"}),
	}
}

// Hooks returns the hooks for memcache.Options. A program with hooks of its own calls
// these from them.
func (c *Collector) Hooks() memcache.Hooks {
	return memcache.Hooks{
		Done: func(_ context.Context, r memcache.Request) {
			c.requests.WithLabelValues(r.Server, r.Command, outcome(r.Err)).Inc()
			c.seconds.WithLabelValues(r.Command).Observe(r.Took.Seconds())
			switch r.Command {
			case "get", "get_multi", "lease":
				if r.Internal {
					break
				}
				if r.Err == nil || errors.Is(r.Err, memcache.ErrCacheMiss) {
					c.keys.WithLabelValues(r.Server, "yes").Add(float64(r.Hits))
					c.keys.WithLabelValues(r.Server, "no").Add(float64(r.Keys - r.Hits))
				}
			}
		},
		Dialed: func(server string, _ time.Duration, err error) {
			c.dials.WithLabelValues(server, outcome(err)).Inc()
		},
		Down: func(server string, _ error) { c.downs.WithLabelValues(server).Inc() },
		Loaded: func(_ string, took time.Duration, err error) {
			c.loads.WithLabelValues(outcome(err)).Observe(took.Seconds())
		},
	}
}

// outcome classifies an error for a label.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, memcache.ErrCacheMiss), errors.Is(err, memcache.ErrNotFound):
		return "miss"
	case errors.Is(err, memcache.ErrNotStored), errors.Is(err, memcache.ErrCASConflict):
		return "refused"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	case errors.Is(err, memcache.ErrTimeout):
		return "timeout"
	case errors.Is(err, memcache.ErrServerDown):
		return "down"
	}
	return "error"
}

func (c *Collector) all() []prometheus.Collector {
	return []prometheus.Collector{c.requests, c.keys, c.seconds, c.dials, c.downs, c.loads}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.all() {
		m.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for _, m := range c.all() {
		m.Collect(ch)
	}
}
