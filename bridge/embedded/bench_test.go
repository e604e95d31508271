package embedded_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"lintel.dev/bridge/embedded"
	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/jetstream"
	"lintel.dev/bridge/memory"
)

// BenchmarkPut measures puts of 128 octets with 1, 64 and 1,024 outstanding: on the
// engine in memory, on the server with streams in memory, on disk with a sync every
// two minutes and before each receipt, and nats.go alone on the same stream.
func BenchmarkPut(b *testing.B) {
	for _, window := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("engine=memory/window=%d", window), func(b *testing.B) {
			e := memory.New(memory.Options{MaxBytes: 1 << 40})
			defer e.Close()
			benchmarkPut(b, e, window)
		})
		for _, mode := range []struct {
			name   string
			sync   time.Duration
			memory bool
		}{
			{"jetstream-memory", time.Minute, true},
			{"jetstream-sync-2min", 2 * time.Minute, false},
			{"jetstream-sync-always", 0, false},
		} {
			cfg := embedded.Config{SyncEvery: mode.sync, MaxMemory: 1 << 33, Listen: "127.0.0.1:0"}
			b.Run(fmt.Sprintf("engine=%s/window=%d", mode.name, window), func(b *testing.B) {
				cfg.Dir = b.TempDir()
				s := start(b, cfg)
				benchmarkPut(b, overTCP(b, s, mode.memory), window)
			})
			b.Run(fmt.Sprintf("engine=%s-nats.go-alone/window=%d", mode.name, window), func(b *testing.B) {
				cfg.Dir = b.TempDir()
				s := start(b, cfg)
				openQueue(b, openEngine(b, s, jetstream.Config{Memory: mode.memory}), "jobs", engine.QueueConfig{})
				benchmarkNative(b, s, window)
			})
		}
	}
}

func benchmarkPut(b *testing.B, e engine.Engine, window int) {
	q := openQueue(b, e, "jobs", engine.QueueConfig{MaxOutstanding: window})
	m := engine.Message{Frames: [][]byte{make([]byte, 128)}}
	var wg sync.WaitGroup
	done := func(_ engine.Receipt, err error) {
		if err != nil {
			b.Error(err)
		}
		wg.Done()
	}
	ctx := b.Context()
	b.ResetTimer()
	for range b.N {
		wg.Add(1)
		if err := q.Put(ctx, m, done); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.StopTimer()
}

// overTCP opens an engine that is connected as nats.go alone is.
func overTCP(b *testing.B, s *embedded.Server, memory bool) engine.Engine {
	e, err := jetstream.Open(within(b), jetstream.Config{URL: s.URL(), Memory: memory})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	return e
}

// benchmarkNative publishes to the stream of the queue with nats.go.
func benchmarkNative(b *testing.B, s *embedded.Server, window int) {
	js := native(b, s, natsjs.WithPublishAsyncMaxPending(window))
	body := make([]byte, 128)
	ctx := b.Context()
	b.ResetTimer()
	for range b.N {
		if window == 1 {
			if _, err := js.Publish(ctx, "Q.jobs", body); err != nil {
				b.Fatal(err)
			}
			continue
		}
		if _, err := js.PublishAsync("Q.jobs", body, natsjs.WithStallWait(time.Hour)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.StopTimer()
}

// BenchmarkProcess measures Get and Ack of one message after another, with as many
// for each Get as n.
func BenchmarkProcess(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			s := start(b, embedded.Config{SyncEvery: 2 * time.Minute})
			q := openQueue(b, openEngine(b, s, jetstream.Config{}), "jobs", engine.QueueConfig{AckWait: time.Hour})
			var wg sync.WaitGroup
			for range b.N {
				wg.Add(1)
				m := engine.Message{Frames: [][]byte{make([]byte, 128)}}
				if err := q.Put(b.Context(), m, func(engine.Receipt, error) { wg.Done() }); err != nil {
					b.Fatal(err)
				}
			}
			wg.Wait()
			b.ResetTimer()
			for left := b.N; left > 0; {
				jobs, err := q.Get(b.Context(), n)
				if err != nil {
					b.Fatal(err)
				}
				for _, j := range jobs {
					if err := j.Ack(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				left -= len(jobs)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.StopTimer()
		})
	}
}
