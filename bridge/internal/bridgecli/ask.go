package bridgecli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/bridge"
	"lintel.dev/bridge/engine"
	"lintel.dev/internal/cli"
)

// deadLetter is a dead letter in JSON. Octets are in base64.
type deadLetter struct {
	Seq        uint64    `json:"seq"`
	Original   uint64    `json:"original"`
	ID         []byte    `json:"id,omitempty"`
	Frames     [][]byte  `json:"frames"`
	Deliveries int       `json:"deliveries"`
	Reason     string    `json:"reason"`
	Time       time.Time `json:"time"`
}

func newDeadLetter(d engine.DeadLetter) deadLetter {
	return deadLetter{d.Seq, d.Original, []byte(d.Message.ID), d.Message.Frames, d.Deliveries, d.Reason, d.Time}
}

// askFlags are those of a command that asks a running bridge.
type askFlags struct {
	http    string
	json    bool
	timeout time.Duration
}

func (f *askFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.http, "http", "127.0.0.1:9464", "`ADDRESS` of the bridge's --http")
	fs.BoolVar(&f.json, "json", false, "print the answer as JSON")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Second, "wait for the answer at most this long")
}

// maxAnswer bounds an answer, in octets.
const maxAnswer = 256 << 20

// ask gets the JSON of a path into v.
func (f *askFlags) ask(ctx context.Context, path string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.http+path, nil)
	if err != nil {
		return cli.Usagef("--http %s: %v", f.http, err)
	}
	req.Host = "localhost" // the bridge may not know the name that this command reaches it by
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the bridge: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("ask the bridge: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the bridge: %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	return json.Unmarshal(body, v)
}

func newStatus() *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:     "status [flags]",
		Short:   "Show the state of a running bridge",
		Example: "  lintel-bridge status --http 127.0.0.1:9464 --json",
		Args:    cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s status
			if err := f.ask(cmd.Context(), "/status", &s); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case f.json:
				return cli.PrintJSON(out, s)
			case s.Queue != nil:
				printQueue(out, *s.Queue)
			case s.Log != nil:
				printLog(out, *s.Log)
			}
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

// row is a line of status.
type row struct {
	name  string
	value any
}

func printRows(w io.Writer, rows []row) {
	for _, r := range rows {
		fmt.Fprintf(w, "%-14s%v\n", r.name, r.value)
	}
}

func intakeRows(s bridge.IntakeStatus) []row {
	return []row{{"producers", s.Producers}, {"stored", s.Stored}, {"refused", s.Refused}, {"unavailable", s.Unavailable}, {"lost", s.Lost}}
}

func printQueue(w io.Writer, s bridge.QueueStatus) {
	fmt.Fprintf(w, "queue %s\n%s\n", s.Name, s.Guarantee)
	printRows(w, []row{
		{"waiting", s.Queue.Waiting},
		{"in flight", s.Queue.Unacked},
		{"dead letters", s.Queue.Dead},
		{"octets", s.Queue.Bytes},
	})
	printRows(w, intakeRows(s.IntakeStatus))
	printRows(w, []row{
		{"duplicates", s.Duplicates},
		{"workers", s.Workers},
		{"jobs held", s.Held},
		{"delivered", s.Delivered},
		{"acknowledged", s.Acked},
		{"returned", s.Returned},
		{"late", s.Late},
	})
}

func printLog(w io.Writer, s bridge.LogStatus) {
	fmt.Fprintf(w, "log %s\n%s\n", s.Name, s.Guarantee)
	printRows(w, []row{{"first", s.First}, {"last", s.Last}})
	printRows(w, intakeRows(s.IntakeStatus))
	printRows(w, []row{{"published", s.Published}, {"skipped", s.Skipped}})
}

func newDead() *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:     "dead [flags]",
		Short:   "List the dead letters of a running queue, at most 1,000",
		Example: "  lintel-bridge dead --http 127.0.0.1:9464",
		Args:    cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []deadLetter
			if err := f.ask(cmd.Context(), "/dead", &all); err != nil {
				return err
			}
			if f.json {
				return cli.PrintJSON(cmd.OutOrStdout(), all)
			}
			for _, d := range all {
				frames := make([]string, len(d.Frames))
				for i, frame := range d.Frames {
					frames[i] = cli.Escaped(frame)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d\t%s\tdelivered %d\t%s\t%s\n",
					d.Original, d.Time.Format(time.RFC3339), d.Deliveries, cli.Escaped([]byte(d.Reason)), strings.Join(frames, "|"))
			}
			return nil
		},
	}
	f.add(cmd)
	return cmd
}
