package feedcli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
	"lintel.dev/zmq/feed"
)

type doctorFlags struct {
	endpoints
	topic   string
	timeout time.Duration
	json    bool
}

func newDoctor() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Examine a publisher: does it number, does replay answer and end",
		Long: `Examine a publisher: does it number, does replay answer and end.

The format is taken from the first message, unless --format names one. The
exit status is 1 if a check fails. A publisher that publishes nothing within
--timeout cannot be examined.`,
		Example: `  lintel feed doctor --live tcp://host:5557 --control tcp://host:5558
  lintel feed doctor --live tcp://host:28332 --topic hashtx --timeout 1m`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.add(cmd, "auto")
	fs := cmd.Flags()
	fs.StringVar(&f.topic, "topic", "", "the one `TOPIC`, format bitcoin only")
	fs.DurationVar(&f.timeout, "timeout", 15*time.Second, "examine for at most this long")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

// finding is the result of one check.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, failed, unknown
	Detail string `json:"detail"`
}

func (f *doctorFlags) run(cmd *cobra.Command) error {
	auto := f.format == "auto"
	if auto {
		f.format = feed.Native.String()
	}
	format, options, err := f.parse()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	var all []finding
	if auto {
		var first finding
		format, first, err = f.detect(ctx, options)
		if err != nil {
			return err
		}
		all = append(all, first)
	}
	if len(all) == 0 || all[0].Result == "ok" {
		more, err := f.examine(ctx, format, options)
		if err != nil {
			return err
		}
		all = append(all, more...)
	}
	failed := false
	for _, r := range all {
		failed = failed || r.Result != "ok"
		if !f.json {
			fmt.Fprintf(cmd.OutOrStdout(), "%-8s %-10s %s\n", r.Result, r.Check, r.Detail)
		}
	}
	if f.json {
		if err := cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"format": format.String(), "findings": all}); err != nil {
			return err
		}
	}
	if failed {
		return cli.Exit(cli.StatusFailed, nil)
	}
	return nil
}

// detect takes the format from the first message.
func (f *doctorFlags) detect(ctx context.Context, options []zmq.Option) (feed.Format, finding, error) {
	sub, err := zmq.NewSub(append(options, zmq.WithSubscribe(f.topic))...)
	if err != nil {
		return 0, finding{}, cli.Usage(err)
	}
	defer sub.Close()
	if _, err := sub.Connect(f.live); err != nil {
		return 0, finding{}, cli.EndpointError(err)
	}
	m, err := sub.Recv(ctx)
	if err != nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			return 0, finding{}, err
		}
		return 0, finding{"format", "unknown", fmt.Sprintf("no message arrived within %v", f.timeout)}, nil
	}
	format, ok := feed.DetectFormat(m)
	if !ok {
		sizes := make([]int, len(m))
		for i, frame := range m {
			sizes[i] = len(frame)
		}
		return 0, finding{"format", "failed", fmt.Sprintf("a message has %d frames of %d octets: no format with numbers is known", len(m), sizes)}, nil
	}
	return format, finding{"format", "ok", format.String()}, nil
}

// examine follows the publisher from its oldest message until it is live, or
// the time is over.
func (f *doctorFlags) examine(ctx context.Context, format feed.Format, options []zmq.Option) ([]finding, error) {
	const name = "publisher"
	r, err := feed.Open(&feed.Options{Options: options}, feed.Source{
		Name: name, Live: f.live, Control: f.control, Snapshots: f.snapshots, Format: format, Topic: f.topic, From: feed.Oldest,
	})
	if err != nil {
		return nil, cli.Usage(err)
	}
	defer r.Close()
	begin := time.Now()
	var live time.Duration
	for e, err := range r.Messages(ctx) {
		if err != nil {
			break
		}
		if e.Kind == feed.Live {
			live = time.Since(begin)
			break
		}
	}
	s := r.Stats()[name]
	return []finding{numbers(s), f.replay(s, live)}, nil
}

func numbers(s feed.Stats) finding {
	switch {
	case s.Malformed > 0:
		return finding{"numbers", "failed", fmt.Sprintf("%d messages do not follow the format", s.Malformed)}
	case s.Backwards > 0:
		return finding{"numbers", "failed", fmt.Sprintf("numbers went back %d times within an epoch", s.Backwards)}
	case s.Restarts > 0:
		return finding{"numbers", "failed", fmt.Sprintf("the publisher restarted %d times, or its numbers went back", s.Restarts)}
	case s.Messages == 0:
		return finding{"numbers", "unknown", "no message arrived"}
	case s.Lost > 0:
		return finding{"numbers", "failed", fmt.Sprintf("%d messages taken, %d lost in %d gaps", s.Messages, s.Lost, s.Gaps)}
	}
	return finding{"numbers", "ok", fmt.Sprintf("%d messages taken, none missing", s.Messages)}
}

func (f *doctorFlags) replay(s feed.Stats, live time.Duration) finding {
	switch {
	case f.control == "":
		return finding{"replay", "unknown", "no --control endpoint: every loss is final"}
	case live > 0:
		return finding{"replay", "ok", fmt.Sprintf("%d messages replayed, up to date after %v", s.Replayed, live.Round(time.Millisecond))}
	case s.Refused > 0:
		return finding{"replay", "failed", fmt.Sprintf("%d of %d requests were refused", s.Refused, s.Replays)}
	case s.Replays == 0:
		return finding{"replay", "unknown", "nothing was published that could be replayed"}
	case s.Replayed > 0:
		return finding{"replay", "failed", fmt.Sprintf("%d messages replayed, but the end marker did not come", s.Replayed)}
	}
	return finding{"replay", "failed", fmt.Sprintf("%d requests were not answered", s.Replays)}
}
