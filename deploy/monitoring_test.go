package deploy_test

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// metrics returns the names of the series that a server has.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	s := startCache(t)
	s.send(t, "set a 0 0 1\r\nv\r\n")
	names := map[string]bool{"up": true} // Prometheus makes this one
	for name, f := range s.scrape(t) {
		names[name] = true
		if f.GetType() == dto.MetricType_HISTOGRAM {
			names[name+"_bucket"] = true
		}
	}
	return names
}

// check parses an expression and checks that its series exist.
func check(t *testing.T, where, expr string, names map[string]bool) {
	t.Helper()
	expr = strings.NewReplacer("$__rate_interval", "5m", "$job", "x", "$instance", "x").Replace(expr)
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok && !names[v.Name] {
			t.Errorf("%s: the server has no metric %s", where, v.Name)
		}
		return nil
	})
}

func TestAlerts(t *testing.T) {
	t.Run("cache", func(t *testing.T) { testAlerts(t, "prometheus/alerts.yaml", metrics(t)) })
	t.Run("sockets", func(t *testing.T) { testAlerts(t, "prometheus/zmq-alerts.yaml", socketMetrics(t)) })
}

func testAlerts(t *testing.T, path string, names map[string]bool) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(strings.NewReader(read(t, path)))
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			n++
			check(t, r.Alert, r.Expr, names)
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.For == "" {
				t.Errorf("%s: no severity, summary or time", r.Alert)
			}
		}
	}
	if n == 0 {
		t.Error("no alerts")
	}
}

// socketMetrics returns the names of the series that a proxy has.
func socketMetrics(t *testing.T) map[string]bool {
	t.Helper()
	cmd := exec.Command(lintel, "zmq", "proxy", "--front", "pull:tcp://127.0.0.1:*", "--back", "push:tcp://127.0.0.1:*", "--http", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	at := regexp.MustCompile(`http://(\S+)/metrics`)
	names := make(map[string]bool)
	for in := bufio.NewScanner(stderr); in.Scan(); {
		if m := at.FindStringSubmatch(in.Text()); m != nil {
			for name := range (cacheServer{http: m[1]}).scrape(t) {
				names[name] = true
			}
			return names
		}
	}
	t.Fatal("the proxy did not serve --http")
	return nil
}

func TestDashboards(t *testing.T) {
	t.Run("cache", func(t *testing.T) { testDashboard(t, "grafana/cache-server.json", metrics(t)) })
	t.Run("sockets", func(t *testing.T) { testDashboard(t, "grafana/zmq-sockets.json", socketMetrics(t)) })
}

func testDashboard(t *testing.T, file string, names map[string]bool) {
	t.Helper()
	type target struct {
		Expr, RefID string
		Datasource  struct{ UID string }
	}
	var board struct {
		UID, Title string
		Templating struct {
			List []struct{ Name, Definition string }
		}
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []target
		}
	}
	if err := json.Unmarshal([]byte(read(t, file)), &board); err != nil {
		t.Fatal(err)
	}
	for _, v := range board.Templating.List {
		if m := regexp.MustCompile(`^label_values\((\w+)`).FindStringSubmatch(v.Definition); m != nil && !names[m[1]] {
			t.Errorf("variable %s: the server has no metric %s", v.Name, m[1])
		}
	}
	ids := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d is used twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s overlaps %q or the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s has no query", p.Title)
		}
		refs := make(map[string]bool)
		for _, q := range p.Targets {
			if refs[q.RefID] || q.Datasource.UID != "${datasource}" {
				t.Errorf("%s: query %q: its name is used twice, or its data source is %q", p.Title, q.RefID, q.Datasource.UID)
			}
			refs[q.RefID] = true
			check(t, p.Title, q.Expr, names)
		}
	}
}
