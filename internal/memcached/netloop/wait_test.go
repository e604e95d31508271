package netloop_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lintel.dev/internal/memcached/netloop"
)

// tlsVariants are the drivers with TLS.
var tlsVariants = []variant{{"best/tls", netloop.New, "tls"}, {"net/tls", netloop.NewNet, "tls"}}

// eachAndTLS runs the test against every driver and network, and over TLS.
func eachAndTLS(t *testing.T, test func(*testing.T, variant)) {
	for _, v := range slices.Concat(variants, tlsVariants) {
		t.Run(v.name, func(t *testing.T) { test(t, v) })
	}
}

var testTLS = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})

// asker is a line protocol of which the answers to "ask WORD" come from
// elsewhere: the test takes the question from questions.asked.
type asker struct {
	conn  netloop.Conn
	all   *questions
	waits *question
}

type questions struct {
	asked  chan *question
	half   chan *asker
	atOnce func(*question) // called before Data returns Wait
	panics bool            // HalfClosed does
	calls  atomic.Int64    // of Data
}

type question struct {
	conn      netloop.Conn
	word      string
	answer    atomic.Pointer[string]
	cancelled chan struct{}
}

// reply answers from any goroutine.
func (q *question) reply(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	q.answer.Store(&text)
	q.conn.Wake()
}

func (s *asker) Data(in []byte, w *netloop.Writer) (used int, step netloop.Step) {
	s.all.calls.Add(1)
	for {
		if s.waits != nil {
			text := s.waits.answer.Load()
			if text == nil {
				return used, netloop.Wait
			}
			w.B = append(append(w.B, *text...), '\n')
			s.waits = nil
		}
		line, _, ok := bytes.Cut(in[used:], []byte("\n"))
		if !ok {
			return used, netloop.NeedMore
		}
		used += len(line) + 1
		word, arg, _ := strings.Cut(string(line), " ")
		switch word {
		case "ask":
			s.waits = &question{conn: s.conn, word: arg, cancelled: make(chan struct{})}
			if s.all.atOnce != nil {
				s.all.atOnce(s.waits)
			} else {
				s.all.asked <- s.waits
			}
		case "echo":
			w.B = append(append(w.B, arg...), '\n')
		case "lend":
			w.Ref(pattern, nil)
		case "next":
			w.B = append(w.B, "next\n"...)
			return used, netloop.Next
		case "yield":
			return used, netloop.Yield
		}
	}
}

func (s *asker) HalfClosed() {
	if s.all.panics {
		panic("half closed")
	}
	s.all.half <- s
}

// serveAskers is variant.start with askers instead of toys.
func (v variant) serveAskers(t *testing.T, cfg netloop.Config, prepare ...func(*questions)) (*bench, *questions) {
	t.Helper()
	q := &questions{asked: make(chan *question, 1<<12), half: make(chan *asker, 1<<12)}
	for _, f := range prepare {
		f(q)
	}
	var b *bench
	cfg.NewSession = func(c netloop.Conn) netloop.Session {
		b.opened <- c
		return &closing{asker: asker{conn: c, all: q}, bench: b}
	}
	b = v.prepare(t, cfg)
	b.serve(v)
	return b, q
}

// closing is an asker that reports its end to the bench.
type closing struct {
	asker
	bench *bench
}

func (s *closing) Closed(why netloop.Reason) {
	if s.waits != nil {
		close(s.waits.cancelled)
	}
	s.bench.closed <- why
}

func TestWaitKeepsOrder(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{})
		p := b.dial()
		p.send("echo 1\nask 2\necho 3\nask 4\nask 5\nnext\necho 6\n")
		p.want("1\n") // written although the session is parked
		for _, word := range []string{"2", "4", "5"} {
			asked := <-q.asked
			if asked.word != word {
				t.Fatalf("asked %q, want %q", asked.word, word)
			}
			go asked.reply("%s", word)
		}
		p.want("2\n3\n4\n5\nnext\n6\n")
		p.send("ask 7\n")
		(<-q.asked).reply("7")
		p.want("7\n")
		p.Close()
		b.wantClosed(netloop.Normal)
	})
}

// A wake-up that comes before the session is parked is not lost.
func TestWakeBeforeWait(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		done := make(chan *question, 2)
		b, _ := v.serveAskers(t, netloop.Config{}, func(q *questions) {
			q.atOnce = func(asked *question) {
				asked.conn.Wake() // too early, or for nothing
				done <- asked
				asked.reply("a%s", asked.word)
				asked.conn.Wake() // twice
			}
		})
		p := b.dial()
		for range 100 {
			p.send("ask 1\nask 2\n")
			<-done
			(<-done).conn.Wake()
			p.want("a1\na2\n")
		}
	})
}

// An early end of a wait parks the session again.
func TestWakeForNothing(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{})
		p := b.dial()
		p.send("ask a\necho b\n")
		asked := <-q.asked
		for range 100 {
			before := q.calls.Load()
			asked.conn.Wake()
			for q.calls.Load() == before {
				runtime.Gosched()
			}
		}
		asked.reply("a")
		p.want("a\nb\n")
	})
}

