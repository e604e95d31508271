package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// leakChecked runs the tests and then fails them if a goroutine is left.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestMain lets the scripts run the test binary itself as lintel, and as
// memcached: the name the drop-in link has.
func TestMain(m *testing.M) {
	program := func() {
		if len(os.Args) > 2 && os.Args[1] == "cache" {
			// The scripts are about what servers answer, not about how soon.
			os.Args = slices.Insert(os.Args, 2, "--timeout="+readyIn.String())
		}
		main()
	}
	testscript.Main(leakChecked{m}, map[string]func(){
		"lintel":    program,
		"memcached": program,
	})
}

// TestScripts runs testdata/*.txtar. Beside testscript's own commands they
// have:
//
//	start NAME REGEXP PROGRAM [ARG...]  run a program in the background and go
//	                                    on when a line of its output matches;
//	                                    the first group, if any, becomes $NAME
//	says NAME REGEXP                    go on when a line of its output matches,
//	                                    also an earlier one
//	stop NAME [STATUS]                  interrupt it, wait for it, check its
//	                                    exit status (0); its output is left in
//	                                    the files NAME.out and NAME.err
//	ends NAME [STATUS]                  stop without the interrupt: something
//	                                    else has ended it
//	ask ADDR LINE...                    send the lines and quit to a cache; what
//	                                    it says until it hangs up is stdout
//	await REGEXP ADDR LINE...           ask until a line of the answer matches
//	fetch STATUS URL                    get a page, which is stdout
//	certificate NAME                    write NAME.crt and NAME.key, which
//	                                    signed itself for 127.0.0.1
//	exits STATUS PROGRAM [ARG...]       run it, check its exit status; stdout
//	                                    and stderr are there for the next lines
//	oneline FILE                        FILE (or stdout, stderr) is one line
//	records FILE                        each line is a record of a log in JSON
//
// and the condition [root].
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Values[procsKey{}] = map[string]*proc{}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":       cmdStart,
			"says":        cmdSays,
			"stop":        cmdStop,
			"ends":        cmdEnds,
			"exits":       cmdExits,
			"oneline":     cmdOneLine,
			"records":     cmdRecords,
			"ask":         cmdAsk,
			"await":       cmdAwait,
			"fetch":       cmdFetch,
			"certificate": cmdCertificate,
		},
	})
}

func TestScriptsExist(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("testdata holds no scripts (%v): the tests of the binary are gone", err)
	}
}

type procsKey struct{}

// proc is a program that a script has started.
type proc struct {
	cmd      *exec.Cmd
	out, err bytes.Buffer // whole once done is closed
	lines    lineMatcher  // of both
	done     chan struct{}
	waitErr  error
}

func procs(ts *testscript.TestScript) map[string]*proc {
	return ts.Value(procsKey{}).(map[string]*proc)
}

// lookPath finds a program by the script's PATH.
func lookPath(ts *testscript.TestScript, name string) string {
	if strings.ContainsRune(name, filepath.Separator) {
		return ts.MkAbs(name)
	}
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, name+ts.Getenv("exe"))
		if fi, err := os.Stat(path); err == nil && !fi.IsDir() {
			return path
		}
	}
	ts.Fatalf("%s: not found in PATH", name)
	return ""
}

func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	cmd := exec.Command(lookPath(ts, args[0]), args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TMP", "SYSTEMROOT", "GOCOVERDIR", "GORACE", "MEMCACHED_PORT_FILENAME"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}

// readyIn bounds how long a program may take to say that it is ready; it
// decides nothing but when a broken program is given up.
const readyIn = 30 * time.Second

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: start NAME REGEXP PROGRAM [ARG...]")
	}
	name, all := args[0], procs(ts)
	if all[name] != nil {
		ts.Fatalf("start %s: already running", name)
	}
	p := &proc{cmd: command(ts, args[2:]), done: make(chan struct{})}
	p.cmd.Stdout = io.MultiWriter(&p.out, &lineWriter{m: &p.lines})
	p.cmd.Stderr = io.MultiWriter(&p.err, &lineWriter{m: &p.lines})
	ts.Check(p.cmd.Start())
	go func() {
		defer close(p.done)
		p.waitErr = p.cmd.Wait()
	}()
	all[name] = p
	ts.Defer(func() {
		p.cmd.Process.Kill()
		<-p.done
	})

	if m := p.says(ts, name, args[1]); len(m) > 1 {
		ts.Setenv(name, m[1])
	}
}

func cmdSays(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: says NAME REGEXP")
	}
	p := procs(ts)[args[0]]
	if p == nil {
		ts.Fatalf("says %s: not started", args[0])
	}
	p.says(ts, args[0], args[1])
}

