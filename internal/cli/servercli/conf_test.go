package servercli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"lintel.dev/internal/cli"
)

// parseServer reads a command line.
func parseServer(args []string, getenv func(string) string) (*serverSettings, error) {
	s := newSettings()
	fs := pflag.NewFlagSet("memcached", pflag.ContinueOnError)
	s.addFlags(fs)
	if err := fs.Parse(args); err != nil {
		return nil, flagError(err)
	}
	if fs.NArg() > 0 {
		return nil, cli.Usagef("unexpected argument %q", fs.Arg(0))
	}
	return s, s.check(getenv)
}

// debianConf is Debian's default file with a few more forms of lines.
const debianConf = `# memcached default config file
# 2003 - Jay Bonci <jaybonci@debian.org>

-d

logfile /var/log/memcached.log
enabled yes
# -v
-m 64   # a cap
-p 11211
-u memcache
-l 127.0.0.1
# -M
-P '/var/run/memcached/memcached.pid'
-o modern,idle_timeout=60
-c 2048 -t 2 -C
-D \#
`

func TestConf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memcached.conf")
	if err := os.WriteFile(file, []byte(debianConf), 0o600); err != nil {
		t.Fatal(err)
	}
	type values struct {
		Port, Threads, Conns int
		MiB                  int64
		User, PIDFile        string
		Listen               []string
		Daemon, NoCAS        bool
		Idle                 float64
		Delimiter            string
	}
	for line, want := range map[string]values{
		"": {11211, 2, 2048, 64, "memcache", "/var/run/memcached/memcached.pid", []string{"127.0.0.1"}, false, true, 60, "#"},
		"-m 512 -l ::1 -l 10.0.0.1 -d -o idle_timeout=5": {11211, 2, 2048, 512, "memcache", "/var/run/memcached/memcached.pid", []string{"::1", "10.0.0.1"}, true, true, 5, "#"},
	} {
		// The position of --conf makes no difference.
		for _, args := range [][]string{append(strings.Fields(line), "--conf", file), append([]string{"--conf=" + file}, strings.Fields(line)...)} {
			s, err := parseServer(args, noEnv)
			if err != nil {
				t.Errorf("%v: %v", args, err)
				continue
			}
			o := s.options
			got := values{s.port, o.Threads, o.MaxConns, o.MemoryLimit >> 20, s.user, s.pidFile, s.listen, s.daemon, o.DisableCAS, o.IdleTimeout.Seconds(), string(o.PrefixDelimiter)}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%v: (-want +got)\n%s", args, d)
			}
			if len(s.warnings) != 1 || !strings.HasSuffix(s.warnings[0], "memcached.conf:7: enabled is ignored") {
				t.Errorf("warnings %q", s.warnings)
			}
		}
	}
}

func TestConfErrors(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"-p 1\n-m x\n":        ":2: -m x: expected",
		"--nonsense":          ":1: unknown flag --nonsense",
		"-p 1 more":           `:1: unexpected argument "more"`,
		"-l 'a":               ":1: no closing '",
		"--conf other":        ":1: --conf is only for the command line",
		"-m 1":                "more than half of the memory",
		"\n\n-o idle_timeout": ":3: -o idle_timeout needs a value",
	} {
		file := filepath.Join(dir, "conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := parseServer([]string{"--conf", file}, noEnv)
		if err == nil || !strings.Contains(err.Error(), want) || !cli.IsUsage(err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want a usage error of one line with %q", text, err, want)
		}
	}
	if _, err := parseServer([]string{"--conf", dir}, noEnv); err == nil {
		t.Error("a directory is read")
	}
}