func TestCloseWhileParked(t *testing.T) {
	abort := func(p *peer, _ *question) {
		nc := p.Conn
		if c, ok := nc.(*tls.Conn); ok {
			nc = c.NetConn()
		}
		if c, ok := nc.(*net.TCPConn); ok {
			c.SetLinger(0)
		}
		nc.Close()
	}
	server := func(_ *peer, q *question) { q.conn.Close(netloop.Failed) }
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{})
		for name, end := range map[string]func(*peer, *question){"by the peer": abort, "by the server": server} {
			if name == "by the peer" && v.name == "net/unix" {
				continue // there it looks like a half-close
			}
			t.Run(name, func(t *testing.T) {
				p := b.dial()
				p.send("ask a\necho b\n")
				asked := <-q.asked
				end(p, asked)
				<-asked.cancelled
				<-b.closed
				asked.reply("nothing")
				asked.conn.Wake()
			})
		}
		p := b.dial()
		p.send("echo c\n")
		p.want("c\n")
	})
}

// A peer that closes its sending side while its session is parked still gets
// the reply, and the session learns of it.
func TestHalfCloseWhileParked(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{})
		p := b.dial()
		p.send("ask a\n")
		asked := <-q.asked
		p.send("ask b\necho c\n")
		p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		if s := <-q.half; s.conn != asked.conn {
			t.Error("HalfClosed of another connection")
		}
		asked.reply("a")
		p.want("a\n")
		(<-q.asked).reply("b")
		p.want("b\nc\n")
		p.wantEOF()
		b.wantClosed(netloop.Normal)
	})
}

func TestHalfClosedPanics(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{OnPanic: func(any, []byte) {}}, func(q *questions) { q.panics = true })
		p := b.dial()
		p.send("ask a\n")
		asked := <-q.asked
		p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		<-asked.cancelled
		b.wantClosed(netloop.Failed)
	})
}

// A parked session's peer cannot make the server hold what it sends.
func TestParkedInputIsBounded(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{MaxInput: 4 << 10})
		p := b.dial()
		p.send("ask a\n")
		asked := <-q.asked
		nc := p.Conn
		if c, ok := nc.(*tls.Conn); ok {
			nc = c.NetConn() // a broken record does not matter here
		}
		nc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := nc.Write(bytes.Repeat([]byte("echo x\n"), 64<<20/7)); err == nil {
			t.Fatalf("%d bytes were taken from the peer of a parked session", n)
		}
		if n := b.loop.Stats().BytesRead; n > 256<<10 {
			t.Errorf("%d bytes read while parked", n)
		}
		asked.conn.Close(netloop.Failed)
		<-asked.cancelled
	})
}

// What arrived while the session was parked, and more than fits the buffer, is
// answered afterwards.
func TestInputWhileParked(t *testing.T) {
	const n = 100_000
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{MaxInput: 4 << 10})
		p := b.dial()
		p.send("ask a\n")
		asked := <-q.asked
		go p.Write(bytes.Repeat([]byte("echo x\n"), n))
		b.await(func(s netloop.Stats) bool { return s.BytesRead >= 6 })
		asked.reply("a")
		p.want("a\n" + strings.Repeat("x\n", n))
	})
}

// A parked connection is not idle, and its idle time starts when it is woken.
func TestParkedIsNotIdle(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{Threads: 1, IdleTimeout: 20 * time.Millisecond})
		p := b.dial()
		p.send("ask a\n")
		var asked *question
		select {
		case asked = <-q.asked:
		case <-b.closed:
			t.Skip("the machine is too slow for the time-out")
		}
		for range 3 { // meanwhile others are closed for being idle
			b.dial()
			b.wantClosed(netloop.IdleTimeout)
		}
		asked.reply("a")
		p.want("a\n")
		b.wantClosed(netloop.IdleTimeout)
	})
}

// The write time-out holds for the replies of a parked session.
func TestParkedWriteTimeout(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{WriteTimeout: 20 * time.Millisecond})
		p := b.dial()
		p.send("lend\nlend\nlend\nask a\n")
		asked := <-q.asked
		<-asked.cancelled
		b.wantClosed(netloop.Failed)
		asked.reply("late")
		if n := b.loop.Stats().SlowKicks; n != 1 {
			t.Errorf("SlowKicks %d, want 1", n)
		}
	})
}

// A session may be woken while its peer has not read the earlier replies.
func TestWakeUnderBackPressure(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{})
		p := b.dial()
		p.send("lend\nask a\nlend\nask b\necho c\n")
		(<-q.asked).reply("a")
		want := string(pattern) + "a\n" + string(pattern)
		p.want(want[:1000])
		p.want(want[1000:])
		(<-q.asked).reply("b")
		p.want("b\nc\n")
	})
}

// What Conn.Send queues does not wait for the session.
func TestSendWhileParked(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{})
		p := b.dial()
		p.send("ask a\necho b\n")
		asked := <-q.asked
		for range 10 {
			asked.conn.Send([]byte("sent\n"))
			p.want("sent\n")
		}
		asked.reply("a")
		p.want("a\nb\n")
	})
}

