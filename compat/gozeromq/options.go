package zmq4

import (
	"log"
	"strconv"
	"time"
)

// The names of SetOption.
const (
	OptionSubscribe   = "SUBSCRIBE"   // of a SUB: a string, the prefix to subscribe to
	OptionUnsubscribe = "UNSUBSCRIBE" // of a SUB: a string, the prefix to unsubscribe from
	OptionHWM         = "HWM"         // an int: messages queued for each peer, 0 for no limit
)

// Option configures a socket.
type Option func(s *socket)

// WithID sets the identity that the socket tells its peers: up to 255 octets,
// the first of which is not zero. The default is a random UUID.
func WithID(id SocketIdentity) Option { return func(s *socket) { s.id = id } }

// WithSecurity sets the security mechanism. The default, and nil, is NULL.
func WithSecurity(sec Security) Option { return func(s *socket) { s.sec = sec } }

// WithDialerRetry sets the wait before Dial tries again, and before a lost
// connection is made again. The default is 250 ms.
func WithDialerRetry(retry time.Duration) Option { return func(s *socket) { s.retry = retry } }

// WithDialerTimeout sets how long one attempt to connect may take. The default
// is 5 minutes. It also bounds the handshake, which has 30 s at most.
func WithDialerTimeout(timeout time.Duration) Option {
	return func(s *socket) { s.dialer.Timeout = timeout }
}

// WithTimeout sets how long Send waits. The default is 5 minutes.
func WithTimeout(timeout time.Duration) Option { return func(s *socket) { s.timeout = timeout } }

// WithLogger sets the logger of failed handshakes. The default is none.
func WithLogger(msg *log.Logger) Option { return func(s *socket) { s.log = msg } }

// WithDialerMaxRetries sets how often Dial tries again, 10 times by default.
// With -1 it tries until the socket closes.
func WithDialerMaxRetries(maxRetries int) Option {
	return func(s *socket) { s.maxRetries = maxRetries }
}

// WithAutomaticReconnect sets whether lost connections are made again.
func WithAutomaticReconnect(automaticReconnect bool) Option {
	return func(s *socket) { s.reconnect = automaticReconnect }
}

// GetOption returns the value that SetOption set, or ErrBadProperty.
func (s *socket) GetOption(name string) (interface{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.props[name]
	if !ok {
		return nil, ErrBadProperty
	}
	return v, nil
}

// SetOption sets an option. A name that the socket type does not know is
// stored. PUB and SUB return ErrBadProperty for it, and for a value of the
// wrong type.
func (s *socket) SetOption(name string, value interface{}) error {
	if s.err != nil {
		return s.err
	}
	s.mu.Lock()
	s.props[name] = value
	s.mu.Unlock()
	switch {
	case name == OptionHWM && s.typ != Sub:
		n, ok := value.(int)
		if !ok || n < 0 {
			return ErrBadProperty
		}
		return s.z.SetOption("sndhwm", strconv.Itoa(n))
	case s.typ == Sub && (name == OptionSubscribe || name == OptionUnsubscribe):
		topic, ok := value.(string)
		if !ok {
			return ErrBadProperty
		}
		return s.subscribe(topic, name == OptionSubscribe)
	case s.typ == Sub || s.typ == Pub:
		return ErrBadProperty
	}
	return nil
}
