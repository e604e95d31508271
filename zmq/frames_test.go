package zmq_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"lintel.dev/zmq"
)

// filled is a payload of a size that tells which message it is.
func filled(size int, n uint32) []byte {
	b := make([]byte, size)
	for i := 0; i+4 <= size; i += 4 {
		binary.LittleEndian.PutUint32(b[i:], n)
	}
	return b
}

// number reads what filled wrote; it fails if the payload is not of one piece.
func number(t testing.TB, b []byte) uint32 {
	t.Helper()
	n := binary.LittleEndian.Uint32(b)
	for i := 0; i+4 <= len(b); i += 4 {
		if m := binary.LittleEndian.Uint32(b[i:]); m != n {
			t.Errorf("%d at %d of message %d", m, i, n)
			break
		}
	}
	return n
}

func TestFramesAndRecvIntoKeepOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		for _, size := range []int{8, 1000, 7000, 20000} {
			push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
			r.connect(push, r.bind(pull))
			const count = 600
			go func() {
				for i := range uint32(count) {
					if err := push.SendBytes(r.ctx, filled(size, i)); err != nil {
						t.Error(err)
					}
				}
			}()
			want := uint32(0)
			for want < count {
				// A few one way, then the other: the memory changes hands.
				for b, err := range pull.Views(r.ctx) {
					if err != nil {
						t.Fatal(err)
					}
					if n := number(t, b); n != want {
						t.Fatalf("message %d, want %d", n, want)
					}
					if want++; want%100 == 0 {
						break
					}
				}
				var buf []byte
				for want%100 != 50 && want < count {
					var err error
					if buf, err = pull.RecvInto(r.ctx, buf[:0]); err != nil {
						t.Fatal(err)
					}
					if n := number(t, buf); n != want {
						t.Fatalf("message %d, want %d", n, want)
					}
					want++
				}
			}
			push.Close()
			pull.Close()
		}
	})
}

// What RecvBytes returned stays as it is while others use the memory again.
func TestKeptFramesAreNotOverwritten(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
		r.connect(push, r.bind(pull))
		const count = 3000
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for i := range uint32(count) {
				if err := push.SendBytes(r.ctx, filled(200, i)); err != nil {
					t.Error(err)
				}
			}
		}()
		var got sync.Map
		var wg sync.WaitGroup
		ctx, stop := context.WithCancel(r.ctx)
		var mu sync.Mutex
		left := count
		one := func(b []byte) {
			if _, twice := got.LoadOrStore(number(t, b), b); twice {
				t.Errorf("message %d came twice", number(t, b))
			}
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				stop()
			}
		}
		wg.Go(func() {
			for {
				b, err := pull.RecvBytes(ctx)
				if err != nil {
					return
				}
				one(b)
			}
		})
		wg.Go(func() {
			var buf []byte
			for {
				var err error
				if buf, err = pull.RecvInto(ctx, buf[:0]); err != nil {
					return
				}
				one(append([]byte{}, buf...))
			}
		})
		wg.Go(func() {
			for b, err := range pull.Views(ctx) {
				if err != nil {
					return
				}
				one(append([]byte{}, b...))
				number(t, b)
			}
		})
		wg.Wait()
		<-sent
		got.Range(func(n, b any) bool {
			if m := number(t, b.([]byte)); m != n.(uint32) {
				t.Errorf("message %d has become %d", n, m)
			}
			return true
		})
		if left != 0 {
			t.Errorf("%d messages missing", left)
		}
	})
}

func TestFramesOfSeveralFrames(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
		r.connect(push, r.bind(pull))
		r.send(push, "one")
		r.send(push, "two", "frames")
		r.send(push, "three")
		var got []string
		for len(got) < 3 {
			for b, err := range pull.Views(r.ctx) {
				var multi *zmq.MultipartError
				switch {
				case errors.As(err, &multi):
					got = append(got, multi.Msg.String())
				case err != nil:
					t.Fatal(err)
				default:
					got = append(got, string(b))
				}
				if len(got) == 3 {
					break
				}
			}
		}
		if s := fmt.Sprint(got); s != "[one two|frames three]" {
			t.Error(s)
		}
	})
}

