package deploy_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/memcached_exporter/pkg/exporter"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
)

// families are metrics by their names.
type families map[string]*dto.MetricFamily

// cacheServer is a running lintel memcached.
type cacheServer struct{ cache, http string }

// startCache runs a server until the test ends.
func startCache(t *testing.T) cacheServer {
	t.Helper()
	dir := t.TempDir()
	socket, ports := filepath.Join(dir, "notify"), filepath.Join(dir, "ports")
	m := newManager(t, socket)
	cmd := exec.Command(lintel, "memcached", "-l", "127.0.0.1", "-p", "-1", "--http", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket, "MEMCACHED_PORT_FILENAME="+ports)
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	m.wait(t, "READY=1")
	return cacheServer{
		cache: "127.0.0.1:" + regexp.MustCompile(`\d+`).FindString(read(t, ports)),
		http:  regexp.MustCompile(`http://(\S+)/metrics`).FindStringSubmatch(read(t, stderr.Name()))[1],
	}
}

// send executes commands and waits for the reply to the last one.
func (s cacheServer) send(t *testing.T, commands string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.cache)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%smn\r\n", commands)
	in := bufio.NewScanner(conn)
	for in.Scan() && in.Text() != "MN" {
	}
	if in.Text() != "MN" {
		t.Fatalf("the server ended the connection: %v", in.Err())
	}
}

