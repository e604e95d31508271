package zmq4

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// polled returns the sockets and events of a result as text.
func polled(list []Polled) string {
	var text []string
	for _, it := range list {
		typ, _ := it.Socket.GetType()
		text = append(text, fmt.Sprintf("%v:%v", typ, it.Events))
	}
	return fmt.Sprint(text)
}

func TestPoller(t *testing.T) {
	a, b := newRig(t).pair(local, PAIR, DEALER)
	_ = b
	r := newRig(t)
	pull, push := r.pair(local, PULL, PUSH)
	p := NewPoller()
	if list, err := p.Poll(-1); len(list) != 0 || list == nil || err != nil {
		t.Errorf("without sockets: %v %v", list, err)
	}
	poll := func(what string, list []Polled, err error, want string) {
		t.Helper()
		if got := polled(list); got != want || err != nil {
			t.Errorf("%s: got %s %v, expected %s", what, got, err, want)
		}
	}
	if id := p.Add(pull, POLLIN); id != 0 {
		t.Errorf("first id: %d", id)
	}
	if id := p.Add(push, POLLIN|POLLOUT); id != 1 {
		t.Errorf("second id: %d", id)
	}
	list, err := p.Poll(0)
	poll("one is ready", list, err, "[PUSH:POLLOUT]")
	list, err = p.PollAll(0)
	poll("all", list, err, "[PULL:<NONE> PUSH:POLLOUT]")
	if old, err := p.Update(1, POLLIN); old != POLLIN|POLLOUT || err != nil {
		t.Errorf("Update: %v %v", old, err)
	}
	list, err = p.PollAll(500 * time.Microsecond) // 0 ms
	poll("after Update", list, err, "[PULL:<NONE> PUSH:<NONE>]")
	list, err = p.Poll(time.Millisecond)
	poll("timeout", list, err, "[]")
	if old, err := p.UpdateBySocket(push, POLLOUT); old != POLLIN || err != nil {
		t.Errorf("UpdateBySocket: %v %v", old, err)
	}
	p.Add(pull, POLLIN|POLLOUT) // again
	send(t, push, "a", "b")
	list, err = p.Poll(-1)
	poll("twice", list, err, "[PULL:POLLIN PUSH:POLLOUT PULL:POLLIN]")
	if _, err := pull.Recv(0); err != nil {
		t.Fatal(err)
	}
	list, err = p.Poll(0)
	poll("half a message is left", list, err, "[PULL:POLLIN PUSH:POLLOUT PULL:POLLIN]")
	check(t, p.Remove(0))
	check(t, p.RemoveBySocket(pull))
	list, err = p.PollAll(0)
	poll("after Remove", list, err, "[PUSH:POLLOUT]")
	wantErr(t, "Remove", p.Remove(1), ErrorNoSocket)
	wantErr(t, "RemoveBySocket", p.RemoveBySocket(pull), ErrorNoSocket)
	_, err = p.Update(-1, POLLIN)
	wantErr(t, "Update", err, ErrorNoSocket)
	_, err = p.UpdateBySocket(a, POLLIN)
	wantErr(t, "UpdateBySocket", err, ErrorNoSocket)
	check(t, push.Close())
	list, err = p.PollAll(-1)
	wantErr(t, "closed socket", err, ErrorSocketClosed)
	if list == nil || len(list) != 0 {
		t.Errorf("closed socket: %v", list)
	}
}

// TestPollerWakes: a blocked Poll returns when a message arrives, and when the
// socket is closed or its context terminated.
func TestPollerWakes(t *testing.T) {
	for _, how := range []string{"message", "Close", "Term"} {
		t.Run(how, func(t *testing.T) {
			ctx, err := NewContext()
			check(t, err)
			pull, err := ctx.NewSocket(PULL)
			check(t, err)
			check(t, pull.Bind(local))
			p := NewPoller()
			p.Add(pull, POLLIN)
			result := make(chan error)
			go func() {
				list, err := p.Poll(-1)
				if err == nil && polled(list) != "[PULL:POLLIN]" {
					err = fmt.Errorf("got %v", polled(list))
				}
				result <- err
			}()
			termed := make(chan error, 1)
			var want error
			switch how {
			case "message":
				push, err := ctx.NewSocket(PUSH)
				check(t, err)
				check(t, push.Connect(local))
				send(t, push, "x")
				check(t, push.Close())
			case "Close":
				want = ETERM
				check(t, pull.Close())
			case "Term":
				want = ETERM
				go func() { termed <- ctx.Term() }()
			}
			if err := <-result; err != want && (how != "Close" || err != ErrorSocketClosed) {
				t.Errorf("got %v, expected %v", err, want)
			}
			check(t, pull.Close())
			if how == "Term" {
				check(t, <-termed)
			}
			check(t, ctx.Term())
			check(t, p.Remove(0))
		})
	}
}

