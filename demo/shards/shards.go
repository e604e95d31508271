// Package shards distributes a list of words over cache servers by several
// placement rules. It shows the share of each server, and how many words are no
// longer found after a server was added or removed.
//
// The numbers are measured, not computed. For each rule it starts new servers,
// stores the words through a client with the rule as its Selector, reads them
// back, and asks the servers how many items they hold. The words that have
// moved are those that a client with one server more, or fewer, misses.
package shards

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"

	"lintel.dev/demo"
	"lintel.dev/demo/internal/fleet"
	"lintel.dev/memcache"
)

// Config is the configuration of a run. Defaults returns one that is ready to
// use.
type Config struct {
	// Words has one word a line; nil is a list of a few thousand English words.
	Words io.Reader
	// Name is the name of Words in errors.
	Name string
	// Servers is the number of servers, 2 to 32.
	Servers int
	// JSON selects one line of JSON as the output instead of tables.
	JSON bool
	// Out receives the result, Progress the state while it runs.
	Out, Progress io.Writer
}

// Defaults returns the configuration of the embedded list on four servers,
// which writes nowhere.
func Defaults() Config {
	return Config{Servers: 4, Out: io.Discard, Progress: io.Discard}
}

const (
	minServers = 2
	maxServers = 32
)

// Run distributes the words by each rule and writes the report to cfg.Out.
// Wrong input is a *demo.InputError.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Servers < minServers || cfg.Servers > maxServers {
		return demo.Inputf("--servers %d: expected %d to %d", cfg.Servers, minServers, maxServers)
	}
	list, name := cfg.Words, cfg.Name
	if list == nil {
		list, name = bytes.NewReader(embedded), "words.txt"
	}
	words, err := readWords(list, name)
	if err != nil {
		return err
	}
	all, err := schemes()
	if err != nil {
		return err
	}
	report := Report{Words: len(words), Servers: cfg.Servers}
	progress := demo.NewScreen(cfg.Progress)
	defer progress.Clear()
	for i, sch := range all {
		progress.Live("%s words by %s  %s", demo.Count(len(words)), sch.name, demo.Bar(demo.Ratio(i, len(all)), 30))
		result, err := deal(ctx, sch, words, cfg.Servers)
		if err != nil {
			return fmt.Errorf("by %s: %w", sch.name, err)
		}
		report.Schemes = append(report.Schemes, result)
	}
	progress.Clear()
	if cfg.JSON {
		return json.NewEncoder(cfg.Out).Encode(report)
	}
	out := demo.NewScreen(cfg.Out)
	report.print(out)
	return out.Err()
}

// batch is the number of keys in one call to the client.
const batch = 1000

// deal stores the words by one rule and counts them.
func deal(ctx context.Context, sch scheme, words []string, servers int) (_ Scheme, err error) {
	f, err := fleet.Start(servers+1, memoryFor(words))
	if err != nil {
		return Scheme{}, err
	}
	defer func() {
		if stopErr := f.Stop(); err == nil {
			err = stopErr
		}
	}()
	specs := make([]string, servers+1)
	for i, addr := range f.Addrs() {
		specs[i] = addr + "=" + serverName(i)
	}

	result := Scheme{Name: sch.name}
	full := specs[:servers]
	err = with(sch, full, func(c *memcache.Client) error {
		for part := range slices.Chunk(words, batch) {
			items := make([]*memcache.Item, len(part))
			for i, w := range part {
				items[i] = &memcache.Item{Key: w, Value: []byte(w)}
			}
			if err := c.SetMulti(ctx, items); err != nil {
				return err
			}
		}
		found, err := read(ctx, c, words)
		if err != nil {
			return err
		}
		if found != int64(len(words)) {
			return fmt.Errorf("stored %d words and found %d", len(words), found)
		}
		result.Keys, err = held(ctx, c)
		return err
	})
	if err != nil {
		return Scheme{}, err
	}
	for _, change := range []struct {
		servers []string
		moved   *int64
	}{
		{specs, &result.Moved.Joins},
		{full[:servers-1], &result.Moved.LastLeaves},
		{slices.Concat(full[:1], full[2:]), &result.Moved.NextLeaves},
	} {
		err := with(sch, change.servers, func(c *memcache.Client) error {
			found, err := read(ctx, c, words)
			*change.moved = int64(len(words)) - found
			return err
		})
		if err != nil {
			return Scheme{}, err
		}
	}
	return result, nil
}

// memoryFor returns the bytes of memory that one server needs for all words.
func memoryFor(words []string) int64 {
	const overhead = 256
	n := int64(16 << 20)
	for _, w := range words {
		n += 2*int64(len(w)) + overhead
	}
	return n
}

// with calls f with a client of the servers that places by sch.
func with(sch scheme, servers []string, f func(*memcache.Client) error) error {
	opts := fleet.ClientOptions()
	opts.Selector = sch.selector
	c, err := memcache.New(opts, servers...)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
}

// read gets every word and returns the number of hits.
func read(ctx context.Context, c *memcache.Client, words []string) (found int64, err error) {
	for part := range slices.Chunk(words, batch) {
		items, err := c.GetMulti(ctx, part)
		if err != nil {
			return found, err
		}
		for key, item := range items {
			if string(item.Value) != key {
				return found, fmt.Errorf("stored %q under that key and found %q", key, item.Value)
			}
		}
		found += int64(len(items))
	}
	return found, nil
}

// held returns the number of items on each server.
func held(ctx context.Context, c *memcache.Client) ([]int64, error) {
	stats, err := c.Stats(ctx, "")
	if err != nil {
		return nil, err
	}
	var counts []int64
	for _, server := range c.Servers() {
		n, err := strconv.ParseInt(stats[server]["curr_items"], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: curr_items: %w", server, err)
		}
		counts = append(counts, n)
	}
	return counts, nil
}
