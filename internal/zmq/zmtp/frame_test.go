package zmtp

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseHeader(t *testing.T) {
	tests := []struct {
		name    string
		framing Framing
		in      string
		max     int64
		want    Header
		n       int
		err     bool
	}{
		{name: "short", framing: Framing2, in: "\x00\x05", max: -1, want: Header{Size: 5}, n: 2},
		{name: "more", framing: Framing2, in: "\x01\xff", max: -1, want: Header{Flags: FlagMore, Size: 255}, n: 2},
		{name: "command", framing: Framing2, in: "\x04\x00", max: -1, want: Header{Flags: FlagCommand}, n: 2},
		{name: "long", framing: Framing2, in: "\x02\x00\x00\x00\x00\x00\x00\x01\x00", max: -1, want: Header{Size: 256}, n: 9},
		{name: "long form of a small size", framing: Framing2, in: "\x03\x00\x00\x00\x00\x00\x00\x00\x00", max: -1, want: Header{Flags: FlagMore}, n: 9},
		{name: "reserved bits dropped", framing: Framing2, in: "\xf9\x01", max: -1, want: Header{Flags: FlagMore, Size: 1}, n: 2},
		{name: "empty", framing: Framing2, in: "", max: -1},
		{name: "cut", framing: Framing2, in: "\x00", max: -1},
		{name: "long cut", framing: Framing2, in: "\x02\xff\xff\xff\xff\xff\xff\xff", max: -1},
		{name: "at the limit", framing: Framing2, in: "\x00\x05", max: 5, want: Header{Size: 5}, n: 2},
		{name: "over the limit", framing: Framing2, in: "\x00\x06", max: 5, err: true},
		{name: "limit of nothing", framing: Framing2, in: "\x00\x00", max: 0, n: 2},
		{name: "long over the limit", framing: Framing2, in: "\x02\x00\x00\x00\x00\x00\x00\x00\x06", max: 5, err: true},
		{name: "2^63", framing: Framing2, in: "\x02\x80\x00\x00\x00\x00\x00\x00\x00", max: -1, err: true},
		{name: "2^63-1", framing: Framing2, in: "\x02\x7f\xff\xff\xff\xff\xff\xff\xff", max: -1, err: true},
		{name: "2^64-1", framing: Framing2, in: "\x02\xff\xff\xff\xff\xff\xff\xff\xff", max: math.MaxInt64, err: true},
		{name: "v1", framing: Framing1, in: "\x06\x01", max: -1, want: Header{Flags: FlagMore, Size: 5}, n: 2},
		{name: "v1 longest short", framing: Framing1, in: "\xfe\x00", max: -1, want: Header{Size: 253}, n: 2},
		{name: "v1 long", framing: Framing1, in: "\xff\x00\x00\x00\x00\x00\x00\x01\x00\x7f", max: -1, want: Header{Flags: FlagMore, Size: 255}, n: 10},
		{name: "v1 cut", framing: Framing1, in: "\xff\x00\x00\x00\x00\x00\x00\x01\x00", max: -1},
		{name: "v1 without flags", framing: Framing1, in: "\x00\x00", max: -1, err: true},
		{name: "v1 long without flags", framing: Framing1, in: "\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00", max: -1, err: true},
		{name: "v1 2^64-1", framing: Framing1, in: "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", max: -1, err: true},
		{name: "v1 over the limit", framing: Framing1, in: "\x07\x00", max: 5, err: true},
	}
	for _, tt := range tests {
		h, n, err := tt.framing.ParseHeader([]byte(tt.in), tt.max)
		var e *Error
		if tt.err != errors.As(err, &e) || err == nil && (h != tt.want || n != tt.n) {
			t.Errorf("%s: %+v, %d, %v; want %+v, %d, error %v", tt.name, h, n, err, tt.want, tt.n, tt.err)
		}
	}
}

