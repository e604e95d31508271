package pi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"lintel.dev/demo"
	"lintel.dev/zmq"
)

// few is a run with fewer points than the 1,000 that a queue holds.
const few = 2000

func quick() Config {
	cfg := Defaults()
	cfg.Interval, cfg.Duration, cfg.Points, cfg.Seed = 10*time.Microsecond, 0, few, 11
	return cfg
}

func runJSON(t *testing.T, ctx context.Context, cfg Config) Report {
	t.Helper()
	var out bytes.Buffer
	cfg.JSON, cfg.Out = true, &out
	if err := Run(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 1 {
		t.Errorf("%d lines, want one\n%s", n, &out)
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return r
}

// expected computes the result of a seed without messages.
func expected(seed uint64, points int) (published, yes [4]int64) {
	random := rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))
	for range points {
		branch, n, m, err := parsePoint(appendPoint(nil, random.Uint64()))
		if err != nil {
			panic(err)
		}
		published[branch]++
		if math.Hypot(float64(n), float64(m)) < 1<<32 {
			yes[branch]++
		}
	}
	return published, yes
}

func TestEveryPointIsCounted(t *testing.T) {
	for _, endpoints := range [][3]string{
		{},
		{"tcp://127.0.0.1:*", "tcp://127.0.0.1:*", "tcp://127.0.0.1:*"},
	} {
		for _, workers := range []int{1, 3, 5} {
			cfg := quick()
			cfg.Workers = workers
			if endpoints[0] != "" {
				cfg.PubSub, cfg.ReqRep, cfg.PushPull = endpoints[0], endpoints[1], endpoints[2]
			}
			r := runJSON(t, t.Context(), cfg)
			published, yes := expected(cfg.Seed, few)
			total := int64(0)
			for i, b := range r.Branches {
				if *b.Published != published[i] || *b.Answered != published[i] || *b.Yes != yes[i] || *b.Lost != 0 {
					t.Errorf("%d workers, branch %s: %d published, %d answered, %d yes, %d lost; want %d published, %d yes, none lost",
						workers, b.Prefix, *b.Published, *b.Answered, *b.Yes, *b.Lost, published[i], yes[i])
				}
				total += yes[i]
			}
			if *r.Points != few || *r.Yes != total || *r.Pi != 4*float64(total)/few || *r.Dropped != 0 || r.Malformed != 0 {
				t.Errorf("%d workers: %+v, want %d points, %d yes", workers, r, few, total)
			}
			if math.Abs(*r.Weighted-math.Pi) > 0.2 || math.Abs(*r.Pi-math.Pi) > 2**r.Error {
				t.Errorf("pi is %v, weighted %v", *r.Pi, *r.Weighted)
			}
		}
	}
}

// Under load every point is either answered or counted as lost, and the
// weighted estimate is correct.
func TestLossesAreCounted(t *testing.T) {
	cfg := quick()
	cfg.Interval, cfg.Points = 0, 200_000
	r := runJSON(t, t.Context(), cfg)
	answered, lost := int64(0), int64(0)
	for _, b := range r.Branches {
		if *b.Lost < 0 || *b.Published != *b.Answered+*b.Lost {
			t.Errorf("branch %s: %d published, %d answered, %d lost", b.Prefix, *b.Published, *b.Answered, *b.Lost)
		}
		answered, lost = answered+*b.Answered, lost+*b.Lost
	}
	if answered+lost != cfg.Points || *r.Points != answered {
		t.Errorf("%d answered and %d lost of %d points, %d counted", answered, lost, cfg.Points, *r.Points)
	}
	if uint64(lost) != *r.Dropped {
		t.Errorf("%d points were lost, the bitsource dropped %d", lost, *r.Dropped)
	}
	if r.Weighted != nil && *r.Branches[3].Answered > 1000 && math.Abs(*r.Weighted-math.Pi) > 0.2 {
		t.Errorf("weighted estimate %v", *r.Weighted)
	}
}

