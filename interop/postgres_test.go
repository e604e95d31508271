//go:build unix

package interop_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	_ "github.com/lib/pq" // registers postgres

	"lintel.dev/demo"
	"lintel.dev/demo/squares"
	"lintel.dev/interop/peers"
)

// postgres starts a PostgreSQL server with an empty cluster on a unix socket
// and returns an address of its database postgres for the user lintel.
func postgres(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		peers.Missing(t, "PostgreSQL's initdb, in /usr/lib/postgresql or the PATH")
	}
	bin, dir := filepath.Dir(found[0]), peers.SocketDir(t)
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir = dir
		return cmd
	}
	// PostgreSQL refuses to run as root.
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			peers.Missing(t, "%v", err)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
		as := command
		command = func(name string, args ...string) *exec.Cmd {
			cmd := as(name, args...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
			return cmd
		}
	}
	if out, err := command("initdb", "-D", "data", "-U", "lintel", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := command("postgres", "-D", "data", "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	p := peers.Start(t, server)
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGQUIT)
		p.Wait()
	})
	p.ExpectLog("database system is ready to accept connections")
	return "postgres://lintel@/postgres?host=" + dir
}

// TestSquaresOnPostgreSQL runs the demonstration with queries as the slow way.
// It creates its table, finds it again, and refuses a foreign table of that
// name.
func TestSquaresOnPostgreSQL(t *testing.T) {
	address := postgres(t)
	run := func(db string) (r squares.Report, said string, err error) {
		var out, progress bytes.Buffer
		cfg := squares.Defaults()
		cfg.DB, cfg.Runs, cfg.Requests, cfg.JSON, cfg.Out, cfg.Progress = db, 2, 300, true, &out, &progress
		err = squares.Run(guard(t), cfg)
		if err == nil {
			err = json.Unmarshal(out.Bytes(), &r)
		}
		return r, progress.String(), err
	}
	for i, filled := range []string{"filling table lintel_odd_numbers with 100,000 rows\n", ""} {
		r, said, err := run(address)
		if err != nil || said != filled {
			t.Fatalf("start %d: %v; said %q, want %q", i, err, said, filled)
		}
		if r.Runs[0].Misses == 0 || r.Runs[1].Hits == 0 || r.Uncached <= 0 || !strings.HasPrefix(r.SlowWay, "PostgreSQL ") {
			t.Errorf("start %d: %+v", i, r)
		}
	}

	conn, err := sql.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(guard(t), "DELETE FROM lintel_odd_numbers WHERE k = 5"); err != nil {
		t.Fatal(err)
	}
	var rows int
	for db, says := range map[string]string{
		address: "holds 99,999 rows that are not the demonstration's",
		strings.Replace(address, "/postgres?", "/none?", 1): `database "none" does not exist`,
	} {
		_, _, err := run(db)
		var input *demo.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want an InputError of one line with %q", db, err, says)
		}
	}
	if err := conn.QueryRowContext(guard(t), "SELECT count(*) FROM lintel_odd_numbers").Scan(&rows); err != nil || rows != 99_999 {
		t.Errorf("%d rows, %v: a strange table was changed", rows, err)
	}
}
