package webpage

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"lintel.dev/internal/cli/logging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// slowCollector collects nothing, and takes until it is released.
type slowCollector struct{ begun, release chan struct{} }

func (c slowCollector) Describe(chan<- *prometheus.Desc) {}

func (c slowCollector) Collect(chan<- prometheus.Metric) {
	c.begun <- struct{}{}
	<-c.release
}

// TestMetricsInFlight checks that at most maxScrapes are computed at a time, and
// that another one and /healthz are answered meanwhile.
func TestMetricsInFlight(t *testing.T) {
	slow := slowCollector{make(chan struct{}), make(chan struct{})}
	registry := prometheus.NewRegistry()
	registry.MustRegister(slow)
	handler := NewServer(t.Context(), "127.0.0.1:0", registry, func() View { return View{} }).Handler
	get := func(path string) int {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code
	}
	scrapes := make(chan int)
	for range maxScrapes {
		go func() { scrapes <- get("/metrics") }()
		<-slow.begun
	}
	if code := get("/metrics"); code != http.StatusServiceUnavailable {
		t.Errorf("one scrape too many: status %d, want 503", code)
	}
	if code := get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: status %d, want 200", code)
	}
	close(slow.release)
	for range maxScrapes {
		if code := <-scrapes; code != http.StatusOK {
			t.Errorf("scrape: status %d, want 200", code)
		}
	}
}

// pipeListener accepts connections within the process.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{} }

// TestMetricsTimeouts checks that a client is disconnected that does not send its
// request, does not read the reply, or sends no other request.
func TestMetricsTimeouts(t *testing.T) {
	for _, test := range []struct {
		name, request string
		reads         bool
		after         time.Duration
	}{
		{"no request", "GET /met", true, 5 * time.Second},
		{"reply not read", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", false, 10 * time.Second},
		{"idle", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", true, 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := NewServer(t.Context(), "127.0.0.1:0", prometheus.NewRegistry(), func() View { return View{} })
				ended := make(chan time.Time, 1)
				began := time.Now()
				srv.ConnState = func(_ net.Conn, s http.ConnState) {
					if s == http.StateClosed {
						ended <- time.Now()
					}
				}
				l := pipeListener{make(chan net.Conn), make(chan struct{})}
				served := make(chan error)
				go func() { served <- srv.Serve(l) }()
				client, server := net.Pipe()
				l.conns <- server
				if _, err := io.WriteString(client, test.request); err != nil {
					t.Fatal(err)
				}
				if test.reads {
					go io.Copy(io.Discard, client)
				}
				if d := (<-ended).Sub(began); d < test.after || d > test.after+time.Second {
					t.Errorf("disconnected after %v, want %v", d, test.after)
				}
				client.Close()
				srv.Close()
				<-served
			})
		})
	}
}

// lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestErrorLog checks that what net/http reports of its server is a record of the log.
func TestErrorLog(t *testing.T) {
	var out lockedBuffer
	log := logging.New(&out, logging.JSON, slog.LevelInfo)
	ctx, stop := context.WithCancel(t.Context())
	var tasks errgroup.Group
	err := Start(ctx, &tasks, "127.0.0.1:0", prometheus.NewRegistry(), func() View { panic("broken view") }, log)
	if err != nil {
		t.Fatal(err)
	}
	at := regexp.MustCompile(`http://[^"]+/`).FindString(out.String())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := client.Get(at + "status.json"); err == nil {
		resp.Body.Close()
		t.Errorf("status %s of a page that panics", resp.Status)
	}
	stop()
	if err := tasks.Wait(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		var record struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if record.Level == "WARN" && strings.Contains(record.Msg, "broken view") {
			return
		}
	}
	t.Errorf("the log has no record of the panic:\n%s", out.String())
}