// lockedBuffer is written by a run and read by the test.
type lockedBuffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	lines chan string
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range strings.Split(strings.TrimSuffix(string(p), "\n"), "\n") {
		b.lines <- line
	}
	return b.buf.Write(p)
}

var bindsAt = regexp.MustCompile(`^(\S+) binds (\S+)$`)

// TestRolesApart plays the roles as four programs would.
func TestRolesApart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	base := quick()
	base.PubSub, base.ReqRep, base.PushPull = "tcp://127.0.0.1:*", "tcp://127.0.0.1:*", "tcp://127.0.0.1:*"
	base.Interval, base.Points = 100*time.Microsecond, 0

	// at starts a run of its own and returns the endpoint that it binds.
	at := func(cfg Config) string {
		said := &lockedBuffer{lines: make(chan string, 1000)}
		cfg.Progress = said
		ended := make(chan error, 1)
		wg.Go(func() { ended <- Run(ctx, cfg) })
		for {
			select {
			case line := <-said.lines:
				if m := bindsAt.FindStringSubmatch(line); m != nil {
					return m[2]
				}
			case err := <-ended:
				t.Fatalf("%v ended: %v", cfg.Roles, err)
			}
		}
	}
	source, sums, workers := base, base, base
	source.Roles, sums.Roles, workers.Roles = []string{Bitsource}, []string{Pythagoras}, []string{AlwaysYes, Judge}
	workers.PubSub, workers.ReqRep = at(source), at(sums)

	counted := base
	counted.Roles, counted.Points = []string{Tally}, 500
	said := &lockedBuffer{lines: make(chan string, 1000)}
	counted.Progress = said
	var r Report
	done := make(chan struct{})
	go func() {
		defer close(done)
		r = runJSON(t, ctx, counted)
	}()
	workers.PushPull = bindsAt.FindStringSubmatch(<-said.lines)[2]
	wg.Go(func() {
		if err := Run(ctx, workers); err != nil {
			t.Errorf("workers: %v", err)
		}
	})
	<-done
	if r.Points == nil || *r.Points < 500 || r.Pi == nil || *r.Pi <= 0 || *r.Pi > 4 {
		t.Errorf("tally: %+v", r)
	}
	if r.Dropped != nil || r.Weighted != nil || r.Branches[0].Published != nil || r.Branches[0].Answered != nil {
		t.Errorf("the tally alone cannot know the branches: %+v", r)
	}
}

// TestStrangeMessages checks that messages of another format are counted and do
// not stop the run.
func TestStrangeMessages(t *testing.T) {
	cfg := quick()
	cfg.ReqRep, cfg.PushPull = "tcp://127.0.0.1:*", "tcp://127.0.0.1:*"
	s, err := newStage(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	s.enough = cancel
	wg.Go(func() {
		if err := s.add(ctx); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := s.count(ctx); err != nil {
			t.Error(err)
		}
	})
	req, err := zmq.NewReq()
	if err != nil {
		t.Fatal(err)
	}
	defer req.Close()
	push, err := zmq.NewPush()
	if err != nil {
		t.Fatal(err)
	}
	defer push.Close()
	if _, err := req.Connect(strings.Fields(s.bound[1])[2]); err != nil {
		t.Fatal(err)
	}
	if _, err := push.Connect(strings.Fields(s.bound[2])[2]); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ question, want string }{
		{"[3, 4]", "25"}, {"nonsense", "null"}, {"[1.5]", "null"}, {"[4294967295,4294967295]", "36893488130239234050"},
	} {
		answer, err := req.Request(ctx, zmq.NewMsg(c.question))
		if err != nil || len(answer) != 1 || string(answer[0]) != c.want {
			t.Errorf("%s: %q, %v; want %s", c.question, answer, err, c.want)
		}
	}
	if answer, err := req.Request(ctx, zmq.NewMsg("[3,", "4]")); err != nil || string(answer[0]) != "null" {
		t.Errorf("a question of two frames: %q, %v", answer, err)
	}
	s.pub.Close()
	s.pub, s.cfg.Points = nil, 2 // the second good verdict ends the wait below
	for _, m := range []zmq.Msg{zmq.NewMsg("Y"), zmq.NewMsg("y"), zmq.NewMsg(""), zmq.NewMsg("Y", "N"), zmq.NewMsg("N")} {
		if err := push.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	<-ctx.Done()
	if v := s.counts.verdicts(); v.points != 2 || v.yes != 1 {
		t.Errorf("%d verdicts, %d yes; want 2, 1", v.points, v.yes)
	}
	if n := s.counts.malformed.Load(); n != 6 {
		t.Errorf("%d malformed messages, want 6", n)
	}
}

func TestInterruptIsTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg := quick()
	cfg.Points = 0
	var out bytes.Buffer
	cfg.Out = &out
	if err := Run(ctx, cfg); err != nil {
		t.Errorf("error %v, want none", err)
	}
}

