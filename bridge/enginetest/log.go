package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lintel.dev/bridge/engine"
)

var logCases = []testCase{
	{"LogRoundTrip", logRoundTrip},
	{"LogPositions", logPositions},
	{"LogPrefixes", logPrefixes},
	{"LogFollows", logFollows},
	{"LogTrims", logTrims},
	{"LogTrimsUnderReader", logTrimsUnderReader},
	{"LogMaxAge", logMaxAge},
	{"LogClose", logClose},
}

// log opens a new log.
func (e *env) log(cfg engine.LogConfig) engine.Log {
	e.Helper()
	l, err := e.engine.Log(e.ctx, newName(), cfg)
	if err != nil {
		e.Fatalf("Log: %v", err)
	}
	return l
}

// append stores an entry and returns its position.
func (e *env) append(l engine.Log, topic string, frames ...string) uint64 {
	e.Helper()
	results := make(chan result, 1)
	err := l.Append(e.ctx, []byte(topic), message("", frames...).Frames, func(r engine.Receipt, err error) { results <- result{r, err} })
	if err != nil {
		e.Fatalf("Append: %v", err)
	}
	r := e.wait(results)
	if r.err != nil {
		e.Fatalf("Append: %v", r.err)
	}
	return r.receipt.Seq
}

// read returns the next n entries.
func (e *env) read(l engine.Log, from uint64, prefix string, n int) []engine.Entry {
	e.Helper()
	var out []engine.Entry
	for entry, err := range l.Read(e.ctx, from, []byte(prefix)) {
		if err != nil {
			e.Fatalf("Read after %d of %d entries: %v", len(out), n, err)
		}
		if out = append(out, entry); len(out) == n {
			break
		}
	}
	return out
}

// bounds returns the bounds of l.
func (e *env) bounds(l engine.Log) engine.Bounds {
	e.Helper()
	b, err := l.Bounds(e.ctx)
	if err != nil {
		e.Fatalf("Bounds: %v", err)
	}
	return b
}

// logRoundTrip checks that topics and frames of any octets are read as they were
// appended.
func logRoundTrip(e *env) {
	l := e.log(engine.LogConfig{})
	if b := e.bounds(l); b.First != 1 || b.Last != 0 {
		e.Errorf("the bounds of an empty log are %d to %d, want 1 to 0", b.First, b.Last)
	}
	topics := []string{"", "a", "a.b", "*", ">", " ", "\x00\xff\r\n%41", "four", "fives", strings.Repeat("t", 1000)}
	frames := [][]string{{""}, {"body"}, {"a", "", "b\x00"}}
	before := time.Now()
	for i, topic := range topics {
		if pos := e.append(l, topic, frames[i%3]...); pos != uint64(i+1) {
			e.Errorf("entry %d has position %d", i, pos)
		}
	}
	for i, got := range e.read(l, 0, "", len(topics)) {
		if string(got.Topic) != topics[i] || !slices.Equal(text(got.Frames), frames[i%3]) || got.Pos != uint64(i+1) || got.Lost != (engine.Range{}) {
			e.Errorf("entry %d is %+v", i, got)
		}
		if since := got.Time.Sub(before); since < -time.Minute || since > Patience {
			e.Errorf("entry %d has time %v, want about %v", i, got.Time, before)
		}
	}
	if b := e.bounds(l); b.First != 1 || b.Last != uint64(len(topics)) || b.Epoch == [16]byte{} {
		e.Errorf("the bounds are %+v", b)
	}
	never := func(engine.Receipt, error) { e.Errorf("done was called for an append that failed") }
	if err := l.Append(e.ctx, []byte("t"), [][]byte{make([]byte, 2<<20)}, never); !errors.Is(err, engine.ErrTooLarge) {
		e.Errorf("Append of 2 MiB returned %v, want ErrTooLarge", err)
	}
	if err := l.Append(e.ctx, []byte("t"), nil, never); !errors.Is(err, engine.ErrMessage) {
		e.Errorf("Append of no frame returned %v, want ErrMessage", err)
	}
}

