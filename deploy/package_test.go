package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
	"github.com/sassoftware/go-rpmutils"
)

// release returns the configuration of goreleaser.
func release(t *testing.T) config.Project {
	t.Helper()
	project, err := config.Load("../.goreleaser.yaml") // refuses unknown names
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// fromRoot returns a path of the configuration, which is relative to the root
// of the repository.
func fromRoot(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Join("..", path)
}

// pack builds a package of the configuration with the program of `make packages`,
// and returns its path.
func pack(t *testing.T, id, format string) string {
	t.Helper()
	program, out := lintel, t.TempDir()
	if id == "lintel-bridge" {
		program = bridge(t)
	}
	run(t, "go", "run", "./packages", "-programs", filepath.Dir(program), "-version", "0.0.1", "-out", out, id)
	built, err := filepath.Glob(filepath.Join(out, "*."+format))
	if err != nil || len(built) != 1 {
		t.Fatalf("%s: built %v (%v), expected one %s", id, built, err, format)
	}
	return built[0]
}

func TestRelease(t *testing.T) {
	project := release(t)
	if project.Version != 2 || len(project.Builds) != 2 {
		t.Fatalf("version %d, builds %+v", project.Version, project.Builds)
	}
	for _, b := range project.Builds {
		if _, err := os.Stat(filepath.Join(fromRoot(b.Dir), b.Main, "main.go")); err != nil && b.Dir != "" {
			t.Error(err)
		}
		if len(b.Env) != 1 || b.Env[0] != "CGO_ENABLED=0" || len(b.Goos) != 3 || len(b.Flags) != 1 {
			t.Errorf("build %s: %+v", b.ID, b)
		}
	}
	if s := project.SBOMs; len(s) != 1 || s[0].Artifacts != "archive" {
		t.Errorf("SBOMs are %+v, expected those of archives", s)
	}
	if s := project.Signs; len(s) != 1 || s[0].Cmd != "cosign" || s[0].Artifacts != "checksum" || !slices.Contains(s[0].Args, "--bundle") {
		t.Errorf("signatures are %+v, expected a bundle of cosign for the checksums", s)
	}
	for _, a := range project.Archives {
		if len(a.IDs) != 1 || a.IDs[0] != a.ID {
			t.Errorf("archive %s is of %v", a.ID, a.IDs)
		}
		for _, f := range a.Files {
			if found, err := filepath.Glob(fromRoot(f.Source)); err != nil || len(found) == 0 {
				t.Errorf("archive %s: %s: no such files (%v)", a.ID, f.Source, err)
			}
		}
	}
}

// readRPM returns the header of an rpm, and its files by name.
func readRPM(t *testing.T, path string) (*rpmutils.RpmHeader, map[string]rpmutils.FileInfo) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	header, err := rpmutils.ReadHeader(f)
	if err != nil {
		t.Fatal(err)
	}
	list, err := header.GetFiles()
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]rpmutils.FileInfo)
	for _, file := range list {
		byName[file.Name()] = file
	}
	return header, byName
}

func TestRPM(t *testing.T) {
	for id, want := range map[string][]string{
		"lintel": {
			"/usr/bin/lintel", "/usr/lib/systemd/system/lintel.service", "/usr/lib/systemd/system/lintel@.service",
			"/usr/lib/systemd/system/lintel.socket", "/usr/lib/sysusers.d/lintel.conf", "/usr/lib/tmpfiles.d/lintel.conf",
			"/usr/share/man/man1/lintel.1", "/usr/share/zsh/site-functions/_lintel",
		},
		"lintel-bridge": {
			"/usr/bin/lintel-bridge", "/usr/lib/systemd/system/lintel-bridge@.service", "/usr/share/zsh/site-functions/_lintel-bridge",
		},
	} {
		_, list := readRPM(t, pack(t, id, "rpm"))
		for _, path := range want {
			if list[path] == nil {
				t.Errorf("the rpm %s lacks %s", id, path)
			}
		}
	}

	header, list := readRPM(t, pack(t, "lintel-memcached", "rpm"))
	for _, tag := range []int{rpmutils.PROVIDENAME, rpmutils.CONFLICTNAME} {
		if names, err := header.GetStrings(tag); err != nil || !slices.Contains(names, "memcached") {
			t.Errorf("tag %d: %v, %v, expected memcached", tag, names, err)
		}
	}
	if names, err := header.GetStrings(rpmutils.REQUIRENAME); err != nil || !slices.Contains(names, "lintel") {
		t.Errorf("requires %v, %v, expected lintel", names, err)
	}
	if _, err := header.GetString(rpmutils.PREIN); err == nil {
		t.Error("the rpm has a script, which diverts files")
	}
	if link := list["/usr/bin/memcached"]; link == nil || link.Linkname() != "lintel" {
		t.Errorf("/usr/bin/memcached is %v, expected a link to lintel", link)
	}
	if list["/usr/lib/systemd/system/memcached.service"] == nil {
		t.Error("the rpm lacks memcached.service")
	}
	const configNoReplace = rpmutils.RPMFILE_CONFIG | rpmutils.RPMFILE_NOREPLACE
	if settings := list["/etc/sysconfig/memcached"]; settings == nil || settings.Flags()&configNoReplace != configNoReplace {
		t.Errorf("/etc/sysconfig/memcached is %v, expected settings that an update keeps", settings)
	}
}