func TestScreen(t *testing.T) {
	var out bytes.Buffer
	cfg := quick()
	cfg.Out, cfg.Plot = &out, filepath.Join(t.TempDir(), "pi.svg")
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pi is about 3.", "after 2,000 points", "branch  worker", "00      always-yes", "11      judge", "0.0 %", cfg.Plot} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the screen lacks %q\n%s", want, &out)
		}
	}
	if b, err := os.ReadFile(cfg.Plot); err != nil || !bytes.Contains(b, []byte("after 2,000 points")) {
		t.Errorf("the plot: %v, %d bytes", err, len(b))
	}
}

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no roles":       {func(c *Config) { c.Roles = nil }, "--roles: none: expected some of bitsource,always-yes,judge,pythagoras,tally"},
		"unknown role":   {func(c *Config) { c.Roles = []string{"jury"} }, `--roles: "jury": expected some of bitsource`},
		"role twice":     {func(c *Config) { c.Roles = []string{Tally, Tally} }, "--roles: tally twice"},
		"no workers":     {func(c *Config) { c.Workers = 0 }, "--workers 0: expected 1 to 64"},
		"interval":       {func(c *Config) { c.Interval = -1 }, "--interval -1ns: expected 0 or more"},
		"duration":       {func(c *Config) { c.Duration = -1 }, "--duration -1ns: expected 0 or more"},
		"points":         {func(c *Config) { c.Points = -1 }, "--points -1: expected 0 or more"},
		"plot's name":    {func(c *Config) { c.Plot = "pi.jpg" }, `--plot "pi.jpg": expected a file named *.png or *.svg`},
		"plot's folder":  {func(c *Config) { c.Plot = filepath.Join(dir, "no", "pi.png") }, "expected a file that can be written"},
		"plot of others": {func(c *Config) { c.Plot, c.Roles = "pi.png", []string{Bitsource} }, "--plot: expected the role tally"},
		"no scheme":      {func(c *Config) { c.PubSub = "here" }, "--pubsub here: "},
		"no such scheme": {func(c *Config) { c.ReqRep = "carrier://pigeon" }, "expected inproc://NAME, tcp://HOST:PORT or ipc://PATH"},
		"no port":        {func(c *Config) { c.PushPull = "tcp://127.0.0.1" }, "--pushpull tcp://127.0.0.1: "},
		"inproc, half":   {func(c *Config) { c.Roles = []string{Bitsource, Pythagoras, Tally} }, "inproc is within a process"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			cfg := quick()
			cfg.Out = &out
			c.change(&cfg)
			err := Run(t.Context(), cfg)
			var input *demo.InputError
			if !errors.As(err, &input) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want an InputError of one line with %q", err, c.says)
			}
			if out.Len() > 0 {
				t.Errorf("wrote %q", &out)
			}
		})
	}
}

func TestSilenceIsAnError(t *testing.T) {
	cfg := quick()
	cfg.Roles, cfg.PushPull, cfg.Points, cfg.Duration = []string{Tally}, "tcp://127.0.0.1:*", 0, time.Millisecond
	if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "no verdict arrived") {
		t.Errorf("error %v", err)
	}
}
