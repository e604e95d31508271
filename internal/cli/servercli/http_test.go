package servercli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel.dev/internal/cli/logging"
	"lintel.dev/memcached"
)

// TestMetrics reads the metrics of one server, and of two servers, which a label tells
// apart.
func TestMetrics(t *testing.T) {
	for _, n := range []int{1, 2} {
		var all []*instance
		for range n {
			srv, err := memcached.New(memcached.Options{TrackLatency: true})
			if err != nil {
				t.Fatal(err)
			}
			defer srv.Shutdown(context.Background())
			all = append(all, &instance{server: srv})
		}
		body := fetchMetrics(t, &serverSettings{http: "127.0.0.1:0", build: "v1.2.3"}, all)
		for i := range n {
			label, labels := "", ""
			if n > 1 {
				label = fmt.Sprintf(`instance_number="%d"`, i)
				labels = "," + label
			}
			for _, want := range []string{
				"memcached_current_items" + strings.ReplaceAll("{"+label+"}", "{}", "") + " 0",
				`memcached_commands_total{command="get"` + labels + `,status="hit"} 0`,
				`memcached_command_duration_seconds_count{command="get"` + labels + "} 0",
				`lintel_build_info{version="v1.2.3"} 1`,
				"go_goroutines ",
				"# TYPE memcached_items_evicted_total counter",
			} {
				if !strings.Contains(body, "\n"+want) {
					t.Errorf("%d servers: no line %s", n, want)
				}
			}
		}
	}
}

// fetchMetrics serves the metrics of the servers and returns them.
func fetchMetrics(t *testing.T, s *serverSettings, all []*instance) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var tasks errgroup.Group
	var said bytes.Buffer
	if err := s.startHTTP(ctx, &tasks, all, logging.New(&said, logging.Text, slog.LevelInfo)); err != nil {
		t.Fatal(err)
	}
	defer tasks.Wait()
	defer stop()
	at := regexp.MustCompile(`http://\S+/metrics`).FindString(said.String())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return string(body)
}

// TestWatchCluster checks that a change of the cluster's file is applied, and
// that an invalid one is reported and changes nothing.
func TestWatchCluster(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nodes")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a:1\n")
	synctest.Test(t, func(t *testing.T) {
		topology := new(memcached.Topology)
		topology.Set([]memcached.Node{{Host: "a", Port: 1}})
		ctx, stop := context.WithCancel(t.Context())
		var complaints []string
		done := make(chan struct{})
		s := &serverSettings{cluster: file}
		go func() {
			defer close(done)
			s.watchCluster(ctx, topology, func(err error) { complaints = append(complaints, err.Error()) })
		}()
		look := func() (string, uint64) {
			<-time.After(clusterPoll * 3 / 2)
			synctest.Wait()
			nodes, version := topology.Nodes()
			return fmt.Sprint(nodes), version
		}
		synctest.Wait()
		for _, x := range []struct {
			text, nodes string
			version     uint64
			complaints  int
		}{
			{"a:1 b:22\n", "[{a  1} {b  22}]", 2, 0},
			{"nonsense at all\n", "[{a  1} {b  22}]", 2, 1},
			{"", "[{a  1} {b  22}]", 2, 2},
			{"# the same\na:1, b:22\n", "[{a  1} {b  22}]", 2, 2},
			{"c:3", "[{c  3}]", 3, 2},
		} {
			write(x.text)
			if nodes, version := look(); nodes != x.nodes || version != x.version || len(complaints) != x.complaints {
				t.Errorf("%q: %s of version %d, %q", x.text, nodes, version, complaints)
			}
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if nodes, version := look(); version != 3 {
			t.Errorf("without the file: %s of version %d", nodes, version)
		}
		stop()
		<-done
	})
}
