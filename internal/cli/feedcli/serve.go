package feedcli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/cli/logging"
	"lintel.dev/internal/cli/webpage"
	"lintel.dev/zmq"
	"lintel.dev/zmq/feed"
)

// maxLine bounds a line of standard input, in octets.
const maxLine = 64 << 20

type serveFlags struct {
	endpoints
	topic       string
	fields      bool
	quit        bool
	maxMessages int
	maxOctets   int64
	maxAge      time.Duration
	heartbeat   time.Duration
	http        string
	log         logging.Flags
}

func newServe() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve [flags] [FILE...]",
		Short: "Publish lines of standard input, or files",
		Long: `Publish lines of standard input, or files.

Each line is a message. \xNN stands for the backslash and for bytes that are
not printable ASCII. With files each file is a message with its name as topic.
After the last message the command serves replays until it is interrupted, or
ends with --quit.`,
		Example: `  vmstat 1 | lintel feed serve --live tcp://*:5556 --control tcp://*:5557
  lintel feed serve --live tcp://*:5556 --control tcp://*:5557 *.json
  lintel feed serve --format vllm --live tcp://*:5557 --control tcp://*:5558`,
		RunE: func(cmd *cobra.Command, args []string) error {
			log := f.log.New(cmd.ErrOrStderr())
			return logging.Failed(log, f.run(cmd, log, args))
		},
	}
	f.add(cmd, "native")
	fs := cmd.Flags()
	fs.StringVar(&f.topic, "topic", "", "`TOPIC` of all lines")
	fs.BoolVar(&f.fields, "topics", false, "each line is TOPIC, TAB, PAYLOAD")
	fs.BoolVar(&f.quit, "quit", false, "end after the last message")
	fs.IntVar(&f.maxMessages, "max-messages", feed.DefaultMaxMessages, "keep at most `N` messages for replay")
	fs.Int64Var(&f.maxOctets, "max-octets", feed.DefaultMaxOctets, "keep at most `N` octets for replay")
	fs.DurationVar(&f.maxAge, "max-age", 0, "keep messages for replay this long, 0 is no limit")
	fs.DurationVar(&f.heartbeat, "heartbeat", feed.DefaultHeartbeat, "interval of heartbeats")
	fs.StringVar(&f.http, "http", "", "serve a status page and /metrics at `ADDR`, HOST:PORT or :PORT")
	f.log.Add(cmd)
	return cmd
}

func (f *serveFlags) run(cmd *cobra.Command, log *slog.Logger, files []string) (err error) {
	format, options, err := f.parse()
	switch {
	case err != nil:
		return err
	case f.fields && f.topic != "":
		return cli.Usagef("--topic and --topics: expected one of them")
	case len(files) > 0 && (f.fields || f.topic != ""):
		return cli.Usagef("--topic and --topics are for lines, files have their names as topics")
	}
	for _, name := range files {
		if err := cli.InputFile(name); err != nil {
			return cli.Usage(err)
		}
	}
	p, err := feed.NewPublisher(&feed.Config{
		Format: format, MaxMessages: f.maxMessages, MaxOctets: f.maxOctets, MaxAge: f.maxAge, Heartbeat: f.heartbeat,
		Options: append(options, zmq.WithLogger(log)),
	})
	if err != nil {
		return cli.Usage(err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for _, b := range []struct {
		name, endpoint string
		bind           func(string) (string, error)
	}{{"live", f.live, p.Bind}, {"control", f.control, p.BindControl}, {"snapshots", f.snapshots, p.BindSnapshots}} {
		if b.endpoint == "" {
			continue
		}
		addr, err := b.bind(b.endpoint)
		if err != nil {
			return cli.EndpointError(fmt.Errorf("--%s: %w", b.name, err))
		}
		log.Info("bound "+b.name, "endpoints", logging.List{addr})
	}
	if f.http != "" {
		ctx, stop := context.WithCancel(cmd.Context())
		var tasks errgroup.Group
		defer tasks.Wait()
		defer stop()
		if err := f.startHTTP(ctx, &tasks, cmd.Root().Version, log, p); err != nil {
			return err
		}
	}
	if err := f.publish(cmd.Context(), p, cmd.InOrStdin(), files); err != nil || f.quit {
		return err
	}
	<-cmd.Context().Done()
	log.Info("stopping")
	return nil
}

// statsFunc is a webpage.Source.
type statsFunc func() zmq.Stats

func (f statsFunc) Stats() zmq.Stats { return f() }

// startHTTP serves --http: the sockets of the publisher, and its ring.
func (f *serveFlags) startHTTP(ctx context.Context, tasks *errgroup.Group, version string, log *slog.Logger, p *feed.Publisher) error {
	sockets := []*webpage.Socket{
		webpage.NewSocket("live", statsFunc(func() zmq.Stats { return p.Stats().Live })),
		webpage.NewSocket("control", statsFunc(func() zmq.Stats { return p.Stats().Control })),
	}
	ring := func(v *webpage.View) {
		st := p.Stats()
		v.Parts[0].Figures = append([]webpage.Figure{
			{Label: "Published", Value: webpage.Number(float64(st.Position.Seq)), Note: "messages of epoch " + st.Position.Epoch.String()[:8]},
			{Label: "Kept for replay", Value: webpage.Number(float64(st.Kept)), Share: webpage.Share(float64(st.Kept), float64(f.maxMessages)), Note: "of " + webpage.Number(float64(f.maxMessages)) + " messages"},
			{Label: "Memory of replay", Value: webpage.Size(float64(st.Octets)), Share: webpage.Share(float64(st.Octets), float64(f.maxOctets)), Note: "of " + webpage.Size(float64(f.maxOctets))},
		}, v.Parts[0].Figures...)
	}
	return webpage.StartSockets(ctx, tasks, f.http, "Lintel feed", version, sockets, ring, log)
}

func (f *serveFlags) publish(ctx context.Context, p *feed.Publisher, in io.Reader, files []string) error {
	for _, name := range files {
		b, err := cli.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := p.Publish(name, b); err != nil {
			return err
		}
	}
	if len(files) > 0 {
		return nil
	}
	lines := make(chan error, 1)
	go func() { lines <- f.lines(p, in) }()
	select {
	case err := <-lines:
		return err
	case <-ctx.Done():
		return nil // a read of a terminal cannot be ended
	}
}

func (f *serveFlags) lines(p *feed.Publisher, in io.Reader) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	for n := 1; scanner.Scan(); n++ {
		topic, text := f.topic, scanner.Bytes()
		if f.fields {
			before, after, ok := bytes.Cut(text, []byte("\t"))
			if !ok {
				return fmt.Errorf("line %d: no TAB, expected TOPIC, TAB, PAYLOAD", n)
			}
			t, err := cli.Unescape(before)
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
			topic, text = string(t), after
		}
		payload, err := cli.Unescape(text)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if _, err := p.Publish(topic, payload); err != nil {
			return err
		}
	}
	if errors.Is(scanner.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("a line has more than %d octets", maxLine)
	}
	return scanner.Err()
}
