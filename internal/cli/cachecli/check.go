package cachecli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/memcache"
)

// maxClockOffset is the clock difference that is a problem: expiry times are
// absolute above 30 days, and client and server count seconds.
const maxClockOffset = 2 * time.Second

// certificateMargin is the remaining validity of a certificate below which it is
// a problem.
const certificateMargin = 14 * 24 * time.Hour

// serverCheck is what lintel cache check finds out about one server.
type serverCheck struct {
	Server      string   `json:"server"`
	Version     string   `json:"version,omitempty"`
	LatencyMS   float64  `json:"latency_ms"`
	ClockOffset *float64 `json:"clock_offset_seconds,omitempty"` // of the server, to the second
	TLS         string   `json:"tls,omitempty"`
	Sampled     int      `json:"keys_sampled"`
	Placed      int      `json:"keys_placed"` // of the sampled, those that --placement assigns to the server
	Problems    []string `json:"problems"`
}

func (s *serverCheck) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	first, _, _ := strings.Cut(text, "\n")
	s.Problems = append(s.Problems, first)
}

func newCacheCheck(f *cacheFlags) *cobra.Command {
	var sample int
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check that servers work and agree with each other",
		Long: `Check each server: whether it answers and how fast, its version, its clock, its
TLS certificate, and whether its keys are those that --placement assigns to it.
The exit status is 1 if there is a problem.

The keys are a sample from lru_crawler metadump, which memcached has since
1.4.31. Few keys on the server that --placement assigns them to mean that the
clients use another placement, or another list of servers.`,
		Example: `  lintel cache --servers 10.0.0.1:11211,10.0.0.2:11211 --placement ketama check
  lintel cache --discover 10.0.0.1:11211 check --json`,
		Args: cli.NoArguments,
		RunE: f.withCache(func(cmd *cobra.Command, c *memcache.Client, _ []string) error {
			if sample < 0 {
				return cli.Usagef("--sample is %d, expected 0 or more", sample)
			}
			return f.check(cmd, c, sample)
		}),
	}
	cmd.Flags().IntVar(&sample, "sample", 1000, "number of keys of each server whose placement is checked; 0: none")
	return cmd
}

// check checks the servers of the fleet, all at once, and prints the result.
func (f *cacheFlags) check(cmd *cobra.Command, fleet *memcache.Client, sample int) error {
	servers := fleet.Servers()
	checks := make([]*serverCheck, len(servers))
	var all sync.WaitGroup
	for i, server := range servers {
		checks[i] = &serverCheck{Server: server, Problems: []string{}}
		all.Go(func() {
			if err := f.checkServer(cmd.Context(), fleet, checks[i], sample); err != nil {
				checks[i].problem("%s", plain(err))
			}
		})
	}
	all.Wait()
	compareVersions(checks)
	out := cmd.OutOrStdout()
	problems := 0
	for _, s := range checks {
		problems += len(s.Problems)
	}
	if f.json {
		for _, s := range checks {
			if err := cli.PrintJSON(out, s); err != nil {
				return err
			}
		}
	} else if err := printChecks(out, checks); err != nil {
		return err
	}
	if problems > 0 {
		return fmt.Errorf("problems found: %d", problems)
	}
	return nil
}

// checkServer fills in s. An error means that the server cannot be used.
func (f *cacheFlags) checkServer(ctx context.Context, fleet *memcache.Client, s *serverCheck, sample int) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	c, err := memcache.New(opts, s.Server)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Ping(ctx); err != nil { // connects
		return err
	}
	asked := time.Now()
	stats, err := c.Stats(ctx, "")
	if err != nil {
		return err
	}
	took := time.Since(asked)
	s.LatencyMS = float64(took.Microseconds()) / 1000
	for _, general := range stats {
		s.Version = general["version"]
		if seconds, err := strconv.ParseInt(general["time"], 10, 64); err == nil {
			s.checkClock(seconds, asked.Add(took/2))
		}
	}
	if opts.TLS != nil {
		s.checkTLS(ctx, opts.TLS, opts.DialTimeout)
	}
	if sample > 0 {
		s.checkPlacement(ctx, c, fleet, sample)
	}
	return nil
}

