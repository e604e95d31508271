package zmtp

// State is the state of a mechanism's handshake.
type State uint8

// The states. A mechanism goes from StateHandshake to StateReady or
// StateFailed, through StateZAP if a ZAP reply is needed.
const (
	StateHandshake State = iota // exchanges commands
	StateZAP                    // waits for Verdict, see Mechanism.Credentials
	StateReady                  // traffic may flow
	StateFailed                 // send what Produce still has, then close
)

// Mechanism is one side of a security handshake. It is driven by its owner:
// after construction, after every Consume and after Verdict, Produce is called
// until it has nothing more. A Mechanism is not safe for concurrent use; for
// its Sealer see there.
type Mechanism interface {
	// Name returns the name that the greeting announces.
	Name() string
	// AsServer reports whether this side is the server, for the greeting.
	AsServer() bool
	// State returns the state of the handshake.
	State() State

	// Produce appends the body of the next command to send. ok is false when
	// there is none for now.
	Produce(dst []byte) (out []byte, ok bool)
	// Consume handles the body of a command received before StateReady. It
	// keeps no reference to body, which a CURVE mechanism may overwrite. An
	// *Error or *PeerError means that the handshake failed; the state is then
	// StateFailed. A command that arrives in StateZAP is an error, except for
	// NULL, whose peer does not wait.
	Consume(body []byte) error

	// Credentials returns the peer's credentials in ZAP's order: none for NULL,
	// user name and password for PLAIN, the 32-byte public key for CURVE. They
	// are known from StateZAP on.
	Credentials() [][]byte
	// Verdict ends StateZAP with a ZAP status: 200 continues, 300 fails without
	// a command, 400 and 500 fail after an ERROR command. In any other state it
	// does nothing.
	Verdict(status int)

	// Peer returns the metadata of the peer, nil before it has arrived.
	Peer() Metadata
	// Sealer returns what encrypts the frames. It is nil for mechanisms that do
	// not encrypt, and before StateReady.
	Sealer() Sealer
}

// Sealer encrypts and decrypts frames. One goroutine may call Seal while
// another calls Open; neither may be called by two goroutines at once.
type Sealer interface {
	// Seal appends to dst the whole frame that carries a frame with the given
	// flags and payload. It does not keep payload, which must not overlap the
	// free capacity of dst. Frames must be sent in the order in which they were
	// sealed.
	Seal(dst []byte, flags byte, payload []byte) []byte
	// SealedSize is the number of bytes that Seal appends for a payload of n.
	SealedSize(n int) int
	// Overhead is the number of bytes by which the body of a frame exceeds the
	// payload it carries.
	Overhead() int
	// Open decrypts the body of a received frame in place, and returns the
	// flags and payload it carries. payload is a view of body. The flags of the
	// outer frame have no meaning and may have FlagCommand.
	Open(body []byte) (h Header, payload []byte, err error)
	// OpenInto is Open without changing body. It appends the payload to dst,
	// which must not overlap body. After an error out is dst.
	OpenInto(dst, body []byte) (h Header, out []byte, err error)
}

// Statuses of a ZAP verdict.
const (
	StatusOK       = 200
	StatusRetry    = 300 // temporary failure
	StatusDenied   = 400
	StatusInternal = 500
)

// verdict is the part of a server that handles the ZAP reply.
type verdict struct {
	reason string // of the ERROR to send
}

// settle returns the state after a status; next is that of success.
func (v *verdict) settle(status int, next State) State {
	switch status {
	case StatusOK:
		return next
	case StatusRetry:
	case StatusDenied:
		v.reason = "400"
	default:
		v.reason = "500"
	}
	return StateFailed
}

// produce appends the ERROR command, once.
func (v *verdict) produce(dst []byte) (out []byte, ok bool) {
	if v.reason == "" {
		return dst, false
	}
	dst = AppendError(dst, v.reason)
	v.reason = ""
	return dst, true
}

// parseHandshake parses a command of the handshake and turns the peer's ERROR
// into a *PeerError.
func parseHandshake(body []byte) (c Command, data []byte, err error) {
	c, data, err = ParseCommand(body)
	if err != nil || c != CommandError {
		return c, data, err
	}
	reason, err := ParseError(data)
	if err != nil {
		return c, nil, err
	}
	return c, nil, &PeerError{Reason: reason}
}

func unexpected(mechanism string, body []byte, want string) error {
	name := body[1 : 1+int(body[0])]
	return errorf(CodeUnexpectedCommand, "%s: command %.20q, expected %s", mechanism, name, want)
}