// logPositions checks that a reading begins at the position that it is given.
func logPositions(e *env) {
	l := e.log(engine.LogConfig{})
	for i := range 10 {
		e.append(l, "t", fmt.Sprint(i))
	}
	for from := uint64(0); from <= 10; from++ {
		got := e.read(l, from, "", 1)[0]
		if want := max(from, 1); got.Pos != want || got.Lost != (engine.Range{}) {
			e.Errorf("Read from %d began at %+v, want %d", from, got, want)
		}
	}
	// A position in the future is waited for.
	future := make(chan engine.Entry, 1)
	go func() { future <- e.read(l, 12, "", 1)[0] }()
	e.append(l, "t", "11th")
	e.append(l, "t", "12th")
	if got := <-future; got.Pos != 12 {
		e.Errorf("Read from 12 began at %+v", got)
	}
}

// logPrefixes checks filters of every length around the number of octets that an
// engine may use for its own.
func logPrefixes(e *env) {
	l := e.log(engine.LogConfig{})
	topics := []string{"", "a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdx", "b", "abc.", "a.", "\xff\xff\xff\xff\xff", "end"}
	for _, topic := range topics {
		e.append(l, topic, topic)
	}
	for _, prefix := range []string{"", "a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "a.", "b", "\xff\xff\xff\xff\xff"} {
		var want []string
		for _, topic := range topics {
			if strings.HasPrefix(topic, prefix) {
				want = append(want, topic)
			}
		}
		last := prefix + "last" // there is always one more to read
		e.append(l, last, last)
		var got []string
		for entry, err := range l.Read(e.ctx, 1, []byte(prefix)) {
			if err != nil {
				e.Fatalf("Read of %q: %v", prefix, err)
			}
			if entry.Lost != (engine.Range{}) {
				e.Errorf("Read of %q reports loss: %+v", prefix, entry)
			}
			if string(entry.Topic) == last {
				break
			}
			got = append(got, string(entry.Topic))
		}
		topics = append(topics, last)
		if !slices.Equal(got, want) {
			e.Errorf("prefix %q: got %q, want %q", prefix, got, want)
		}
	}
}

// logFollows checks that readings wait for new entries, and end with their context.
func logFollows(e *env) {
	const readers, n = 3, 100
	l := e.log(engine.LogConfig{})
	results := make(chan error, readers)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(e.ctx)
	seen := make(chan struct{}, readers)
	for range readers {
		go func() {
			next := uint64(1)
			for entry, err := range l.Read(ctx, 0, nil) {
				if err != nil {
					results <- err
					return
				}
				if entry.Pos != next {
					e.Errorf("got entry %d, want %d", entry.Pos, next)
				}
				if next++; entry.Pos == n {
					seen <- struct{}{}
				}
			}
			results <- errors.New("the reading ended without an error")
		}()
	}
	for range n {
		e.append(l, "t", "x")
	}
	for range readers {
		select {
		case <-seen:
		case <-e.ctx.Done():
			e.Fatalf("a reader did not see the last entry")
		}
	}
	cancel(cause)
	for range readers {
		if err := <-results; !errors.Is(err, cause) {
			e.Errorf("Read ended with %v, want the cause of its context", err)
		}
	}
}