// scrape returns the server's own metrics.
func (s cacheServer) scrape(t *testing.T) families {
	t.Helper()
	reply, err := http.Get("http://" + s.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	f, err := parser.TextToMetricFamilies(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// export returns the metrics that memcached_exporter makes of the server's answers.
func (s cacheServer) export(t *testing.T) families {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(exporter.New(s.cache, 20*time.Second, slog.New(slog.DiscardHandler), nil))
	list, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(families)
	for _, f := range list {
		all[f.GetName()] = f
	}
	return all
}

// series returns the values of a family by labels, as Prometheus writes them.
func series(f *dto.MetricFamily) map[string]float64 {
	all := make(map[string]float64)
	for _, m := range f.GetMetric() {
		labels := ""
		for _, l := range m.GetLabel() {
			labels += fmt.Sprintf(",%s=%q", l.GetName(), l.GetValue())
		}
		all[strings.TrimPrefix(labels, ",")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return all
}

// volatile are the metrics that the exporter changes by asking, or the time does.
var volatile = regexp.MustCompile(`^memcached_(uptime|time|process_.*|read_bytes|written_bytes|.*connections|connections|slab_.*age)(_seconds)?(_total)?$`)

const traffic = "set a 0 0 1\r\nv\r\nset n 0 0 1\r\n5\r\nget a n absent\r\ngets a\r\ncas a 0 0 1 999999\r\nw\r\ncas absent 0 0 1 1\r\nw\r\n" +
	"incr n 1\r\ndecr n 1\r\ndecr absent 1\r\ndelete a\r\ndelete a\r\ntouch n 0\r\nflush_all 1000\r\nset big 0 0 4\r\nbigg\r\n"

// TestExporter compares the server's metrics with those that memcached_exporter makes of
// its statistics: the server has each, with the same labels, type and value.
func TestExporter(t *testing.T) {
	s := startCache(t)
	s.send(t, traffic+"set large 0 0 3000\r\n"+strings.Repeat("x", 3000)+"\r\n")
	want, got := s.export(t), s.scrape(t)
	if len(want) < 65 {
		t.Errorf("the exporter has %d metrics only", len(want))
	}
	for name, f := range want {
		g := got[name]
		if g == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if g.GetType() != f.GetType() {
			t.Errorf("%s has type %v, the exporter's is %v", name, g.GetType(), f.GetType())
		}
		a, b := series(g), series(f)
		if volatile.MatchString(name) {
			for l := range a {
				a[l], b[l] = 0, b[l]*0
			}
		}
		if !maps.Equal(a, b) {
			t.Errorf("%s is %v, the exporter's %v", name, a, b)
		}
	}
}

// mixin are the expressions of the memcached-mixin of grafana/jsonnet-libs: its dashboard
// with its interval filled in, and its alerts without their thresholds.
var mixin = []string{
	`sum(rate(memcached_commands_total{command="get",status="hit"}[5m])) / sum(rate(memcached_commands_total{command="get"}[5m]))`,
	`topk(20, max by (cluster, job, instance) (memcached_current_connections / memcached_max_connections))`,
	`sum by (command, status) (rate(memcached_commands_total[5m]))`,
	`sum by (instance) (rate(memcached_items_evicted_total[5m]))`,
	`sum by (instance) (rate(memcached_items_total[5m]))`,
	`sum by (instance) (rate(memcached_process_user_cpu_seconds_total[5m]) + rate(memcached_process_system_cpu_seconds_total[5m]))`,
	`sum by (instance) (memcached_current_bytes)`,
	`sum by (instance) (memcached_current_items)`,
	`sum by (instance) (memcached_current_connections)`,
	`min(memcached_max_connections)`,
	`sum by (instance) (rate(memcached_connections_total[5m]))`,
	`sum by (instance) (rate(memcached_read_bytes_total[5m]))`,
	`sum by (instance) (rate(memcached_written_bytes_total[5m]))`,
	`count by (job, instance, version) (memcached_version)`,
	`max by (job, instance) (memcached_uptime_seconds)`,
	`memcached_up`,
	`memcached_current_connections / memcached_max_connections * 100`,
	`sum without (slab) (rate(memcached_slab_items_outofmemory_total[5m]))`,
}

// TestMixin evaluates the mixin's expressions on the server's metrics and on the
// exporter's, scraped once before and once after some traffic.
func TestMixin(t *testing.T) {
	s := startCache(t)
	s.send(t, "set a 0 0 1\r\nv\r\n")
	exported, own := []families{s.export(t)}, []families{s.scrape(t)}
	s.send(t, traffic)
	exported, own = append(exported, s.export(t)), append(own, s.scrape(t))
	a, b := newQuery(t, exported), newQuery(t, own)
	names := regexp.MustCompile(`memcached_\w+`)
	for _, expr := range mixin {
		want, got := a.run(t, expr), b.run(t, expr)
		if len(want) == 0 {
			t.Errorf("%s: nothing of the exporter", expr)
		}
		if slices.ContainsFunc(names.FindAllString(expr, -1), volatile.MatchString) {
			for l := range got {
				got[l], want[l] = 0, want[l]*0
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s\nis %v, of the exporter %v", expr, got, want)
		}
	}
}

// query evaluates expressions on two scrapes, a minute apart.
type query struct {
	engine  *promql.Engine
	storage storage.Queryable
}

func newQuery(t *testing.T, scrapes []families) query {
	t.Helper()
	values := make(map[string][]string) // by series
	for _, scrape := range scrapes {
		for name, f := range scrape {
			for labels, v := range series(f) {
				if labels != "" {
					labels = "," + labels
				}
				id := fmt.Sprintf(`%s{cluster="c",namespace="n",job="j",instance="i"%s}`, name, labels)
				values[id] = append(values[id], strconv.FormatFloat(v, 'f', -1, 64))
			}
		}
	}
	load := "load 1m\n"
	for id, v := range values {
		load += "  " + id + strings.Repeat(" _", len(scrapes)-len(v)) + " " + strings.Join(v, " ") + "\n"
	}
	db := promqltest.LoadedStorage(t, load)
	t.Cleanup(func() { db.Close() })
	return query{promqltest.NewTestEngine(t, false, 0, 1e6), db}
}

// run returns the result of expr by labels.
func (q query) run(t *testing.T, expr string) map[string]float64 {
	t.Helper()
	qry, err := q.engine.NewInstantQuery(context.Background(), q.storage, nil, expr, time.Unix(60, 0))
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer qry.Close()
	v, err := qry.Exec(context.Background()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	all := make(map[string]float64)
	for _, s := range v {
		all[s.Metric.String()] = s.F
	}
	return all
}
