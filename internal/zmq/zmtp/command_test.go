package zmtp

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestParseCommand(t *testing.T) {
	tests := []struct {
		in   string
		want Command
		data string
		err  bool
	}{
		{in: "\x05READYabc", want: CommandReady, data: "abc"},
		{in: "\x05ERROR\x03400", want: CommandError, data: "\x03400"},
		{in: "\x05HELLO", want: CommandHello},
		{in: "\x07WELCOME", want: CommandWelcome},
		{in: "\x08INITIATE", want: CommandInitiate},
		{in: "\x07MESSAGE", want: CommandMessage},
		{in: "\x09SUBSCRIBE", want: CommandSubscribe},
		{in: "\x05DRAIN", want: CommandDrain},
		{in: "\x07DRAINED", want: CommandDrained},
		{in: "\x09SUBSCRIBEtopic", want: CommandSubscribe, data: "topic"},
		{in: "\x06CANCELtopic", want: CommandCancel, data: "topic"},
		{in: "\x04PING\x00\x00", want: CommandPing, data: "\x00\x00"},
		{in: "\x04PONG", want: CommandPong},
		{in: "\x04JOINg", want: CommandJoin, data: "g"},
		{in: "\x05LEAVEg", want: CommandLeave, data: "g"},
		{in: "\x05ready", want: CommandUnknown},
		{in: "\x03FOObar", want: CommandUnknown, data: "bar"},
		{in: "", err: true},
		{in: "\x00", err: true},
		{in: "\x05READ", err: true},
		{in: "\xffREADY", err: true},
	}
	for _, tt := range tests {
		c, data, err := ParseCommand([]byte(tt.in))
		if (err != nil) != tt.err || c != tt.want || string(data) != tt.data {
			t.Errorf("%q: %v, %q, %v", tt.in, c, data, err)
		}
	}
}

func TestAppendCommands(t *testing.T) {
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"READY", AppendReady(nil, Metadata{{"Socket-Type", []byte("PUB")}}), "\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"},
		{"ERROR", AppendError(nil, "400"), "\x05ERROR\x03400"},
		{"DRAIN", AppendDrain(nil), "\x05DRAIN"},
		{"DRAINED", AppendDrained(nil), "\x07DRAINED"},
		{"SUBSCRIBE", AppendSubscribe(nil, []byte("a")), "\x09SUBSCRIBEa"},
		{"CANCEL", AppendCancel(nil, []byte("a")), "\x06CANCELa"},
		{"JOIN", AppendJoin(nil, "a"), "\x04JOINa"},
		{"LEAVE", AppendLeave(nil, "a"), "\x05LEAVEa"},
		{"PING", AppendPing(nil, 6*time.Second+99*time.Millisecond, []byte("ctx")), "\x04PING\x00\x3cctx"},
		{"PING without end", AppendPing(nil, 1000*time.Hour, nil), "\x04PING\xff\xff"},
		{"PING before now", AppendPing(nil, -1, nil), "\x04PING\x00\x00"},
		{"PING with too much", AppendPing(nil, 0, bytes.Repeat([]byte("c"), 20)), "\x04PING\x00\x00" + strings.Repeat("c", 16)},
		{"PONG", AppendPong(nil, []byte("ctx")), "\x04PONGctx"},
	}
	for _, tt := range tests {
		if string(tt.got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
	if got := AppendError(nil, strings.Repeat("r", 300)); len(got) != 6+1+255 {
		t.Errorf("ERROR with a reason of 300 bytes has %d", len(got))
	}
}

func TestParsePing(t *testing.T) {
	tests := []struct {
		data    string
		ttl     time.Duration
		context string
		err     bool
	}{
		{data: "\x00\x0a", ttl: time.Second},
		{data: "\xff\xffc", ttl: MaxPingTTL, context: "c"},
		{data: "\x00\x00" + strings.Repeat("c", 16), context: strings.Repeat("c", 16)},
		{data: "\x00\x00" + strings.Repeat("c", 70000), context: strings.Repeat("c", 16)},
		{data: "", err: true},
		{data: "\x00", err: true},
	}
	for _, tt := range tests {
		ttl, context, err := ParsePing([]byte(tt.data))
		if (err != nil) != tt.err || ttl != tt.ttl || string(context) != tt.context {
			t.Errorf("%.8q of %d: %v, %q, %v", tt.data, len(tt.data), ttl, context, err)
		}
	}
}

func TestParseErrorAndGroup(t *testing.T) {
	for _, tt := range []struct {
		data, want string
		err        bool
	}{
		{data: "\x03400", want: "400"},
		{data: "\x00"},
		{data: "\x01ab", want: "a"},
		{data: "", err: true},
		{data: "\x04400", err: true},
	} {
		reason, err := ParseError([]byte(tt.data))
		if (err != nil) != tt.err || reason != tt.want {
			t.Errorf("ERROR %q: %q, %v", tt.data, reason, err)
		}
	}
}

func FuzzCommand(f *testing.F) {
	f.Add([]byte("\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"))
	f.Add([]byte("\x05ERROR\x03400"))
	f.Add([]byte("\x04PING\x00\x0actx"))
	f.Add([]byte("\x04PING\x00"))
	f.Add([]byte("\x09SUBSCRIBE"))
	f.Add([]byte("\xff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		c, data, err := ParseCommand(body)
		if err != nil {
			return
		}
		if n := int(body[0]); 1+n+len(data) != len(body) {
			t.Fatalf("name of %d and data of %d in %d bytes", n, len(data), len(body))
		}
		switch c {
		case CommandPing:
			if ttl, context, err := ParsePing(data); err == nil && (ttl > MaxPingTTL || len(context) > MaxPingContext) {
				t.Fatalf("PING: %v, %d", ttl, len(context))
			}
		case CommandError:
			if reason, err := ParseError(data); err == nil && len(reason) > 255 {
				t.Fatalf("reason of %d bytes", len(reason))
			}
		}
	})
}
