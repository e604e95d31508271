package cachecli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/memcache"
)

type keyCount struct {
	Key    string `json:"key"`
	Server string `json:"server"`
	Reads  int    `json:"reads"`
	Misses int    `json:"misses"`
	Writes int    `json:"writes"`
}

func (k *keyCount) total() int { return k.Reads + k.Writes }

// tally counts keys and bounds what it remembers.
type tally struct {
	keys    map[string]*keyCount
	lines   int
	skipped int
	full    bool
}

// maxTally is how many different keys a tally follows.
const maxTally = 1 << 20

// line takes in one line of a watch.
func (t *tally) line(server, line string) {
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

func newCacheTop(f *cacheFlags) *cobra.Command {
	var (
		n        int
		duration time.Duration
	)
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch the servers for a while and list the keys in most demand",
		Long: `Watch the servers for a while (memcached's watch command: 1.4.26 and later) and
list the keys in most demand. A server under load leaves lines out of its log:
what is listed is a sample, and how much is missing is said.`,
		Example: `  lintel cache top --duration 10s -n 5`,
		Args:    cli.NoArguments,
		RunE: f.withCache(func(cmd *cobra.Command, c *memcache.Client, _ []string) error {
			if n < 1 {
				return cli.Usagef("-n is %d, expected 1 or more", n)
			}
			if duration <= 0 {
				return cli.Usagef("--duration is %v, expected more than 0", duration)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), duration)
			defer cancel()
			t := &tally{keys: make(map[string]*keyCount)}
			shown := make(chan struct{})
			go func() { defer close(shown); showTime(ctx, cmd, duration) }()
			err := c.Watch(ctx, []string{"fetchers", "mutations"}, func(server string, line []byte) error {
				t.line(server, string(line))
				return nil
			})
			cancel()
			<-shown
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return t.print(cmd, f.json, n, duration)
		}),
	}
	cmd.Flags().IntVarP(&n, "number", "n", 20, "how many keys to list")
	cmd.Flags().DurationVar(&duration, "duration", 5*time.Second, "how long to watch")
	return cmd
}

// showTime shows how much of the duration has passed, until ctx ends.
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

func (t *tally) print(cmd *cobra.Command, asJSON bool, n int, d time.Duration) error {
	list := make([]*keyCount, 0, len(t.keys))
	for _, c := range t.keys {
		list = append(list, c)
	}
	sort.Slice(list, func(i, j int) bool {
		if a, b := list[i].total(), list[j].total(); a != b {
			return a > b
		}
		return list[i].Key < list[j].Key
	})
	list = list[:min(n, len(list))]
	out := cmd.OutOrStdout()
	if asJSON {
		return cli.PrintJSON(out, struct {
			Seconds float64     `json:"seconds"`
			Lines   int         `json:"lines"`
			Skipped int         `json:"skipped"`
			Keys    []*keyCount `json:"keys"`
		}{d.Seconds(), t.lines, t.skipped, list})
	}
	fmt.Fprintf(out, "%d requests seen in %v, %d left out by the servers\n", t.lines, d, t.skipped)
	if t.full {
		fmt.Fprintf(out, "only the first %d different keys were followed\n", maxTally)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "share\treads\tmisses\twrites\tserver\tkey")
	for _, c := range list {
		share := 100 * float64(c.total()) / float64(max(t.lines, 1))
		fmt.Fprintf(w, "%.1f %%\t%d\t%d\t%d\t%s\t%q\n", share, c.Reads, c.Misses, c.Writes, c.Server, c.Key)
	}
	return w.Flush()
}
