package squares

import (
	"context"
	"database/sql"

	"lintel.dev/demo"
)

// database is a source that adds up the first n odd numbers of the table.
type database struct {
	db     *sql.DB
	sum    *sql.Stmt
	engine string
}

// openTable returns the source of db, on one connection, after it has created
// and filled the table if necessary. placeholder is that of a statement's first
// argument, after is run when the table has been filled, unusable makes the error
// of a failed statement. On an error openTable closes db.
func openTable(ctx context.Context, db *sql.DB, engine, where, placeholder, after string, progress *demo.Screen, unusable func(error) error) (_ source, err error) {
	db.SetMaxOpenConns(1)
	d := &database{db: db, engine: engine}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	exec := func(statement string) error {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return unusable(err)
		}
		return nil
	}
	if err := exec(createTable); err != nil {
		return nil, err
	}
	var rows, ours, sum int64
	if err := db.QueryRowContext(ctx, anyTable).Scan(&rows); err != nil {
		return nil, unusable(err)
	}
	if err := db.QueryRowContext(ctx, countTable).Scan(&ours, &sum); err != nil {
		return nil, unusable(err)
	}
	filled, err := checkTable(where, rows, ours, sum)
	if err != nil {
		return nil, err
	}
	if !filled {
		sayFilling(progress)
		if err := exec(fillTable); err != nil {
			return nil, err
		}
		if after != "" {
			if err := exec(after); err != nil {
				return nil, err
			}
		}
	}
	if d.sum, err = db.PrepareContext(ctx, sumOdd+placeholder); err != nil {
		return nil, unusable(err)
	}
	return d, nil
}

func (d *database) square(ctx context.Context, n int) (int64, error) {
	var sum int64
	err := d.sum.QueryRowContext(ctx, n).Scan(&sum)
	return sum, err
}

func (d *database) String() string { return describeTable(d.engine) }

func (d *database) close() error {
	if d.sum != nil {
		d.sum.Close()
	}
	return d.db.Close()
}
