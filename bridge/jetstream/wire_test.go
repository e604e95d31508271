package jetstream

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"lintel.dev/bridge/engine"
)

func TestEncode(t *testing.T) {
	tests := []struct {
		name   string
		id     string
		topic  []byte
		frames [][]byte
		data   string
		header nats.Header
	}{
		{"one frame as it is", "", nil, [][]byte{[]byte("123456789")}, "123456789", nats.Header{"Zmq-Crc32c": {"e3069283"}}}, // RFC 3720's check value
		{"empty frame", "", nil, [][]byte{{}}, "", nats.Header{"Zmq-Crc32c": {"00000000"}}},
		{
			"lengths", "", nil,
			[][]byte{[]byte("abc"), {}, []byte("d")},
			"abcd",
			nats.Header{"Zmq-Frames": {"3,0,1"}, "Zmq-Crc32c": {checksum("3,0,1", nil, []byte("abcd"))}},
		},
		{
			"odd id and topic", "a b%", []byte("ü\n"),
			[][]byte{[]byte("x")},
			"x",
			nats.Header{"Nats-Msg-Id": {"a%20b%25"}, "Zmq-Topic": {"%C3%BC%0A"}, "Zmq-Crc32c": {checksum("", []byte("ü\n"), []byte("x"))}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := encode("s", tt.id, tt.topic, tt.frames)
			if string(m.Data) != tt.data || len(m.Header) != len(tt.header) {
				t.Fatalf("got %q with %v, want %q with %v", m.Data, m.Header, tt.data, tt.header)
			}
			for k, v := range tt.header {
				if !slices.Equal(m.Header[k], v) {
					t.Errorf("%s is %q, want %q", k, m.Header[k], v)
				}
			}
		})
	}
}

// TestDamage flips each bit of a body and of its lengths: the checksum finds it.
func TestDamage(t *testing.T) {
	m := encode("s", "", []byte("topic"), [][]byte{[]byte("3,0"), {}, []byte("body")})
	lengths := m.Header.Get(headerFrames)
	for i := range 8 * len(m.Data) {
		body := bytes.Clone(m.Data)
		body[i/8] ^= 1 << (i % 8)
		if _, _, err := decode(m.Header, body); !errors.Is(err, errDamaged) {
			t.Errorf("bit %d of the body: %v, want errDamaged", i, err)
		}
	}
	for _, bad := range []string{"", "0,3,4", "3,0,5", "3,0", "3,0,4,", "-1", "x", "99999999999999999999"} {
		m.Header.Set(headerFrames, bad)
		if _, _, err := decode(m.Header, m.Data); !errors.Is(err, errDamaged) {
			t.Errorf("lengths %q for %q: %v, want errDamaged", bad, lengths, err)
		}
	}
}

func TestSubjects(t *testing.T) {
	tests := []struct{ topic, subject, filter string }{
		{"", "P.n._", "P.n.>"},
		{"ab", "P.n.61.62._", "P.n.61.62.>"},
		{"abcd", "P.n.61.62.63.64._", "P.n.61.62.63.64.>"},
		{"abcdefgh", "P.n.61.62.63.64._", "P.n.61.62.63.64.>"},
		{"\x00.*>", "P.n.00.2e.2a.3e._", "P.n.00.2e.2a.3e.>"},
	}
	for _, tt := range tests {
		if got := subject("P.n", []byte(tt.topic)); got != tt.subject {
			t.Errorf("subject of %q is %s, want %s", tt.topic, got, tt.subject)
		}
		if got := filter("P.n", []byte(tt.topic)); got != tt.filter {
			t.Errorf("filter of %q is %s, want %s", tt.topic, got, tt.filter)
		}
	}
}

// TestCheckSize checks the limit against what the library sends.
func TestCheckSize(t *testing.T) {
	const limit = 10_000
	m := encode("s", "id", nil, [][]byte{make([]byte, 100), make([]byte, 50)})
	sent := int64(m.Size() - len(m.Subject)) // headers and data
	m.Data = append(m.Data, make([]byte, limit-deadReserve-sent)...)
	if err := checkSize(m, limit); err != nil {
		t.Errorf("a message at the limit: %v", err)
	}
	m.Data = append(m.Data, 0)
	if err := checkSize(m, limit); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("a message beyond the limit: %v, want ErrTooLarge", err)
	}
	many := encode("s", "", nil, make([][]byte, maxHeader))
	if err := checkSize(many, 64<<20); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("%d frames: %v, want ErrTooLarge", maxHeader, err)
	}
}

// FuzzDecode checks that no stored message panics, and that frames never exceed
// the body.
func FuzzDecode(f *testing.F) {
	f.Add("", "", "", []byte("body"))
	f.Add("3,0,1", "%41%", "e3069283", []byte("abcd"))
	f.Add("18446744073709551615,1", "%zz", "", []byte{})
	f.Fuzz(func(t *testing.T, lengths, topic, crc string, body []byte) {
		h := nats.Header{}
		h.Set(headerFrames, lengths)
		h.Set(headerTopic, topic)
		h.Set(headerCRC, crc)
		m, _, err := decode(h, body)
		if err != nil {
			return
		}
		if got := bytes.Join(m.Frames, nil); !bytes.Equal(got, body) {
			t.Errorf("frames %q of body %q", m.Frames, body)
		}
	})
}

// FuzzRoundTrip checks that what encode writes is what decode reads.
func FuzzRoundTrip(f *testing.F) {
	f.Add("id", []byte("topic"), []byte("body"), uint8(1))
	f.Add("%2 \x00", []byte("%%"), []byte("a\x00b"), uint8(3))
	f.Fuzz(func(t *testing.T, id string, topic, body []byte, n uint8) {
		frames := [][]byte{body}
		for range n {
			frames = append(frames, body[:len(body)/2])
		}
		m := encode("s", id, topic, frames)
		for k, v := range m.Header {
			if strings.ContainsAny(v[0], "\r\n ") {
				t.Errorf("header %s: %q", k, v[0])
			}
		}
		got, gotTopic, err := decode(m.Header, m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != id || !bytes.Equal(gotTopic, topic) || !slices.EqualFunc(got.Frames, frames, bytes.Equal) {
			t.Errorf("got id %q, topic %q, frames %q", got.ID, gotTopic, got.Frames)
		}
	})
}
