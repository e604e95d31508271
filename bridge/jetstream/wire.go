package jetstream

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"lintel.dev/bridge/engine"
)

// The headers of messages.
const (
	headerID     = nats.MsgIdHdr
	headerFrames = "Zmq-Frames"
	headerTopic  = "Zmq-Topic"
	headerCRC    = "Zmq-Crc32c"
)

// maxHeader bounds the headers of a message, which the server limits to 64 KiB.
// deadReserve is left for the headers that a dead letter has in addition.
const (
	maxHeader   = 60 << 10
	deadReserve = 1 << 10
	maxReason   = 256 // octets of a dead letter's reason, before escaping
)

// topicTokens is the number of octets of a topic that become tokens of the subject.
const topicTokens = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged means that a message does not match its checksum or its list of
// frames.
var errDamaged = errors.New("jetstream: damaged message")

// checksum returns the CRC-32C (RFC 3720, appendix B.4) over the value of Zmq-Frames,
// the topic and the body, as eight hexadecimal digits. For a message of one frame
// without topic it is the checksum of the body.
func checksum(frames string, topic, body []byte) string {
	crc := crc32.Update(0, castagnoli, []byte(frames))
	crc = crc32.Update(crc, castagnoli, topic)
	crc = crc32.Update(crc, castagnoli, body)
	return fmt.Sprintf("%08x", crc)
}

// encode returns the message to publish. It uses the memory of a single frame.
func encode(subject, id string, topic []byte, frames [][]byte) *nats.Msg {
	m := &nats.Msg{Subject: subject, Header: make(nats.Header, 2)}
	lengths := ""
	if len(frames) == 1 {
		m.Data = frames[0]
	} else {
		lengths, m.Data = join(frames)
		m.Header.Set(headerFrames, lengths)
	}
	if id != "" {
		m.Header.Set(headerID, escape([]byte(id)))
	}
	if topic != nil {
		m.Header.Set(headerTopic, escape(topic))
	}
	m.Header.Set(headerCRC, checksum(lengths, topic, m.Data))
	return m
}

// join returns the list of lengths and the concatenation of frames.
func join(frames [][]byte) (lengths string, body []byte) {
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	body = make([]byte, 0, size)
	list := make([]byte, 0, 4*len(frames))
	for i, f := range frames {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, int64(len(f)), 10)
		body = append(body, f...)
	}
	return string(list), body
}

// split undoes join. It returns errDamaged if the lengths are not numbers or do
// not add up to the body.
func split(lengths string, body []byte) ([][]byte, error) {
	frames := make([][]byte, 0, 1+strings.Count(lengths, ","))
	for text := range strings.SplitSeq(lengths, ",") {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil || n > uint64(len(body)) {
			return nil, fmt.Errorf("%w: %s %q of %d octets left", errDamaged, headerFrames, text, len(body))
		}
		frames = append(frames, body[:n:n])
		body = body[n:]
	}
	if len(body) > 0 {
		return nil, fmt.Errorf("%w: %d octets after the last frame", errDamaged, len(body))
	}
	return frames, nil
}

// decode returns the ID, topic and frames of a stored message, or an error that
// wraps errDamaged. A message without Zmq-Crc32c is not checked. The frames are
// in body.
func decode(h nats.Header, body []byte) (m engine.Message, topic []byte, err error) {
	m.ID = unescape(h.Get(headerID))
	if h.Get(headerTopic) != "" {
		topic = []byte(unescape(h.Get(headerTopic)))
	}
	lengths := h.Get(headerFrames)
	if want := h.Get(headerCRC); want != "" {
		if got := checksum(lengths, topic, body); got != want {
			return m, topic, fmt.Errorf("%w: %s is %s, computed %s", errDamaged, headerCRC, want, got)
		}
	}
	if lengths == "" {
		m.Frames = [][]byte{body}
		return m, topic, nil
	}
	m.Frames, err = split(lengths, body)
	return m, topic, err
}

// checkSize returns an error that wraps ErrTooLarge if m exceeds the limit of the
// server, with room for the headers of a dead letter.
func checkSize(m *nats.Msg, maxPayload int64) error {
	header := len("NATS/1.0\r\n\r\n")
	for k, vs := range m.Header {
		header += len(k) + len(": \r\n") + len(vs[0])
	}
	limit := maxPayload - deadReserve
	switch size := int64(header + len(m.Data)); {
	case size > limit:
		return fmt.Errorf("%w: %d octets with headers, limit %d", engine.ErrTooLarge, size, limit)
	case header > maxHeader:
		return fmt.Errorf("%w: %d octets of headers, limit %d", engine.ErrTooLarge, header, maxHeader)
	}
	return nil
}

// subject returns the subject of a topic in a log. Its prefix is "P.NAME".
func subject(prefix string, topic []byte) string {
	return string(append(tokens(prefix, topic), "._"...))
}

// filter returns the subjects of the topics that begin with prefix, and possibly
// of others.
func filter(prefix string, topic []byte) string {
	return string(append(tokens(prefix, topic), ".>"...))
}

func tokens(prefix string, topic []byte) []byte {
	out := append(make([]byte, 0, len(prefix)+3*topicTokens+2), prefix...)
	for _, c := range topic[:min(len(topic), topicTokens)] {
		out = fmt.Appendf(out, ".%02x", c)
	}
	return out
}

// escape returns text as header value: octets other than ! to ~, and %, become
// %XX.
func escape(text []byte) string {
	out := make([]byte, 0, len(text))
	for _, c := range text {
		if c <= ' ' || c > '~' || c == '%' {
			out = fmt.Appendf(out, "%%%02X", c)
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

// unescape undoes escape. A % without two hexadecimal digits, which another
// program may write, stays as it is.
func unescape(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if c, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(c))
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}
