package zmqcli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

// socketRun moves messages between a socket and standard input and output.
type socketRun struct {
	socket zmq.Socket
	send   zmq.Sender   // nil: the type does not send
	recv   zmq.Receiver // nil: the type does not receive
	count  int          // 0: no limit
	wait   time.Duration
	lines  lineCodec
	in     *bufio.Reader
	stderr io.Writer
	sent   atomic.Int64
	failed atomic.Int64 // messages reported by complain

	sending atomic.Bool // sendLines has a message that is neither sent nor reported

	printing sync.Mutex // guards the fields below: an interrupted run may still print
	out      *bufio.Writer
	line     []byte // the last line written
}

// runSocket runs a socket command until its input, --count, --timeout or an
// interrupt ends it.
func runSocket(cmd *cobra.Command, s zmq.Socket, f *zmqFlags) error {
	r := &socketRun{
		socket: s, count: f.count, wait: f.timeout, lines: textLines,
		in: bufio.NewReaderSize(cmd.InOrStdin(), 64<<10), out: bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10), stderr: cmd.ErrOrStderr(),
	}
	r.send, _ = s.(zmq.Sender)
	r.recv, _ = s.(zmq.Receiver)
	if f.json {
		r.lines = jsonLines
	}
	var reply zmq.Msg
	if cmd.Flags().Changed("reply") {
		var err error
		if reply, err = parseText([]byte(f.reply)); err != nil {
			return errors.Join(cli.Usagef("--reply: %v", err), s.Close())
		}
	}
	if err := f.attach(s, printTo(r.stderr)); err != nil {
		return errors.Join(err, s.Close())
	}

	err := r.run(cmd.Context(), reply)
	n := r.failed.Load()
	if r.sending.Load() {
		n++
	}
	switch {
	case cmd.Context().Err() != nil:
		err = nil // an interrupt is the usual end, not an error
	case err == nil && n > 0:
		err = fmt.Errorf("messages not sent or not answered: %d", n)
	}
	return errors.Join(err, r.flush(), closeSocket(cmd.Context(), s))
}

// run moves messages as the socket's type requires.
func (r *socketRun) run(ctx context.Context, reply zmq.Msg) error {
	switch r.socket.(type) {
	case *zmq.Push, *zmq.Pub, *zmq.Radio, *zmq.Scatter:
		return r.untilDone(ctx, r.sendLines)
	case *zmq.Pull, *zmq.Sub, *zmq.Dish, *zmq.Gather:
		return r.print(ctx)
	case *zmq.Rep:
		return r.answer(ctx, reply)
	case *zmq.Req:
		if relaxed, _ := r.socket.Option("req_relaxed"); relaxed == "1" {
			return r.askOn(ctx)
		}
		return r.untilDone(ctx, r.ask)
	}
	// Sending is not waited for when printing ends: standard input may never end.
	go func() { _ = r.sendLines(ctx) }()
	return r.print(ctx)
}

// untilDone runs f, which may wait for standard input, until it returns or ctx
// is done.
func (r *socketRun) untilDone(ctx context.Context, f func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return nil
	}
}

// next reads one message from standard input; ok is false at its end. A line that
// is not a message is reported and skipped.
func (r *socketRun) next() (m zmq.Msg, ok bool, err error) {
	for {
		line, err := r.in.ReadBytes('\n')
		if len(line) == 0 {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return nil, false, err
		}
		m, bad := r.lines.parse(bytes.TrimSuffix(line, []byte("\n")))
		if bad == nil {
			return m, true, nil
		}
		r.complain("stdin", bad)
	}
}

// complain reports an error of one message. The run continues, and fails at its
// end.
func (r *socketRun) complain(what string, err error) {
	r.failed.Add(1)
	fmt.Fprintf(r.stderr, "lintel: %s: %v\n", what, err)
}

// sendLines sends the lines of standard input, at most --count of them if the
// type only sends.
func (r *socketRun) sendLines(ctx context.Context) error {
	for r.count == 0 || r.recv != nil || r.sent.Load() < int64(r.count) {
		m, ok, err := r.next()
		if err != nil || !ok {
			return err
		}
		r.sending.Store(true)
		if _, err := r.sendOne(ctx, m); err != nil {
			return err
		}
		r.sending.Store(false)
	}
	return nil
}

// sendOne sends m and may keep its memory. A message that cannot be sent is
// reported; an error means that the socket cannot send any more.
func (r *socketRun) sendOne(ctx context.Context, m zmq.Msg) (sent bool, err error) {
	if r.wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.wait)
		defer cancel()
	}
	err = r.send.SendOwned(ctx, m)
	switch {
	case err == nil:
		r.sent.Add(1)
		return true, nil
	case errors.Is(err, zmq.ErrClosed), errors.Is(err, zmq.ErrTerminated), errors.Is(err, context.Canceled):
		return false, err
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no peer took the message within %v", r.wait)
	}
	r.complain("send", err)
	return false, nil
}

