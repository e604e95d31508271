package squares

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"

	_ "github.com/ncruces/go-sqlite3/driver" // database/sql's sqlite3
	_ "github.com/ncruces/go-sqlite3/embed"  // the engine itself

	"lintel.dev/demo"
)

type sqlite struct {
	db  *sql.DB
	sum *sql.Stmt
}

func openSQLite(ctx context.Context, file string, progress *demo.Screen) (_ source, err error) {
	unusable := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return demo.Inputf("--db sqlite:%s: %w: expected a SQLite file that can be written, or a folder where one can be made", file, err)
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, unusable(err)
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(abs), RawQuery: "_pragma=busy_timeout(2000)"}
	db, err := sql.Open("sqlite3", name.String())
	if err != nil {
		return nil, unusable(err)
	}
	db.SetMaxOpenConns(1)
	s := &sqlite{db: db}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if _, err := db.ExecContext(ctx, createTable); err != nil {
		return nil, unusable(err)
	}
	var rows, ours, sum int64
	if err := db.QueryRowContext(ctx, anyTable).Scan(&rows); err != nil {
		return nil, unusable(err)
	}
	if err := db.QueryRowContext(ctx, countTable).Scan(&ours, &sum); err != nil {
		return nil, unusable(err)
	}
	filled, err := checkTable(file, rows, ours, sum)
	if err != nil {
		return nil, err
	}
	if !filled {
		sayFilling(progress)
		if _, err := db.ExecContext(ctx, fillTable); err != nil {
			return nil, unusable(err)
		}
	}
	if s.sum, err = db.PrepareContext(ctx, sumOdd+"?"); err != nil {
		return nil, unusable(err)
	}
	return s, nil
}

func (s *sqlite) square(ctx context.Context, n int) (int64, error) {
	var sum int64
	err := s.sum.QueryRowContext(ctx, n).Scan(&sum)
	return sum, err
}

func (s *sqlite) String() string { return describeTable("SQLite") }

func (s *sqlite) close() error {
	if s.sum != nil {
		s.sum.Close()
	}
	return s.db.Close()
}
