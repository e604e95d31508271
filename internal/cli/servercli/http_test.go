package servercli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel.dev/memcached"
)

// Every line of stats that is a number is a metric, of two servers apart.
func TestMetrics(t *testing.T) {
	var all []*instance
	for range 2 {
		srv, err := memcached.New(memcached.Options{TrackLatency: true})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(context.Background())
		all = append(all, &instance{server: srv})
	}
	ctx, stop := context.WithCancel(t.Context())
	var tasks errgroup.Group
	var said bytes.Buffer
	s := &serverSettings{http: "127.0.0.1:0"}
	if err := s.startHTTP(ctx, &tasks, all, &said); err != nil {
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
	lines := strings.Split(string(body), "\n")
	has := func(name, labels string) bool {
		return slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+"{"+labels+"} ") })
	}
	for i, in := range all {
		label := fmt.Sprintf(`instance_number="%d"`, i)
		n := 0
		for _, st := range in.server.All() {
			if _, err := strconv.ParseFloat(st.Value, 64); err != nil || st.Name == "version" {
				continue
			}
			n++
			name := "memcached_" + st.Name
			if gauge, counter := has(name, label), has(name+"_total", label); gauge == counter {
				t.Errorf("STAT %s of server %d: gauge %v, counter %v, want one of them", st.Name, i, gauge, counter)
			} else if gauge != statGauges[st.Name] {
				t.Errorf("STAT %s is a gauge: %v", st.Name, gauge)
			}
		}
		if n < 80 {
			t.Errorf("only %d lines of stats are numbers", n)
		}
		for _, l := range in.server.Latency() {
			if !has("memcached_command_duration_seconds_sum", fmt.Sprintf(`command="%s",%s`, l.Command, label)) {
				t.Errorf("no histogram of %s", l.Command)
			}
		}
	}
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
