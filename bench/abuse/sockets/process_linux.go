package sockets

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// process is a running target or good peer. It ends with its standard input.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// start starts a program and reads its output up to the line "ready". env is
// added to its environment.
func start(name, env string, program ...string) (p *process, lines []string, err error) {
	p = &process{name: name, cmd: exec.Command(program[0], program[1:]...)}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), env), &p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, nil, err
	}
	for {
		line, err := p.stdout.ReadString('\n')
		if err != nil {
			p.stop()
			return nil, nil, p.failed(err)
		}
		if line == "ready\n" {
			return p, lines, nil
		}
		lines = append(lines, strings.TrimSpace(line))
	}
}

func (p *process) failed(err error) error {
	if text := strings.TrimSpace(p.stderr.String()); text != "" {
		err = errors.New(text)
	}
	return fmt.Errorf("%s: %w", p.name, err)
}

// finish ends the input of the process and returns the line that it then
// prints.
func (p *process) finish(ctx context.Context) (line string, err error) {
	defer context.AfterFunc(ctx, func() { p.cmd.Process.Kill() })()
	p.stdin.Close()
	if line, err = p.stdout.ReadString('\n'); err != nil {
		return "", p.failed(err)
	}
	return line, nil
}

// stop ends the process.
func (p *process) stop() {
	p.stdin.Close()
	kill := time.AfterFunc(5*time.Second, func() { p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	kill.Stop()
}

// Main runs this program as a target or as a good peer.
func Main(ctx context.Context, args []string) error {
	switch {
	case args[0] == targetArg && len(args) > 1:
		return target(ctx, os.Getenv(profileEnv), args[1:])
	case args[0] == goodArg && len(args) > 2:
		return good(ctx, args[1], args[2:])
	}
	return fmt.Errorf("unexpected arguments %q", args)
}

const (
	targetArg  = "target"
	goodArg    = "good"
	profileEnv = "ABUSE_PROFILE"
)
