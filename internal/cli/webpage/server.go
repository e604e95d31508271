package webpage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/cli/logging"
)

// The bounds of what --http uses. A scrape takes about a millisecond of CPU time.
const (
	maxScrapes = 2   // at a time; others are answered with 503
	maxConns   = 256 // others wait to be accepted
)

// Start serves --http at addr, in tasks, until ctx is done: the page, /metrics and /healthz. It logs the
// addresses, and later errors.
func Start(ctx context.Context, tasks *errgroup.Group, addr string, metrics prometheus.Gatherer, view func() View, log *slog.Logger) error {
	l, err := net.Listen("tcp", addr)
	if wrong := (*net.AddrError)(nil); errors.As(err, &wrong) {
		return cli.Usagef("--http %s: %s, expected HOST:PORT or :PORT", addr, wrong.Err)
	}
	if err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	srv := NewServer(ctx, addr, metrics, view)
	srv.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	tasks.Go(func() error {
		if err := srv.Serve(netutil.LimitListener(l, maxConns)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("--http: the page is not served any more", "error", err)
		}
		return nil
	})
	tasks.Go(func() error {
		<-ctx.Done()
		srv.Close()
		return nil
	})
	page := "http://" + l.Addr().String() + "/"
	log.Info("status on", "urls", logging.List{page})
	log.Info("metrics on", "urls", logging.List{page + "metrics"})
	return nil
}

// NewServer returns the server of Start at addr. /healthz fails once ctx is done.
func NewServer(ctx context.Context, addr string, metrics prometheus.Gatherer, view func() View) *http.Server {
	mux := http.NewServeMux()
	Handle(mux, addr, view)
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

// NewRegistry returns a registry with the metrics of the process: lintel_build_info with the version, go_* and
// process_*.
func NewRegistry(version string) *prometheus.Registry {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lintel_build_info", Help: "Always 1. The label is the version of Lintel.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	r := prometheus.NewRegistry()
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
