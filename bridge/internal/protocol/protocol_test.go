package protocol

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func frames(s ...string) [][]byte {
	var out [][]byte
	for _, f := range s {
		out = append(out, []byte(f))
	}
	return out
}

func text(m [][]byte) string { return string(bytes.Join(m, []byte("|"))) }

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		in                []string
		envelope, content string
		gone, bad         bool
	}{
		{in: []string{"r", "", "a", "b"}, envelope: "r|", content: "a|b"},
		{in: []string{"r", "q", "", "a"}, envelope: "r|q|", content: "a"},
		{in: []string{"r", "", ""}, envelope: "r|", content: ""},
		{in: []string{"r", "q", ""}, envelope: "r|q|", content: ""},
		{in: []string{"r", "1", "2", "3", "4", "5", "6", "7", "8", "", "a"}, envelope: "r|1|2|3|4|5|6|7|8|", content: "a"},
		{in: []string{"r", "1", "2", "3", "4", "5", "6", "7", "8", "9", "", "a"}, bad: true},
		{in: []string{"r", ""}, gone: true},
		{in: []string{"r", strings.Repeat("q", MaxAddress), "", "a"}, envelope: "r|" + strings.Repeat("q", MaxAddress) + "|", content: "a"},
		{in: []string{"r", strings.Repeat("q", MaxAddress+1), "", "a"}, bad: true},
		{in: []string{"r", "a"}, bad: true},
		{in: []string{"r"}, bad: true},
		{bad: true},
	} {
		m, err := Split(frames(test.in...))
		if (err != nil) != test.bad || m.Gone != test.gone || text(m.Envelope) != test.envelope || text(m.Content) != test.content {
			t.Errorf("%q: got %q, %q, gone %t, %v", test.in, text(m.Envelope), text(m.Content), m.Gone, err)
		}
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v does not wrap ErrInvalid", test.in, err)
		}
	}
}

func TestReplyDoesNotShareTheMessage(t *testing.T) {
	in := frames("r", "", "body")
	m, err := Split(in)
	if err != nil {
		t.Fatal(err)
	}
	first, second := m.Reply([]byte("OK"), []byte("1")), m.Reply([]byte("NO"))
	if text(first) != "r||OK|1" || text(second) != "r||NO" || text(in) != "r||body" {
		t.Errorf("got %q, %q, %q", text(first), text(second), text(in))
	}
}

func TestPuts(t *testing.T) {
	for _, test := range []struct {
		parse    func([][]byte) (Put, error)
		in       []string
		id, body string
		bad      bool
	}{
		{ParseRequest, []string{"a"}, "", "a", false},
		{ParseRequest, []string{""}, "", "", false},
		{ParseRequest, []string{"a", "b"}, "", "a|b", false},
		{ParseRequest, []string{"ID", "7", "a", "b"}, "7", "a|b", false},
		{ParseRequest, []string{"ID", "", "ID", "b"}, "", "ID|b", false},
		{ParseRequest, []string{"ID", "7"}, "", "", true},
		{ParseRequest, []string{"ID"}, "", "", true},
		{ParseRequest, []string{"NEXT"}, "", "NEXT", false},
		{ParseRequest, nil, "", "", true},
		{ParsePut, []string{"PUT", "7", "a", "b"}, "7", "a|b", false},
		{ParsePut, []string{"PUT", "", "a"}, "", "a", false},
		{ParsePut, []string{"PUT", "7"}, "7", "", true},
		{ParsePut, []string{"PUT"}, "", "", true},
		{ParsePut, []string{"put", "7", "a"}, "", "", true},
		{ParsePut, nil, "", "", true},
	} {
		p, err := test.parse(frames(test.in...))
		if (err != nil) != test.bad || string(p.ID) != test.id || text(p.Frames) != test.body {
			t.Errorf("%q: got %q, %q, %v", test.in, p.ID, text(p.Frames), err)
		}
	}
}

