package zmtp

// State is where a mechanism stands in its handshake.
type State uint8

// The states. A mechanism goes from StateHandshake, through StateZAP where a
// verdict is needed, to StateReady or StateFailed.
const (
	StateHandshake State = iota // exchanges commands
	StateZAP                    // waits for Verdict, see Mechanism.Credentials
	StateReady                  // traffic may flow
	StateFailed                 // send what Produce still has, then close
)

// Mechanism is one side of a security handshake. It is driven by its owner:
// after construction, after every Consume and after Verdict, Produce is called
// until it has nothing more. A Mechanism is not safe for concurrent use; the
// Sealer it leads to is, as far as Sealer says.
type Mechanism interface {
	// Name is what the greeting announces.
	Name() string
	// AsServer tells the side, for the greeting.
	AsServer() bool
	// State tells what the mechanism waits for.
	State() State

	// Produce appends the body of the next command to send. ok is false when
	// there is none for now.
	Produce(dst []byte) (out []byte, ok bool)
	// Consume handles the body of a command received before StateReady. It keeps
	// no reference to body, which a CURVE mechanism may overwrite. An *Error or
	// *PeerError means that the handshake failed; the state is then StateFailed.
	// A command that arrives in StateZAP is an error, but for NULL, whose peer
	// does not wait for us.
	Consume(body []byte) error

	// Credentials are what the peer presented, in the order ZAP wants them: none
	// for NULL, user name and password for PLAIN, the 32-byte public key for
	// CURVE. They are known from StateZAP on.
	Credentials() [][]byte
	// Verdict answers the question of StateZAP with a ZAP status: 200 goes on,
	// 300 fails in silence, 400 and 500 fail after an ERROR command. In any other
	// state it does nothing.
	Verdict(status int)

	// Peer is the metadata that the peer sent, nil until it did.
	Peer() Metadata
	// Sealer encrypts traffic. It is nil for the mechanisms that leave frames as
	// they are, and before StateReady.
	Sealer() Sealer
}

// Sealer turns frames into the frames that travel and back. Seal and Open may
// be called at the same time by two goroutines, one for each direction, but
// neither by more than one at a time.
type Sealer interface {
	// Seal appends to dst the whole frame that carries a frame with the given
	// flags and payload. It does not keep payload, which must not overlap the
	// free capacity of dst. Frames must travel in the order they were sealed.
	Seal(dst []byte, flags byte, payload []byte) []byte
	// SealedSize is the number of bytes that Seal appends for a payload of n.
	SealedSize(n int) int
	// Overhead is the number of bytes by which the body of a frame exceeds the
	// payload it carries.
	Overhead() int
	// Open decrypts in place the body of a frame that came in, and returns the
	// flags and payload it carries; payload is a view of body. The flags of the
	// outer frame mean nothing, and may or may not have FlagCommand.
	Open(body []byte) (h Header, payload []byte, err error)
	// OpenInto is Open that leaves body as it is and appends the payload to dst,
	// which must not overlap it. After an error out is dst.
	OpenInto(dst, body []byte) (h Header, out []byte, err error)
}

// Statuses of a ZAP verdict.
const (
	StatusOK       = 200
	StatusRetry    = 300 // temporary failure
	StatusDenied   = 400
	StatusInternal = 500
)

// verdict is the part of a server that waits for ZAP.
type verdict struct {
	reason string // of the ERROR to send
}

// settle returns the state after a status, next being that of success.
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
