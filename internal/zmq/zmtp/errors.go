package zmtp

import "fmt"

// Code classifies an Error by libzmq's ZMQ_PROTOCOL_ERROR_* values, which a
// monitor event reports.
type Code uint32

// The codes of libzmq. Those from CodeZAP on are about replies of a ZAP
// handler, not about the peer.
const (
	CodeUnspecified       Code = 0x10000000
	CodeUnexpectedCommand Code = 0x10000001
	CodeInvalidSequence   Code = 0x10000002
	CodeKeyExchange       Code = 0x10000003
	CodeMalformedCommand  Code = 0x10000011
	CodeMalformedMessage  Code = 0x10000012
	CodeMalformedHello    Code = 0x10000013
	CodeMalformedInitiate Code = 0x10000014
	CodeMalformedError    Code = 0x10000015
	CodeMalformedReady    Code = 0x10000016
	CodeMalformedWelcome  Code = 0x10000017
	CodeInvalidMetadata   Code = 0x10000018
	CodeCryptographic     Code = 0x11000001
	CodeMechanismMismatch Code = 0x11000002
	CodeZAP               Code = 0x20000000
	CodeZAPMalformed      Code = 0x20000001
	CodeZAPRequestID      Code = 0x20000002
	CodeZAPVersion        Code = 0x20000003
	CodeZAPStatus         Code = 0x20000004
	CodeZAPMetadata       Code = 0x20000005
)

// Error is a protocol violation by a peer or a ZAP handler. The connection must
// be closed.
type Error struct {
	Code Code
	Text string // what was wrong and what was expected
}

func (e *Error) Error() string { return "zmtp: " + e.Text }

func errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// PeerError is the ERROR command of a peer that refuses the connection.
// libzmq's reasons are the ZAP status codes "400" and "500".
type PeerError struct {
	Reason string // at most 255 bytes, as the peer sent them
}

func (e *PeerError) Error() string {
	return fmt.Sprintf("zmtp: the peer refused the connection: %q", e.Reason)
}
