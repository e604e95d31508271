package pipeline

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatchdogCountsFromSend: the time of a write counts from when the request was queued
// for the writer goroutine, not from an earlier write.
func TestWatchdogCountsFromSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		d := &Dialer{
			Host: "10.0.0.1", Protocol: Classic, MaxItemSize: 1 << 20,
			DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
			Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
		}
		var wg sync.WaitGroup
		conn, err := d.Connect(t.Context(), &wg, func(*Conn, error) {})
		if err != nil {
			t.Fatal(err)
		}
		conn.dog.tick.Store(1000)
		cl := NewCall(new(sync.Pool), OpGet, "k")
		if _, err := conn.Send(cl); err != nil { // to a server that does not read
			t.Fatal(err)
		}
		conn.dog.check()
		if conn.failed.Load() {
			t.Error("the connection failed at the first beat")
		}
		start := time.Now()
		conn.Wait(t.Context(), cl)
		if took := time.Since(start); !errors.Is(cl.Err, ErrTimeout) || took < time.Second || took > 2*time.Second {
			t.Errorf("after %v: %v", took, cl.Err)
		}
		theirs.Close()
		wg.Wait()
	})
}
