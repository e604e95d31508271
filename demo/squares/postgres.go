package squares

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lintel.dev/demo"
)

// connectIn is the timeout for connecting to a database.
const connectIn = 5 * time.Second

type postgres struct{ conn *pgx.Conn }

func openPostgres(ctx context.Context, address string, progress *demo.Screen) (_ source, err error) {
	config, err := pgx.ParseConfig(address)
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
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, unusable(err)
	}
	p := &postgres{conn}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if _, err := conn.Exec(ctx, createTable); err != nil {
		return nil, unusable(err)
	}
	var rows, ours, sum int64
	if err := conn.QueryRow(ctx, anyTable).Scan(&rows); err != nil {
		return nil, unusable(err)
	}
	if err := conn.QueryRow(ctx, countTable).Scan(&ours, &sum); err != nil {
		return nil, unusable(err)
	}
	filled, err := checkTable(where, rows, ours, sum)
	if err != nil {
		return nil, err
	}
	if !filled {
		sayFilling(progress)
		for _, statement := range []string{fillTable, "ANALYZE " + table} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return nil, unusable(err)
			}
		}
	}
	return p, nil
}

func (p *postgres) square(ctx context.Context, n int) (int64, error) {
	var sum int64
	err := p.conn.QueryRow(ctx, sumOdd+"$1", n).Scan(&sum)
	return sum, err
}

func (p *postgres) String() string { return describeTable("PostgreSQL") }

func (p *postgres) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), connectIn)
	defer cancel()
	return p.conn.Close(ctx)
}

// reason returns the last part of an error of the driver, on one line.
func reason(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
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
