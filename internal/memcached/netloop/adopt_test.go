package netloop_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/netloop"
)

// Two loops joined by adopted connections: one plays the client.
func TestAdopt(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		b := v.start(t, netloop.Config{})
		replies := make(chan string, 8)
		client, err := v.make(netloop.Config{NewSession: func(c netloop.Conn) netloop.Session {
			c.Send([]byte("echo first\n"))
			return caller(func(line string) string {
				replies <- line
				if line == "first" {
					return "echo second\n"
				}
				return "quit\n"
			})
		}})
		if err != nil {
			t.Fatal(err)
		}
		nc, err := net.Dial(b.addr.Network(), b.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Adopt(nc); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"first", "second", "bye"} {
			if got := <-replies; got != want {
				t.Errorf("reply %q, want %q", got, want)
			}
		}
		b.wantClosed(netloop.Normal)
		if err := client.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		nc, err = net.Dial(b.addr.Network(), b.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Adopt(nc); !errors.Is(err, netloop.ErrClosed) {
			t.Errorf("Adopt after Shutdown: %v", err)
		}
		b.wantClosed(netloop.Normal)
	})
}

// caller answers each line with another.
type caller func(line string) string

func (f caller) Data(in []byte, w *netloop.Writer) (int, netloop.Step) {
	line, _, ok := strings.Cut(string(in), "\n")
	if !ok {
		return 0, netloop.NeedMore
	}
	w.B = append(w.B, f(line)...)
	return len(line) + 1, netloop.Yield
}
func (f caller) Closed(netloop.Reason) {}

func TestWriterDrain(t *testing.T) {
	w := netloop.NewWriter(10)
	released := 0
	w.B = append(w.B, "one "...)
	w.Ref([]byte("two "), func() { released++ })
	w.B = append(w.B, "three"...)
	if w.Len() != 13 || !w.Full() {
		t.Errorf("Len %d, Full %v", w.Len(), w.Full())
	}
	if got := string(w.Drain([]byte("zero "))); got != "zero one two three" || released != 1 || w.Len() != 0 || w.Full() {
		t.Errorf("drained %q, released %d, Len %d", got, released, w.Len())
	}
}
