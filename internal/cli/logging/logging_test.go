package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
)

// TestText compares lines of the text format, without their time.
func TestText(t *testing.T) {
	for _, c := range []struct {
		log  func(*slog.Logger)
		want string
	}{
		{func(l *slog.Logger) { l.Info("stopping") }, "INFO stopping"},
		{func(l *slog.Logger) { l.Debug("hidden") }, ""},
		{func(l *slog.Logger) { l.Info("memcached listens on", "addresses", List{"127.0.0.1:1", "udp [::]:2"}) }, "INFO memcached listens on 127.0.0.1:1, udp [::]:2"},
		{func(l *slog.Logger) { l.Info("on", "at", List{"a"}, "n", 1) }, "INFO on a n=1"},
		{func(l *slog.Logger) { l.Error("reload users", "err", errors.New("a: no such file"), "n", 3) }, `ERROR reload users err="a: no such file" n=3`},
		{func(l *slog.Logger) { l.With("a", 1).WithGroup("g").With("b", 2).Warn("w", "c", 3) }, "WARN w a=1 g.b=2 g.c=3"},
		{func(l *slog.Logger) { l.Info("m", "msg", "", "level", "x", "msg", "y") }, "INFO m level=x msg=y"},
		{func(l *slog.Logger) { l.Warn("two\nlines \x1b[31m", "e", "\n") }, `WARN two\nlines \x1b[31m e="\n"`},
		{func(l *slog.Logger) { l.Log(t.Context(), slog.LevelWarn+2, "") }, "WARN+2 "},
	} {
		var out bytes.Buffer
		c.log(New(&out, Text, slog.LevelInfo))
		got, isLine := strings.CutSuffix(out.String(), "\n")
		stamp := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d) `)
		if c.want == "" {
			if got != "" {
				t.Errorf("got %q, want nothing", got)
			}
			continue
		}
		if at := stamp.FindString(got); at == "" || !isLine || got[len(at):] != c.want {
			t.Errorf("got %q, want a time and %q", got, c.want)
		}
	}
}

// TestJSON checks the keys of a record.
func TestJSON(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, JSON, slog.LevelDebug)
	log.Debug("memcached listens on", "addresses", List{"a", "b"}, "err", errors.New("broken"))
	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	if record["time"] == nil {
		t.Errorf("no time: %v", record)
	}
	delete(record, "time")
	if got, want := fmt.Sprint(record), "map[addresses:[a b] err:broken level:DEBUG msg:memcached listens on]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestConcurrent writes from several goroutines, one of them through a derived
// logger: lines are whole.
func TestConcurrent(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, Text, slog.LevelInfo)
	var all sync.WaitGroup
	for _, l := range []*slog.Logger{log, log.With("a", 1)} {
		all.Go(func() {
			for range 100 {
				l.Info("message", "n", 1)
			}
		})
	}
	all.Wait()
	whole := regexp.MustCompile(`^\S+ INFO message( a=1)? n=1$`)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for _, line := range lines {
		if !whole.MatchString(line) {
			t.Fatalf("line %q", line)
		}
	}
	if len(lines) != 200 {
		t.Errorf("%d lines, want 200", len(lines))
	}
}

// TestJournal checks the lines for a stream to the journal.
func TestJournal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stream := streamID(t, f)
	for _, c := range []struct{ variable, want string }{
		{stream, "<7>d\n<6>i n=1\n<4>w\n<3>e\n<3>broken\n"},
		{stream + "1", ""},
		{"", ""},
	} {
		t.Setenv("JOURNAL_STREAM", c.variable)
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		log := New(f, Text, slog.LevelDebug)
		log.Debug("d")
		log.Info("i", "n", 1)
		log.Warn("w")
		log.Error("e")
		if err := Failed(log, errors.New("broken")); (err.Error() == "") != (c.want != "") {
			t.Errorf("JOURNAL_STREAM=%s: Failed returned %q", c.variable, err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if c.want != "" && string(got) != c.want {
			t.Errorf("JOURNAL_STREAM=%s: got %q, want %q", c.variable, got, c.want)
		}
		if c.want == "" && !strings.Contains(string(got), " INFO i n=1\n") {
			t.Errorf("JOURNAL_STREAM=%s: got %q, want lines with time and level", c.variable, got)
		}
	}
}

// TestFlags parses the values of both flags.
func TestFlags(t *testing.T) {
	parse := func(args ...string) (f Flags, err error) {
		cmd := &cobra.Command{RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
		f.Add(cmd)
		cmd.SetArgs(args)
		return f, cmd.Execute()
	}
	for i, name := range Formats {
		if f, err := parse("--log-format", name); err != nil || f.Format != Format(i) {
			t.Errorf("--log-format %s: got %v, %v", name, f.Format, err)
		}
	}
	for i, name := range Levels {
		want := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}[i]
		if f, err := parse("--log-level", name); err != nil || f.Level != want {
			t.Errorf("--log-level %s: got %v, %v", name, f.Level, err)
		}
	}
	for _, args := range [][]string{{"--log-format", "xml"}, {"--log-level", "INFO+1"}, {"--log-level", ""}} {
		if _, err := parse(args...); err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%q: got %v", args, err)
		}
	}
}

// TestFailed: a failure is a record in JSON, with the same exit status, and a usage
// error never is.
func TestFailed(t *testing.T) {
	for _, c := range []struct {
		format Format
		err    error
		logged bool
	}{
		{Text, errors.New("a\nb"), false},
		{JSON, errors.New("a\nb"), true},
		{JSON, cli.Exit(cli.StatusInterrupted, errors.New("late")), true},
		{JSON, cli.Exit(cli.StatusFailed, nil), false},
		{JSON, cli.Usagef("--port"), false},
		{JSON, nil, false},
	} {
		var out bytes.Buffer
		f := Flags{Format: c.format}
		got := Failed(f.New(&out), c.err)
		if (out.Len() > 0) != c.logged || cli.Status(got) != cli.Status(c.err) {
			t.Errorf("%v: got %v, logged %q", c.err, got, out.String())
		}
		if c.logged && got.Error() != "" {
			t.Errorf("%v: also returned: %v", c.err, got)
		}
	}
}
