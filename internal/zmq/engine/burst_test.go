package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lintel.dev/internal/zmq/engine/enginetest"
	"lintel.dev/internal/zmq/zmtp"

	"lintel.dev/internal/zmq/engine"
)

// script is a connection to a peer that has sent everything already, and reads
// all that it is sent.
type script struct{ *bytes.Reader }

func (s script) Write(p []byte) (int, error)      { return len(p), nil }
func (s script) Close() error                     { return nil }
func (s script) LocalAddr() net.Addr              { return nil }
func (s script) RemoteAddr() net.Addr             { return nil }
func (s script) SetDeadline(time.Time) error      { return nil }
func (s script) SetReadDeadline(time.Time) error  { return nil }
func (s script) SetWriteDeadline(time.Time) error { return nil }

// whileOthersRun runs a goroutine that does nothing but give way, on the only P
// there is, and returns how often it ran during f.
func whileOthersRun(f func()) int {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var ran, over atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for over.Load() == 0 {
			ran.Add(1)
			runtime.Gosched()
		}
	}()
	f()
	over.Store(1)
	<-done
	return int(ran.Load())
}

// A peer whose octets are always there leaves room for other goroutines, before a
// time slice of the scheduler ends.
func TestGiveWay(t *testing.T) {
	for name, c := range map[string]struct {
		unit  []byte
		total int // octets
		every int // octets after which the reader gives way
	}{
		"commands": {zmtp.Framing2.Append(nil, zmtp.FlagCommand, zmtp.AppendPing(nil, 0, nil)), 1 << 20, 16 << 10},
		"messages": {zmtp.Framing2.Append(nil, 0, bytes.Repeat([]byte("m"), 60_000)), 16 << 20, 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			greeting := "\xff" + strings.Repeat("\x00", 8) + "\x7f\x03\x01NULL" + strings.Repeat("\x00", 16+32)
			ready := zmtp.AppendReady(nil, zmtp.Metadata{{Name: zmtp.PropertySocketType, Value: []byte("PAIR")}})
			all := zmtp.Framing2.Append([]byte(greeting), zmtp.FlagCommand, ready)
			all = append(all, bytes.Repeat(c.unit, c.total/len(c.unit))...)
			ran := whileOthersRun(func() {
				e := engine.NewStream(script{bytes.NewReader(all)}, enginetest.Config(zmtp.PAIR))
				s, _, err := enginetest.Run(t.Context(), e)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Wait(); !errors.Is(err, io.EOF) {
					t.Errorf("%v, want EOF", err)
				}
			})
			// A burst may be longer by one read, and the test is not the only other one.
			if least := c.total / c.every / 4; ran < least {
				t.Errorf("another goroutine ran %d times, expected %d", ran, least)
			}
		})
	}
}
