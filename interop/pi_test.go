package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lintel.dev/demo/pi"
	"lintel.dev/interop/peers"
)

const anyPort = "tcp://127.0.0.1:*"

// piRole plays a role of the pi demonstration in Python (testdata/pirole.py)
// for a number of messages.
func piRole(t *testing.T, role string, count int, pubsub, reqrep, pushpull string) *peers.Proc {
	t.Helper()
	return peers.Start(t, exec.Command(peers.Python(t, "zmq"), "testdata/pirole.py",
		role, strconv.Itoa(count), pubsub, reqrep, pushpull))
}

// bound is the endpoint that a role in Python has bound.
func bound(p *peers.Proc) string { return p.Expect(`^binds (\S+)$`)[1] }

// piRun is a run of roles in Go.
type piRun struct {
	t      *testing.T
	cancel context.CancelFunc
	lines  chan string
	ended  chan error
	out    bytes.Buffer
}

// Write takes what the run shows of its progress.
func (r *piRun) Write(p []byte) (int, error) {
	for _, line := range strings.Split(strings.TrimSpace(string(p)), "\n") {
		select {
		case r.lines <- line:
		default: // progress lines are dropped
		}
	}
	return len(p), nil
}

// piConfig returns the configuration of a run over TCP, until its points are
// counted or without end.
func piConfig(points int64, roles ...string) pi.Config {
	cfg := pi.Defaults()
	cfg.Roles, cfg.Points, cfg.Duration, cfg.Interval = roles, points, 0, 200*time.Microsecond
	cfg.PubSub, cfg.ReqRep, cfg.PushPull = anyPort, anyPort, anyPort
	return cfg
}

func startPi(t *testing.T, cfg pi.Config) *piRun {
	t.Helper()
	ctx, cancel := context.WithCancel(guard(t))
	r := &piRun{t: t, cancel: cancel, lines: make(chan string, 100), ended: make(chan error, 1)}
	cfg.JSON, cfg.Out, cfg.Progress = true, &r.out, r
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ended <- pi.Run(ctx, cfg)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

var piBinds = regexp.MustCompile(`^(\S+) binds (\S+)$`)

// binds is the endpoint that the run has bound for a role.
func (r *piRun) binds(role string) string {
	r.t.Helper()
	for {
		select {
		case line := <-r.lines:
			if m := piBinds.FindStringSubmatch(line); m != nil && m[1] == role {
				return m[2]
			}
		case err := <-r.ended:
			r.t.Fatalf("the run has ended: %v", err)
		}
	}
}

// report waits for the end of the run.
func (r *piRun) report() pi.Report {
	r.t.Helper()
	if err := <-r.ended; err != nil {
		r.t.Fatal(err)
	}
	var report pi.Report
	if err := json.Unmarshal(r.out.Bytes(), &report); err != nil {
		r.t.Fatalf("%v\n%s", err, &r.out)
	}
	return report
}

func TestPiBitsourceInPython(t *testing.T) {
	source := piRole(t, pi.Bitsource, 0, anyPort, anyPort, anyPort)
	points := bound(source)
	for _, c := range []struct {
		roles []string
		share float64 // of the points that are inside
	}{
		{[]string{pi.AlwaysYes, pi.Tally}, 1},
		{[]string{pi.Judge, pi.Pythagoras, pi.Tally}, judgedInside},
	} {
		cfg := piConfig(500, c.roles...)
		cfg.PubSub = points
		r := startPi(t, cfg).report()
		if share := float64(*r.Yes) / float64(*r.Points); *r.Points < 500 || math.Abs(share-c.share) > 0.12 || r.Malformed != 0 {
			t.Errorf("%s: %d points, %d inside, %d malformed; want a share of about %.3f inside", c.roles, *r.Points, *r.Yes, r.Malformed, c.share)
		}
	}
}

// judgedInside is the share of points inside, of the three quadrants that are
// judged: of the whole square, pi/4 are, and 1/4 is not judged.
const judgedInside = (math.Pi - 1) / 3

// The only worker is the one in Python: all counted verdicts are its own.
func TestPiAlwaysYesInPython(t *testing.T) {
	source := startPi(t, piConfig(0, pi.Bitsource))
	counting := startPi(t, piConfig(300, pi.Tally))
	piRole(t, pi.AlwaysYes, 300, source.binds(pi.Bitsource), anyPort, counting.binds(pi.Tally))
	if r := counting.report(); *r.Points != 300 || *r.Yes != 300 {
		t.Errorf("%d points, %d inside; want 300, 300", *r.Points, *r.Yes)
	}
}

func TestPiJudgeInPython(t *testing.T) {
	source := startPi(t, piConfig(0, pi.Bitsource))
	sums := startPi(t, piConfig(0, pi.Pythagoras))
	counting := startPi(t, piConfig(300, pi.Tally))
	judge := piRole(t, pi.Judge, 300, source.binds(pi.Bitsource), sums.binds(pi.Pythagoras), counting.binds(pi.Tally))
	inside := judge.Expect(`^inside (\d+)$`)[1]
	r := counting.report()
	if *r.Points != 300 || strconv.FormatInt(*r.Yes, 10) != inside {
		t.Errorf("%d points, %d inside; the judge has 300, %s", *r.Points, *r.Yes, inside)
	}
	if share := float64(*r.Yes) / 300; math.Abs(share-judgedInside) > 0.15 {
		t.Errorf("%.3f of the points are inside, want about %.3f", share, judgedInside)
	}
}

func TestPiPythagorasInPython(t *testing.T) {
	sums := piRole(t, pi.Pythagoras, 0, anyPort, anyPort, anyPort)
	cfg := piConfig(800, pi.Bitsource, pi.AlwaysYes, pi.Judge, pi.Tally)
	cfg.ReqRep = bound(sums)
	r := startPi(t, cfg).report()
	if *r.Points != 800 || r.Malformed != 0 || math.Abs(*r.Weighted-math.Pi) > 0.4 {
		t.Errorf("%d points, pi is %v, %d malformed", *r.Points, *r.Weighted, r.Malformed)
	}
}

func TestPiTallyInPython(t *testing.T) {
	tally := piRole(t, pi.Tally, 800, anyPort, anyPort, anyPort)
	cfg := piConfig(0, pi.Bitsource, pi.AlwaysYes, pi.Judge, pi.Pythagoras)
	cfg.PushPull = bound(tally)
	run := startPi(t, cfg)
	got, err := strconv.ParseFloat(tally.Expect(`^pi (\S+)$`)[1], 64)
	if err != nil || got <= 2 || got > 4 {
		t.Errorf("pi is %v, %v", got, err)
	}
	run.cancel()
	if r := run.report(); r.Pi != nil || r.Malformed != 0 {
		t.Errorf("%+v", r)
	}
}

// The program in docs/demos.md is the one that is tested here.
func TestPiProgramIsDocumented(t *testing.T) {
	program, err := os.ReadFile("testdata/pirole.py")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/demos.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(doc, append([]byte("```python\n"), append(program, "```\n"...)...)) {
		t.Error("docs/demos.md does not show testdata/pirole.py as it is")
	}
}