// logTrims checks that a log at its limit removes the oldest entries, and that a
// reading from a removed position reports what is lost.
func logTrims(e *env) {
	l := e.log(engine.LogConfig{MaxEntries: 5})
	for i := range 12 {
		e.append(l, fmt.Sprint("t", i%2), "x")
	}
	if b := e.bounds(l); b.First != 8 || b.Last != 12 {
		e.Fatalf("the bounds are %d to %d, want 8 to 12", b.First, b.Last)
	}
	if got := e.read(l, 3, "", 1)[0]; got.Pos != 8 || got.Lost != (engine.Range{First: 3, Last: 7}) {
		e.Errorf("Read from 3 began with %+v, want position 8 and 3 to 7 lost", got)
	}
	if got := e.read(l, 3, "t0", 1)[0]; got.Pos != 9 || got.Lost != (engine.Range{First: 3, Last: 7}) {
		e.Errorf("Read of t0 from 3 began with %+v, want position 9 and 3 to 7 lost", got)
	}
	if got := e.read(l, 0, "", 1)[0]; got.Pos != 8 || got.Lost != (engine.Range{}) {
		e.Errorf("Read from 0 began with %+v, want position 8 and no loss", got)
	}
	if got := e.read(l, 8, "t1", 1)[0]; got.Pos != 8 || got.Lost != (engine.Range{}) {
		e.Errorf("Read of t1 from 8 began with %+v, want position 8 and no loss", got)
	}
}

// logTrimsUnderReader checks that a reader that is too slow learns of every position
// that it misses: each is either read or reported.
func logTrimsUnderReader(e *env) {
	const n = 600 // more than an engine reads at once
	l := e.log(engine.LogConfig{MaxEntries: 10})
	e.append(l, "t", "first")
	next := uint64(1)
	for entry, err := range l.Read(e.ctx, 1, nil) {
		if err != nil {
			e.Fatalf("Read: %v", err)
		}
		if entry.Pos == 1 { // while this reader holds an entry, the log moves on
			for range n {
				e.append(l, "t", "x")
			}
		}
		if entry.Lost.First != 0 {
			if entry.Lost.First != next || entry.Lost.Last != entry.Pos-1 {
				e.Fatalf("entry %d reports %+v lost, want %d to %d", entry.Pos, entry.Lost, next, entry.Pos-1)
			}
		} else if entry.Pos != next {
			e.Fatalf("got entry %d without loss, want %d", entry.Pos, next)
		}
		if next = entry.Pos + 1; next > n+1 {
			break
		}
	}
}

// logMaxAge checks that entries are removed by age, and not before.
func logMaxAge(e *env) {
	const age = 2 * time.Second
	l := e.log(engine.LogConfig{MaxAge: age})
	start := time.Now()
	e.append(l, "t", "x")
	for {
		b := e.bounds(l)
		if b.First > b.Last {
			if d := time.Since(start); d < age {
				e.Errorf("the entry was removed after %v, want at least %v", d, age)
			}
			break
		}
		if e.pause(age/4) != nil {
			e.Fatalf("the entry was not removed")
		}
	}
	if pos := e.append(l, "t", "x"); pos != 2 {
		e.Errorf("the next entry has position %d, want 2", pos)
	}
}

// logClose checks that a closed log returns ErrClosed everywhere.
func logClose(e *env) {
	l := e.log(engine.LogConfig{})
	e.append(l, "t", "x")
	reading, results := make(chan struct{}), make(chan error, 1)
	go func() {
		for _, err := range l.Read(e.ctx, 0, nil) {
			if err != nil {
				results <- err
				return
			}
			close(reading)
		}
	}()
	<-reading
	if err := l.Close(); err != nil {
		e.Fatalf("Close: %v", err)
	}
	if err := <-results; !errors.Is(err, engine.ErrClosed) {
		e.Errorf("Read ended with %v, want ErrClosed", err)
	}
	never := func(engine.Receipt, error) { e.Errorf("done was called for an append that failed") }
	_, bounds := l.Bounds(e.ctx)
	var read error
	for _, err := range l.Read(e.ctx, 0, nil) {
		read = err
	}
	for name, err := range map[string]error{
		"Append": l.Append(e.ctx, nil, [][]byte{{}}, never), "Bounds": bounds, "Read": read, "Close": l.Close(),
	} {
		if !errors.Is(err, engine.ErrClosed) {
			e.Errorf("%s after Close returned %v, want ErrClosed", name, err)
		}
	}
}