// errSilence is returned by receive when nothing was received in time.
var errSilence = errors.New("nothing received")

// receive waits for a message. It flushes the output before it waits. It returns
// errSilence if nothing was received, and nothing was sent, for the time of
// --timeout or of the socket's rcvtimeo. A message that is being sent delays that.
func (r *socketRun) receive(ctx context.Context) (zmq.Msg, error) {
	m, err := r.recv.TryRecv()
	if !errors.Is(err, zmq.ErrWouldBlock) {
		return m, err
	}
	if err := r.flush(); err != nil {
		return nil, err
	}
	for {
		sent := r.sent.Load()
		m, err := r.receiveOnce(ctx)
		timeout := errors.Is(err, zmq.ErrWouldBlock) || errors.Is(err, context.DeadlineExceeded)
		switch {
		case !timeout:
			return m, err
		case r.wait > 0 && r.sending.Load(): // it is sent or reported within that time
		case r.sent.Load() == sent:
			return nil, errSilence
		}
	}
}

func (r *socketRun) receiveOnce(ctx context.Context) (zmq.Msg, error) {
	if r.wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.wait)
		defer cancel()
	}
	return r.recv.Recv(ctx)
}

func (r *socketRun) flush() error {
	r.printing.Lock()
	defer r.printing.Unlock()
	return r.out.Flush()
}

func (r *socketRun) write(m zmq.Msg) error {
	r.printing.Lock()
	defer r.printing.Unlock()
	r.line = append(r.lines.append(r.line[:0], m), '\n')
	_, err := r.out.Write(r.line)
	return err
}

// ended returns err, but for errSilence nil, or an error if --count messages
// were not received.
func (r *socketRun) ended(err error, received int) error {
	if !errors.Is(err, errSilence) {
		return err
	}
	if r.count == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d messages received, then none for %v", received, r.count, r.patience())
}

// patience returns how long receive waits: --timeout or rcvtimeo, whichever is
// shorter.
func (r *socketRun) patience() time.Duration {
	d := milliseconds(r.socket, "rcvtimeo")
	if d < 0 || r.wait > 0 && r.wait < d {
		d = r.wait
	}
	return d
}

// print receives and prints messages.
func (r *socketRun) print(ctx context.Context) error {
	for n := 0; r.count == 0 || n < r.count; n++ {
		m, err := r.receive(ctx)
		if err != nil {
			return r.ended(err, n)
		}
		if err := r.write(m); err != nil {
			return err
		}
		m.Release()
	}
	return nil
}

// answer prints requests and replies to each with reply, or with the request if
// reply is nil.
func (r *socketRun) answer(ctx context.Context, reply zmq.Msg) error {
	for n := 0; r.count == 0 || n < r.count; n++ {
		m, err := r.receive(ctx)
		if err != nil {
			return r.ended(err, n)
		}
		if err := r.write(m); err != nil {
			return err
		}
		if reply != nil {
			m = reply
		}
		if _, err := r.sendOne(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// askOn sends requests as they are read and prints the replies, for a REQ with
// req_relaxed, which may send again before a reply. It ends when both have
// ended.
func (r *socketRun) askOn(ctx context.Context) error {
	asked, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		for {
			m, ok, err := r.next()
			sent := false
			if err == nil && ok {
				sent, err = r.sendOne(ctx, m)
			}
			if err != nil || !ok {
				ended <- err
				return
			}
			if sent {
				select {
				case asked <- struct{}{}:
				default:
				}
			}
		}
	}()
	over := false
	for n := 0; r.count == 0 || n < r.count; {
		m, err := r.receive(ctx)
		switch {
		case err == nil:
			if err := r.write(m); err != nil {
				return err
			}
			n++
		case !errors.Is(err, zmq.ErrState):
			return r.ended(err, n)
		case over:
			return nil
		default: // no request is outstanding
			if err := r.flush(); err != nil {
				return err
			}
			select {
			case <-asked:
			case err := <-ended:
				if err != nil {
					return err
				}
				over = true // one more request may have been sent just before
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}

// ask sends each request when the previous one was answered or --timeout has
// passed. In the latter case the socket refuses the next request, but may still
// receive the reply.
func (r *socketRun) ask(ctx context.Context) error {
	waiting := false // for a reply
	for n := 0; r.count == 0 || n < r.count; {
		m, ok, err := r.next()
		if err != nil || !ok {
			return err
		}
		sent, err := r.sendOne(ctx, m)
		if err != nil {
			return err
		}
		if waiting = waiting || sent; !waiting {
			continue
		}
		reply, err := r.receive(ctx)
		if errors.Is(err, errSilence) {
			if sent {
				r.complain("receive", errors.New("no reply"))
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(r.write(reply), r.flush()); err != nil {
			return err
		}
		waiting = false
		n++
	}
	return nil
}
