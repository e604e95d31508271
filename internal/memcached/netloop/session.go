package netloop

// Session is the protocol side of one connection. Calls for one connection do
// not overlap, except where a method says so. Calls for different connections
// do.
type Session interface {
	// Data gets every byte that was received and not yet consumed, and appends
	// replies to w. It returns how many bytes of in it consumed, and what the
	// driver does next. in and w are valid during the call only. in may be empty
	// when Data is called again after [Yield] or [Wait].
	Data(in []byte, w *Writer) (consumed int, step Step)
	// Closed is the on-close hook and the last call. It also follows a panic in
	// Data, and ends a [Wait]: the session cancels there what it waits for. The
	// addresses of the connection are still available.
	Closed(why Reason)
}

// Drainer is implemented by a session that retries a refused Conn.Send.
type Drainer interface {
	// Drained is called when the queue of Conn.Send has been written and Send
	// refused something since the last call. It may call Send. It may overlap
	// with Data.
	Drained()
}

// Prefetcher is implemented by a session whose Data waits for memory. The driver
// may read several connections before it answers the first, and have the waits
// overlap. Neither method may change the session or wait for anything.
type Prefetcher interface {
	// Prefetch starts to load what Data(in) will need, as far as that is known. in
	// is valid during the call only.
	Prefetch(in []byte) Hint
	// PrefetchRest comes some time later and goes on with what Prefetch returned.
	// Meanwhile Data was not called for this connection.
	PrefetchRest(h Hint)
}

// Hint is what a session has the driver keep between Prefetch and PrefetchRest.
type Hint struct {
	Hash   uint64
	Change bool
}

// HalfCloser is implemented by a session that cancels its work when the peer
// stops sending.
type HalfCloser interface {
	// HalfClosed is called when the peer has closed its sending side while the
	// session is parked by [Wait]. The peer may still read the reply: end the
	// connection with Conn.Close if it is not worth finishing. HalfClosed may be
	// called again in a later wait. It is not called while more unread input is
	// pending than the driver buffers.
	HalfClosed()
}

// Step is what the driver of a connection does after a call of Session.Data.
type Step uint8

const (
	// NeedMore waits for further input.
	NeedMore Step = iota
	// Next means that one request is done. Data is called again at once if
	// unconsumed input is left. With none left, or if Data consumed nothing, it
	// is NeedMore.
	Next
	// Yield means that work is left, in the unconsumed input or in the session.
	// Data is called again after the other connections were served, whether or
	// not input arrived. A session yields after its share of requests, and soon
	// after Writer.Full reports true.
	Yield
	// Wait parks the session: the replies written so far are sent, and Data is
	// not called again before [Conn.Wake]. Unconsumed input is kept, and at most
	// Config.MaxInput more is read, so that later requests are answered in order.
	// A parked connection is not idle. It ends by Conn.Close, Shutdown, a write
	// deadline, or an error or complete hang-up of the peer.
	//
	// A wait may end early, as that of a condition variable: a session checks
	// whether its answer has come, and returns Wait again if not.
	Wait
	// Close flushes the replies and closes the connection.
	Close
	// Stream makes the connection one-way: input is discarded, Data is not
	// called again, and output is what Conn.Send queues.
	Stream
)

// Reason says why a connection ended.
type Reason uint8

const (
	// Normal: the peer hung up, or the session returned [Close].
	Normal Reason = iota
	// Failed: a socket error, or a bound was exceeded.
	Failed
	// IdleTimeout: no input for Config.IdleTimeout.
	IdleTimeout
	// Shutdown: the server is stopping.
	Shutdown
)

// String returns memcached's word for it, as in `watch connevents`.
func (r Reason) String() string {
	switch r {
	case Normal:
		return "normal"
	case IdleTimeout:
		return "idle_timeout"
	case Shutdown:
		return "shutdown"
	}
	return "error"
}
