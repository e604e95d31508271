package cachecli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/memcache"
)

// serverStats summarises the statistics of one server.
type serverStats struct {
	Server     string       `json:"server"`
	Version    string       `json:"version"`
	Uptime     int64        `json:"uptime_seconds"`
	Conns      uint64       `json:"connections"`
	Items      uint64       `json:"items"`
	Bytes      uint64       `json:"bytes"`
	LimitBytes uint64       `json:"limit_bytes"`
	Gets       uint64       `json:"gets"`
	Sets       uint64       `json:"sets"`
	HitRatio   *float64     `json:"hit_ratio"` // since the start of the server; null: no gets
	Evictions  uint64       `json:"evictions"`
	Expired    uint64       `json:"expired_unfetched"`
	Now        *nowStats    `json:"now,omitempty"`
	Classes    []classStats `json:"classes"`
}

// nowStats are the rates of the last --interval.
type nowStats struct {
	Seconds   float64  `json:"seconds"`
	Gets      float64  `json:"gets_per_second"`
	Sets      float64  `json:"sets_per_second"`
	HitRatio  *float64 `json:"hit_ratio"`
	Evictions float64  `json:"evictions_per_second"`
}

// classStats is the memory of one size class.
type classStats struct {
	Class      int    `json:"class"`
	ChunkSize  uint64 `json:"chunk_size"`
	Items      uint64 `json:"items"`
	Bytes      uint64 `json:"bytes"`
	Evictions  uint64 `json:"evictions"`
	EvictedAge uint64 `json:"evicted_age_seconds"` // time since the last access of the item evicted last
	OldestAge  uint64 `json:"oldest_age_seconds"`
}

func newCacheStats(f *cacheFlags) *cobra.Command {
	var (
		interval time.Duration
		repeat   bool
		raw      bool
	)
	cmd := &cobra.Command{
		Use:   "stats [SUBCOMMAND]",
		Short: "Show hit ratio, memory by size class and evictions",
		Long: `Show each server's hit ratio now and since its start, memory by size class, and
evictions with their age: the time since the last access of the item that was
evicted last. With a SUBCOMMAND of memcached's stats, or --raw, print the names
and values unchanged.`,
		Example: `  lintel cache stats
  lintel cache stats --interval 5s --repeat
  lintel cache stats settings --json`,
		Args: cli.Between(0, 1, "at most one subcommand"),
		RunE: f.withCache(func(cmd *cobra.Command, c *memcache.Client, args []string) error {
			if raw || len(args) == 1 {
				return printRaw(cmd, c, f, strings.Join(args, " "))
			}
			if interval < 0 || interval > 0 && interval < 10*time.Millisecond {
				return cli.Usagef("--interval is %v, expected 0 or 10ms and more", interval)
			}
			return showStats(cmd, c, f, interval, repeat)
		}),
	}
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "time that \"now\" is measured over; 0: leave it out")
	cmd.Flags().BoolVar(&repeat, "repeat", false, "repeat once an interval until interrupted")
	cmd.Flags().BoolVar(&raw, "raw", false, "print names and values unchanged")
	return cmd
}

// printRaw prints the names and values of a stats subcommand.
func printRaw(cmd *cobra.Command, c *memcache.Client, f *cacheFlags, sub string) error {
	stats, err := c.Stats(cmd.Context(), sub)
	out := cmd.OutOrStdout()
	if f.json {
		if e := cli.PrintJSON(out, stats); e != nil {
			return e
		}
		return err
	}
	for _, server := range c.Servers() {
		for _, name := range slices.Sorted(maps.Keys(stats[server])) {
			fmt.Fprintf(out, "%s\t%s\t%s\n", server, name, stats[server][name])
		}
	}
	return err
}

// showStats prints the summary of each server, repeatedly if repeat is set.
func showStats(cmd *cobra.Command, c *memcache.Client, f *cacheFlags, interval time.Duration, repeat bool) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if repeat && interval == 0 {
		return cli.Usagef("--repeat needs an --interval")
	}
	before, err := c.Stats(ctx, "")
	if len(before) == 0 {
		return err
	}
	at := time.Now()
	for {
		now, took := before, time.Duration(0)
		if interval > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(interval):
			}
			if now, err = c.Stats(ctx, ""); len(now) == 0 {
				return err
			}
			took = time.Since(at)
			at = time.Now()
		}
		// Servers without these subcommands answer with an error: no classes then.
		items, _ := c.Stats(ctx, "items")
		slabs, _ := c.Stats(ctx, "slabs")
		var all []serverStats
		for _, server := range c.Servers() {
			if now[server] == nil {
				continue
			}
			s := summarize(server, now[server], items[server], slabs[server])
			if took > 0 && before[server] != nil {
				s.Now = since(before[server], now[server], took)
			}
			all = append(all, s)
		}
		before = now
		if f.json {
			if e := cli.PrintJSON(out, all); e != nil {
				return e
			}
		} else {
			if repeat && cli.IsTerminal(out) {
				fmt.Fprint(out, cli.ClearScreen)
			}
			printStats(out, all)
		}
		if !repeat || err != nil {
			return err
		}
	}
}

// rawStats are the lines of a stats command.
type rawStats map[string]string

