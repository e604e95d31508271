package servercli

import (
	"bufio"
	"context"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"lintel.dev/memcached"
)

func TestQuantile(t *testing.T) {
	buckets := make([]uint64, len(memcached.Bounds())+1)
	if v := quantile(buckets, 0.5); !math.IsNaN(v) {
		t.Errorf("of nothing: %v", v)
	}
	buckets[0], buckets[2] = 50, 50 // up to 1 us, and 2 to 4 us
	for q, want := range map[float64]float64{0.25: 0.5e-6, 0.5: 1e-6, 0.75: 3e-6, 1: 4e-6} {
		if got := quantile(buckets, q); math.Abs(got-want) > 1e-12 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	last := memcached.Bounds()[len(memcached.Bounds())-1].Seconds()
	buckets[len(buckets)-1] = 1000
	if got := quantile(buckets, 0.99); got != last {
		t.Errorf("beyond the last bound: %v, want %v", got, last)
	}
}

// TestView executes commands between two samples, and reads rates, figures and tables.
func TestView(t *testing.T) {
	srv, err := memcached.New(memcached.Options{TrackLatency: true, TrackKeys: true})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	defer func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-done
	}()
	m := &monitor{name: "here", server: srv}
	start := time.Unix(1000, 0)
	m.sample(start)
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "set user:1 0 0 1\r\nv\r\n"+strings.Repeat("get user:1 nothing\r\n", 200)+"mn\r\n"); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewScanner(conn); in.Text() != "MN"; {
		if !in.Scan() {
			t.Fatalf("the connection ended: %v", in.Err())
		}
	}
	m.sample(start.Add(2 * time.Second))
	s := &serverSettings{build: "v1"}
	v := s.view([]*monitor{m})
	p := v.Parts[0]
	if v.Title == "" || !strings.Contains(v.Version, "v1") || p.Name != "here" {
		t.Errorf("%+v", v)
	}
	figures := make(map[string]string)
	for _, f := range p.Figures {
		figures[f.Label] = f.Value + " (" + f.Note + ")"
	}
	for label, want := range map[string]string{
		"Hit ratio":   "50 % (last minute; 50 % since start)",
		"Commands":    "201/s (200/s get, 0.5/s set)",
		"Items":       "1 (",
		"Evictions":   "0/s (none so far)",
		"Connections": "1 (of 1.02 k; 0 refused)",
	} {
		if !strings.HasPrefix(figures[label], want) {
			t.Errorf("%s is %q, want %q", label, figures[label], want)
		}
	}
	if l := p.Charts[0].Lines[0]; l.Name != "hits" || len(l.Values) != 1 || *l.Values[0] != 100 {
		t.Errorf("hits: %+v", l)
	}
	for i, want := range []string{"user:1", "user:", "96 B"} {
		found := false
		for _, r := range p.Tables[i].Rows {
			found = found || r.Cells[0] == want
		}
		if !found {
			t.Errorf("%s: %v has no %q", p.Tables[i].Title, p.Tables[i].Rows, want)
		}
	}
}

func TestKeyText(t *testing.T) {
	for key, want := range map[string]string{`a"b`: `a"b`, "a\x01b": `a\x01b`, "é": "é", "\xff": `\xff`, `a\b`: `a\\b`} {
		if got := keyText(key); got != want {
			t.Errorf("%q is shown as %q, want %q", key, got, want)
		}
	}
}
