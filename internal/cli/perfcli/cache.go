package perfcli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
)

// loadSettings are the flags of lintel perf cache.
type loadSettings struct {
	server   string
	conns    int
	pipeline int
	threads  int

	keys     int
	keySize  int
	values   sizes
	ratio    mix
	multi    int
	zipf     float64 // 0: uniform
	oneHit   float64
	scan     int
	every    int
	ttl      time.Duration
	fill     bool
	preload  bool
	trace    string
	passes   int
	requests int64
	duration time.Duration
	warmup   time.Duration
	rate     float64
	seed     uint64
	pid      int

	json, quiet bool
}

func newPerfCache() *cobra.Command {
	s := &loadSettings{}
	var values, ratio, dist string
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Load a memcached server and check every reply",
		Long: `Load a server that speaks memcached's protocol, and check every reply.

Values are derived from their keys, so that a wrong, stale or torn value is
detected; the first such reply ends the run with an error.

Without --rate each connection sends its next request when it has received a
reply (a closed loop). With --rate requests are sent when they are due, and
their latency counts from that time (an open loop).`,
		Example: `  lintel perf cache --conns 50 --duration 10s
  lintel perf cache --ratio 1:1 --value-size 10-2000 --dist zipf:0.99 --ttl 1m
  lintel perf cache --multi 50 --json
  lintel perf cache --rate 50000 --server /run/memcached.sock
  lintel perf cache --trace web12.gz --value-size 1000`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if s.values, err = parseSizes(values); err != nil {
				return err
			}
			if s.ratio, err = parseMix(ratio); err != nil {
				return err
			}
			if s.zipf, err = parseDist(dist); err != nil {
				return err
			}
			if s.trace != "" {
				// One connection keeps the order of the trace.
				if !cmd.Flags().Changed("conns") {
					s.conns = 1
				}
				s.fill, s.preload = true, false
			}
			if s.fill && !cmd.Flags().Changed("preload") {
				s.preload = false
			}
			if err := s.validate(); err != nil {
				return err
			}
			return s.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.server, "server", "127.0.0.1:11211", "`ADDR` of the server: host:port, or the path of a unix socket")
	f.IntVar(&s.conns, "conns", 50, "number of connections")
	f.IntVar(&s.pipeline, "pipeline", 1, "requests in flight on each connection")
	f.IntVar(&s.threads, "threads", 1, "event loops of the load generator")
	f.IntVar(&s.keys, "keys", 100_000, "number of keys")
	f.IntVar(&s.keySize, "key-size", 16, "size of a key in bytes, 8 to 250")
	f.StringVar(&values, "value-size", "100", "`SIZE` of a value in bytes: N, MIN-MAX, or sizes with weights N:W,N:W,...")
	f.StringVar(&ratio, "ratio", "1:0", "`GETS:SETS`, the ratio of gets to sets")
	f.IntVar(&s.multi, "multi", 1, "keys in a get")
	f.StringVar(&dist, "dist", "uniform", "`DIST` of the keys: uniform, or zipf:EXPONENT such as zipf:0.99")
	f.Float64Var(&s.oneHit, "one-hit", 0, "share of requests for keys that are requested once, 0 to 1")
	f.IntVar(&s.scan, "scan", 0, "length of a scan: requests for new keys, one after the other")
	f.IntVar(&s.every, "scan-every", 500_000, "requests between scans")
	f.DurationVar(&s.ttl, "ttl", 0, "time to live of stored items; 0: do not expire")
	f.BoolVar(&s.fill, "fill", false, "set the key after a miss")
	f.BoolVar(&s.preload, "preload", true, "set every key before the measurement; off with --fill")
	f.StringVar(&s.trace, "trace", "", "`FILE` of key numbers, one a line, gzip or not: get each, set it on a miss")
	f.IntVar(&s.passes, "passes", 1, "number of replays of the trace")
	f.Int64Var(&s.requests, "requests", 0, "stop after this many requests")
	f.DurationVar(&s.duration, "duration", 10*time.Second, "length of the measurement, without --requests and --trace")
	f.DurationVar(&s.warmup, "warmup", 0, "time before the measurement")
	f.Float64Var(&s.rate, "rate", 0, "requests a second over all connections; 0: closed loop")
	f.Uint64Var(&s.seed, "seed", 1, "seed of the random numbers")
	f.IntVar(&s.pid, "pid", 0, "process id of the server: report its cpu time (Linux)")
	f.BoolVar(&s.json, "json", false, "print the result as one line of JSON")
	f.BoolVar(&s.quiet, "quiet", false, "show no progress")
	return cmd
}

func (s *loadSettings) validate() error {
	for _, c := range []struct {
		bad  bool
		flag string
		got  any
		want string
	}{
		{s.conns < 1 || s.conns > 100_000, "conns", s.conns, "1 to 100000"},
		{s.pipeline < 1 || s.pipeline > 10_000, "pipeline", s.pipeline, "1 to 10000"},
		{s.threads < 1 || s.threads > 256, "threads", s.threads, "1 to 256"},
		{s.keys < 1 || s.keys > 1<<31, "keys", s.keys, "1 to 2147483648"},
		{s.keySize < minKey || s.keySize > 250, "key-size", s.keySize, "8 to 250"},
		{s.multi < 1 || s.multi > 1000, "multi", s.multi, "1 to 1000"},
		{s.oneHit < 0 || s.oneHit > 1, "one-hit", s.oneHit, "0 to 1"},
		{s.scan < 0, "scan", s.scan, "at least 0"},
		{s.every < 1, "scan-every", s.every, "at least 1"},
		{s.ttl < 0 || s.ttl > 0 && s.ttl < time.Second, "ttl", s.ttl, "0, or at least 1s"},
		{s.passes < 1, "passes", s.passes, "at least 1"},
		{s.requests < 0, "requests", s.requests, "at least 0"},
		{s.requests == 0 && s.trace == "" && s.duration <= 0, "duration", s.duration, "more than 0"},
		{s.rate < 0 || math.IsNaN(s.rate), "rate", s.rate, "at least 0"},
		{s.multi > 1 && s.fill, "multi", s.multi, "1 with --fill or --trace"},
		{s.multi > 1 && (s.oneHit > 0 || s.scan > 0), "multi", s.multi, "1 with --one-hit or --scan"},
	} {
		if c.bad {
			return cli.Usagef("--%s %v: expected %s", c.flag, c.got, c.want)
		}
	}
	return nil
}

