package zmq4

import (
	"math"
	"runtime"
	"sync"

	"lintel.dev/zmq"
)

// The defaults of a Context.
const (
	MaxSocketsDflt = int(1023)
	IoThreadsDflt  = int(1)
)

// Context is a group of sockets that can be terminated together, and within
// which inproc endpoints are known.
type Context struct{ g *group }

// group is what a Context refers to. Sockets refer to the Context, so that it
// is terminated when the last of them is unreachable.
type group struct {
	z zmq.Context

	mu sync.Mutex
	// The fields below are protected by mu.
	settings   settings
	open       int // sockets that are open or linger
	allClosed  sync.Cond
	terminated bool
}

type settings struct {
	maxSockets, ioThreads, maxMsgsz int
	ipv6, blocky, retryEINTR        bool
}

func newContext() *Context {
	g := &group{settings: settings{
		maxSockets: MaxSocketsDflt, ioThreads: IoThreadsDflt, maxMsgsz: math.MaxInt32,
		blocky: true, retryEINTR: true,
	}}
	g.allClosed.L = &g.mu
	return &Context{g}
}

// defaultContext is that of the functions without a Context.
var defaultContext = newContext()

// NewContext returns a new Context. It is terminated when it becomes
// unreachable.
func NewContext() (ctx *Context, err error) {
	ctx = newContext()
	runtime.AddCleanup(ctx, func(g *group) { go g.term() }, ctx.g)
	return ctx, nil
}

// Term makes blocked and later calls on the sockets of the Context return ETERM.
// It waits until all of them are closed and what they have queued is sent, or
// their linger time is over. Later calls return at once.
func (ctx *Context) Term() error {
	ctx.g.term()
	return nil
}

func (g *group) term() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.terminated {
		return
	}
	g.terminated = true
	g.mu.Unlock()
	g.z.Shutdown()
	g.mu.Lock()
	for g.open > 0 {
		g.allClosed.Wait()
	}
}

// enter counts a new socket and returns the settings for it.
func (g *group) enter() (settings, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.terminated:
		return settings{}, ErrorContextClosed
	case g.open >= g.settings.maxSockets:
		return settings{}, emfile
	}
	g.open++
	return g.settings, nil
}

// leave is called when a socket is closed and does not linger any more.
func (g *group) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open--; g.open == 0 {
		g.allClosed.Broadcast()
	}
}

func (g *group) isTerminated() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.terminated
}

// get returns the settings, or ErrorContextClosed after Term.
func (ctx *Context) get() (settings, error) {
	g := ctx.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.terminated {
		return settings{}, ErrorContextClosed
	}
	return g.settings, nil
}

// change applies f to the settings if ok, else it returns EINVAL.
func (ctx *Context) change(ok bool, f func(*settings)) error {
	g := ctx.g
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.terminated:
		return ErrorContextClosed
	case !ok:
		return einval
	}
	f(&g.settings)
	return nil
}

// GetIoThreads returns the number of I/O threads that was set. It has no
// effect.
func (ctx *Context) GetIoThreads() (int, error) {
	s, err := ctx.get()
	return s.ioThreads, err
}

// GetMaxSockets returns how many sockets may be open.
func (ctx *Context) GetMaxSockets() (int, error) {
	s, err := ctx.get()
	return s.maxSockets, err
}

// GetMaxMsgsz returns the message size that was set. It has no effect; see
// Socket.SetMaxmsgsize.
func (ctx *Context) GetMaxMsgsz() (int, error) {
	s, err := ctx.get()
	return s.maxMsgsz, err
}

// GetIpv6 reports whether new sockets use IPv6 too.
func (ctx *Context) GetIpv6() (bool, error) {
	s, err := ctx.get()
	return s.ipv6, err
}

// GetBlocky reports whether new sockets linger without limit.
func (ctx *Context) GetBlocky() (bool, error) {
	s, err := ctx.get()
	return s.blocky, err
}

// GetRetryAfterEINTR returns what SetRetryAfterEINTR set, initially true.
func (ctx *Context) GetRetryAfterEINTR() bool {
	g := ctx.g
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.settings.retryEINTR
}

// SetIoThreads sets the number of I/O threads. It has no effect.
func (ctx *Context) SetIoThreads(n int) error {
	return ctx.change(n >= 0, func(s *settings) { s.ioThreads = n })
}

// SetMaxSockets sets how many sockets may be open. NewSocket returns EMFILE
// beyond it.
func (ctx *Context) SetMaxSockets(n int) error {
	return ctx.change(n >= 1, func(s *settings) { s.maxSockets = n })
}

// SetMaxMsgsz sets a message size. It has no effect; see
// Socket.SetMaxmsgsize.
func (ctx *Context) SetMaxMsgsz(n int) error {
	return ctx.change(n >= 0, func(s *settings) { s.maxMsgsz = n })
}

// SetIpv6 sets whether sockets that are made from now on use IPv6 too.
func (ctx *Context) SetIpv6(i bool) error {
	return ctx.change(true, func(s *settings) { s.ipv6 = i })
}

// SetBlocky sets whether sockets that are made from now on linger without limit
// (true, the default) or not at all, unless SetLinger says otherwise.
func (ctx *Context) SetBlocky(i bool) error {
	return ctx.change(true, func(s *settings) { s.blocky = i })
}

// SetRetryAfterEINTR is kept for its callers. No call is ever interrupted by a
// signal.
func (ctx *Context) SetRetryAfterEINTR(retry bool) {
	g := ctx.g
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settings.retryEINTR = retry
}

// SetThreadSchedPolicy has no effect: there are no threads. On Windows it
// returns ErrorNotImplementedWindows, as upstream.
func (ctx *Context) SetThreadSchedPolicy(n int) error { return ctx.setThread(n) }

// SetThreadPriority has no effect: there are no threads. On Windows it returns
// ErrorNotImplementedWindows, as upstream.
func (ctx *Context) SetThreadPriority(n int) error { return ctx.setThread(n) }

func (ctx *Context) setThread(n int) error {
	if runtime.GOOS == "windows" {
		return ErrorNotImplementedWindows
	}
	return ctx.change(n >= 0, func(*settings) {})
}