func TestReactor(t *testing.T) {
	pull, push := newRig(t).pair(local, PULL, PUSH)
	done := errors.New("done")
	r := NewReactor()
	if err := r.Run(time.Millisecond); err == nil {
		t.Error("Run without sockets and channels: no error")
	}
	values := make(chan interface{}, 3)
	times := make(chan time.Time, 1)
	closed := make(chan interface{})
	close(closed)
	for i := range 3 {
		values <- i
	}
	times <- time.Time{}
	var got []any
	id := r.AddChannel(values, 1, func(v interface{}) error { got = append(got, v); return nil })
	r.AddChannelTime(times, 0, func(v interface{}) error {
		if _, ok := v.(time.Time); !ok {
			t.Errorf("value %v, expected a time", v)
		}
		return nil
	})
	r.AddChannel(closed, 0, func(interface{}) error { t.Error("a closed channel was handled"); return nil })
	if err := r.Run(-1); err == nil {
		t.Error("Run of channels without a timeout: no error")
	}
	r.AddSocket(pull, POLLIN, func(State) error { t.Error("a replaced handler was called"); return nil })
	r.AddSocket(pull, POLLIN, func(s State) error {
		msg, err := pull.RecvMessage(DONTWAIT)
		if err != nil || s != POLLIN {
			return fmt.Errorf("%v %v", s, err)
		}
		got = append(got, msg[0])
		if len(values) == 0 {
			r.RemoveChannel(id)
			r.RemoveSocket(pull)
			r.AddSocket(push, POLLOUT, func(State) error { return done })
		}
		send(t, push, "x")
		return nil
	})
	send(t, push, "x")
	if err := r.Run(time.Second); err != done {
		t.Errorf("Run: %v", err)
	}
	if len(got) < 5 || got[0] != 0 || got[1] != 1 {
		t.Errorf("handled %v", got)
	}
}

func TestProxy(t *testing.T) {
	r := newRig(t)
	front, back, capture, control := r.socket(PULL), r.socket(PUSH), r.socket(PUSH), r.socket(PAIR)
	for i, soc := range []*Socket{front, back, capture, control} {
		check(t, soc.Bind(fmt.Sprintf("inproc://%d", i)))
	}
	push, pull, copied, steer := r.socket(PUSH), r.socket(PULL), r.socket(PULL), r.socket(PAIR)
	for i, soc := range []*Socket{push, pull, copied, steer} {
		check(t, soc.Connect(fmt.Sprintf("inproc://%d", i)))
	}
	ended := make(chan error)
	go func() { ended <- ProxySteerable(front, back, capture, control) }()
	send(t, push, "a", "b")
	expect(t, pull, "a", "b")
	expect(t, copied, "a", "b")
	send(t, steer, "TERMINATE")
	check(t, <-ended)

	go func() { ended <- Proxy(front, back, nil) }()
	send(t, push, "c")
	expect(t, pull, "c")
	check(t, front.Close())
	wantErr(t, "Proxy", <-ended, ETERM)
	wantErr(t, "Proxy of a closed socket", Proxy(front, back, nil), ErrorSocketClosed)
	wantErr(t, "Proxy of two PUSH", Proxy(back, push, nil), Errno(syscall.EINVAL))
}

func TestMonitor(t *testing.T) {
	r := newRig(t)
	rep, reader := r.socket(REP), r.socket(PAIR)
	wantErr(t, "Monitor at tcp", rep.Monitor("tcp://127.0.0.1:*", EVENT_ALL), EPROTONOSUPPORT)
	check(t, rep.Monitor("inproc://events", EVENT_ALL&^EVENT_ACCEPTED))
	check(t, rep.Bind(anyPort)) // before there is a reader
	check(t, reader.Connect("inproc://events"))
	end, err := rep.GetLastEndpoint()
	check(t, err)
	req := r.socket(REQ)
	check(t, req.Connect(end))
	send(t, req, "x")
	expect(t, rep, "x")
	check(t, rep.Close())
	for _, want := range []Event{EVENT_LISTENING, EVENT_HANDSHAKE_SUCCEEDED} {
		if ev, addr, _, err := reader.RecvEvent(0); ev != want || addr != end || err != nil {
			t.Errorf("got %v %q %v, expected %v %q", ev, addr, err, want, end)
		}
	}
	// The listener, the connection and the monitor end in this order or with the
	// first two exchanged.
	var seen Event
	for seen&EVENT_MONITOR_STOPPED == 0 {
		ev, _, _, err := reader.RecvEvent(0)
		check(t, err)
		seen |= ev
	}
	if seen&EVENT_CLOSED == 0 {
		t.Errorf("events at the end: %v", seen)
	}
	_, _, _, err = reader.RecvEvent(DONTWAIT)
	wantErr(t, "RecvEvent after the last", err, Errno(syscall.EAGAIN))
}

func TestMonitorStop(t *testing.T) {
	r := newRig(t)
	pull, reader := r.socket(PULL), r.socket(PAIR)
	check(t, pull.Monitor("inproc://events", EVENT_MONITOR_STOPPED))
	check(t, reader.Connect("inproc://events"))
	check(t, pull.Monitor("", 0))
	if ev, _, _, err := reader.RecvEvent(0); ev != EVENT_MONITOR_STOPPED || err != nil {
		t.Errorf("got %v %v", ev, err)
	}
	other, end := r.pair(local, PAIR, PAIR)
	send(t, end, "123456")
	_, _, _, err := other.RecvEvent(0)
	wantErr(t, "RecvEvent of one part", err, ErrorMoreExpected)
}