func TestOrders(t *testing.T) {
	long := strings.Repeat("x", MaxReason+1)
	for _, test := range []struct {
		in   []string
		want Order
		bad  bool
	}{
		{in: []string{"NEXT"}, want: Order{Verb: Next}},
		{in: []string{"NEXT", "x"}, want: Order{Verb: Next}, bad: true},
		{in: []string{"READY", "64"}, want: Order{Verb: Ready, Credit: 64}},
		{in: []string{"READY", "0"}, want: Order{Verb: Ready}},
		{in: []string{"READY", "-1"}, want: Order{Verb: Ready}, bad: true},
		{in: []string{"READY", "99999999999999999999999"}, want: Order{Verb: Ready}, bad: true},
		{in: []string{"READY"}, want: Order{Verb: Ready}, bad: true},
		{in: []string{"ACK", "t"}, want: Order{Verb: Ack, Token: "t"}},
		{in: []string{"ACK", "t", "sync"}, want: Order{Verb: Ack, Token: "t", Sync: true}},
		{in: []string{"ACK", "t", "other"}, want: Order{Verb: Ack, Token: "t"}, bad: true},
		{in: []string{"ACK", ""}, want: Order{Verb: Ack}, bad: true},
		{in: []string{"ACK"}, want: Order{Verb: Ack}, bad: true},
		{in: []string{"ACK", long}, want: Order{Verb: Ack}, bad: true},
		{in: []string{"NAK", "t"}, want: Order{Verb: Nak, Token: "t"}},
		{in: []string{"NAK", "t", "1500"}, want: Order{Verb: Nak, Token: "t", Delay: 1500 * time.Millisecond}},
		{in: []string{"NAK", "t", "86400001"}, want: Order{Verb: Nak, Token: "t"}, bad: true},
		{in: []string{"NAK", "t", "1", "2"}, want: Order{Verb: Nak}, bad: true},
		{in: []string{"TERM", "t", "broken"}, want: Order{Verb: Term, Token: "t", Reason: "broken"}},
		{in: []string{"TERM", "t"}, want: Order{Verb: Term, Token: "t"}},
		{in: []string{"TERM", "t", long}, want: Order{Verb: Term, Token: "t"}, bad: true},
		{in: []string{"PROG", "t"}, want: Order{Verb: Progress, Token: "t"}},
		{in: []string{"PROG", "t", "x"}, want: Order{Verb: Progress}, bad: true},
		{in: []string{"next"}, bad: true},
		{bad: true},
	} {
		o, err := ParseOrder(frames(test.in...))
		if (err != nil) != test.bad || o != test.want {
			t.Errorf("%q: got %+v, %v, want %+v", test.in, o, err, test.want)
		}
	}
}

// FuzzParse feeds arbitrary frames to all parsers: none panics, and what they
// return are parts of the input.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"r\x00\x00NEXT", "r\x00q\x00\x00ACK\x00t\x00sync", "r\x00\x00READY\x0064", "r\x00\x00NAK\x00t\x001500", "r\x00\x00TERM\x00t\x00why",
		"r\x00\x00PROG\x00t", "r\x00\x00ID\x007\x00body", "r\x00\x00PUT\x007\x00body", "r\x00", "r\x00\x00", "", "r\x00\x00READY\x0099999999999999999999",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Split(bytes.Split(in, []byte{0}))
		if err != nil || m.Gone {
			return
		}
		if len(m.Envelope) < 2 || len(m.Envelope) > MaxEnvelope+2 || len(m.Envelope[len(m.Envelope)-1]) != 0 {
			t.Fatalf("envelope %q", m.Envelope)
		}
		for _, parse := range []func([][]byte) (Put, error){ParseRequest, ParsePut} {
			if p, err := parse(m.Content); err == nil && len(p.Frames) == 0 {
				t.Fatalf("%q: a message without a body is accepted", m.Content)
			}
		}
		o, err := ParseOrder(m.Content)
		if err == nil && (o.Verb == 0 || len(o.Token) > MaxToken || o.Delay < 0 || o.Delay > MaxDelay || o.Credit < 0 || len(o.Reason) > MaxReason) {
			t.Fatalf("%q: %+v is out of bounds", m.Content, o)
		}
	})
}
