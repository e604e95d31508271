package cachecli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"lintel.dev/internal/cli"
	"lintel.dev/memcache"
)

const (
	copyBatch = 200 // keys whose values are fetched with one request
	copyStore = 32  // sets in flight; they share the target's connections
	copyShown = 5   // errors of items that are printed, the others are counted
)

// copyReport is the result of lintel cache copy.
type copyReport struct {
	Copied  int     `json:"copied"`
	Present int     `json:"present"` // the target had the key: it was left unchanged
	Gone    int     `json:"gone"`    // expired, deleted or evicted since they were listed
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"`
}

// copier copies the items of some servers to others.
type copier struct {
	flags  *cacheFlags
	target *memcache.Client
	rate   float64 // items a second; 0: no limit
	prefix string
	limit  int
	bar    *progressbar.ProgressBar

	mu     sync.Mutex // guards the fields below
	report copyReport
	errs   []error
	begun  time.Time
	taken  int // items that have passed the rate limit
	listed int
}

func newCacheCopy(f *cacheFlags) *cobra.Command {
	var from, to string
	c := &copier{flags: f}
	cmd := &cobra.Command{
		Use:   "copy --from LIST --to LIST",
		Short: "Copy the items of some servers to others",
		Long: `Copy the items of the servers of --from to those of --to, with their flags and
the rest of their time to live. --placement is that of the clients of --to. Use
it to warm new servers before clients move to them.

A key that a target has already is left unchanged: clients may have stored a
newer value. The source needs lru_crawler metadump, which memcached has since
1.4.31. The flags for protocol, TLS and users apply to both sides.`,
		Example: `  lintel cache copy --from 10.0.0.1:11211 --to 10.0.1.1:11211,10.0.1.2:11211
  lintel cache copy --from a:11211 --to b:11211 --rate 5000 --prefix user:`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case cmd.Flags().Changed("servers") || cmd.Flags().Changed("discover"):
				return cli.Usagef("expected --from and --to, not --servers or --discover")
			case from == "" || to == "":
				return cli.Usagef("expected --from and --to, lists of servers")
			case c.rate < 0:
				return cli.Usagef("--rate is %g, expected 0 or more", c.rate)
			case c.limit < 0:
				return cli.Usagef("--limit is %d, expected 0 or more", c.limit)
			}
			return c.run(cmd, from, to)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "source, a `LIST` of host:port,...")
	cmd.Flags().StringVar(&to, "to", "", "target, a `LIST` of host:port[:weight][=name],...")
	cmd.Flags().Float64Var(&c.rate, "rate", 0, "largest number of items a second; 0: no limit")
	cmd.Flags().StringVar(&c.prefix, "prefix", "", "copy only keys with this prefix")
	cmd.Flags().IntVar(&c.limit, "limit", 0, "stop after this many keys; 0: copy all")
	for _, name := range []string{"from", "to", "rate", "prefix", "limit"} {
		cli.Must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	return cmd
}

// client returns a client for one of the lists.
func (c *copier) client(flag, list string) (*memcache.Client, error) {
	specs, err := parseServers(flag, list)
	if err != nil {
		return nil, err
	}
	opts, err := c.flags.options()
	if err != nil {
		return nil, err
	}
	return memcache.New(opts, specs...)
}

