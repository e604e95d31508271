package zmq4

import (
	"errors"
	"runtime"

	"lintel.dev/zmq"
)

// Proxy carries messages between two sockets until the context is terminated or
// a socket is closed: it returns ETERM then. capture, unless nil, gets a copy of
// each message.
func Proxy(frontend, backend, capture *Socket) error {
	if err := runProxy(frontend, backend, capture, nil); err != nil {
		return err
	}
	return ETERM
}

// ProxySteerable is Proxy that obeys the commands PAUSE, RESUME, TERMINATE and
// STATISTICS, which it receives from control. It returns nil after TERMINATE.
func ProxySteerable(frontend, backend, capture, control *Socket) error {
	return runProxy(frontend, backend, capture, control)
}

func runProxy(frontend, backend, capture, control *Socket) error {
	var p zmq.Proxy
	for _, x := range []struct {
		soc *Socket
		use func(*socket) bool
	}{
		{frontend, func(s *socket) bool { p.Front = s.Socket; return true }},
		{backend, func(s *socket) bool { p.Back = s.Socket; return true }},
		{capture, func(s *socket) bool { p.Capture = s.out; return s.out != nil }},
		{control, func(s *socket) bool { p.Control = s.in; return s.in != nil }},
	} {
		if x.soc == nil && (x.soc == capture || x.soc == control) {
			continue
		}
		s, err := x.soc.opened()
		if err != nil {
			return err
		}
		if !x.use(s) {
			return einval
		}
	}
	err := p.Run(background)
	for _, soc := range []*Socket{frontend, backend, capture, control} {
		runtime.KeepAlive(soc)
	}
	if errors.Is(err, zmq.ErrNotSupported) {
		return einval
	}
	return errnoOf(err, einval)
}