// mix is a ratio of gets to sets.
type mix struct{ gets, sets int }

func parseMix(text string) (mix, error) {
	g, t, ok := strings.Cut(text, ":")
	gets, err1 := strconv.Atoi(g)
	sets, err2 := strconv.Atoi(t)
	if !ok || err1 != nil || err2 != nil || gets < 0 || sets < 0 || gets+sets == 0 || gets+sets > 1<<20 {
		return mix{}, cli.Usagef("--ratio %s: expected GETS:SETS, such as 9:1", text)
	}
	return mix{gets, sets}, nil
}

func parseDist(text string) (zipf float64, err error) {
	if text == "uniform" {
		return 0, nil
	}
	if e, ok := strings.CutPrefix(text, "zipf:"); ok {
		if v, err := strconv.ParseFloat(e, 64); err == nil && v > 0 && v < 1 {
			return v, nil
		}
	}
	return 0, cli.Usagef("--dist %s: expected uniform, or zipf:EXPONENT with an exponent between 0 and 1", text)
}

// loadResult is the result of a run.
type loadResult struct {
	Server     string  `json:"server"`
	Conns      int     `json:"conns"`
	Pipeline   int     `json:"pipeline"`
	Seconds    float64 `json:"seconds"`
	Requests   int64   `json:"requests"`
	Rate       float64 `json:"requests_per_second"`
	Keys       int64   `json:"keys_asked"`
	Gets       int64   `json:"gets"`
	Hits       int64   `json:"hits"`
	Misses     int64   `json:"misses"`
	Fresh      int64   `json:"fresh"` // keys requested for the first time: --one-hit, --scan
	HitRatio   float64 `json:"hit_ratio"`
	Sets       int64   `json:"sets"`
	NotStored  int64   `json:"not_stored"` // sets refused: out of memory
	BytesIn    int64   `json:"bytes_read"`
	BytesOut   int64   `json:"bytes_written"`
	Latency    latency `json:"latency_us"`
	CPUSeconds float64 `json:"server_cpu_seconds,omitempty"`
	CPUPerKey  float64 `json:"server_cpu_us_per_key,omitempty"`
	CPUPerReq  float64 `json:"server_cpu_us_per_request,omitempty"`
}

// latency is in microseconds.
type latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func (s *loadSettings) run(ctx context.Context, stdout, stderr io.Writer) error {
	r, err := s.measure(ctx, s.progress(stderr))
	if err != nil {
		return err
	}
	if s.json {
		return json.NewEncoder(stdout).Encode(r)
	}
	r.print(stdout)
	return nil
}

// progress returns a function that shows the progress of a run, or nil.
func (s *loadSettings) progress(stderr io.Writer) func(phase string, done int64, of float64) {
	if s.quiet || !cli.IsTerminal(stderr) {
		return nil
	}
	return func(phase string, done int64, of float64) {
		if phase == "" {
			fmt.Fprint(stderr, "\r\x1b[K")
			return
		}
		fmt.Fprintf(stderr, "\r\x1b[K%s: %s requests, %.0f %%", phase, grouped(done), 100*of)
	}
}

func (r *loadResult) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %d connections, %d in flight on each\n", r.Server, r.Conns, r.Pipeline)
	fmt.Fprintf(w, "requests   %s in %.2f s: %s a second\n", grouped(r.Requests), r.Seconds, grouped(int64(r.Rate)))
	if r.Gets > 0 {
		fmt.Fprintf(w, "gets       %s (%s keys), hit ratio %.4f\n", grouped(r.Gets), grouped(r.Keys), r.HitRatio)
	}
	if r.Sets > 0 {
		fmt.Fprintf(w, "sets       %s, %s of them not stored\n", grouped(r.Sets), grouped(r.NotStored))
	}
	fmt.Fprintf(w, "traffic    %.1f MB/s in, %.1f MB/s out\n", float64(r.BytesIn)/r.Seconds/1e6, float64(r.BytesOut)/r.Seconds/1e6)
	l := r.Latency
	fmt.Fprintf(w, "latency us mean %.1f  p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n", l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max)
	if r.CPUSeconds > 0 {
		fmt.Fprintf(w, "server cpu %.2f s: %.3f us a request, %.3f us a key\n", r.CPUSeconds, r.CPUPerReq, r.CPUPerKey)
	}
}

// grouped formats n with commas between groups of three digits.
func grouped(n int64) string {
	t := strconv.FormatInt(n, 10)
	for i := len(t) - 3; i > 0 && t[i-1] != '-'; i -= 3 {
		t = t[:i] + "," + t[i:]
	}
	return t
}
