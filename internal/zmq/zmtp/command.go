package zmtp

import (
	"encoding/binary"
	"time"
)

// Command is the kind of a command frame.
type Command uint8

// The commands. A receiver skips CommandUnknown: later protocols may add more.
const (
	CommandUnknown Command = iota
	CommandReady
	CommandError
	CommandHello
	CommandWelcome
	CommandInitiate
	CommandMessage
	CommandSubscribe
	CommandCancel
	CommandPing
	CommandPong
	CommandJoin
	CommandLeave
	CommandDrain
	CommandDrained
)

// MaxPingContext is the longest context of a PING that a PONG carries back.
const MaxPingContext = 16

// ParseCommand splits the body of a command frame into the name and the data
// that follow its length octet. data is a view of body.
func ParseCommand(body []byte) (c Command, data []byte, err error) {
	if len(body) == 0 {
		return 0, nil, errorf(CodeMalformedCommand, "empty command, expected a name")
	}
	n := int(body[0])
	if n == 0 || n > len(body)-1 {
		return 0, nil, errorf(CodeMalformedCommand, "command name of %d bytes in a command of %d", n, len(body))
	}
	return commandByName(body[1 : 1+n]), body[1+n:], nil
}

func commandByName(name []byte) Command {
	switch string(name) {
	case "READY":
		return CommandReady
	case "ERROR":
		return CommandError
	case "HELLO":
		return CommandHello
	case "WELCOME":
		return CommandWelcome
	case "INITIATE":
		return CommandInitiate
	case "MESSAGE":
		return CommandMessage
	case "SUBSCRIBE":
		return CommandSubscribe
	case "CANCEL":
		return CommandCancel
	case "PING":
		return CommandPing
	case "PONG":
		return CommandPong
	case "JOIN":
		return CommandJoin
	case "LEAVE":
		return CommandLeave
	case "DRAIN":
		return CommandDrain
	case "DRAINED":
		return CommandDrained
	}
	return CommandUnknown
}

// AppendReady appends the body of a READY command.
func AppendReady(dst []byte, m Metadata) []byte { return m.append(append(dst, "\x05READY"...)) }

// AppendError appends the body of an ERROR command. A reason beyond 255 bytes
// is cut.
func AppendError(dst []byte, reason string) []byte {
	if len(reason) > 255 {
		reason = reason[:255]
	}
	dst = append(dst, "\x05ERROR"...)
	dst = append(dst, byte(len(reason)))
	return append(dst, reason...)
}

// ParseError returns the reason in the data of an ERROR command.
func ParseError(data []byte) (reason string, err error) {
	if len(data) == 0 || int(data[0]) > len(data)-1 {
		return "", errorf(CodeMalformedError, "ERROR command whose reason is cut short")
	}
	return string(data[1 : 1+int(data[0])]), nil
}

// AppendSubscribe appends the body of a SUBSCRIBE command (ZMTP 3.1).
func AppendSubscribe(dst, topic []byte) []byte {
	return append(append(dst, "\x09SUBSCRIBE"...), topic...)
}

// AppendCancel appends the body of a CANCEL command (ZMTP 3.1).
func AppendCancel(dst, topic []byte) []byte { return append(append(dst, "\x06CANCEL"...), topic...) }

// AppendJoin appends the body of a JOIN command, for a group of at most 255
// bytes.
func AppendJoin(dst []byte, group string) []byte { return append(append(dst, "\x04JOIN"...), group...) }

// AppendLeave appends the body of a LEAVE command.
func AppendLeave(dst []byte, group string) []byte {
	return append(append(dst, "\x05LEAVE"...), group...)
}

// AppendDrain appends the body of a DRAIN command. It is not one of ZMTP: it is sent
// to peers that announce PropertyDrain. It asks for no more messages on this
// connection.
func AppendDrain(dst []byte) []byte { return append(dst, "\x05DRAIN"...) }

// AppendDrained appends the body of the DRAINED command that answers a DRAIN. It
// follows the last message.
func AppendDrained(dst []byte) []byte { return append(dst, "\x07DRAINED"...) }

// MaxPingTTL is the longest time to live a PING can carry.
const MaxPingTTL = 0xffff * 100 * time.Millisecond

// AppendPing appends the body of a PING command. ttl, rounded down to tenths of
// a second and cut to MaxPingTTL, is the time after which the peer may close
// the connection if nothing more arrives; 0 means no such time. A context
// beyond MaxPingContext bytes is cut.
func AppendPing(dst []byte, ttl time.Duration, context []byte) []byte {
	ttl = min(max(ttl, 0), MaxPingTTL)
	dst = append(dst, "\x04PING"...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(ttl/(100*time.Millisecond)))
	return append(dst, context[:min(len(context), MaxPingContext)]...)
}

// ParsePing reads the data of a PING command. context, at most MaxPingContext
// bytes, is a view of data. The PONG must carry it.
func ParsePing(data []byte) (ttl time.Duration, context []byte, err error) {
	if len(data) < 2 {
		return 0, nil, errorf(CodeMalformedCommand, "PING of %d bytes, expected a time to live of 2", len(data))
	}
	context = data[2:]
	context = context[:min(len(context), MaxPingContext)]
	return time.Duration(binary.BigEndian.Uint16(data)) * 100 * time.Millisecond, context, nil
}

// AppendPong appends the body of the PONG command that answers a PING with the
// given context, cut to MaxPingContext bytes.
func AppendPong(dst, context []byte) []byte {
	dst = append(dst, "\x04PONG"...)
	return append(dst, context[:min(len(context), MaxPingContext)]...)
}
