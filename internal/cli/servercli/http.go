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
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"lintel.dev/internal/cli"
	"lintel.dev/memcached/collector"
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
	registry, err := metrics(all, s.build)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	srv := newHTTPServer(ctx, registry)
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

// newHTTPServer returns the server of --http. /healthz fails once ctx is done.
func newHTTPServer(ctx context.Context, metrics prometheus.Gatherer) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if ctx.Err() != nil {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
	}
}

// metrics returns a registry with the metrics of the servers and of the process. With
// several servers the label instance_number tells them apart.
func metrics(all []*instance, build string) (*prometheus.Registry, error) {
	registry := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lintel_build_info", Help: "Always 1. The label is the version of Lintel.", ConstLabels: prometheus.Labels{"version": build},
	})
	info.Set(1)
	errs := []error{
		registry.Register(info),
		registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	}
	for i, in := range all {
		var r prometheus.Registerer = registry
		if len(all) > 1 {
			r = prometheus.WrapRegistererWith(prometheus.Labels{"instance_number": strconv.Itoa(i)}, registry)
		}
		errs = append(errs, r.Register(collector.New(in.server)))
	}
	return registry, errors.Join(errs...)
}