func TestAppendFrame(t *testing.T) {
	tests := []struct {
		framing Framing
		flags   byte
		size    int
		want    string
	}{
		{Framing2, 0, 0, "\x00\x00"},
		{Framing2, FlagMore, 255, "\x01\xff"},
		{Framing2, FlagCommand, 256, "\x06\x00\x00\x00\x00\x00\x00\x01\x00"},
		{Framing2, FlagLong, 1, "\x00\x01"},
		{Framing1, 0, 0, "\x01\x00"},
		{Framing1, FlagMore, 253, "\xfe\x01"},
		{Framing1, FlagMore | FlagCommand, 254, "\xff\x00\x00\x00\x00\x00\x00\x00\xff\x01"},
	}
	for _, tt := range tests {
		body := bytes.Repeat([]byte("x"), tt.size)
		got := tt.framing.Append(nil, tt.flags, body)
		if want := tt.want + string(body); string(got) != want {
			t.Errorf("framing %d, flags %d, %d bytes: %.12q, want %.12q", tt.framing, tt.flags, tt.size, got, want)
		}
		if n := tt.framing.HeaderSize(tt.size); n != len(tt.want) {
			t.Errorf("framing %d, %d bytes: header of %d, want %d", tt.framing, tt.size, n, len(tt.want))
		}
	}
}

// What Append writes, Next reads, at whatever cut the bytes arrive.
func TestFrameRoundTrip(t *testing.T) {
	type frame struct {
		flags byte
		body  string
	}
	rapid.Check(t, func(t *rapid.T) {
		framing := Framing(rapid.IntRange(1, 2).Draw(t, "framing"))
		var want []frame
		var stream []byte
		for range rapid.IntRange(0, 6).Draw(t, "frames") {
			f := frame{flags: byte(rapid.SampledFrom([]int{0, FlagMore, FlagCommand}).Draw(t, "flags"))}
			if framing == Framing1 {
				f.flags &= FlagMore
			}
			f.body = strings.Repeat("b", rapid.SampledFrom([]int{0, 1, 252, 253, 254, 255, 256, 300}).Draw(t, "size"))
			want = append(want, f)
			stream = framing.Append(stream, f.flags, []byte(f.body))
		}
		cut := rapid.IntRange(0, len(stream)).Draw(t, "cut")
		var got []frame
		in := stream[:cut]
		for part := range 2 {
			if part == 1 {
				in = append(bytes.Clone(in), stream[cut:]...)
			}
			for {
				h, body, rest, ok, err := framing.Next(in, 1000)
				if err != nil {
					t.Fatal(err)
				}
				in = rest
				if !ok {
					break
				}
				got = append(got, frame{h.Flags, string(body)})
			}
		}
		if len(in) != 0 || len(got) != len(want) {
			t.Fatalf("%d frames and %d bytes left, want %d frames", len(got), len(in), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("frame %d: %.20v, want %.20v", i, got[i], want[i])
			}
		}
	})
}

func TestFrameAllocations(t *testing.T) {
	stream := Framing2.Append(Framing2.Append(nil, FlagMore, []byte("topic")), 0, bytes.Repeat([]byte("x"), 300))
	out := make([]byte, 0, 1024)
	n := testing.AllocsPerRun(100, func() {
		in := stream
		out = out[:0]
		for len(in) > 0 {
			h, body, rest, ok, err := Framing2.Next(in, 1<<20)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			out = Framing2.Append(out, h.Flags, body)
			in = rest
		}
	})
	if n != 0 {
		t.Errorf("%v allocations to read and write two frames", n)
	}
	if !bytes.Equal(out, stream) {
		t.Errorf("rewritten as %q", out)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x01\x05topic\x00\x04body"), uint8(2))
	f.Add([]byte("\x02\xff\xff\xff\xff\xff\xff\xff\xff"), uint8(2))
	f.Add([]byte("\x02\x80\x00\x00\x00\x00\x00\x00\x00"), uint8(2))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00\x00"), uint8(2))
	f.Add([]byte("\x06\x01topic\xff\x00\x00\x00\x00\x00\x00\x00\x02\x00b"), uint8(1))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, framing uint8) {
		fr := Framing(framing%2 + 1)
		const limit = 1 << 16
		for {
			h, body, rest, ok, err := fr.Next(in, limit)
			if err != nil || !ok {
				if err == nil && h.Size > limit {
					t.Fatalf("incomplete frame of %d bytes let through", h.Size)
				}
				return
			}
			if len(body) != h.Size || len(rest) >= len(in) || h.Size > limit {
				t.Fatalf("frame of %d bytes, body %d, %d of %d left", h.Size, len(body), len(rest), len(in))
			}
			again, n, err := fr.ParseHeader(fr.AppendHeader(nil, h.Flags, h.Size), limit)
			if err != nil || again != h || n != fr.HeaderSize(h.Size) {
				t.Fatalf("%+v written and read again: %+v, %d, %v", h, again, n, err)
			}
			in = rest
		}
	})
}