func (r rawStats) n(name string) uint64 {
	n, _ := strconv.ParseUint(r[name], 10, 64)
	return n
}

// ratio returns hits divided by gets, nil without gets.
func ratio(hits, gets uint64) *float64 {
	if gets == 0 {
		return nil
	}
	x := float64(hits) / float64(gets)
	return &x
}

// summarize returns the summary of a server from its stats.
func summarize(server string, general, items, slabs rawStats) serverStats {
	s := serverStats{
		Server: server, Version: general["version"], Uptime: int64(general.n("uptime")),
		Conns: general.n("curr_connections"), Items: general.n("curr_items"),
		Bytes: general.n("bytes"), LimitBytes: general.n("limit_maxbytes"),
		Gets: general.n("cmd_get"), Sets: general.n("cmd_set"), Evictions: general.n("evictions"),
		Expired: general.n("expired_unfetched"),
		Classes: []classStats{}, // [] in JSON, never null
	}
	hits, misses := general.n("get_hits"), general.n("get_misses")
	s.HitRatio = ratio(hits, hits+misses)
	byClass := make(map[int]*classStats)
	for name := range items {
		rest, ok := strings.CutPrefix(name, "items:")
		if !ok {
			continue
		}
		id, _, _ := strings.Cut(rest, ":")
		class, err := strconv.Atoi(id)
		if err != nil || byClass[class] != nil {
			continue
		}
		p := "items:" + id + ":"
		byClass[class] = &classStats{
			Class: class, Items: items.n(p + "number"), Bytes: items.n(p + "mem_requested"),
			ChunkSize: slabs.n(id + ":chunk_size"), Evictions: items.n(p + "evicted"),
			EvictedAge: items.n(p + "evicted_time"), OldestAge: items.n(p + "age"),
		}
	}
	for _, c := range byClass {
		s.Classes = append(s.Classes, *c)
	}
	sort.Slice(s.Classes, func(i, j int) bool { return s.Classes[i].Class < s.Classes[j].Class })
	return s
}

// since returns the rates between two stats of a server.
func since(before, now rawStats, took time.Duration) *nowStats {
	delta := func(name string) uint64 {
		if a, b := before.n(name), now.n(name); b > a {
			return b - a
		}
		return 0
	}
	secs := took.Seconds()
	n := &nowStats{Seconds: secs}
	n.Gets = float64(delta("cmd_get")) / secs
	n.Sets = float64(delta("cmd_set")) / secs
	n.Evictions = float64(delta("evictions")) / secs
	n.HitRatio = ratio(delta("get_hits"), delta("get_hits")+delta("get_misses"))
	return n
}

// printStats prints summaries within 80 columns.
func printStats(out io.Writer, all []serverStats) {
	colour := cli.HasColours(out)
	for i, s := range all {
		if i > 0 {
			fmt.Fprintln(out)
		}
		head := s.Server
		if colour {
			head = "\x1b[1m" + head + "\x1b[0m"
		}
		fmt.Fprintf(out, "%s  %s, up %s, %d connections\n", head, s.Version, age(uint64(s.Uptime)), s.Conns)
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "  hit ratio\t%s", percent(s.HitRatio))
		if s.Now != nil {
			fmt.Fprintf(w, ", now %s (%.0f gets/s, %.0f sets/s)", percent(s.Now.HitRatio), s.Now.Gets, s.Now.Sets)
		}
		fmt.Fprintf(w, "\n  memory\t%s of %s in %d items\n", size(s.Bytes), size(s.LimitBytes), s.Items)
		fmt.Fprintf(w, "  evictions\t%d", s.Evictions)
		if s.Now != nil {
			fmt.Fprintf(w, ", now %.0f/s", s.Now.Evictions)
		}
		fmt.Fprintf(w, "; %d expired unread\n", s.Expired)
		w.Flush()
		if len(s.Classes) == 0 {
			continue
		}
		w = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "  class\tup to\titems\tmemory\toldest\tevicted\tevicted age\t")
		for _, c := range s.Classes {
			evicted := "-"
			if c.Evictions > 0 {
				evicted = age(c.EvictedAge)
			}
			fmt.Fprintf(w, "  %d\t%s\t%d\t%s\t%s\t%d\t%s\t\n", c.Class, size(c.ChunkSize), c.Items, size(c.Bytes), age(c.OldestAge), c.Evictions, evicted)
		}
		w.Flush()
	}
}

// percent formats a ratio; a nil one is none.
func percent(x *float64) string {
	if x == nil {
		return "none"
	}
	return fmt.Sprintf("%.1f %%", 100**x)
}

// size formats a number of bytes.
func size(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n)/1024, "KiB"
	for _, u := range []string{"MiB", "GiB", "TiB"} {
		if x < 1024 {
			break
		}
		x, unit = x/1024, u
	}
	return fmt.Sprintf("%.1f %s", x, unit)
}

// age formats a number of seconds.
func age(seconds uint64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%d min", seconds/60)
	case seconds < 86400:
		return fmt.Sprintf("%d h %02d", seconds/3600, seconds/60%60)
	}
	return fmt.Sprintf("%d d %d h", seconds/86400, seconds/3600%24)
}