func (c *copier) run(cmd *cobra.Command, from, to string) error {
	ctx := cmd.Context()
	target, err := c.client("--to", to)
	if err != nil {
		return err
	}
	defer target.Close()
	c.target = target
	specs, err := parseServers("--from", from)
	if err != nil {
		return err
	}
	sources := make([]*memcache.Client, len(specs))
	total := int64(0)
	for i, spec := range specs {
		if sources[i], err = c.client("--from", spec); err != nil {
			return err
		}
		defer sources[i].Close()
		stats, err := sources[i].Stats(ctx, "")
		if err != nil {
			return err
		}
		for _, s := range stats {
			total += int64(rawStats(s).n("curr_items"))
		}
	}
	if err := target.Ping(ctx); err != nil {
		return err
	}
	c.bar = cli.Progress(cmd, "copying", total, true)
	c.begun = time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, source := range sources {
		group.Go(func() error { return c.from(ctx, source) })
	}
	err = group.Wait()
	c.bar.Finish()
	c.report.Seconds = time.Since(c.begun).Seconds()
	if f := c.flags; f.json {
		err = errors.Join(err, cli.PrintJSON(cmd.OutOrStdout(), c.report))
	} else {
		fmt.Fprintf(cmd.OutOrStdout(), "copied %d items in %.1f s; %d were present, %d gone, %d failed\n",
			c.report.Copied, c.report.Seconds, c.report.Present, c.report.Gone, c.report.Failed)
	}
	if err == nil && c.report.Failed > 0 {
		err = fmt.Errorf("%d items were not copied: %w", c.report.Failed, errors.Join(c.errs...))
	}
	return err
}

// errLimit ends a listing at --limit.
var errLimit = errors.New("limit reached")

// from copies the items of one server.
func (c *copier) from(ctx context.Context, source *memcache.Client) error {
	batches := make(chan []memcache.KeyInfo, 4)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		var batch []memcache.KeyInfo
		send := func() error {
			select {
			case batches <- batch:
				batch = nil
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := source.Keys(ctx, func(k memcache.KeyInfo) error {
			c.bar.Add(1)
			if !strings.HasPrefix(k.Key, c.prefix) {
				return nil
			}
			if !c.list() {
				return errLimit
			}
			if batch = append(batch, k); len(batch) < copyBatch {
				return nil
			}
			return send()
		})
		if err != nil && !errors.Is(err, errLimit) {
			return err
		}
		return send()
	})
	group.Go(func() error {
		for batch := range batches {
			if err := c.store(ctx, source, batch); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

// list reports whether one more key may be copied.
func (c *copier) list() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit > 0 && c.listed == c.limit {
		return false
	}
	c.listed++
	return true
}

// store fetches the values of a batch and adds them to the target.
func (c *copier) store(ctx context.Context, source *memcache.Client, batch []memcache.KeyInfo) error {
	if len(batch) == 0 {
		return nil
	}
	keys := make([]string, len(batch))
	for i, k := range batch {
		keys[i] = k.Key
	}
	items, err := source.GetMulti(ctx, keys)
	if err != nil {
		return err
	}
	group, storing := errgroup.WithContext(ctx)
	group.SetLimit(copyStore)
	for _, k := range batch {
		it := items[k.Key]
		left := time.Until(k.Expiry)
		if it == nil || !k.Expiry.IsZero() && left <= 0 {
			c.count(nil, &c.report.Gone)
			continue
		}
		item := &memcache.Item{Key: k.Key, Value: it.Value, Flags: it.Flags}
		if !k.Expiry.IsZero() {
			item.TTL = max(left, time.Second)
		}
		if err := c.wait(storing); err != nil {
			break // the group has failed, or the command was interrupted
		}
		group.Go(func() error {
			err := c.target.Add(storing, item)
			switch {
			case err == nil:
				c.count(nil, &c.report.Copied)
			case errors.Is(err, memcache.ErrNotStored):
				c.count(nil, &c.report.Present)
			case storing.Err() != nil || errors.Is(err, memcache.ErrServerDown):
				return err
			default:
				c.count(err, &c.report.Failed)
			}
			return nil
		})
	}
	return errors.Join(group.Wait(), ctx.Err())
}

// count adds one to n, and keeps the first errors.
func (c *copier) count(err error, n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
	if err != nil && len(c.errs) < copyShown {
		c.errs = append(c.errs, err)
	}
}

// wait delays an item as --rate requires.
func (c *copier) wait(ctx context.Context) error {
	if c.rate == 0 {
		return ctx.Err()
	}
	c.mu.Lock()
	due := c.begun.Add(time.Duration(float64(c.taken) / c.rate * float64(time.Second)))
	c.taken++
	c.mu.Unlock()
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
