package pi

import (
	"io"
	"slices"
	"strings"
	"time"

	"lintel.dev/demo"
)

// The roles. Bitsource, Pythagoras and Tally bind their endpoint; the workers,
// AlwaysYes and Judge, connect.
const (
	Bitsource  = "bitsource"  // publishes points: PUB, binds Config.PubSub
	AlwaysYes  = "always-yes" // judges the quadrant 00: SUB, PUSH
	Judge      = "judge"      // judges the others: SUB, REQ, PUSH
	Pythagoras = "pythagoras" // adds squares: REP, binds Config.ReqRep
	Tally      = "tally"      // counts verdicts: PULL, binds Config.PushPull
)

// Roles lists the roles in the order in which a point passes them.
func Roles() []string { return []string{Bitsource, AlwaysYes, Judge, Pythagoras, Tally} }

// Config is the configuration of a run. Defaults returns one that is ready to
// use.
type Config struct {
	// Roles are the roles of this process. The others belong to programs at the
	// endpoints.
	Roles []string
	// PubSub, ReqRep and PushPull are endpoints: inproc://NAME between roles of
	// this process, tcp://HOST:PORT or ipc://PATH between any.
	PubSub, ReqRep, PushPull string
	// Workers is the number of judges, which share three quadrants: 1 to 64.
	Workers int
	// Interval is the time from one point to the next; 0 is as fast as
	// possible.
	Interval time.Duration
	// Duration is how long points are published and counted; 0 means until the
	// context ends.
	Duration time.Duration
	// Points ends the run after this many points: published ones if this
	// process plays the bitsource, otherwise counted or judged ones. 0 is no
	// limit.
	Points int64
	// Seed makes the points the same in every run; 0 chooses a random seed.
	Seed uint64
	// JSON selects one line of JSON as the output instead of the table.
	JSON bool
	// Plot names a file, *.png or *.svg, for a picture of the estimate as it
	// converges; empty is none.
	Plot string
	// Out receives the result, Progress the state while it runs.
	Out, Progress io.Writer
}

// Defaults returns the configuration of a run of a few seconds with all roles
// in this process, which writes nowhere.
func Defaults() Config {
	return Config{
		Roles:    Roles(),
		PubSub:   "inproc://pi-points",
		ReqRep:   "inproc://pi-squares",
		PushPull: "inproc://pi-verdicts",
		Workers:  3,
		Interval: 50 * time.Microsecond,
		Duration: 5 * time.Second,
		Out:      io.Discard,
		Progress: io.Discard,
	}
}

const maxWorkers = 64

// check returns an error for a configuration that cannot work.
func (c *Config) check() error {
	if len(c.Roles) == 0 {
		return demo.Inputf("--roles: none: expected some of %s", strings.Join(Roles(), ","))
	}
	for i, role := range c.Roles {
		if !slices.Contains(Roles(), role) {
			return demo.Inputf("--roles: %q: expected some of %s", role, strings.Join(Roles(), ","))
		}
		if slices.Contains(c.Roles[:i], role) {
			return demo.Inputf("--roles: %s twice: expected each role once", role)
		}
	}
	if c.Workers < 1 || c.Workers > maxWorkers {
		return demo.Inputf("--workers %d: expected 1 to %d", c.Workers, maxWorkers)
	}
	if c.Interval < 0 {
		return demo.Inputf("--interval %v: expected 0 or more", c.Interval)
	}
	if c.Duration < 0 {
		return demo.Inputf("--duration %v: expected 0 or more", c.Duration)
	}
	if c.Points < 0 {
		return demo.Inputf("--points %d: expected 0 or more", c.Points)
	}
	if c.Plot != "" {
		if _, err := plotFormat(c.Plot); err != nil {
			return err
		}
		if !c.plays(Tally) {
			return demo.Inputf("--plot: expected the role %s among --roles", Tally)
		}
	}
	for _, link := range c.links() {
		near, far := c.playsAny(link.bind), c.playsAny(link.connect...)
		if near != far && strings.HasPrefix(link.endpoint, "inproc:") {
			return demo.Inputf("--%s %s: inproc is within a process: expected tcp://HOST:PORT or ipc://PATH, because --roles is without %s",
				link.flag, link.endpoint, link.missing(near))
		}
	}
	return nil
}

// link is an endpoint with the role that binds it and those that connect.
type link struct {
	flag, endpoint string
	bind           string
	connect        []string
}

func (l link) missing(near bool) string {
	if near {
		return strings.Join(l.connect, " and ")
	}
	return l.bind
}

func (c *Config) links() []link {
	return []link{
		{"pubsub", c.PubSub, Bitsource, []string{AlwaysYes, Judge}},
		{"reqrep", c.ReqRep, Pythagoras, []string{Judge}},
		{"pushpull", c.PushPull, Tally, []string{AlwaysYes, Judge}},
	}
}

func (c *Config) plays(role string) bool { return slices.Contains(c.Roles, role) }

func (c *Config) playsAny(roles ...string) bool { return slices.ContainsFunc(roles, c.plays) }
