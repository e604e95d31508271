package collector

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"lintel.dev/memcached"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server that has executed the lines of commands.
func serve(t *testing.T, opts memcached.Options, commands string) *memcached.Server {
	t.Helper()
	srv, err := memcached.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-done
	})
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := fmt.Fprintf(conn, "%smn\r\n", commands); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewScanner(conn); ; {
		if !in.Scan() {
			t.Fatalf("the connection ended: %v", in.Err())
		}
		if in.Text() == "MN" {
			return srv
		}
	}
}

// gather returns the values of all series, by name and labels, and the families.
func gather(t *testing.T, c prometheus.Collector) (map[string]float64, map[string]*dto.MetricFamily) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series, byName := make(map[string]float64), make(map[string]*dto.MetricFamily)
	for _, f := range families {
		byName[f.GetName()] = f
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += " " + l.GetName() + "=" + l.GetValue()
			}
			series[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return series, byName
}

func TestCollect(t *testing.T) {
	srv := serve(t, memcached.Options{TrackLatency: true, MaxConns: 77},
		"set a 0 0 1\r\nv\r\nset n 0 0 1\r\n5\r\nget a n absent\r\ngets a\r\ncas a 0 0 1 999999\r\nw\r\ncas absent 0 0 1 1\r\nw\r\nincr n 1\r\ndecr absent 1\r\n"+
			"delete a\r\ndelete a\r\ntouch n 0\r\nflush_all 100\r\nmg n v\r\n")
	got, families := gather(t, New(srv))
	for key, want := range map[string]float64{
		"memcached_up": 1,
		"memcached_version version=" + memcached.DefaultVersion:       1,
		"memcached_commands_total command=get status=hit":             4,
		"memcached_commands_total command=get status=miss":            1,
		"memcached_commands_total command=set status=hit":             2,
		"memcached_commands_total command=cas status=hit":             0,
		"memcached_commands_total command=cas status=miss":            1,
		"memcached_commands_total command=cas status=badval":          1,
		"memcached_commands_total command=incr status=hit":            1,
		"memcached_commands_total command=decr status=miss":           1,
		"memcached_commands_total command=delete status=hit":          1,
		"memcached_commands_total command=delete status=miss":         1,
		"memcached_commands_total command=touch status=hit":           1,
		"memcached_commands_total command=flush status=hit":           1,
		"memcached_slab_commands_total command=get slab=1 status=hit": 4,
		"memcached_slab_commands_total command=set slab=1 status=hit": 3, // with the cas that missed
		"memcached_slab_lru_hits_total lru=warm slab=1":               4,
		"memcached_current_items":                                     1,
		"memcached_items_total":                                       2,
		"memcached_slab_current_items slab=1":                         1,
		"memcached_max_connections":                                   77,
		"memcached_current_connections":                               1, // the listener is not counted, as by memcached
		"memcached_accepting_connections":                             1,
		"memcached_lru_crawler_enabled":                               1,
		"memcached_slab_items_outofmemory_total slab=1":               0,
		"memcached_malloced_bytes":                                    1 << 20,
		"memcached_cmd_meta_total":                                    1,
		"memcached_command_duration_seconds command=get":              2,
		"memcached_command_duration_seconds command=mg":               1,
	} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s is %v (present: %v), want %v", key, v, ok, want)
		}
	}
	for name, f := range families {
		if len(f.GetHelp()) < 5 || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s: HELP %q", name, f.GetHelp())
		}
	}
}

// TestEveryLine checks that each line of stats is a metric, or is listed as one that
// is none.
func TestEveryLine(t *testing.T) {
	srv := serve(t, memcached.Options{IdleTimeout: time.Hour, Certs: certs{}}, "set a 0 0 1\r\nv\r\n")
	known := make(map[string]bool)
	for _, name := range constant {
		known[name] = true
	}
	for _, m := range general {
		known[m.stat] = true
	}
	for _, l := range srv.All("") {
		if !known[l.Name] {
			t.Errorf("STAT %s: neither a metric nor listed as constant", l.Name)
		}
	}
	for _, m := range general {
		if slices.Contains(constant, m.stat) {
			t.Errorf("STAT %s: a metric, and listed as constant", m.stat)
		}
	}
}

type certs struct{}

func (certs) Reload() error     { return nil }
func (certs) Loaded() time.Time { return time.Now() }

// TestVariants gathers from servers whose stats have other lines, and from two servers
// in one registry.
func TestVariants(t *testing.T) {
	srv := serve(t, memcached.Options{DisableCrawler: true, WaitAtMaxConns: true}, "")
	got, _ := gather(t, New(srv))
	for _, name := range []string{"memcached_lru_crawler_enabled", "memcached_connections_rejected_total", "memcached_slab_current_items slab=1"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s is shown", name)
		}
	}
	if v := got["memcached_max_connections"]; v != 1024 {
		t.Errorf("max_connections is %v", v)
	}
	reg := prometheus.NewPedanticRegistry()
	for i, srv := range []*memcached.Server{srv, serve(t, memcached.Options{}, "")} {
		label := prometheus.Labels{"instance_number": fmt.Sprint(i)}
		if err := prometheus.WrapRegistererWith(label, reg).Register(New(srv)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := reg.Gather(); err != nil {
		t.Error(err)
	}
}

func TestByClass(t *testing.T) {
	all := byClass([]memcached.Stat{{Name: "items:10:age", Value: "1"}, {Name: "items:2:age", Value: "2"}, {Name: "items:10:number", Value: "3"}, {Name: "active_slabs", Value: "4"}}, "items:")
	var numbers []string
	for _, c := range all {
		numbers = append(numbers, c.number)
	}
	if fmt.Sprint(numbers) != "[2 10]" || !maps.Equal(all[1].lines, map[string]string{"age": "1", "number": "3"}) {
		t.Errorf("%v", all)
	}
}