// says waits for a line that matches and returns the submatches.
func (p *proc) says(ts *testscript.TestScript, name, pattern string) []string {
	re, err := regexp.Compile(pattern)
	ts.Check(err)
	found := p.lines.find(re)
	giveUp := time.NewTimer(readyIn)
	defer giveUp.Stop()
	select {
	case m := <-found:
		return m
	case <-p.done:
		select {
		case m := <-found: // said it and ended, both before we looked
			return m
		default:
			ts.Fatalf("%s ended (%v) before a line matched %q\n%s%s", name, p.waitErr, pattern, p.out.String(), p.err.String())
		}
	case <-giveUp.C:
		p.cmd.Process.Kill()
		<-p.done
		ts.Fatalf("%s: no line matched %q in %v\n%s%s", name, pattern, readyIn, p.out.String(), p.err.String())
	}
	return nil
}

func cmdStop(ts *testscript.TestScript, neg bool, args []string) { end(ts, "stop", neg, args, true) }

func cmdEnds(ts *testscript.TestScript, neg bool, args []string) { end(ts, "ends", neg, args, false) }

// end waits for a program, which it interrupts before if told so.
func end(ts *testscript.TestScript, verb string, neg bool, args []string, interrupt bool) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: %s NAME [STATUS]", verb)
	}
	name, all := args[0], procs(ts)
	p := all[name]
	if p == nil {
		ts.Fatalf("%s %s: not started", verb, name)
	}
	delete(all, name)
	if interrupt && runtime.GOOS == "windows" { // has no interrupt to send
		p.cmd.Process.Kill()
		<-p.done
	} else {
		if interrupt {
			p.cmd.Process.Signal(os.Interrupt)
		}
		giveUp := time.AfterFunc(readyIn, func() { p.cmd.Process.Kill() })
		<-p.done
		if !giveUp.Stop() {
			ts.Fatalf("%s: still running after %v\n%s%s", name, readyIn, p.out.String(), p.err.String())
		}
		want := 0
		if len(args) == 2 {
			var err error
			want, err = strconv.Atoi(args[1])
			ts.Check(err)
		}
		if got := p.cmd.ProcessState.ExitCode(); got != want {
			ts.Fatalf("%s: exit status %d, want %d\n%s%s", name, got, want, p.out.String(), p.err.String())
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(name+".out"), p.out.Bytes(), 0o666))
	ts.Check(os.WriteFile(ts.MkAbs(name+".err"), p.err.Bytes(), 0o666))
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd := command(ts, args[1:])
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	err = cmd.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		ts.Fatalf("%v", err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func cmdOneLine(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: oneline FILE")
	}
	text := ts.ReadFile(args[0])
	one := strings.Count(text, "\n") == 1 && strings.HasSuffix(text, "\n") && len(text) > 1
	if one == neg {
		ts.Fatalf("%s: one line: %v\n%s", args[0], one, text)
	}
}

func cmdRecords(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: records FILE")
	}
	text := ts.ReadFile(args[0])
	if text == "" {
		ts.Fatalf("%s is empty", args[0])
	}
	for line := range strings.Lines(text) {
		var r struct {
			Time  time.Time
			Level slog.Level
			Msg   string
		}
		r.Level = slog.Level(-100)
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Time.IsZero() || r.Level == -100 || r.Msg == "" {
			ts.Fatalf("%s: not a record with time, level and msg (%v): %s", args[0], err, line)
		}
	}
}

// lineMatcher finds lines in the output of a program.
type lineMatcher struct {
	mu    sync.Mutex // guards what follows
	lines []string
	waits []lineWait
}

type lineWait struct {
	re    *regexp.Regexp
	found chan []string
}

// find returns a channel for the submatches of the first line that re matches.
func (m *lineMatcher) find(re *regexp.Regexp) <-chan []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := lineWait{re, make(chan []string, 1)}
	for _, line := range m.lines {
		if sub := re.FindStringSubmatch(line); sub != nil {
			w.found <- sub
			return w.found
		}
	}
	m.waits = append(m.waits, w)
	return w.found
}

func (m *lineMatcher) add(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, line)
	m.waits = slices.DeleteFunc(m.waits, func(w lineWait) bool {
		sub := w.re.FindStringSubmatch(line)
		if sub != nil {
			w.found <- sub
		}
		return sub != nil
	})
}

// lineWriter gives the whole lines of one output to m.
type lineWriter struct {
	m    *lineMatcher
	line []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.line = append(w.line, p...)
	for {
		i := bytes.IndexByte(w.line, '\n')
		if i < 0 {
			return len(p), nil
		}
		w.m.add(string(w.line[:i]))
		w.line = w.line[i+1:]
	}
}
