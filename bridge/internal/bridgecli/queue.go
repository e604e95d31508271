package bridgecli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/bridge"
	"lintel.dev/bridge/engine"
	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

type queueFlags struct {
	serveFlags
	out   []string
	queue engine.QueueConfig
	dead  time.Duration
}

func newQueue(p Program) *cobra.Command {
	var f queueFlags
	defaults := engine.QueueConfig{}.WithDefaults()
	cmd := &cobra.Command{
		Use:   "queue [flags] NAME",
		Short: "Serve a work queue",
		Long: `Serve a work queue.

Producers connect to the endpoints of --in, workers to those of --out. TYPE is
the socket type of these peers: req, dealer or push for producers, req, dealer
or pull for workers. PUSH producers and PULL workers cannot acknowledge: what
is on its way to or from them can be lost. docs/bridge.md has the protocol of
the others.`,
		Example: `  lintel-bridge queue jobs --embedded /var/lib/jobs --in req=tcp://*:5601 --out req=tcp://*:5602
  lintel-bridge queue jobs --nats nats://db1 --in dealer=tcp://*:5601,push=tcp://*:5603 --out dealer=tcp://*:5602`,
		Args: cli.Between(1, 1, "the name of the queue"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.serveQueue(cmd, p, args[0]) },
	}
	f.add(cmd)
	fs := cmd.Flags()
	fs.StringArrayVar(&f.out, "out", nil, "workers connect to `TYPE=ENDPOINT`; TYPE alone: a free port; repeatable, or separated by commas")
	fs.DurationVar(&f.queue.AckWait, "ack-wait", defaults.AckWait, "deliver a job again that is not acknowledged for this long")
	fs.IntVar(&f.queue.MaxDeliver, "max-deliver", defaults.MaxDeliver, "deliveries before a job is a dead letter; negative: no limit")
	fs.IntVar(&f.queue.MaxUnacked, "max-unacked", defaults.MaxUnacked, "jobs that all workers together may hold")
	fs.DurationVar(&f.queue.Dedup, "dedup", defaults.Dedup, "refuse the id of a message again for this long")
	fs.IntVar(&f.queue.MaxOutstanding, "max-outstanding", defaults.MaxOutstanding, "messages on their way to the store, before producers wait")
	fs.Int64Var(&f.queue.MaxBytes, "max-bytes", 0, "size of the waiting messages; 0: the limit of the store")
	fs.DurationVar(&f.dead, "dead-after", bridge.DefaultDeadAfter, "a DEALER worker that is silent for this long is dead")
	return cmd
}

func (f *queueFlags) serveQueue(cmd *cobra.Command, p Program, name string) error {
	in, err := endpoints("in", f.in, "req", "dealer", "push")
	if err != nil {
		return err
	}
	out, err := endpoints("out", f.out, "req", "dealer", "pull", "push")
	if err != nil {
		return err
	}
	if len(in)+len(out) == 0 {
		return cli.Usagef("--in, --out: expected at least one endpoint")
	}
	pull := append(out["pull"], out["push"]...) // push is the bridge's own type
	open := func(ctx context.Context, e engine.Engine, options []zmq.Option, logger *slog.Logger) (server, error) {
		q, err := bridge.NewQueue(ctx, e, name, bridge.QueueConfig{
			Engine:       f.queue,
			ReqProducers: in["req"], DealerProducers: in["dealer"], PushProducers: in["push"],
			ReqWorkers: out["req"], DealerWorkers: out["dealer"], PullWorkers: pull,
			DeadAfter: f.dead, Options: options, Logger: logger,
		})
		return queueSource{q}, err
	}
	return f.run(cmd, p, name, open, func(g engine.Guarantee) []string {
		return queueClaims(g, len(in["push"]) > 0, len(pull) > 0)
	})
}

// queueClaims returns what a queue guarantees.
func queueClaims(g engine.Guarantee, push, pull bool) []string {
	claims := []string{
		fmt.Sprintf("store: %v", g),
		"REQ and DEALER producers: OK means that the store has the message as above",
		"REQ and DEALER workers: each stored message is delivered until it is acknowledged, so at least once",
	}
	if push {
		claims = append(claims, "PUSH producers: best effort; messages in their queues, in the network and in the bridge are lost with these")
	}
	if pull {
		claims = append(claims, "PULL workers: best effort; a worker that ends loses the jobs that were sent to it")
	}
	return append(claims, "exactly once: not claimed; use ids, and workers for which a second delivery does no harm")
}
