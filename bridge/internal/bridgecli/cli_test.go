package bridgecli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lintel.dev/bridge"
	"lintel.dev/bridge/internal/bridgecli"
	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
	"lintel.dev/zmq/feed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// execute runs a command to its end.
func execute(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, log bytes.Buffer
	root := bridgecli.New(bridgecli.Program{Version: "test"})
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&log)
	err = root.ExecuteContext(ctx)
	return out.String(), log.String(), err
}

// start runs a command until the test ends. It returns the messages that the command
// logged before it was ready, with their addresses.
func start(t *testing.T, args ...string) (said map[string]string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	root := bridgecli.New(bridgecli.Program{Version: "test"})
	root.SetArgs(append(args, "--log-format", "json"))
	root.SetErr(w)
	done := make(chan error, 1)
	go func() {
		err := root.ExecuteContext(ctx)
		w.Close()
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%q: %v", args, err)
		}
	})
	said = make(map[string]string)
	for d := json.NewDecoder(r); ; {
		var record struct {
			Msg             string
			Endpoints, URLs []string
		}
		if err := d.Decode(&record); err != nil {
			t.Fatalf("%q ended before it was ready: %v", args, err)
		}
		if record.Msg == "ready" {
			break
		}
		said[record.Msg] = strings.Join(append(record.Endpoints, record.URLs...), ",")
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return said
}

