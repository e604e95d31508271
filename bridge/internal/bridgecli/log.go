package bridgecli

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"lintel.dev/bridge"
	"lintel.dev/bridge/engine"
	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
	"lintel.dev/zmq/feed"
)

type logFlags struct {
	serveFlags
	live, control []string
	log           engine.LogConfig
	ring          int
}

func newLog(p Program) *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use:   "log [flags] NAME",
		Short: "Serve a log as a feed",
		Long: `Serve a log as a feed.

Producers connect to the endpoints of --in and send messages of two frames, a
topic and a body. TYPE is their socket type: req, dealer, push or pub. Plain
subscribers connect a SUB socket to --live; they see a header between topic and
body. Readers of feeds (lintel feed tail, package zmq/feed) use --control too:
they know what they missed, and get it from the log.

A restarted bridge goes on with the same feed, and several bridges of one log
publish the same one.`,
		Example: `  lintel-bridge log prices --embedded /var/lib/prices --in pub=tcp://*:5601,req=tcp://*:5604 --live tcp://*:5602 --control tcp://*:5603
  lintel feed tail --live tcp://host:5602 --control tcp://host:5603`,
		Args: cli.Between(1, 1, "the name of the log"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.serveLog(cmd, p, args[0]) },
	}
	f.add(cmd)
	fs := cmd.Flags()
	fs.StringArrayVar(&f.live, "live", nil, "`ENDPOINT` of the live messages; repeatable")
	fs.StringArrayVar(&f.control, "control", nil, "`ENDPOINT` of replay and liveness; repeatable")
	fs.DurationVar(&f.log.MaxAge, "max-age", 0, "remove messages of this age; 0 is no limit")
	fs.Int64Var(&f.log.MaxEntries, "max-messages", 0, "keep at most this many messages; 0 is no limit")
	fs.Int64Var(&f.log.MaxBytes, "max-bytes", 0, "keep at most this many octets; 0: the limit of the store")
	fs.IntVar(&f.log.MaxOutstanding, "max-outstanding", engine.LogConfig{}.WithDefaults().MaxOutstanding, "messages on their way to the store, before producers wait")
	fs.IntVar(&f.ring, "ring", feed.DefaultMaxMessages, "replay this many messages from memory")
	return cmd
}

func (f *logFlags) serveLog(cmd *cobra.Command, p Program, name string) error {
	in, err := endpoints("in", f.in, "req", "dealer", "push", "pub")
	if err != nil {
		return err
	}
	if len(in)+len(f.live)+len(f.control) == 0 {
		return cli.Usagef("--in, --live, --control: expected at least one endpoint")
	}
	open := func(ctx context.Context, e engine.Engine, options []zmq.Option, logger *slog.Logger) (server, error) {
		l, err := bridge.NewLog(ctx, e, name, bridge.LogConfig{
			Engine:       f.log,
			ReqProducers: in["req"], DealerProducers: in["dealer"], PushProducers: in["push"], PubProducers: in["pub"],
			Live: f.live, Control: f.control, Ring: f.ring, Options: options, Logger: logger,
		})
		return logSource{l}, err
	}
	return f.run(cmd, p, name, open, func(g engine.Guarantee) []string {
		return logClaims(g, len(in["push"])+len(in["pub"]) > 0)
	})
}

// logClaims returns what a log guarantees.
func logClaims(g engine.Guarantee, unacknowledged bool) []string {
	claims := []string{
		fmt.Sprintf("store: %v", g),
		"REQ and DEALER producers: OK means that the store has the message as above; a repeated message is a second one",
	}
	if unacknowledged {
		claims = append(claims, "PUSH and PUB producers: best effort; messages in their queues, in the network and in the bridge are lost with these")
	}
	return append(claims,
		"readers of the feed: each message once and in order, or a gap for what left the store",
		"plain SUB sockets: best effort, as of any PUB")
}
