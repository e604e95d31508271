package squares

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"

	_ "github.com/ncruces/go-sqlite3/driver" // registers sqlite3
	_ "github.com/ncruces/go-sqlite3/embed"  // the engine

	"lintel.dev/demo"
)

// openSQLite opens a file, which is created if it does not exist.
func openSQLite(ctx context.Context, file string, progress *demo.Screen) (source, error) {
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
	return openTable(ctx, db, "SQLite", file, "?", "", progress, unusable)
}
