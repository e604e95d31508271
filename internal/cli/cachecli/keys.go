package cachecli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/memcache"
)

// itemJSON is an item as --json prints it. A value that is not valid UTF-8 is
// in base64.
type itemJSON struct {
	Key    string  `json:"key"`
	Server string  `json:"server"`
	Value  *string `json:"value,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
	Flags  uint32  `json:"flags"`
	CAS    uint64  `json:"cas"`
}

func newItemJSON(it *memcache.Item, server string) itemJSON {
	j := itemJSON{Key: it.Key, Server: server, Flags: it.Flags, CAS: it.CAS}
	if utf8.Valid(it.Value) {
		s := string(it.Value)
		j.Value = &s
	} else {
		j.Base64 = it.Value
	}
	return j
}

func newCacheGet(f *cacheFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "get KEY...",
		Short: "Print values; exit status 1 if a key is not found",
		Long: `Print values. The value of one key is printed unchanged. Values of several keys
are printed one a line: the key, a tab and the quoted value. The exit status is
1 if a key is not found.`,
		Example: `  lintel cache get greeting
  lintel cache get user:1 user:2 --json`,
		Args: cli.AtLeast(1, "one or more keys"),
		RunE: f.withCache(func(cmd *cobra.Command, c *memcache.Client, keys []string) error {
			items, err := c.GetMulti(cmd.Context(), keys)
			out := cmd.OutOrStdout()
			missing := 0
			for _, key := range keys {
				it := items[key]
				switch {
				case it == nil:
					missing++
				case f.json:
					if err := cli.PrintJSON(out, newItemJSON(it, c.ServerFor(key))); err != nil {
						return err
					}
				case len(keys) == 1:
					out.Write(it.Value)
					if cli.IsTerminal(out) {
						fmt.Fprintln(out)
					}
				default:
					fmt.Fprintf(out, "%s\t%q\n", key, it.Value)
				}
			}
			if err == nil && missing > 0 {
				err = fmt.Errorf("%d of %d keys not found", missing, len(keys))
				if len(keys) == 1 {
					err = fmt.Errorf("%s: not found", keys[0])
				}
			}
			return err
		}),
	}
}

func newCacheSet(f *cacheFlags) *cobra.Command {
	var (
		ttl   time.Duration
		flags uint32
		mode  string
	)
	cmd := &cobra.Command{
		Use:   "set KEY [VALUE]",
		Short: "Store VALUE, or standard input",
		Example: `  lintel cache set greeting 'good day' --ttl 1h
  lintel cache set logo < logo.png
  lintel cache set greeting ', all' --mode append`,
		Args: cli.Between(1, 2, "a key and at most one value"),
		RunE: f.withCache(func(cmd *cobra.Command, c *memcache.Client, args []string) error {
			it := &memcache.Item{Key: args[0], TTL: ttl, Flags: flags}
			if len(args) == 2 {
				it.Value = []byte(args[1])
			} else {
				b, err := io.ReadAll(cmd.InOrStdin())
				if err != nil {
					return err
				}
				it.Value = b
			}
			ctx := cmd.Context()
			switch mode {
			case "set":
				return c.Set(ctx, it)
			case "add":
				return c.Add(ctx, it)
			case "replace":
				return c.Replace(ctx, it)
			case "append":
				return c.Append(ctx, it.Key, it.Value)
			case "prepend":
				return c.Prepend(ctx, it.Key, it.Value)
			}
			return cli.Usagef("--mode is %q, expected set, add, replace, append or prepend", mode)
		}),
	}
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "time to live; 0: does not expire")
	cmd.Flags().Uint32Var(&flags, "flags", 0, "client flags of the item")
	cmd.Flags().StringVar(&mode, "mode", "set", "set, add, replace, append or prepend")
	return cmd
}

func newCacheDelete(f *cacheFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "delete KEY...",
		Short: "Delete keys; - reads more keys from standard input, one a line",
		Example: `  lintel cache delete greeting
  lintel cache dump --prefix user: | cut -f1 | lintel cache delete -`,
		Args: cli.AtLeast(1, "one or more keys, or - for standard input"),
		RunE: f.withCache(func(cmd *cobra.Command, c *memcache.Client, args []string) error {
			keys, err := keysOf(cmd, args)
			if err != nil {
				return err
			}
			const batch = 1000
			for len(keys) > 0 {
				n := min(batch, len(keys))
				if err := c.DeleteMulti(cmd.Context(), keys[:n]); err != nil {
					return err
				}
				keys = keys[n:]
			}
			return nil
		}),
	}
}

// keysOf returns args with "-" replaced by the lines of standard input.
func keysOf(cmd *cobra.Command, args []string) ([]string, error) {
	var keys []string
	for _, arg := range args {
		if arg != "-" {
			keys = append(keys, arg)
			continue
		}
		sc := bufio.NewScanner(cmd.InOrStdin())
		for sc.Scan() {
			if sc.Text() != "" {
				keys = append(keys, sc.Text())
			}
		}
		if err := sc.Err(); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func newCacheIncr(f *cacheFlags) *cobra.Command {
	var (
		down bool
		init string
		ttl  time.Duration
	)
	cmd := &cobra.Command{
		Use:   "incr KEY [DELTA]",
		Short: "Add DELTA (default 1) to a number and print the result",
		Example: `  lintel cache incr visits --init 1 --ttl 24h
  lintel cache incr stock 3 --down`,
		Args: cli.Between(1, 2, "a key and at most one number"),
		RunE: f.withCache(func(cmd *cobra.Command, c *memcache.Client, args []string) error {
			delta := uint64(1)
			if len(args) == 2 {
				var err error
				if delta, err = strconv.ParseUint(args[1], 10, 64); err != nil {
					return cli.Usagef("DELTA is %q, expected a number from 0 to 2^64-1", args[1])
				}
			}
			var start uint64
			if init != "" {
				var err error
				if start, err = strconv.ParseUint(init, 10, 64); err != nil {
					return cli.Usagef("--init is %q, expected a number from 0 to 2^64-1", init)
				}
			}
			ctx, key := cmd.Context(), args[0]
			step := c.Increment
			if down {
				step = c.Decrement
			}
			n, err := step(ctx, key, delta)
			if init != "" && errors.Is(err, memcache.ErrCacheMiss) {
				err = c.Add(ctx, &memcache.Item{Key: key, Value: []byte(init), TTL: ttl})
				n = start
				if errors.Is(err, memcache.ErrNotStored) {
					n, err = step(ctx, key, delta)
				}
			}
			if errors.Is(err, memcache.ErrCacheMiss) {
				err = fmt.Errorf("%s: not found; --init would create it", key)
			}
			if err != nil {
				return err
			}
			if f.json {
				return cli.PrintJSON(cmd.OutOrStdout(), struct {
					Key    string `json:"key"`
					Server string `json:"server"`
					Value  uint64 `json:"value"`
				}{key, c.ServerFor(key), n})
			}
			fmt.Fprintln(cmd.OutOrStdout(), n)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&down, "down", false, "subtract; the result is at least 0")
	cmd.Flags().StringVar(&init, "init", "", "store this number if the key is not found")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "time to live of the number of --init; 0: does not expire")
	return cmd
}

func newCacheTouch(f *cacheFlags) *cobra.Command {
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:     "touch KEY... --ttl TTL",
		Short:   "Set the time to live of keys",
		Example: `  lintel cache touch session:1 session:2 --ttl 30m`,
		Args:    cli.AtLeast(1, "one or more keys"),
		RunE: f.withCache(func(cmd *cobra.Command, c *memcache.Client, keys []string) error {
			if !cmd.Flags().Changed("ttl") {
				return cli.Usagef("expected --ttl, the new time to live (0: does not expire)")
			}
			var errs []error
			for _, key := range keys {
				if err := c.Touch(cmd.Context(), key, ttl); errors.Is(err, memcache.ErrCacheMiss) {
					errs = append(errs, fmt.Errorf("%s: not found", key))
				} else if err != nil {
					errs = append(errs, err)
				}
			}
			return errors.Join(errs...)
		}),
	}
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "new time to live; 0: does not expire")
	return cmd
}
