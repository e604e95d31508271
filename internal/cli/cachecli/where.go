package cachecli

import (
	"bufio"
	"fmt"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/memcache/placement"
)

// placed is a list of servers with its placement, without connections.
type placed struct {
	servers []placement.Server
	picker  placement.Picker
}

// place computes the placement of servers.
func place(sel placement.Selector, specs []string) (*placed, error) {
	p := &placed{}
	for _, spec := range specs {
		s, err := placement.ParseServer(spec)
		if err != nil {
			return nil, cli.Usagef("%s", plain(err))
		}
		p.servers = append(p.servers, s)
	}
	var err error
	if p.picker, err = sel.Place(p.servers); err != nil {
		return nil, cli.Usagef("%s", plain(err))
	}
	return p, nil
}

// placed returns the placement that the flags describe.
func (f *cacheFlags) placed() (*placed, placement.Selector, []string, error) {
	specs, err := f.list()
	if err != nil {
		return nil, nil, nil, err
	}
	sel, err := f.selector()
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := place(sel, specs)
	return p, sel, specs, err
}

func newCacheWhere(f *cacheFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "where KEY...",
		Short: "Print the server of each key, without connecting",
		Long: `Print each key, a tab and the server that --placement assigns it to. - reads
more keys from standard input, one a line. No server is contacted.`,
		Example: `  lintel cache --servers a:11211,b:11211:2 where user:1 user:2
  cut -d: -f1 /etc/passwd |
      lintel cache --servers a:11211,b:11211 --placement ketama where -`,
		Args: cli.AtLeast(1, "one or more keys, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, _, _, err := f.placed()
			if err != nil {
				return err
			}
			keys, err := keysOf(cmd, args)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			defer out.Flush()
			for _, key := range keys {
				addr := p.servers[p.picker.Pick(key, nil)].Addr()
				if f.json {
					err = cli.PrintJSON(out, map[string]string{"key": key, "server": addr})
				} else {
					_, err = fmt.Fprintf(out, "%s\t%s\n", key, addr)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// shareJSON is a server's share of the keys.
type shareJSON struct {
	Server string  `json:"server"`
	Weight int     `json:"weight"`
	Keys   int     `json:"keys"`
	Share  float64 `json:"share"`
	Want   float64 `json:"want"`
}

// moveJSON is a change of the servers and the keys that it moves.
type moveJSON struct {
	Change string  `json:"change"` // join or leave
	Server string  `json:"server"`
	Moved  float64 `json:"moved"` // share of the keys that change their server
	Least  float64 `json:"least"` // the least that must move
}

// balanceJSON is the result of lintel cache balance.
type balanceJSON struct {
	Placement string      `json:"placement"`
	Keys      int         `json:"keys"`
	Deviation float64     `json:"deviation"` // root mean square of share/want - 1
	Servers   []shareJSON `json:"servers"`
	Moves     []moveJSON  `json:"moves"`
}

func newCacheBalance(f *cacheFlags) *cobra.Command {
	var (
		n    int
		join string
		from string
	)
	cmd := &cobra.Command{
		Use:   "balance",
		Short: "Compute the shares of servers, and the keys a change moves",
		Long: `Compute each server's share of the keys, and how many keys change their server
when one joins or leaves. No server is contacted.`,
		Example: `  lintel cache --servers a:11211,b:11211,c:11211 balance
  lintel cache --servers a:11211,b:11211 --placement ketama \
      balance --join c:11211:2
  cut -d: -f1 /etc/passwd |
      lintel cache --servers a:11211,b:11211 balance --keys-from -`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, sel, specs, err := f.placed()
			if err != nil {
				return err
			}
			var keys []string
			switch {
			case from == "-":
				if keys, err = keysOf(cmd, []string{"-"}); err != nil {
					return err
				}
			case from != "":
				return cli.Usagef("--keys-from is %q, expected - for standard input", from)
			case n < 1 || n > 10_000_000:
				return cli.Usagef("--keys is %d, expected 1 to 10000000", n)
			default:
				for i := range n {
					keys = append(keys, fmt.Sprintf("key:%d", i))
				}
			}
			if len(keys) == 0 {
				return cli.Usagef("standard input has no keys")
			}
			b, err := balance(sel, p, specs, keys, join)
			if err != nil {
				return err
			}
			b.Placement = f.placement
			if f.json {
				return cli.PrintJSON(cmd.OutOrStdout(), b)
			}
			return b.print(cmd)
		},
	}
	cmd.Flags().IntVar(&n, "keys", 100_000, "number of generated keys (key:0, key:1, ...)")
	cmd.Flags().StringVar(&from, "keys-from", "", "`-`: read the keys from standard input")
	cmd.Flags().StringVar(&join, "join", "joining.example:11211", "`SERVER` that joins")
	return cmd
}

// balance places the keys, then again with each change of the servers.
func balance(sel placement.Selector, p *placed, specs, keys []string, join string) (*balanceJSON, error) {
	b := &balanceJSON{Keys: len(keys)}
	count := make([]int, len(p.servers))
	at := make([]int, len(keys))
	for i, key := range keys {
		at[i] = p.picker.Pick(key, nil)
		count[at[i]]++
	}
	total := 0
	for _, s := range p.servers {
		total += s.Weight
	}
	var sq float64
	for i, s := range p.servers {
		share := shareJSON{Server: s.Addr(), Weight: s.Weight, Keys: count[i]}
		share.Share = float64(count[i]) / float64(len(keys))
		share.Want = float64(s.Weight) / float64(total)
		off := share.Share/share.Want - 1
		sq += off * off
		b.Servers = append(b.Servers, share)
	}
	b.Deviation = math.Sqrt(sq / float64(len(p.servers)))

	grown, err := place(sel, append(append([]string(nil), specs...), join))
	if err != nil {
		return nil, err
	}
	added := grown.servers[len(grown.servers)-1]
	b.Moves = append(b.Moves, moveJSON{
		Change: "join", Server: added.Addr(),
		Moved: moved(p, grown, keys, at),
		Least: float64(added.Weight) / float64(total+added.Weight),
	})
	if len(specs) > 1 {
		for i, s := range p.servers {
			rest := append(append([]string(nil), specs[:i]...), specs[i+1:]...)
			shrunk, err := place(sel, rest)
			if err != nil {
				return nil, err
			}
			b.Moves = append(b.Moves, moveJSON{
				Change: "leave", Server: s.Addr(),
				Moved: moved(p, shrunk, keys, at),
				Least: b.Servers[i].Share,
			})
		}
	}
	return b, nil
}

// moved returns the share of keys whose server differs.
func moved(from, to *placed, keys []string, at []int) float64 {
	n := 0
	for i, key := range keys {
		if from.servers[at[i]] != to.servers[to.picker.Pick(key, nil)] {
			n++
		}
	}
	return float64(n) / float64(len(keys))
}

func (b *balanceJSON) print(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s, %d keys, shares deviate by %.1f %% (root mean square)\n\n", b.Placement, b.Keys, 100*b.Deviation)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "server\tweight\tkeys\tshare\twanted")
	most := 0.0
	for _, s := range b.Servers {
		most = max(most, s.Share)
	}
	for _, s := range b.Servers {
		bar := strings.Repeat("#", int(math.Round(28*s.Share/most)))
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f %%\t%.1f %%\t%s\n", s.Server, s.Weight, s.Keys, 100*s.Share, 100*s.Want, bar)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	fmt.Fprintln(w, "change\tmoves\tat least")
	for _, m := range b.Moves {
		fmt.Fprintf(w, "%s %ss\t%.1f %%\t%.1f %%\n", m.Server, m.Change, 100*m.Moved, 100*m.Least)
	}
	return w.Flush()
}
