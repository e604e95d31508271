package cachecli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/memcache"
)

// keyCount is the demand for one key.
type keyCount struct {
	Key    string `json:"key"`
	Server string `json:"server"`
	Reads  int    `json:"reads"`
	Misses int    `json:"misses"`
	Writes int    `json:"writes"`
}

func (k *keyCount) total() int { return k.Reads + k.Writes }

// maxTally bounds the distinct keys that a tally counts.
const maxTally = 1 << 20

// tally counts the keys in the lines of a watch.
type tally struct {
	mu      sync.Mutex // the lines come from one goroutine for each server
	keys    map[string]*keyCount
	lines   int
	skipped int  // lines that the servers left out
	full    bool // there were more than maxTally keys
}

// line counts one line of a watch.
func (t *tally) line(server, line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rest, ok := strings.CutPrefix(line, "skipped="); ok {
		var n int
		fmt.Sscan(rest, &n)
		t.skipped += n
		return
	}
	var key, kind, status string
	for field := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "key":
			key = value
		case "type":
			kind = value
		case "status":
			status = value
		}
	}
	if key == "" {
		return
	}
	t.lines++
	if k, err := url.PathUnescape(key); err == nil {
		key = k
	}
	c := t.keys[key]
	if c == nil {
		if len(t.keys) >= maxTally {
			t.full = true
			return
		}
		c = &keyCount{Key: key, Server: server}
		t.keys[key] = c
	}
	switch kind {
	case "item_get":
		c.Reads++
		if status != "found" {
			c.Misses++
		}
	case "item_store":
		c.Writes++
	}
}

// topReport is what lintel cache top prints.
type topReport struct {
	Seconds float64    `json:"seconds"`
	Lines   int        `json:"lines"`
	Skipped int        `json:"skipped"`
	Keys    []keyCount `json:"keys"`

	took time.Duration
	full bool
}

// report returns the n keys in most demand.
func (t *tally) report(n int, took time.Duration) *topReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &topReport{Seconds: took.Seconds(), Lines: t.lines, Skipped: t.skipped, Keys: make([]keyCount, 0, len(t.keys)), took: took, full: t.full}
	for _, c := range t.keys {
		r.Keys = append(r.Keys, *c)
	}
	slices.SortFunc(r.Keys, func(a, b keyCount) int {
		return cmp.Or(cmp.Compare(b.total(), a.total()), cmp.Compare(a.Key, b.Key))
	})
	r.Keys = r.Keys[:min(n, len(r.Keys))]
	return r
}

// redrawEvery is how often the list on a terminal is drawn again.
const redrawEvery = time.Second

func newCacheTop(f *cacheFlags) *cobra.Command {
	var (
		n        int
		duration time.Duration
	)
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show the keys in most demand, live on a terminal",
		Long: `Show the keys in most demand. On a terminal the list is redrawn once a second
until --duration has passed or the command is interrupted. Elsewhere it is
printed once, after --duration.

The counts come from memcached's watch command (since 1.4.26). A server under
load leaves lines out of its log: the list is a sample. The number of lines left
out is printed.`,
		Example: `  lintel cache top
  lintel cache top --duration 10s -n 5`,
		Args: cli.NoArguments,
		RunE: f.withCache(func(cmd *cobra.Command, c *memcache.Client, _ []string) error {
			live := cli.IsTerminal(cmd.OutOrStdout()) && !f.json
			switch {
			case n < 1:
				return cli.Usagef("-n is %d, expected 1 or more", n)
			case duration < 0 || duration == 0 && cmd.Flags().Changed("duration"):
				return cli.Usagef("--duration is %v, expected more than 0", duration)
			case duration == 0 && !live:
				duration = 5 * time.Second
			}
			return watchTop(cmd, c, n, duration, f.json, live)
		}),
	}
	cmd.Flags().IntVarP(&n, "number", "n", 20, "number of keys to show")
	cmd.Flags().DurationVar(&duration, "duration", 0, "how long to watch (default: until interrupted on a terminal, 5s elsewhere)")
	return cmd
}

// watchTop counts for the duration, or until cmd's context is done, and prints
// the n keys in most demand.
func watchTop(cmd *cobra.Command, c *memcache.Client, n int, duration time.Duration, asJSON, live bool) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	if duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, duration)
		defer cancel()
	}
	t := &tally{keys: make(map[string]*keyCount)}
	began := time.Now()
	out := cmd.OutOrStdout()
	var drawing sync.WaitGroup
	if live {
		drawing.Go(func() {
			tick := time.NewTicker(redrawEvery)
			defer tick.Stop()
			for {
				fmt.Fprint(out, cli.ClearScreen)
				t.report(n, time.Since(began).Round(time.Second)).print(out)
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	} else {
		drawing.Go(func() { showTime(ctx, cmd, duration) })
	}
	err := c.Watch(ctx, []string{"fetchers", "mutations"}, func(server string, line []byte) error {
		t.line(server, string(line))
		return nil
	})
	ended := ctx.Err() != nil
	cancel()
	drawing.Wait()
	if err != nil && !ended {
		return err
	}
	took := duration
	if took == 0 || cmd.Context().Err() != nil {
		took = time.Since(began).Round(time.Second)
	}
	r := t.report(n, took)
	if asJSON {
		return cli.PrintJSON(out, r)
	}
	if live {
		fmt.Fprint(out, cli.ClearScreen)
	}
	return r.print(out)
}

// showTime shows a progress bar of the duration until ctx is done.
func showTime(ctx context.Context, cmd *cobra.Command, duration time.Duration) {
	const step = 100 * time.Millisecond
	bar := cli.Progress(cmd, "watching", max(int64(duration/step), 1), duration > 2*time.Second)
	defer bar.Finish()
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			bar.Add(1)
		}
	}
}

func (r *topReport) print(out io.Writer) error {
	fmt.Fprintf(out, "%d requests seen in %v, %d left out by the servers\n", r.Lines, r.took, r.Skipped)
	if r.full {
		fmt.Fprintf(out, "more than %d different keys: later ones are not counted\n", maxTally)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "share\treads\tmisses\twrites\tserver\tkey")
	for i := range r.Keys {
		c := &r.Keys[i]
		share := 100 * float64(c.total()) / float64(max(r.Lines, 1))
		fmt.Fprintf(w, "%.1f %%\t%d\t%d\t%d\t%s\t%q\n", share, c.Reads, c.Misses, c.Writes, c.Server, c.Key)
	}
	return w.Flush()
}
