package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"lintel.dev/internal/sequence"
)

var epoch = sequence.Epoch{0: 0x18, 7: 1, 8: 0xab, 15: 0xcd}

func frames(h Header, records ...Record) [][]byte {
	h.Count = len(records)
	var body []byte
	for _, r := range records {
		body = AppendRecord(body, r)
	}
	return [][]byte{AppendTopic(nil, h.Lane), AppendHeader(nil, &h), body}
}

// TestGolden pins the octets of a message and the hash of a key.
func TestGolden(t *testing.T) {
	got := frames(Header{Lane: 3, Epoch: epoch, First: 258},
		Record{Op: Changed, Hash: Hash([]byte("a"))},
		Record{Op: FlushPrefix, Prefix: []byte("user:")},
		Record{Op: Lost})
	want := []string{
		"690003",
		"01000003" + "1800000000000001ab000000000000cd" + "0000000000000102" + "0003",
		"01d24ec4f1a98c6e5b" + "05000000000000000005757365723a" + "060000000000000000",
	}
	for i, w := range want {
		if g := hex.EncodeToString(got[i]); g != w {
			t.Errorf("frame %d:\n got %s\nwant %s", i, g, w)
		}
	}
}

func TestDecode(t *testing.T) {
	records := []Record{
		{Op: Changed, Hash: 1},
		{Op: Deleted, Hash: math.MaxUint64},
		{Op: FlushPrefix, Prefix: bytes.Repeat([]byte("p"), MaxPrefix)},
		{Op: FlushAll},
		{Op: Touched, Hash: 7},
	}
	h, got, err := Decode(frames(Header{Lane: MaxLanes - 1, Epoch: epoch, First: 9}, records...), nil)
	if err != nil || !reflect.DeepEqual(got, records) {
		t.Fatalf("got %v, %v", got, err)
	}
	if h.Heartbeat() || h.First != 9 || h.Last() != 13 || h.Lane != MaxLanes-1 || h.Epoch != epoch {
		t.Errorf("header %+v", h)
	}
	// The records of the next message reuse the room of the last.
	again := frames(Header{Epoch: epoch, First: 14}, Record{Op: Lost})
	if n := testing.AllocsPerRun(100, func() { _, got, err = Decode(again, got[:0]) }); n != 0 || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
	h, got, err = Decode(frames(Header{Epoch: epoch, First: 14}), got[:0])
	if err != nil || len(got) != 0 || !h.Heartbeat() || h.Last() != 14 {
		t.Errorf("heartbeat: %+v, %v, %v", h, got, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	base := Header{Lane: 1, Epoch: epoch, First: 5}
	edit := func(frame, at int, b byte) [][]byte {
		f := frames(base, Record{Op: Changed, Hash: 1})
		f[frame][at] = b
		return f
	}
	cut := func(frame, n int) [][]byte {
		f := frames(base, Record{Op: FlushPrefix, Prefix: []byte("ab")})
		f[frame] = f[frame][:n]
		return f
	}
	long := frames(base, Record{Op: Changed})
	long[2] = append(long[2], 0)
	many := frames(base)
	many[1][28], many[1][29] = 0xff, 0xff
	last := base
	last.First = math.MaxUint64
	for name, f := range map[string][][]byte{
		"no frames":             nil,
		"two frames":            frames(base)[:2],
		"four frames":           append(frames(base), nil),
		"another topic":         edit(0, 0, 'j'),
		"another lane":          edit(0, 2, 2),
		"short topic":           cut(0, 2),
		"short header":          cut(1, HeaderSize-1),
		"version 2":             edit(1, 0, 2),
		"lane out of range":     frames(Header{Lane: MaxLanes, Epoch: epoch}),
		"zero epoch":            frames(Header{First: 1}),
		"65535 records, no one": many,
		"number 0":              frames(Header{Epoch: epoch}, Record{Op: Changed}),
		"numbers wrap":          frames(last, Record{Op: Changed}, Record{Op: Changed}),
		"short record":          cut(2, 8),
		"no length":             cut(2, 9),
		"short prefix":          cut(2, 11),
		"operation 0":           edit(2, 0, 0),
		"operation 7":           edit(2, 0, 7),
		"octets behind":         long,
		"empty prefix":          frames(base, Record{Op: FlushPrefix}),
		"prefix of 251":         frames(base, Record{Op: FlushPrefix, Prefix: make([]byte, MaxPrefix+1)}),
	} {
		if h, r, err := Decode(f, nil); !errors.Is(err, ErrMessage) || r != nil || h != (Header{}) {
			t.Errorf("%s: %+v, %v, %v, expected ErrMessage", name, h, r, err)
		}
	}
}

func TestAnswer(t *testing.T) {
	f := Fence{Nonce: 17, Epoch: epoch, Feeds: []string{"tcp://10.0.0.1:7", "ipc:///run/x"}, Last: []uint64{0, 5, math.MaxUint64}}
	line := AppendAnswer(nil, &f)
	want := "HD O17 e1800000000000001ab000000000000cd ftcp://10.0.0.1:7 fipc:///run/x s0,5,18446744073709551615"
	if string(line) != want {
		t.Errorf("got %q, want %q", line, want)
	}
	got, err := ParseAnswer(line)
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("got %+v, %v", got, err)
	}
	if q := AppendQuestion(nil, 17); string(q) != "mf 17" {
		t.Errorf("question %q", q)
	}
}

func TestParseAnswerRefuses(t *testing.T) {
	const e = " e1800000000000001ab000000000000cd"
	for _, line := range []string{
		"", "ERROR", "HD", "HD O", "HD O1", "HD Ox" + e + " s1", "HD O01" + e + " s1", "HD O+1" + e + " s1",
		"HD O18446744073709551616" + e + " s1", "HD O1 e18 s1", "HD O1" + e, "HD O1" + e + " s", "HD O1" + e + " s1,",
		"HD O1" + e + " s1,,2", "HD O1" + e + " s-1", "HD O1" + e + " s1 x", "HD O1" + e + " s1 ", "HD O1" + e + " f s1",
		"HD O1" + e + " f\x01 s1", "HD O1 e" + strings.Repeat("0", 32) + " s1", "HD O1 e" + strings.Repeat("A", 32) + " s1",
		"HD O1" + e + " f" + strings.Repeat("x", MaxEndpoint+1) + " s1",
		"HD O1" + e + strings.Repeat(" fx", MaxFeeds+1) + " s1",
		"HD O1" + e + " s1" + strings.Repeat(",1", MaxLanes),
	} {
		if f, err := ParseAnswer([]byte(line)); !errors.Is(err, ErrMessage) || !reflect.DeepEqual(f, Fence{}) {
			t.Errorf("%.80q: %+v, %v, expected ErrMessage", line, f, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range [][][]byte{
		frames(Header{Lane: 1, Epoch: epoch, First: 5}, Record{Op: Changed, Hash: 1}),
		frames(Header{Epoch: epoch}),
		frames(Header{Lane: 63, Epoch: epoch, First: 1}, Record{Op: FlushPrefix, Prefix: []byte("a")}, Record{Op: Lost}),
	} {
		f.Add(m[0], m[1], m[2])
	}
	f.Fuzz(func(t *testing.T, topic, header, body []byte) {
		h, records, err := Decode([][]byte{topic, header, body}, nil)
		if err != nil {
			if !errors.Is(err, ErrMessage) || records != nil {
				t.Fatalf("%v, %v", records, err)
			}
			return
		}
		if len(records) != h.Count || cap(records) > MaxRecords {
			t.Fatalf("%d records in room for %d, header %+v", len(records), cap(records), h)
		}
		again := frames(h, records...)
		header = bytes.Clone(header)
		header[1] = 0 // flags are ignored
		for i, frame := range [][]byte{topic, header, body} {
			if !bytes.Equal(again[i], frame) {
				t.Fatalf("frame %d: %x, encoded again %x", i, frame, again[i])
			}
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte("HD O17 e1800000000000001ab000000000000cd ftcp://10.0.0.1:7 s0,5,18446744073709551615"))
	f.Add([]byte("HD O0 e1800000000000001ab000000000000cd s1"))
	f.Add([]byte("ERROR"))
	f.Fuzz(func(t *testing.T, line []byte) {
		fence, err := ParseAnswer(line)
		if err != nil {
			if !errors.Is(err, ErrMessage) {
				t.Fatal(err)
			}
			return
		}
		if again := AppendAnswer(nil, &fence); !bytes.Equal(again, line) {
			t.Fatalf("%q, encoded again %q", line, again)
		}
	})
}
