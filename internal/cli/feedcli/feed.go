// Package feedcli is the command lintel feed: numbered publications for shells.
//
// serve publishes lines or files, tail prints what a Reader yields, doctor
// examines a publisher of any format. All three are thin: what a feed promises
// is in package feed.
package feedcli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
	"lintel.dev/zmq/feed"
)

// New returns the command lintel feed.
func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "feed",
		Short: "Publish and follow numbered messages that can be replayed",
		Long: `Publish and follow numbered messages that can be replayed.

A feed is PUB/SUB with a number on every message. A reader knows what it
missed, gets it again from the publisher, or prints a gap.

Formats: native, and those of vLLM's KV-cache events (vllm, vllm-notopic before
0.26, vllm-epoch) and of Bitcoin Core's notifications (bitcoin).`,
		Example: `  lintel feed serve --live tcp://*:5556 --control tcp://*:5557
  lintel feed tail --live tcp://host:5556 --control tcp://host:5557
  lintel feed doctor --live tcp://host:5557 --control tcp://host:5558`,
		Args: cli.NoOther("command"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newServe(), newTail(), newDoctor())
	return cmd
}

// endpoints are the flags that all commands have.
type endpoints struct {
	live, control, snapshots string
	format                   string
	options                  []string
}

func (e *endpoints) add(cmd *cobra.Command, format string) {
	f := cmd.Flags()
	f.StringVar(&e.live, "live", "", "`ENDPOINT` of the live messages (required)")
	f.StringVar(&e.control, "control", "", "`ENDPOINT` of replay and liveness")
	f.StringVar(&e.snapshots, "snapshots", "", "`ENDPOINT` of snapshots, format vllm-epoch only")
	f.StringVar(&e.format, "format", format, "wire `FORMAT`")
	f.StringArrayVar(&e.options, "option", nil, "socket option `NAME=VALUE`, see lintel zmq --help")
	cli.Must(cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp)))
}

// formats returns the names of all formats.
func formats() []string {
	var names []string
	for f := feed.Native; ; f++ {
		if _, err := feed.ParseFormat(f.String()); err != nil {
			return names
		}
		names = append(names, f.String())
	}
}

// parse returns the format and the socket options.
func (e *endpoints) parse() (feed.Format, []zmq.Option, error) {
	if e.live == "" {
		return 0, nil, cli.Usagef("--live: expected an endpoint, such as tcp://127.0.0.1:5556")
	}
	format, err := feed.ParseFormat(e.format)
	if err != nil {
		return 0, nil, cli.Usagef("--format: %q, expected one of %s", e.format, strings.Join(formats(), ", "))
	}
	var options []zmq.Option
	for _, o := range e.options {
		name, value, ok := strings.Cut(o, "=")
		if !ok {
			return 0, nil, cli.Usagef("--option: %q, expected NAME=VALUE", o)
		}
		options = append(options, zmq.WithOption(name, value))
	}
	return format, options, nil
}

// line describes an event as a line of text. Messages are the number, the topic
// and the payload; other events begin with two hyphens.
func line(e feed.Event, sources int) string {
	source := ""
	if sources > 1 {
		source = e.Source + "\t"
	}
	switch e.Kind {
	case feed.Message:
		return fmt.Sprintf("%s%d\t%s\t%s", source, e.Position.Seq, cli.Escaped(e.Topic), cli.Escaped(e.Payload))
	case feed.SnapshotItem:
		return fmt.Sprintf("%s-- item\t%s\t%s", source, cli.Escaped(e.Topic), cli.Escaped(e.Payload))
	case feed.Gap:
		return fmt.Sprintf("%s-- gap %d-%d: %d messages lost", source, e.From, e.To, e.To-e.From+1)
	case feed.SnapshotBegin:
		return fmt.Sprintf("%s-- snapshot-begin at %d", source, e.Position.Seq)
	case feed.Restart:
		return fmt.Sprintf("%s-- restart: epoch %v", source, e.Position.Epoch)
	}
	return fmt.Sprintf("%s-- %v", source, e.Kind)
}

// object is an event as JSON.
type object struct {
	Kind     string        `json:"kind"`
	Source   string        `json:"source"`
	Position feed.Position `json:"position"`
	Topic    []byte        `json:"topic,omitempty"`
	Payload  []byte        `json:"payload,omitempty"`
	Time     *time.Time    `json:"time,omitempty"`
	From     uint64        `json:"from,omitempty"`
	To       uint64        `json:"to,omitempty"`
}

func toObject(e feed.Event) object {
	o := object{e.Kind.String(), e.Source, e.Position, e.Topic, e.Payload, nil, e.From, e.To}
	if !e.Time.IsZero() {
		o.Time = &e.Time
	}
	return o
}
