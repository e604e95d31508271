package squares

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lintel.dev/demo"
)

func TestSQLiteKnowsSquares(t *testing.T) {
	file := filepath.Join(t.TempDir(), "odd numbers?.db")
	for _, run := range []string{"creates and fills", "finds it filled"} {
		var said bytes.Buffer
		src, err := openSource(t.Context(), "sqlite:"+file, 0, demo.NewScreen(&said))
		if err != nil {
			t.Fatalf("%s: %v", run, err)
		}
		for _, n := range []int{0, 1, 2, 71, maxN} {
			if got, err := src.square(t.Context(), n); err != nil || got != int64(n*n) {
				t.Errorf("%s: square(%d) = %d, %v", run, n, got, err)
			}
		}
		if err := src.close(); err != nil {
			t.Error(err)
		}
		if filled := strings.Contains(said.String(), "100,000 rows"); filled != (run == "creates and fills") {
			t.Errorf("%s: said %q", run, &said)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the table is not in the file named: %v", err)
	}
}

func TestSourcesRefused(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("no database\n"), 1000), 0o666); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "foreign.db")
	db, err := sql.Open("sqlite3", "file:"+filepath.ToSlash(foreign))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE " + table + " (k INTEGER PRIMARY KEY, odd BIGINT); INSERT INTO " + table + " VALUES (1, 7)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ db, says string }{
		{"mysql://me:secret@host/db", "expected postgres://USER@HOST/DATABASE or sqlite:FILE"},
		{"sqlite:", "expected postgres://USER@HOST/DATABASE or sqlite:FILE"},
		{"sqlite:" + filepath.Join(dir, "no", "such", "folder.db"), "expected a SQLite file"},
		{"sqlite:" + dir, "expected a SQLite file"},
		{"sqlite:" + text, "expected a SQLite file"},
		{"sqlite:" + foreign, "holds 1 rows that are not the demonstration's"},
		{"postgres://me:secret@localhost:notaport/db", "not an address of a PostgreSQL database"},
		{"postgres://me:secret@127.0.0.1:1/db", "expected one that answers"},
	} {
		src, err := openSource(t.Context(), c.db, 0, demo.NewScreen(&bytes.Buffer{}))
		if err == nil {
			src.close()
			t.Errorf("%s: no error", c.db)
			continue
		}
		var input *demo.InputError
		if text := err.Error(); !errors.As(err, &input) || !strings.Contains(text, c.says) || strings.Contains(text, "\n") || strings.Contains(text, "secret") {
			t.Errorf("%s: %q: want an InputError of one line with %q", c.db, text, c.says)
		}
	}
}

func TestFillingCanBeInterrupted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "odd.db")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openSource(ctx, "sqlite:"+file, 0, demo.NewScreen(&bytes.Buffer{})); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}