// A parked connection counts toward MaxConns until it ends.
func TestParkedHoldsItsPlace(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{MaxConns: 1, PauseAtLimit: true})
		p := b.dial()
		p.send("ask a\n")
		asked := <-q.asked
		b.await(func(s netloop.Stats) bool { return !s.Accepting })
		next := make(chan *peer)
		go func() { next <- b.dial() }() // a TLS handshake waits for the place
		asked.conn.Close(netloop.Normal)
		p2 := <-next
		p2.send("echo in\n")
		p2.want("in\n")
	})
}

// Shutdown closes parked connections at once, while others wake them.
func TestShutdownWhileParked(t *testing.T) {
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{Threads: 2})
		var all []*question
		for range 16 {
			b.dial().send("ask a\necho b\n")
			all = append(all, <-q.asked)
		}
		stop := make(chan struct{})
		var wakers sync.WaitGroup
		for i := range 4 {
			wakers.Go(func() {
				for n := i; ; n++ {
					select {
					case <-stop:
						return
					default:
						all[n%len(all)].conn.Wake()
						runtime.Gosched()
					}
				}
			})
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.loop.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		for range all {
			b.wantClosed(netloop.Shutdown)
		}
		close(stop)
		wakers.Wait()
		for _, asked := range all {
			<-asked.cancelled
			asked.reply("late")
		}
	})
}

// Random requests over many connections, answered in random order by several
// goroutines among needless wake-ups, split at random: every connection gets
// the replies of a server that answers one request after another.
func TestWaitModel(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	eachAndTLS(t, func(t *testing.T, v variant) {
		b, q := v.serveAskers(t, netloop.Config{Threads: 3, SoftQueued: 1 << 10, MaxInput: 2 << 10})
		stop := make(chan struct{})
		var backends sync.WaitGroup
		for i := range 3 {
			backends.Go(func() {
				rnd := mrand.New(mrand.NewPCG(uint64(i), 7))
				var held []*question
				for {
					if len(held) == 0 {
						select {
						case asked := <-q.asked:
							held = append(held, asked)
						case <-stop:
							return
						}
					}
					select {
					case asked := <-q.asked:
						held = append(held, asked)
					default:
					}
					for len(held) > 0 && rnd.IntN(3) > 0 {
						n := rnd.IntN(len(held))
						if rnd.IntN(4) == 0 {
							held[n].conn.Wake()
						}
						held[n].reply("%s", held[n].word)
						held[n] = held[len(held)-1]
						held = held[:len(held)-1]
					}
				}
			})
		}
		var clients sync.WaitGroup
		for c := range 12 {
			p := b.dial()
			clients.Go(func() {
				rnd := mrand.New(mrand.NewPCG(uint64(c), 11))
				var in, want strings.Builder
				for i := range rounds {
					word := fmt.Sprintf("%d.%d%s", c, i, pattern64[:rnd.IntN(64)])
					switch rnd.IntN(6) {
					case 0, 1, 2:
						fmt.Fprintf(&in, "ask %s\n", word)
					case 3:
						fmt.Fprintf(&in, "yield\necho %s\n", word)
					case 4:
						fmt.Fprintf(&in, "echo %s\n", word)
					default:
						in.WriteString("next\n")
						word = "next"
					}
					want.WriteString(word + "\n")
				}
				go func() {
					for rest := in.String(); rest != ""; {
						n := min(len(rest), 1+rnd.IntN(200))
						if _, err := io.WriteString(p, rest[:n]); err != nil {
							return
						}
						rest = rest[n:]
						runtime.Gosched()
					}
				}()
				got := make([]byte, want.Len())
				if _, err := io.ReadFull(p.r, got); err != nil || string(got) != want.String() {
					t.Errorf("connection %d: wrong replies, %v", c, err)
				}
			})
		}
		clients.Wait()
		close(stop)
		backends.Wait()
	})
}

var pattern64 = strings.Repeat("x", 64)

// nextOnly handles one line a call.
type nextOnly struct{}

func (nextOnly) Data(in []byte, w *netloop.Writer) (int, netloop.Step) {
	i := bytes.IndexByte(in, '\n')
	w.B = append(w.B, in[:i+1]...)
	return i + 1, netloop.Next // also with an incomplete line
}
func (nextOnly) Closed(netloop.Reason) {}

func TestNext(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		loop, err := v.make(netloop.Config{NewSession: func(netloop.Conn) netloop.Session { return nextOnly{} }})
		if err != nil {
			t.Fatal(err)
		}
		ln := v.listen(t)
		served := make(chan error, 1)
		go func() { served <- loop.Serve(ln) }()
		b := &bench{t: t, addr: ln.Addr()}
		p := b.dial()
		p.send("a\nb\nc")
		p.want("a\nb\n")
		p.send("\n")
		p.want("c\n")
		if err := loop.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, netloop.ErrClosed) {
			t.Error(err)
		}
	})
}
