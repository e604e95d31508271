package zmqcli

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lintel.dev/zmq"
)

func TestTextLines(t *testing.T) {
	for _, tt := range []struct {
		line  string
		want  zmq.Msg
		again string // as it is written, if not as it was read
	}{
		{"", zmq.NewMsg(""), ""},
		{"a", zmq.NewMsg("a"), ""},
		{"a\tb", zmq.NewMsg("a", "b"), ""},
		{"\t", zmq.NewMsg("", ""), ""},
		{`\x00\xff\x5c\x09`, zmq.NewMsg("\x00\xff\\\t"), ""},
		{`\xFF`, zmq.NewMsg("\xff"), `\xff`},
		{"caf\u00e9\r", zmq.NewMsg("caf\u00e9\r"), `caf\xc3\xa9\x0d`},
		{`\x41`, zmq.NewMsg("A"), "A"},
	} {
		m, err := textLines.parse([]byte(tt.line))
		if err != nil || m.String() != tt.want.String() || len(m) != len(tt.want) {
			t.Errorf("%q: %q, %v", tt.line, m, err)
			continue
		}
		want := tt.line
		if tt.again != "" {
			want = tt.again
		}
		if got := string(textLines.append(nil, m)); got != want {
			t.Errorf("%q written again as %q, want %q", tt.line, got, want)
		}
	}
	for _, bad := range []string{`\`, `\x`, `\x1`, `\xg0`, `\x0g`, `\n`, `\\`, "a\t\\"} {
		if m, err := textLines.parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), `expected \x`) {
			t.Errorf("%q: %q, %v", bad, m, err)
		}
	}
}

func TestJSONLines(t *testing.T) {
	for _, bad := range []string{"", "{}", "null", "[]", "[null]", "[1]", `["a"]`, `["YQ=="] x`, `["YQ==\n\n`} {
		if m, err := jsonLines.parse([]byte(bad)); err == nil {
			t.Errorf("%q read as %q", bad, m)
		}
	}
}

func TestLinesRoundTrip(t *testing.T) {
	for name, codec := range map[string]lineCodec{"text": textLines, "json": jsonLines} {
		rapid.Check(t, func(t *rapid.T) {
			m := zmq.Msg(rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 1, 5).Draw(t, "message"))
			line := codec.append(nil, m)
			if bytes.ContainsAny(line, "\n\r") {
				t.Fatalf("%s: %q is no line", name, line)
			}
			got, err := codec.parse(line)
			if err != nil || len(got) != len(m) {
				t.Fatalf("%s: %q by way of %q: %q, %v", name, m, line, got, err)
			}
			for i := range m {
				if !bytes.Equal(got[i], m[i]) {
					t.Fatalf("%s: %q by way of %q: %q", name, m, line, got)
				}
			}
		})
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\t\\x00"), false)
	f.Add([]byte("\\"), false)
	f.Add([]byte(`["YQ==",""]`), true)
	f.Add([]byte(`[null]`), true)
	f.Fuzz(func(t *testing.T, line []byte, asJSON bool) {
		codec := textLines
		if asJSON {
			codec = jsonLines
		}
		m, err := codec.parse(line)
		if err != nil {
			return
		}
		once := codec.append(nil, m)
		again, err := codec.parse(once)
		if err != nil || !bytes.Equal(codec.append(nil, again), once) {
			t.Fatalf("%q became %q, then %q, %v", line, once, again, err)
		}
	})
}