// Two subscribers share a large frame. When one gives it back the other's must
// not change.
func TestReleaseOfSharedFrame(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		pub := made(r, zmq.NewXPub, zmq.WithOption("xpub_verbose", "1"))
		at := r.bind(pub)
		var subs [2]*zmq.Sub
		for i := range subs {
			subs[i] = made(r, zmq.NewSub)
			if err := subs[i].Subscribe(""); err != nil {
				t.Fatal(err)
			}
			r.connect(subs[i], at)
			r.want(pub, "\x01")
		}
		for n := range uint32(20) {
			if err := pub.SendBytes(r.ctx, filled(16<<10, n)); err != nil {
				t.Fatal(err)
			}
			var got [2][]byte
			for i, s := range subs {
				var err error
				if got[i], err = s.RecvBytes(r.ctx); err != nil {
					t.Fatal(err)
				}
			}
			zmq.Msg{got[0]}.Release()
			other := filled(16<<10, 99)
			if err := pub.SendBytes(r.ctx, other); err != nil {
				t.Fatal(err)
			}
			for _, s := range subs {
				if _, err := s.RecvBytes(r.ctx); err != nil {
					t.Fatal(err)
				}
			}
			if m := number(t, got[1]); m != n {
				t.Fatalf("message %d has become %d", n, m)
			}
		}
	})
}

// A frame that its sender keeps is not for the receiver to give back.
func TestReleaseOfSendersOwnFrame(t *testing.T) {
	everywhere(t, func(t *testing.T, r rig) {
		push, pull := made(r, zmq.NewPush), made(r, zmq.NewPull)
		r.connect(push, r.bind(pull))
		mine := filled(64<<10, 7)
		for range 20 {
			if err := push.SendOwned(r.ctx, zmq.Msg{mine}); err != nil {
				t.Fatal(err)
			}
			b, err := pull.RecvBytes(r.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if n := number(t, b); n != 7 {
				t.Fatal("message", n)
			}
			zmq.Msg{b}.Release()
			// The next owner of that memory may write to it.
			if err := push.SendBytes(r.ctx, filled(64<<10, 8)); err != nil {
				t.Fatal(err)
			}
			if b, err = pull.RecvBytes(r.ctx); err != nil {
				t.Fatal(err)
			}
			if n := number(t, b); n != 8 {
				t.Fatal("message", n)
			}
			if n := number(t, mine); n != 7 {
				t.Fatalf("the sender's own frame has become %d", n)
			}
		}
	})
}

// What a peer sends cannot steer a terminal on which a message is printed.
func TestMsgStringEscapes(t *testing.T) {
	m := zmq.NewMsg("\x00id\xff", "", "text | \\x1b", "\x1b[31m\r\n", "é~")
	const want = `\x00id\xff||text | \x5cx1b|\x1b[31m\x0d\x0a|\xc3\xa9~`
	for _, got := range []string{m.String(), fmt.Sprint(m), fmt.Sprintf("%v", m), fmt.Sprint([]zmq.Msg{m})[1 : len(want)+1]} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Nor can the names that a peer gives itself.
func TestPeerInfoStringEscapes(t *testing.T) {
	p := zmq.PeerInfo{Address: "127.0.0.1:1", SocketType: "\x1b[31m", RoutingID: []byte("\x1b[0m"), UserID: "ada\n"}
	const want = `"\x1b[31m" "\x1b[0m" at "127.0.0.1:1", user "ada\n"`
	for _, got := range []string{fmt.Sprint(p), fmt.Sprintf("%v", &p), fmt.Sprintf("%+v", p)} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
