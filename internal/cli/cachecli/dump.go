package cachecli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/memcache"
)

// dumpJSON is a key as --json prints it.
type dumpJSON struct {
	Key        string  `json:"key"`
	Server     string  `json:"server"`
	Size       int     `json:"size"`
	Expiry     int64   `json:"expiry,omitempty"` // Unix seconds; absent: does not expire
	LastAccess int64   `json:"last_access"`
	Fetched    bool    `json:"fetched"`
	CAS        uint64  `json:"cas"`
	Value      *string `json:"value,omitempty"`
	Base64     []byte  `json:"base64,omitempty"`
	Flags      *uint32 `json:"flags,omitempty"`
}

func newCacheDump(f *cacheFlags) *cobra.Command {
	var (
		values bool
		prefix string
		limit  int
	)
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "List the keys of every server, with --values also the values",
		Long: `List the keys of every server, one a line: key, server, size in bytes, seconds
to live (-: does not expire) and, with --values, the quoted value. Keys that
change during the listing may be missing. It needs lru_crawler metadump, which
memcached has since 1.4.31.`,
		Example: `  lintel cache dump --prefix user: --values
  lintel cache dump --json --limit 100`,
		Args: cli.NoArguments,
		RunE: f.withCache(func(cmd *cobra.Command, c *memcache.Client, _ []string) error {
			if limit < 0 {
				return cli.Usagef("--limit is %d, expected 0 or more", limit)
			}
			d := &dumper{f: f, c: c, ctx: cmd.Context(), out: bufio.NewWriter(cmd.OutOrStdout()), values: values, clients: make(map[string]*memcache.Client)}
			defer d.close()
			// On a terminal the list itself shows the progress.
			bar := cli.Progress(cmd, "keys", d.count(), !cli.IsTerminal(cmd.OutOrStdout()))
			done := errors.New("limit reached")
			err := c.Keys(cmd.Context(), func(k memcache.KeyInfo) error {
				bar.Add(1)
				if !strings.HasPrefix(k.Key, prefix) {
					return nil
				}
				d.batch = append(d.batch, k)
				d.seen++
				if limit > 0 && d.seen == limit {
					return done
				}
				if len(d.batch) < dumpBatch {
					return nil
				}
				return d.flush()
			})
			bar.Finish()
			if err == nil || errors.Is(err, done) {
				err = d.flush()
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&values, "values", false, "also print the values")
	cmd.Flags().StringVar(&prefix, "prefix", "", "list only keys with this prefix")
	cmd.Flags().IntVar(&limit, "limit", 0, "stop after this many keys; 0: list all")
	return cmd
}

// dumpBatch is how many keys are printed, and their values fetched, at a time.
const dumpBatch = 500

// dumper prints keys in batches.
type dumper struct {
	f      *cacheFlags
	c      *memcache.Client
	ctx    context.Context
	out    *bufio.Writer
	values bool
	batch  []memcache.KeyInfo
	seen   int

	clients map[string]*memcache.Client // by server, to fetch values
}

// count returns the number of items in the servers' stats, -1 if unknown.
func (d *dumper) count() int64 {
	stats, err := d.c.Stats(d.ctx, "")
	if err != nil {
		return -1
	}
	var n uint64
	for _, s := range stats {
		n += rawStats(s).n("curr_items")
	}
	return int64(n)
}

// flush prints the batch, with values if they are wanted.
func (d *dumper) flush() error {
	var items map[string]*memcache.Item
	if d.values && len(d.batch) > 0 {
		var err error
		if items, err = d.fetch(); err != nil {
			return err
		}
	}
	for _, k := range d.batch {
		it := items[k.Server+" "+k.Key]
		if d.values && it == nil {
			continue
		}
		var err error
		if d.f.json {
			j := dumpJSON{Key: k.Key, Server: k.Server, Size: k.Size, LastAccess: k.LastAccess.Unix(), Fetched: k.Fetched, CAS: k.CAS}
			if !k.Expiry.IsZero() {
				j.Expiry = k.Expiry.Unix()
			}
			if it != nil {
				v := newItemJSON(it, k.Server)
				j.Value, j.Base64, j.Flags = v.Value, v.Base64, &it.Flags
			}
			err = cli.PrintJSON(d.out, j)
		} else {
			left := "-"
			if !k.Expiry.IsZero() {
				left = fmt.Sprint(int64(time.Until(k.Expiry).Round(time.Second) / time.Second))
			}
			_, err = fmt.Fprintf(d.out, "%s\t%s\t%d\t%s", k.Key, k.Server, k.Size, left)
			if err == nil && it != nil {
				_, err = fmt.Fprintf(d.out, "\t%q", it.Value)
			}
			if err == nil {
				err = d.out.WriteByte('\n')
			}
		}
		if err != nil {
			return err
		}
	}
	d.batch = d.batch[:0]
	return nil
}

// fetch reads the values of the batch, each from the server that listed it: the
// client that stored it may use another placement.
func (d *dumper) fetch() (map[string]*memcache.Item, error) {
	keys := make(map[string][]string)
	for _, k := range d.batch {
		keys[k.Server] = append(keys[k.Server], k.Key)
	}
	all := make(map[string]*memcache.Item)
	for server, keys := range keys {
		c := d.clients[server]
		if c == nil {
			opts, err := d.f.options()
			if err != nil {
				return nil, err
			}
			if c, err = memcache.New(opts, server); err != nil {
				return nil, err
			}
			d.clients[server] = c
		}
		items, err := c.GetMulti(d.ctx, keys)
		if err != nil {
			return nil, err
		}
		for key, it := range items {
			all[server+" "+key] = it
		}
	}
	return all, nil
}

func (d *dumper) close() {
	d.out.Flush()
	for _, c := range d.clients {
		c.Close()
	}
}
