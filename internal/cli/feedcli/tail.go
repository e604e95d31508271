package feedcli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq/feed"
)

type tailFlags struct {
	endpoints
	from     string
	resume   string
	topic    string
	count    int
	timeout  time.Duration
	maxStale time.Duration
	json     bool
}

func newTail() *cobra.Command {
	var f tailFlags
	cmd := &cobra.Command{
		Use:   "tail [flags]",
		Short: "Follow a feed and print its messages, gaps and restarts",
		Long: `Follow a feed and print its messages, gaps and restarts.

A message is a line: number, TAB, topic, TAB, payload. \xNN stands for the
backslash and for bytes that are not printable ASCII. Other events are lines
that begin with two hyphens. With --json each event is an object; topic and
payload are in base64.

--resume FILE begins behind the position in FILE, if there is one, and stores
the position of the last event printed when the command ends. The exit status
is 1 if --timeout ends the command before --count messages.`,
		Example: `  lintel feed tail --live tcp://host:5556 --control tcp://host:5557
  lintel feed tail --live tcp://host:5556 --control tcp://host:5557 --resume pos
  lintel feed tail --format vllm --live tcp://host:5557
  lintel feed tail --format bitcoin --topic hashblock --live tcp://host:28332`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.add(cmd, "native")
	fs := cmd.Flags()
	fs.StringVar(&f.from, "from", "latest", "latest, oldest, snapshot or a `POSITION`")
	fs.StringVar(&f.resume, "resume", "", "begin at the position in `FILE`, keep it there")
	fs.StringVar(&f.topic, "topic", "", "the one `TOPIC`, format bitcoin only")
	fs.IntVar(&f.count, "count", 0, "end after `N` messages, 0 is no limit")
	fs.DurationVar(&f.timeout, "timeout", 0, "end after this time, 0 is no limit")
	fs.DurationVar(&f.maxStale, "max-stale", feed.DefaultMaxStale, "age at which to print stale")
	fs.BoolVar(&f.json, "json", false, "print events as JSON objects")
	return cmd
}

func (f *tailFlags) start() (feed.Start, error) {
	if f.resume != "" {
		// The position is stored at the end, too late to find out that it cannot be.
		if err := cli.OutputFile(f.resume); err != nil {
			return feed.Start{}, cli.Usagef("--resume: %v", err)
		}
		b, err := cli.ReadFile(f.resume)
		if err == nil {
			var p feed.Position
			if err := p.UnmarshalText([]byte(strings.TrimSpace(string(b)))); err != nil {
				return feed.Start{}, cli.Usagef("--resume %s: %v", f.resume, err)
			}
			return feed.After(p), nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return feed.Start{}, cli.Usagef("--resume: %v", err)
		}
	}
	switch f.from {
	case "latest":
		return feed.Latest, nil
	case "oldest":
		return feed.Oldest, nil
	case "snapshot":
		return feed.Snapshot, nil
	}
	var p feed.Position
	if err := p.UnmarshalText([]byte(f.from)); err != nil {
		return feed.Start{}, cli.Usagef("--from: %q, expected latest, oldest, snapshot or EPOCH:SEQ", f.from)
	}
	return feed.After(p), nil
}

func (f *tailFlags) run(cmd *cobra.Command) (err error) {
	format, options, err := f.parse()
	if err != nil {
		return err
	}
	from, err := f.start()
	if err != nil {
		return err
	}
	r, err := feed.Open(&feed.Options{MaxStale: f.maxStale, Options: options}, feed.Source{
		Live: f.live, Control: f.control, Snapshots: f.snapshots, Format: format, Topic: f.topic, From: from,
	})
	if err != nil {
		return cli.Usage(err)
	}
	defer r.Close()
	ctx := cmd.Context()
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.timeout)
		defer cancel()
	}
	var at feed.Position
	if f.resume != "" {
		defer func() { err = errors.Join(err, f.store(at)) }()
	}
	n := 0
	for e, err := range r.Messages(ctx) {
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) && f.count > 0 {
				return cli.Exit(cli.StatusFailed, fmt.Errorf("%d of %d messages within %v", n, f.count, f.timeout))
			}
			return nil
		}
		if f.json {
			err = cli.PrintJSON(cmd.OutOrStdout(), toObject(e))
		} else {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), line(e, 1))
		}
		if err != nil {
			return err
		}
		switch e.Kind {
		case feed.SnapshotBegin, feed.SnapshotItem:
			at = feed.Position{} // half a snapshot is none
		default:
			at = e.Position
		}
		if e.Kind == feed.Message {
			if n++; n == f.count {
				return nil
			}
		}
	}
	return nil
}

// store writes the position for the next --resume. It replaces the file in one
// step.
func (f *tailFlags) store(at feed.Position) error {
	if at == (feed.Position{}) {
		return nil
	}
	next := f.resume + ".new"
	if err := os.WriteFile(next, []byte(at.String()+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(next, f.resume)
}
