package netloop

import (
	"golang.org/x/sys/unix"
)

const acceptBatch = 64 // most connections accepted in a row

// listen adds a listening socket to the epoll set.
func (t *thread) listen(a *acceptor) {
	t.acceptors = append(t.acceptors, a)
	if err := t.watch(a); err != nil {
		t.endAccepting(a, err)
	}
}

func (t *thread) watch(a *acceptor) error {
	for i, other := range t.acceptors {
		if other == a {
			return unix.EpollCtl(t.epfd, unix.EPOLL_CTL_ADD, a.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(wakeEvent - 1 - i)})
		}
	}
	return unix.ENOENT
}

func (t *thread) endAccepting(a *acceptor, err error) {
	for i, other := range t.acceptors {
		if other == a {
			t.acceptors[i] = nil
		}
	}
	t.unpause(a)
	unix.Close(a.fd)
	a.err = err
	close(a.done)
}

// accept accepts waiting connections and hands them to the loops in turn.
func (t *thread) accept(a *acceptor) {
	for range acceptBatch {
		if t.cfg.PauseAtLimit && t.full() {
			t.pause(a, 0)
			return
		}
		fd, peer, err := unix.Accept4(a.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR || err == unix.ECONNABORTED:
			continue
		case pauseFor(err):
			t.pause(a, descWait)
			return
		default:
			t.endAccepting(a, err)
			return
		}
		if a.tcp {
			// Options of the listener are not inherited by connections that
			// were in its backlog before they were set.
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		}
		if !t.admit() {
			t.rejected.Add(1)
			if a.config == nil && len(t.cfg.RejectMessage) > 0 {
				send(fd, t.cfg.RejectMessage)
			}
			unix.Close(fd)
			continue
		}
		to := t.loop.threads[t.nextLoop%len(t.loop.threads)]
		t.nextLoop++
		switch {
		case to == t:
			t.adopt(fd, peer, a.config)
		case !to.post(message{kind: msgAdopt, fd: fd, peer: peer, config: a.config}):
			unix.Close(fd)
			t.ended()
		}
	}
}

// pause stops accepting until a connection ends or, with ms > 0, for ms
// milliseconds.
func (t *thread) pause(a *acceptor, ms int64) {
	unix.EpollCtl(t.epfd, unix.EPOLL_CTL_DEL, a.fd, nil)
	a.paused = true
	if ms > 0 {
		t.retryAt = t.millis() + ms
	}
	t.gate.Lock()
	t.pausing(+1)
	t.waiting = append(t.waiting, func() { t.post(message{kind: msgResume}) })
	t.gate.Unlock()
	// A connection may have ended before this acceptor was counted.
	if ms == 0 && !t.full() {
		t.resumeAccepting()
	}
}

func (t *thread) unpause(a *acceptor) {
	if a.paused {
		a.paused = false
		t.gate.Lock()
		t.pausing(-1)
		t.gate.Unlock()
	}
}

// resumeAccepting resumes the paused acceptors.
func (t *thread) resumeAccepting() {
	t.retryAt = 0
	for _, a := range t.acceptors {
		if a == nil || !a.paused {
			continue
		}
		t.unpause(a)
		if err := t.watch(a); err != nil {
			t.endAccepting(a, err)
		}
	}
}
