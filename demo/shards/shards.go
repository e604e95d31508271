// Package shards deals a list of words to cache servers by several rules and
// shows what each server gets, and how many words are no longer found when a
// server joins the fleet or leaves it.
//
// Nothing is computed on paper: for each rule a fresh fleet of embedded
// servers is started, the words are stored through a client that has the rule
// as its Selector, read back, and counted by the servers. The words that have
// moved are those that a client with one server more, or fewer, then misses.
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

// Config says what to deal, and to how many.
type Config struct {
	// Words has one word a line; nil is a list of a few thousand English words.
	Words io.Reader
	// Name is what errors call Words.
	Name string
	// Servers is how many servers the words are dealt to, 2 to 32.
	Servers int
	// JSON asks for one line of JSON in place of the figures and bars.
	JSON bool
	// Out gets the result, Progress what is shown meanwhile.
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

// Run deals the words by each rule and reports to cfg.Out. What the user got
// wrong comes as a *demo.InputError.
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

// batch is how many keys one call to the client carries.
const batch = 1000

// deal stores the words by one rule and counts.
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

// memoryFor bounds what a server needs that gets all the words, in bytes.
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

// read asks for every word and returns how many are there.
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

// held asks each server how many items it holds.
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