// checkClock compares the second that the server reported with our time.
func (s *serverCheck) checkClock(seconds int64, now time.Time) {
	offset := float64(seconds - now.Unix())
	s.ClockOffset = &offset
	if d := time.Duration(offset) * time.Second; d.Abs() > maxClockOffset {
		s.problem("its clock is off by %v", d)
	}
}

// checkTLS makes a connection of its own to look at the certificate.
func (s *serverCheck) checkTLS(ctx context.Context, config *tls.Config, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d := tls.Dialer{NetDialer: &net.Dialer{}, Config: config}
	conn, err := d.DialContext(ctx, "tcp", s.Server)
	if err != nil {
		s.problem("TLS: %v", err)
		return
	}
	defer conn.Close()
	state := conn.(*tls.Conn).ConnectionState()
	end := state.PeerCertificates[0].NotAfter
	s.TLS = fmt.Sprintf("%s until %s", tls.VersionName(state.Version), end.UTC().Format(time.DateOnly))
	if left := time.Until(end); left < certificateMargin {
		s.problem("its certificate expires in %d days", int(left.Hours()/24))
	}
}

// errSampled ends a listing when there are enough keys.
var errSampled = errors.New("enough keys")

// checkPlacement counts the keys of the server that the fleet places on it.
func (s *serverCheck) checkPlacement(ctx context.Context, c, fleet *memcache.Client, sample int) {
	err := c.Keys(ctx, func(k memcache.KeyInfo) error {
		s.Sampled++
		if fleet.ServerFor(k.Key) == s.Server {
			s.Placed++
		}
		if s.Sampled == sample {
			return errSampled
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errSampled):
		s.problem("placement not checked: %s", plain(err))
	case s.Placed < s.Sampled:
		s.problem("%d of %d sampled keys belong on other servers", s.Sampled-s.Placed, s.Sampled)
	}
}

// compareVersions reports servers whose version is not that of most.
func compareVersions(checks []*serverCheck) {
	count := make(map[string]int)
	most := ""
	for _, s := range checks {
		if s.Version == "" {
			continue
		}
		if count[s.Version]++; count[s.Version] > count[most] {
			most = s.Version
		}
	}
	for _, s := range checks {
		if s.Version != "" && s.Version != most {
			s.problem("its version is %s, most servers have %s", s.Version, most)
		}
	}
}

// printChecks prints a line for each server, and then the problems.
func printChecks(out io.Writer, checks []*serverCheck) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	withTLS := slices.ContainsFunc(checks, func(s *serverCheck) bool { return s.TLS != "" })
	head := "server\tversion\treply\tclock\tkeys placed"
	if withTLS {
		head += "\tTLS"
	}
	fmt.Fprintln(w, head)
	for _, s := range checks {
		reply, clock, placed := "-", "-", "-"
		if s.Version != "" {
			reply = fmt.Sprintf("%.1f ms", s.LatencyMS)
		}
		if s.ClockOffset != nil {
			clock = fmt.Sprintf("%+.0f s", *s.ClockOffset)
		}
		if s.Sampled > 0 {
			placed = fmt.Sprintf("%d of %d", s.Placed, s.Sampled)
		}
		version := s.Version
		if version == "" {
			version = "-"
		}
		line := strings.Join([]string{s.Server, version, reply, clock, placed}, "\t")
		if withTLS {
			line += "\t" + s.TLS
		}
		fmt.Fprintln(w, line)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range checks {
		for _, p := range s.Problems {
			fmt.Fprintf(out, "%s: %s\n", s.Server, p)
		}
	}
	return nil
}
