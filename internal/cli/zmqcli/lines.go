package zmqcli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

// lineCodec formats a message as a line and parses it. Lines are without their
// newline.
type lineCodec struct {
	append func(dst []byte, m zmq.Msg) []byte
	parse  func(line []byte) (zmq.Msg, error)
}

// textLines has TAB between frames, and \xNN for the backslash and for bytes that
// are not printable ASCII.
var textLines = lineCodec{append: appendText, parse: parseText}

// jsonLines has an array of frames in base64.
var jsonLines = lineCodec{append: appendJSON, parse: parseJSON}

func appendText(dst []byte, m zmq.Msg) []byte {
	for i, frame := range m {
		if i > 0 {
			dst = append(dst, '\t')
		}
		dst = cli.AppendEscaped(dst, frame)
	}
	return dst
}

func parseText(line []byte) (zmq.Msg, error) {
	frames := bytes.Split(line, []byte("\t"))
	m := make(zmq.Msg, len(frames))
	for i, frame := range frames {
		b, err := cli.Unescape(frame)
		if err != nil {
			return nil, err
		}
		m[i] = b
	}
	return m, nil
}

func appendJSON(dst []byte, m zmq.Msg) []byte {
	dst = append(dst, '[')
	for i, frame := range m {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, frame)
		dst = append(dst, '"')
	}
	return append(dst, ']')
}

func parseJSON(line []byte) (zmq.Msg, error) {
	var frames []*string
	if err := json.Unmarshal(line, &frames); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return nil, fmt.Errorf("line has a JSON %s, expected an array of base64 strings", kind.Value)
		}
		return nil, fmt.Errorf("line is no JSON array of base64 strings: %w", err)
	}
	if len(frames) == 0 {
		return nil, fmt.Errorf("array without frames, expected at least one")
	}
	m := make(zmq.Msg, len(frames))
	for i, s := range frames {
		if s == nil {
			return nil, fmt.Errorf("frame %d is null, expected base64", i+1)
		}
		b, err := base64.StdEncoding.DecodeString(*s)
		if err != nil {
			return nil, fmt.Errorf("frame %d: %w", i+1, err)
		}
		m[i] = b
	}
	return m, nil
}
