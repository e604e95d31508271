package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lintel.dev/interop/peers"
)

// deploy is the folder of the files that write has written.
const deploy = "../../deploy"

// TestCurrent compares the files of deploy/ with what the commands say now.
func TestCurrent(t *testing.T) {
	all, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range all {
		got, err := os.ReadFile(filepath.Join(deploy, name))
		if err != nil {
			t.Errorf("%v: run make man", err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("deploy/%s differs from what the commands say: run make man", name)
		}
	}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(deploy, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name, err := filepath.Rel(deploy, path)
			if all[filepath.ToSlash(name)] == nil {
				t.Errorf("deploy/%s is of no command: run make man", name)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestWrite checks that write leaves nothing of a command that is gone.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "man/lintel"), 0o755); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "man/lintel/lintel-gone.1")
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Errorf("%s is still there", old)
	}
	if _, err := os.Stat(filepath.Join(dir, "man/lintel-bridge/lintel-bridge-queue.1")); err != nil {
		t.Error(err)
	}
}

// pagesOf returns the paths of all pages.
func pagesOf(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(deploy, "man/*/*.1"))
	if err != nil || len(pages) < 50 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	return pages
}

// TestRender renders all pages with man, which prints warnings of troff.
func TestRender(t *testing.T) {
	man := peers.Program(t, "man")
	cmd := exec.Command(man, append([]string{"--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l"}, pagesOf(t)...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANROFFSEQ=", "MANWIDTH=80")
	var warnings bytes.Buffer
	cmd.Stderr = &warnings
	if err := cmd.Run(); err != nil || warnings.Len() > 0 {
		t.Errorf("%v\n%s", err, &warnings)
	}
}

// TestLint checks all pages with mandoc. That they have no date is intended.
func TestLint(t *testing.T) {
	out, _ := exec.Command(peers.Program(t, "mandoc"), append([]string{"-Tlint", "-Wwarning"}, pagesOf(t)...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "WARNING: missing date") {
			t.Error(line)
		}
	}
}

// TestText reads a page as a user does: texts with the special characters of Markdown
// and troff are as in the command.
func TestText(t *testing.T) {
	man := peers.Program(t, "man")
	for page, wants := range map[string][]string{
		"lintel/lintel-memcached.1": {
			"lintel-memcached - Run a cache server", "-l, --listen=addr", "--log-format=name", "-A, --enable-shutdown",
			"  idle_timeout=<s>          close connections", "flush_all", "lintel memcached -s /tmp/cache.sock -a 770",
		},
		"lintel/lintel-zmq-xsub.1":             {`\x01topic subscribes, \x00topic unsubscribes`, "--bind=ENDPOINT", "the port may be *"},
		"lintel/lintel-zmq-proxy.1":            {"  queue      --front router, --back dealer", "'router:tcp://*:5559'", "lintel-zmq(1)"},
		"lintel/lintel-cache.1":                {"LIST of host:port[:weight][=name],..."},
		"lintel-bridge/lintel-bridge-queue.1":  {"--ack-wait=duration", "(default 30s)", "req=tcp://*:5601"},
		"lintel-bridge/lintel-bridge-status.1": {"lintel-bridge(1)"},
	} {
		cmd := exec.Command(man, "-E", "ascii", "-P", "cat", "-l", filepath.Join(deploy, "man", page))
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=100", "MAN_KEEP_FORMATTING=", "GROFF_NO_SGR=1")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", page, err)
		}
		text := string(out)
		for _, want := range wants {
			if !strings.Contains(squeeze(text), squeeze(want)) {
				t.Errorf("%s has no %q:\n%s", page, want, text)
			}
		}
	}
}

// squeeze returns text with single spaces: man justifies lines.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestBash completes words with the completions for bash and a built program.
func TestBash(t *testing.T) {
	bash := peers.Program(t, "bash")
	dir := t.TempDir()
	for program, c := range map[string]struct {
		build []string
		words []string
		want  []string
	}{
		"lintel":        {[]string{"-C", "../..", "build", "-o", dir, "./cmd/lintel"}, []string{"memcached", "--log-format", ""}, []string{"text", "json"}},
		"lintel-bridge": {[]string{"-C", "../embedded", "build", "-o", dir, "./cmd/lintel-bridge"}, []string{"que"}, []string{"queue"}},
	} {
		if out, err := exec.Command("go", c.build...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		// The first function is part of the package bash-completion.
		script := `
			_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
			compopt() { :; }
			source "$0"
			COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_TYPE=9
			__start_$1
			printf '%s\n' "${COMPREPLY[@]}"`
		cmd := exec.Command(bash, append([]string{"-c", script, filepath.Join(deploy, "completions/bash", program), program}, c.words...)...)
		cmd.Env = append(os.Environ(), "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
		got := strings.Fields(string(out))
		for _, want := range c.want {
			if !slices.Contains(got, want) {
				t.Errorf("%s %q: completions %q have no %s", program, c.words, got, want)
			}
		}
	}
}
