package squares

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/lib/pq"

	"lintel.dev/demo"
)

// connectIn is the timeout for connecting to a database.
const connectIn = 5 * time.Second

// openPostgres opens a database of a PostgreSQL server. As with libpq, TLS is
// used if the server has it, unless the address or PGSSLMODE says otherwise.
func openPostgres(ctx context.Context, address string, progress *demo.Screen) (source, error) {
	config, err := pq.NewConfig(address)
	if err != nil {
		return nil, demo.Inputf("--db: not an address of a PostgreSQL database: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	where := config.Host + "/" + config.Database
	unusable := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return demo.Inputf("--db: PostgreSQL database %s: %s: expected one that answers and lets %s create table %s", where, reason(err), config.User, table)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectIn
	}
	if u, err := url.Parse(address); err == nil && u.Query().Get("sslmode") == "" && os.Getenv("PGSSLMODE") == "" {
		config.SSLMode = pq.SSLModePrefer
	}
	connector, err := pq.NewConnectorConfig(config)
	if err != nil {
		return nil, unusable(err)
	}
	return openTable(ctx, sql.OpenDB(connector), "PostgreSQL", where, "$1", "ANALYZE "+table, progress, unusable)
}

// reason returns the server's message, or the last part of another error, on one
// line.
func reason(err error) string {
	if server, ok := errors.AsType[*pq.Error](err); ok {
		return server.Message
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
		return reason(joined.Unwrap()[0])
	}
	return strings.ReplaceAll(err.Error(), "\n", " ")
}
