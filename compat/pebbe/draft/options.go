package zmq4

import (
	"strconv"
	"syscall"

	"lintel.dev/compat/pebbe/internal/hooks"
	"lintel.dev/zmq"
)

const einval = Errno(syscall.EINVAL)

// RouterNotifyOption is a set of what a ROUTER reports of its peers.
type RouterNotifyOption int

// The bits of a RouterNotifyOption.
const (
	NotifyConnect    = RouterNotifyOption(1)
	NotifyDisconnect = RouterNotifyOption(2)
)

// SetRouterNotify sets what a ROUTER receives as messages of a routing id and an
// empty part: that a peer connected, that it disconnected.
func (soc *Socket) SetRouterNotify(value RouterNotifyOption) error {
	return soc.set("router_notify", strconv.Itoa(int(value)))
}

// GetRouterNotify returns what SetRouterNotify has set.
func (soc *Socket) GetRouterNotify() (RouterNotifyOption, error) {
	var n int
	err := hooks.Do(soc.socket, func(s zmq.Socket) error {
		v, err := s.Option("router_notify")
		if err != nil {
			return err
		}
		n, err = strconv.Atoi(v)
		return err
	})
	return RouterNotifyOption(n), err
}

// SetHelloMsg sets the message that each new peer is sent; empty is none.
func (soc *Socket) SetHelloMsg(value string) error { return soc.set("hello_msg", value) }

// SetDisconnectMsg sets the message that is received when an accepted peer
// disconnects; empty is none.
func (soc *Socket) SetDisconnectMsg(value string) error { return soc.set("disconnect_msg", value) }

// SetHiccupMsg sets the message that is received when a connected peer
// disconnects for a while; empty is none.
func (soc *Socket) SetHiccupMsg(value string) error { return soc.set("hiccup_msg", value) }

// set sets an option by libzmq's name.
func (soc *Socket) set(name, value string) error {
	return hooks.Do(soc.socket, func(s zmq.Socket) error { return s.SetOption(name, value) })
}
