package squares

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lintel.dev/demo"
)

// source is the slow way to a square.
type source interface {
	// square returns n*n. n is 0 to maxN.
	square(ctx context.Context, n int) (int64, error)
	// String describes why it is slow, in a few words.
	String() string
	close() error
}

// openSource opens the database of --db. An empty name selects simulated work.
func openSource(ctx context.Context, db string, work time.Duration, progress *demo.Screen) (source, error) {
	scheme, rest, _ := strings.Cut(db, ":")
	switch {
	case db == "":
		return simulated{work}, nil
	case scheme == "postgres" || scheme == "postgresql":
		return openPostgres(ctx, db, progress)
	case scheme == "sqlite" && rest != "":
		return openSQLite(ctx, rest, progress)
	}
	return nil, demo.Inputf("--db %q: expected postgres://USER@HOST/DATABASE or sqlite:FILE", schemeOnly(db))
}

// schemeOnly removes everything but the scheme of a database's address, which
// may contain a password.
func schemeOnly(db string) string {
	if scheme, _, ok := strings.Cut(db, "://"); ok {
		return scheme + "://..."
	}
	return db
}

// simulated waits and multiplies.
type simulated struct{ work time.Duration }

func (p simulated) square(ctx context.Context, n int) (int64, error) {
	if p.work > 0 {
		timer := time.NewTimer(p.work)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return int64(n) * int64(n), nil
}

func (p simulated) String() string { return fmt.Sprintf("%v of simulated work", p.work) }

func (p simulated) close() error { return nil }

// The table holds the first odd numbers, the k-th of them in row k. The sum of
// the first n is n*n.
const (
	table     = "lintel_odd_numbers"
	tableRows = 100_000
	tableSum  = int64(tableRows) * tableRows

	createTable = "CREATE TABLE IF NOT EXISTS " + table + " (k INTEGER PRIMARY KEY, odd BIGINT NOT NULL)"
	countTable  = "SELECT count(*), coalesce(sum(odd), 0) FROM " + table + " WHERE odd = 2*k - 1"
	anyTable    = "SELECT count(*) FROM " + table
	sumOdd      = "SELECT coalesce(sum(odd), 0) FROM " + table + " WHERE k <= "
)

// fillTable is one statement, so that a table is filled whole or not at all.
var fillTable = "INSERT INTO " + table + " (k, odd) WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < " +
	strconv.Itoa(tableRows) + ") SELECT k, 2*k - 1 FROM n"

// checkTable reports whether the table is filled. A table with other contents
// is an error.
func checkTable(where string, rows, ours, sum int64) (filled bool, err error) {
	if rows == tableRows && ours == tableRows && sum == tableSum {
		return true, nil
	}
	if rows == 0 {
		return false, nil
	}
	return false, demo.Inputf("--db: table %s of %s holds %s rows that are not the demonstration's: expected no such table, an empty one, or the one an earlier run has filled",
		table, where, demo.Count(rows))
}

// sayFilling reports that the table is being filled.
func sayFilling(s *demo.Screen) {
	line := "filling table " + table + " with " + demo.Count(tableRows) + " rows"
	if s.Terminal() {
		s.Live("%s", line)
		return
	}
	s.Printf("%s\n", line)
}

func describeTable(engine string) string {
	return engine + " adds up the first n odd numbers of a table of " + demo.Count(tableRows) + " rows"
}
