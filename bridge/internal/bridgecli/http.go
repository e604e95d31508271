package bridgecli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/net/netutil"

	"lintel.dev/bridge"
	"lintel.dev/internal/cli"
	"lintel.dev/internal/cli/logging"
	"lintel.dev/internal/cli/ownhost"
)

// The bounds of what --http uses.
const (
	maxScrapes   = 2
	maxHTTPConns = 64
	maxDead      = 1000 // dead letters of one answer
)

// httpFlags are those of a bridge that can be asked for its state.
type httpFlags struct{ http string }

func (f *httpFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.http, "http", "", "serve /metrics, /healthz, /status and /dead at `ADDRESS`, such as 127.0.0.1:9464")
}

// A source is a bridge that is asked for its state.
type source interface {
	prometheus.Collector
	status(ctx context.Context) (status, error)
	// dead returns at most limit dead letters. A log has none.
	dead(ctx context.Context, limit int) ([]deadLetter, error)
}

// status is the answer of /status: one of its fields is set.
type status struct {
	Queue *bridge.QueueStatus `json:"queue,omitempty"`
	Log   *bridge.LogStatus   `json:"log,omitempty"`
}

// serve starts the HTTP server of --http, if there is one. stop ends it.
func (f *httpFlags) serve(ctx context.Context, version string, s source, log *slog.Logger) (stop func(), err error) {
	if f.http == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", f.http)
	if addr := (*net.AddrError)(nil); errors.As(err, &addr) {
		return nil, cli.Usagef("--http %s: %s, expected HOST:PORT or :PORT", f.http, addr.Err)
	}
	if err != nil {
		return nil, fmt.Errorf("--http: %w", err)
	}
	registry := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lintel_bridge_build_info", Help: "Always 1. The label is the version.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), s)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.status(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /status", ownhost.Check(f.http, func(w http.ResponseWriter, r *http.Request) {
		st, err := s.status(r.Context())
		answer(w, st, err)
	}))
	mux.HandleFunc("GET /dead", ownhost.Check(f.http, func(w http.ResponseWriter, r *http.Request) {
		letters, err := s.dead(r.Context(), maxDead)
		answer(w, letters, err)
	}))
	srv := &http.Server{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		Handler:  mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(netutil.LimitListener(l, maxHTTPConns)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("--http: not served any more", "error", err)
		}
	}()
	log.Info("metrics on", "urls", logging.List{"http://" + l.Addr().String() + "/metrics"})
	return func() {
		srv.Close()
		<-done
	}, nil
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
