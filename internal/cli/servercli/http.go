package servercli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"lintel.dev/internal/cli"
	"lintel.dev/memcached"
)

// The bounds of what --http uses. A scrape takes about a millisecond of CPU time.
const (
	maxScrapes   = 2   // at a time; others are answered with 503
	maxHTTPConns = 256 // others wait to be accepted
)

// startHTTP serves /metrics and /healthz on --http until ctx is done.
func (s *serverSettings) startHTTP(ctx context.Context, tasks *errgroup.Group, all []*instance, stderr io.Writer) error {
	l, err := net.Listen("tcp", s.http)
	if addr := (*net.AddrError)(nil); errors.As(err, &addr) {
		return cli.Usagef("--http %s: %s, expected HOST:PORT or :PORT", s.http, addr.Err)
	}
	if err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	registry := prometheus.NewRegistry()
	for i, in := range all {
		labels := prometheus.Labels{"instance_number": strconv.Itoa(i)}
		if err := prometheus.WrapRegistererWith(labels, registry).Register(&cacheCollector{in.server, s.build}); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if ctx.Err() != nil {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	tasks.Go(func() error {
		if err := srv.Serve(netutil.LimitListener(l, maxHTTPConns)); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(stderr, "lintel: --http: %v\n", err)
		}
		return nil
	})
	tasks.Go(func() error {
		<-ctx.Done()
		srv.Close()
		return nil
	})
	fmt.Fprintf(stderr, "lintel: metrics on http://%s/metrics\n", l.Addr())
	return nil
}

// cacheCollector exports each number of the stats command as memcached_NAME, and
// the duration of commands as histograms.
type cacheCollector struct {
	server *memcached.Server
	build  string
}

// Describe describes nothing: the set of metrics depends on the options.
func (c *cacheCollector) Describe(chan<- *prometheus.Desc) {}

// statGauges are the stats that may decrease. The others are counters.
var statGauges = map[string]bool{
	"pid": true, "uptime": true, "time": true, "pointer_size": true, "max_connections": true, "curr_connections": true,
	"connection_structures": true, "response_obj_count": true, "response_obj_bytes": true, "read_buf_count": true,
	"read_buf_bytes": true, "read_buf_bytes_free": true, "reserved_fds": true, "limit_maxbytes": true,
	"accepting_conns": true, "threads": true, "hash_power_level": true, "hash_bytes": true, "hash_is_expanding": true,
	"slab_reassign_running": true, "slab_reassign_last_busy_status": true, "lru_crawler_running": true,
	"log_watchers": true, "bytes": true, "curr_items": true, "slab_global_page_pool": true,
	"time_since_server_cert_refresh": true,
}

// Collect implements prometheus.Collector.
func (c *cacheCollector) Collect(out chan<- prometheus.Metric) {
	info := prometheus.NewDesc("memcached_info", "Version of the server.", []string{"version", "lintel"}, nil)
	for _, st := range c.server.All() {
		if st.Name == "version" {
			out <- prometheus.MustNewConstMetric(info, prometheus.GaugeValue, 1, st.Value, c.build)
			continue
		}
		v, err := strconv.ParseFloat(st.Value, 64)
		if err != nil {
			continue
		}
		name, kind := "memcached_"+st.Name, prometheus.GaugeValue
		if !statGauges[st.Name] {
			name, kind = name+"_total", prometheus.CounterValue
		}
		desc := prometheus.NewDesc(name, "STAT "+st.Name+" of the server.", nil, nil)
		out <- prometheus.MustNewConstMetric(desc, kind, v)
	}
	took := prometheus.NewDesc("memcached_command_duration_seconds", "Time from the parsing of a command to its reply.", []string{"command"}, nil)
	bounds := memcached.Bounds()
	for _, l := range c.server.Latency() {
		buckets := make(map[float64]uint64, len(bounds))
		sum := uint64(0)
		for i, bound := range bounds {
			sum += l.Buckets[i]
			buckets[bound.Seconds()] = sum
		}
		out <- prometheus.MustNewConstHistogram(took, l.Count, l.Sum.Seconds(), buckets, l.Command)
	}
}
