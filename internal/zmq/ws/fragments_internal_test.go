package ws

import (
	"io"
	"runtime"
	"sync/atomic"
	"testing"
)

// octets is a message of which each fragment has one octet.
type octets int

func (n *octets) Read(p []byte) (int, error) {
	if *n == 0 {
		return 0, io.EOF
	}
	*n--
	p[0] = 'a'
	return 1, nil
}

// Many fragments leave room for other goroutines, before a time slice of the
// scheduler ends.
func TestFragmentsGiveWay(t *testing.T) {
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
	const bursts = 1000
	const fragments = bursts * fragmentBurst
	n := octets(fragments)
	b, err := readAll(&n, nil, func(int) {})
	over.Store(1)
	<-done
	if err != nil || len(b) != fragments {
		t.Fatalf("%d octets, %v", len(b), err)
	}
	if least := int64(bursts / 2); ran.Load() < least { // the test may not be the only other one
		t.Errorf("another goroutine ran %d times, expected %d", ran.Load(), least)
	}
}