// TestBridgePackage checks the contents of the package lintel-bridge.
func TestBridgePackage(t *testing.T) {
	dir := t.TempDir()
	run(t, tool(t, "dpkg-deb"), "--extract", pack(t, "lintel-bridge", "deb"), dir)
	for _, path := range []string{
		"usr/lib/systemd/system/lintel-bridge@.service", "usr/share/man/man1/lintel-bridge-queue.1", "usr/share/bash-completion/completions/lintel-bridge",
		"usr/share/zsh/vendor-completions/_lintel-bridge", "usr/share/fish/vendor_completions.d/lintel-bridge.fish", "usr/share/doc/lintel-bridge/bridge.md",
	} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Error(err)
		}
	}
	if text := run(t, filepath.Join(dir, "usr/bin/lintel-bridge"), "--version"); !strings.HasPrefix(text, "lintel-bridge ") {
		t.Errorf("the binary prints %q", text)
	}
	if page := run(t, tool(t, "man"), "-M", filepath.Join(dir, "usr/share/man"), "-P", "cat", "lintel-bridge-queue"); !strings.Contains(page, "--ack-wait") {
		t.Errorf("man lintel-bridge-queue shows\n%s", page)
	}
}

// TestInstall installs the packages into an empty root that has a memcached,
// and removes them again.
func TestInstall(t *testing.T) {
	dpkg := tool(t, "dpkg")
	if os.Getuid() != 0 {
		t.Skip("dpkg needs root")
	}
	root := t.TempDir()
	admin := filepath.Join(root, "var/lib/dpkg")
	for _, dir := range []string{"info", "updates", "triggers"} {
		if err := os.MkdirAll(filepath.Join(admin, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(admin, "status"), "", 0o644)
	write(t, filepath.Join(root, "etc/passwd"), "", 0o644)
	write(t, filepath.Join(root, "etc/group"), "", 0o644)
	theirs := filepath.Join(root, "usr/bin/memcached")
	write(t, theirs, "memcached's own\n", 0o755)
	manual := filepath.Join(root, "usr/share/man/man1")
	write(t, filepath.Join(manual, "memcached.1.gz"), "memcached's page\n", 0o644)
	do := func(args ...string) {
		t.Helper()
		cmd := exec.Command(dpkg, append([]string{"--root=" + root, "--force-script-chrootless", "--force-not-root", "--log=/dev/null"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("dpkg %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}

	do("--install", pack(t, "lintel", "deb"))
	for _, path := range []string{"usr/lib/systemd/system/lintel.service", "usr/lib/systemd/system/lintel.socket", "usr/lib/systemd/system/lintel@.service", "usr/lib/sysusers.d/lintel.conf", "usr/lib/tmpfiles.d/lintel.conf", "etc/default/lintel", "usr/share/man/man1/lintel.1", "usr/share/man/man1/lintel-memcached.1", "usr/share/bash-completion/completions/lintel", "usr/share/zsh/vendor-completions/_lintel", "usr/share/fish/vendor_completions.d/lintel.fish"} {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Error(err)
		}
	}
	pages, err := filepath.Glob("man/lintel/*.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if got := read(t, filepath.Join(manual, filepath.Base(page))); got != read(t, page) {
			t.Errorf("the installed %s differs", page)
		}
	}
	if text := run(t, filepath.Join(root, "usr/bin/lintel"), "--version"); !strings.HasPrefix(text, "lintel") {
		t.Errorf("the installed binary prints %q", text)
	}
	if users := read(t, filepath.Join(root, "etc/passwd")); !strings.HasPrefix(users, "lintel:") {
		t.Errorf("the user was not created: %q", users)
	}

	do("--install", pack(t, "lintel-memcached", "deb"))
	if to, err := os.Readlink(theirs); to != "lintel" {
		t.Errorf("/usr/bin/memcached leads to %q, %v", to, err)
	}
	if text := read(t, theirs+".distrib"); text != "memcached's own\n" {
		t.Errorf("memcached was moved to %q", text)
	}
	if text := read(t, filepath.Join(manual, "memcached.distrib.1.gz")); text != "memcached's page\n" {
		t.Errorf("memcached's page was moved to %q", text)
	}
	if _, err := os.Stat(filepath.Join(manual, "memcached.1.gz")); err == nil {
		t.Error("two pages have the name memcached")
	}
	if page := run(t, tool(t, "man"), "-M", filepath.Dir(manual), "-P", "cat", "memcached"); !strings.Contains(page, "--max-item-size") {
		t.Errorf("man memcached shows\n%s", page)
	}
	do("--remove", "lintel-memcached")
	if text := read(t, theirs); text != "memcached's own\n" {
		t.Errorf("/usr/bin/memcached is %q after the removal", text)
	}
	if text := read(t, filepath.Join(manual, "memcached.1.gz")); text != "memcached's page\n" {
		t.Errorf("memcached's page is %q after the removal", text)
	}
	do("--remove", "lintel")
	if _, err := os.Stat(filepath.Join(root, "usr/bin/lintel")); err == nil {
		t.Error("the binary is still there after the removal")
	}
}

// TestFormula checks the syntax of the Homebrew formula, and runs the commands of its
// test with the binary.
func TestFormula(t *testing.T) {
	text := read(t, "homebrew/lintel.rb")
	run(t, tool(t, "ruby"), "-c", "homebrew/lintel.rb")
	for _, want := range []string{`license "Apache-2.0"`, `"./cmd/lintel"`, "-X main.version=#{version}", `(bin/"lintel", "completion")`, `man1.install Dir["deploy/man/lintel/*.1"]`, `"cache", "check", "--servers"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the formula has no %s", want)
		}
	}
	s := startCache(t)
	run(t, lintel, "cache", "check", "--servers", s.cache)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out := run(t, lintel, "completion", shell); !strings.Contains(out, "lintel") {
			t.Errorf("no completion for %s", shell)
		}
	}
}
