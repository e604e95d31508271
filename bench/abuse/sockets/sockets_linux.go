// Package sockets has the rows of the sockets: attacks on a process with our
// sockets and on one with libzmq's. A good peer, in a process of its own,
// measures how long each of its messages takes; its counterpart for libzmq is
// the same program.
//
// The attackers write ZMTP octet by octet (raw_linux.go). What they do is a
// table in attacks_linux.go.
package sockets

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"lintel.dev/bench/abuse/victim"
	"lintel.dev/bench/harness"
)

//go:embed target/target.c
var targetSource []byte

// Options is what the rows need to know.
type Options struct {
	Length  time.Duration // of an attack
	Profile string        // folder for profiles of our target, or ""

	self, peer string // this program, and libzmq's target
}

// Build compiles the target of libzmq into dir.
func (o *Options) Build(ctx context.Context, dir string) (err error) {
	if o.self, err = os.Executable(); err != nil {
		return err
	}
	o.peer = filepath.Join(dir, "target")
	source := o.peer + ".c"
	if err := os.WriteFile(source, targetSource, 0o600); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "cc", "-O2", "-o", o.peer, source, "-lzmq", "-lpthread").CombinedOutput(); err != nil {
		return fmt.Errorf("cc: %w; gcc and libzmq3-dev are needed\n%s", err, out)
	}
	return nil
}

// Measures returns a measure for each attack.
func (o *Options) Measures() []*harness.Measure {
	all := make([]*harness.Measure, len(attacks))
	for i, a := range attacks {
		memory := a.memory
		if memory == 0 {
			memory = victim.MaxMemory
		}
		all[i] = &harness.Measure{
			Rows: []harness.Row{
				{Name: a.name + ": p50", Unit: "ms", Less: true},
				{Name: a.name + ": p99", Unit: "ms", Less: true},
				{Name: a.name + ": worst wait", Unit: "ms", Less: true, Limit: victim.MaxWait},
				{Name: a.name + ": memory", Unit: "MB", Less: true, Limit: memory},
			},
			Take: func(ctx context.Context, side int) ([]float64, error) { return o.take(ctx, a, side) },
		}
	}
	return all
}

// take runs one attack on one side. It returns the waits of the good peers, of
// several the longest, and the growth of the target.
func (o *Options) take(ctx context.Context, a attack, side int) ([]float64, error) {
	program, env := []string{o.self, "sockets", targetArg}, ""
	if o.Profile != "" {
		env = profileEnv + "=" + filepath.Join(o.Profile, a.name+".pprof")
	}
	if side == harness.Peer {
		program = []string{o.peer}
		if a.oursOnly {
			none := math.NaN()
			return []float64{none, none, none, none}, nil
		}
	}
	t, lines, err := start("target", env, append(program, a.kinds...)...)
	if err != nil {
		return nil, err
	}
	defer t.stop()
	at := endpoints{}
	for _, line := range lines {
		name, endpoint, _ := strings.Cut(line, " ")
		at[name] = endpoint
	}
	var peers []*process
	for _, kind := range a.kinds {
		args := []string{o.self, "sockets", goodArg, kind, at[kind]}
		if kind == "pull" {
			args = append(args, at["ack"])
		}
		p, _, err := start("good peer of "+kind, "", args...)
		if err != nil {
			return nil, err
		}
		defer p.stop()
		peers = append(peers, p)
	}

	watched, err := victim.Watch(t.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	attackErr := o.run(ctx, a, at)
	growth, err := watched.Growth()
	figures := make([]float64, 3, 4)
	for _, p := range peers {
		line, finishErr := p.finish(ctx)
		var waits [3]float64
		if finishErr == nil {
			_, finishErr = fmt.Sscan(line, &waits[0], &waits[1], &waits[2])
		}
		err = errors.Join(err, finishErr)
		for i, w := range waits {
			figures[i] = max(figures[i], math.Round(w*100)/100)
		}
	}
	return append(figures, math.Round(growth*10)/10), errors.Join(err, attackErr)
}

// calm is how long the good peers go on after an attack: what the end of a
// connection costs counts too.
const calm = time.Second

// run lets the attackers attack for the time that an attack takes.
func (o *Options) run(ctx context.Context, a attack, at endpoints) error {
	attacking, cancel := context.WithTimeout(ctx, o.Length)
	defer cancel()
	err := a.run(attacking, at)
	if err != nil && attacking.Err() == nil {
		return fmt.Errorf("attack: %w", err)
	}
	<-attacking.Done()
	select {
	case <-time.After(calm):
	case <-ctx.Done():
	}
	return ctx.Err()
}