func TestQueueCommand(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	said := start(t, "queue", "jobs", "--memory", "--http", "127.0.0.1:0",
		"--in", "req=tcp://127.0.0.1:*,push=tcp://127.0.0.1:*", "--out", "req=tcp://127.0.0.1:*", "--out", "pull=tcp://127.0.0.1:*")
	ask := func(endpoint string, frames ...string) zmq.Msg {
		s, err := zmq.NewReq()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Connect(endpoint); err != nil {
			t.Fatal(err)
		}
		reply, err := s.Request(ctx, zmq.NewMsg(frames...))
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	if reply := ask(said["bound in REQ"], "job"); reply.String() != "OK|1" {
		t.Fatalf("put: got %v", reply)
	}
	worker, err := zmq.NewReq()
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close()
	if _, err := worker.Connect(said["bound out REQ"]); err != nil {
		t.Fatal(err)
	}
	job, err := worker.Request(ctx, zmq.NewMsg("NEXT"))
	if err != nil || string(job[2]) != "job" {
		t.Fatalf("next: got %v, %v", job, err)
	}
	if err := worker.Send(ctx, zmq.Msg{[]byte("TERM"), job[0], []byte("cannot be done")}); err != nil {
		t.Fatal(err)
	}

	address := strings.TrimSuffix(strings.TrimPrefix(said["metrics on"], "http://"), "/metrics")
	var s bridge.QueueStatus
	for s.Terminated == 0 && ctx.Err() == nil { // TERM has no reply before there is a job
		out, _, err := execute(ctx, "status", "--http", address, "--json")
		if err != nil {
			t.Fatal(err)
		}
		answer := struct{ Queue *bridge.QueueStatus }{&s}
		if err := json.Unmarshal([]byte(out), &answer); err != nil {
			t.Fatal(err)
		}
	}
	if s.Name != "jobs" || s.Stored != 1 || s.Queue.Dead != 1 || !strings.HasPrefix(s.Guarantee, "volatile") {
		t.Errorf("status: %+v", s)
	}
	for command, want := range map[string]string{"status": "dead letters  1\n", "dead": "delivered 1\tcannot be done\tjob\n"} {
		if out, _, err := execute(ctx, command, "--http", address); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: got %q, %v, want %q", command, out, err, want)
		}
	}
	for path, want := range map[string]string{
		"/healthz": "ok\n",
		"/metrics": `lintel_bridge_jobs_total{event="terminated",name="jobs"} 1`,
	} {
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: got %q, %v, want %q", path, body, err, want)
		}
	}
	for path, want := range map[string]int{"/status": 403, "/dead": 403, "/metrics": 200} { // DNS rebinding
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "evil.example"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s of another host: status %d, want %d", path, resp.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestLogCommand(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	one := "tcp://127.0.0.1:*"
	said := start(t, "log", "prices", "--memory", "--http", "127.0.0.1:0", "--in", "req="+one, "--in", "pub="+one, "--live", one, "--control", one)
	s, err := zmq.NewReq()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Connect(said["bound in REQ"]); err != nil {
		t.Fatal(err)
	}
	if reply, err := s.Request(ctx, zmq.NewMsg("topic", "body")); err != nil || reply.String() != "OK|1" {
		t.Fatalf("append: got %v, %v", reply, err)
	}
	r, err := feed.Open(nil, feed.Source{Live: said["bound live"], Control: said["bound control"], From: feed.Oldest})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for e, err := range r.Messages(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == feed.Message {
			if e.Position.Seq != 1 || string(e.Payload) != "body" {
				t.Errorf("got %+v", e)
			}
			break
		}
	}
	address := strings.TrimSuffix(strings.TrimPrefix(said["metrics on"], "http://"), "/metrics")
	if out, _, err := execute(ctx, "status", "--http", address); err != nil || !strings.Contains(out, "last          1\n") {
		t.Errorf("status: got %q, %v", out, err)
	}
	if out, _, err := execute(ctx, "dead", "--http", address); err != nil || out != "" {
		t.Errorf("dead: got %q, %v", out, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestClaims checks that a bridge says at its start what it guarantees.
func TestClaims(t *testing.T) {
	said := start(t, "queue", "jobs", "--memory", "--in", "push=tcp://127.0.0.1:*", "--out", "pull=tcp://127.0.0.1:*")
	var all strings.Builder
	for msg := range said {
		all.WriteString(msg + "\n")
	}
	for _, want := range []string{"store: volatile", "PUSH producers: best effort", "PULL workers: best effort", "exactly once: not claimed"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%q is not said:\n%s", want, all.String())
		}
	}
}

// TestTypesAlone: a TYPE without an endpoint gets a free port, which is printed.
func TestTypesAlone(t *testing.T) {
	said := start(t, "queue", "jobs", "--memory", "--in", "req,dealer,push", "--out", "dealer,req,push")
	for _, what := range []string{"in REQ", "in DEALER", "in PUSH", "out REQ", "out DEALER", "out PULL"} {
		if !strings.HasPrefix(said["bound "+what], "tcp://127.0.0.1:") {
			t.Errorf("%s: address %q", what, said["bound "+what])
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"queue"}, "name of the queue"},
		{[]string{"queue", "q", "--in", "req=tcp://127.0.0.1:*"}, "nats embedded memory"},
		{[]string{"queue", "q", "--memory"}, "--in, --out"},
		{[]string{"queue", "q", "--memory", "--in", "tcp://127.0.0.1:*"}, "TYPE=ENDPOINT"},
		{[]string{"queue", "q", "--memory", "--in", "req="}, "TYPE=ENDPOINT"},
		{[]string{"queue", "q", "--memory", "--in", "pull"}, "TYPE=ENDPOINT"},
		{[]string{"queue", "q", "--memory", "--in", "pull=tcp://127.0.0.1:*"}, "req, dealer, push"},
		{[]string{"queue", "no spaces", "--memory", "--in", "req=tcp://127.0.0.1:*"}, "name"},
		{[]string{"queue", "q", "--memory", "--in", "req=nonsense"}, "nonsense"},
		{[]string{"queue", "q", "--embedded", "/tmp/x", "--in", "req=tcp://127.0.0.1:*"}, "no server in it"},
		{[]string{"queue", "q", "--memory", "--sync", "often", "--in", "req=tcp://127.0.0.1:*"}, "--sync"},
		{[]string{"queue", "q", "--memory", "--option", "x", "--in", "req=tcp://127.0.0.1:*"}, "NAME=VALUE"},
		{[]string{"queue", "q", "--memory", "--in", "req=tcp://127.0.0.1:*", "--http", "nonsense"}, "--http"},
		{[]string{"stat"}, "unknown command"},
		{[]string{"status", "extra"}, "unexpected argument"},
	} {
		_, _, err := execute(context.Background(), test.args...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v, want %q", test.args, err, test.want)
		} else if cli.Status(err) == cli.StatusOK {
			t.Errorf("%q: exit status 0", test.args)
		}
	}
}
