package perfcli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

// The CURVE keys of libzmq's perf tools, so that both can be run against each
// other. They are public and protect nothing.
const (
	perfServerPublic = "DX4nh=yUn{-9ugra0X3Src4SU-4xTgqxcYY.+<SH"
	perfServerSecret = "{X}#>t#jRGaQ}gMhv=30r(Mw+87YGs+5%kh=i@f8"
	perfClientPublic = "<n^oA}I:66W+*ds3tAmi1+KJzv-}k&fC2aA5Bj0K"
	perfClientSecret = "9R9bV}[6z6DC-%$!jTVTKvWc=LEL{4i4gzUe$@Zx"
)

// perfGCPercent is GOGC of the tools, unless GOGC is set.
const perfGCPercent = 800

// perfRun is one measurement.
type perfRun struct {
	endpoint string // empty: within the process
	size     int    // bytes of a message
	count    int    // messages or round trips
	curve    bool
	json     bool
	out      io.Writer
	zctx     *zmq.Context
}

// newPerfTool returns a command with the arguments of libzmq's tool of the same
// name. what is "message" or "roundtrip".
func newPerfTool(name, short, endpoint, what, example string, run func(context.Context, *perfRun) error) *cobra.Command {
	p := &perfRun{}
	use, least := name, 2
	if endpoint != "" {
		use, least = use+" <"+endpoint+">", 3
	}
	use += " <message-size> <" + what + "-count>"
	most := least
	if endpoint != "" {
		use, most = use+" [<curve>]", 4
	}
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: example,
		// Without [flags] the line fits 80 columns.
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < least || len(args) > most {
				return cli.Usagef("%d arguments, usage: lintel perf %s", len(args), use)
			}
			return p.parse(args, endpoint != "", what)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			p.out = cmd.OutOrStdout()
			// With a heap this small the collector would run hundreds of times a
			// second.
			if os.Getenv("GOGC") == "" {
				defer debug.SetGCPercent(debug.SetGCPercent(perfGCPercent))
			}
			p.zctx = new(zmq.Context)
			return run(cmd.Context(), p)
		},
	}
	cmd.Flags().BoolVar(&p.json, "json", false, "one line of JSON instead of libzmq's lines")
	return cmd
}

func (p *perfRun) parse(args []string, endpoint bool, what string) error {
	if endpoint {
		p.endpoint, args = args[0], args[1:]
	}
	var err error
	if p.size, err = strconv.Atoi(args[0]); err != nil || p.size < 0 {
		return cli.Usagef("message size %q, expected a number of bytes", args[0])
	}
	if p.count, err = strconv.Atoi(args[1]); err != nil || p.count < 1 {
		return cli.Usagef("%s count %q, expected a number of at least 1", what, args[1])
	}
	if len(args) > 2 {
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return cli.Usagef("enable-curve %q, expected 0 or 1", args[2])
		}
		p.curve = n != 0
	}
	return nil
}

// open returns a socket whose Close waits until all messages are sent.
func (p *perfRun) open(t string, server bool, opts ...zmq.Option) (zmq.Socket, error) {
	opts = append(opts, zmq.InContext(p.zctx), zmq.WithLinger(-1))
	if p.curve {
		options := [][2]string{
			{"curve_publickey", perfClientPublic},
			{"curve_secretkey", perfClientSecret},
			{"curve_serverkey", perfServerPublic},
		}
		if server {
			options = [][2]string{
				{"curve_publickey", perfServerPublic},
				{"curve_secretkey", perfServerSecret},
				{"curve_server", "1"},
			}
		}
		for _, o := range options {
			opts = append(opts, zmq.WithOption(o[0], o[1]))
		}
	}
	return zmq.New(t, opts...)
}

// frame receives a message of one frame and checks its size.
func (p *perfRun) frame(ctx context.Context, s zmq.Receiver) ([]byte, error) {
	b, err := s.RecvBytes(ctx)
	if err == nil {
		err = p.check(b)
	}
	return b, err
}

func (p *perfRun) check(b []byte) error {
	if len(b) != p.size {
		return fmt.Errorf("message of incorrect size received: %d bytes, expected %d", len(b), p.size)
	}
	return nil
}

// reportSize prints size and count as libzmq's tools do.
func (p *perfRun) reportSize(what string) {
	if !p.json {
		fmt.Fprintf(p.out, "message size: %d [B]\n%s count: %d\n", p.size, what, p.count)
	}
}

// reportThroughput prints messages and megabits a second.
func (p *perfRun) reportThroughput(elapsed time.Duration) error {
	us := max(elapsed.Microseconds(), 1)
	throughput := float64(p.count) / float64(us) * 1e6
	megabits := throughput * float64(p.size) * 8 / 1e6
	if p.json {
		return json.NewEncoder(p.out).Encode(struct {
			Size     int     `json:"message_size"`
			Count    int     `json:"message_count"`
			Elapsed  int64   `json:"elapsed_us"`
			Messages float64 `json:"messages_per_s"`
			Megabits float64 `json:"megabits_per_s"`
		}{p.size, p.count, us, throughput, megabits})
	}
	_, err := fmt.Fprintf(p.out, "mean throughput: %d [msg/s]\nmean throughput: %.3f [Mb/s]\n", int64(throughput), megabits)
	return err
}

// reportLatency prints half the time of a round trip. trips are the times in
// nanoseconds; they are only needed for JSON.
func (p *perfRun) reportLatency(elapsed time.Duration, trips *histogram) error {
	mean := float64(elapsed.Microseconds()) / float64(p.count) / 2
	if p.json {
		half := func(ns int64) float64 { return float64(ns) / 2e3 }
		return json.NewEncoder(p.out).Encode(struct {
			Size    int     `json:"message_size"`
			Count   int     `json:"roundtrip_count"`
			Elapsed int64   `json:"elapsed_us"`
			Mean    float64 `json:"average_latency_us"`
			P50     float64 `json:"p50_us"`
			P99     float64 `json:"p99_us"`
			Max     float64 `json:"max_us"`
		}{
			p.size, p.count, elapsed.Microseconds(), mean,
			half(trips.percentile(50)), half(trips.percentile(99)), half(trips.max),
		})
	}
	_, err := fmt.Fprintf(p.out, "average latency: %.3f [us]\n", mean)
	return err
}
