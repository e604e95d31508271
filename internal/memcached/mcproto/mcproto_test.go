package mcproto

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestParseUint(t *testing.T) {
	for in, want := range map[string]uint64{
		"0": 0, "7": 7, "+7": 7, " 7": 7, "\t\n7": 7, "7 ": 7, "7\r\n": 7, "-0": 0, "007": 7,
		"18446744073709551615": math.MaxUint64, "5 x": 5, "999999999999999999": 999999999999999999,
	} {
		if got, ok := ParseUint([]byte(in)); !ok || got != want {
			t.Errorf("ParseUint(%q) = %d, %v, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "x", "-1", "+", "-", " +", "7x", "0x7", "18446744073709551616", "99999999999999999999999", "--7", " -", " ", "  \r"} {
		if got, ok := ParseUint([]byte(in)); ok {
			t.Errorf("ParseUint(%q) = %d", in, got)
		}
	}
}

func TestParseNumbers(t *testing.T) {
	if a, b, c, ok := ParseNumbers([]byte("7 0 999999999")); !ok || a != 7 || b != 0 || c != 999999999 {
		t.Error(a, b, c, ok)
	}
	for _, line := range []string{
		"", "1", "1 2", "1 2 ", " 1 2 3", "1  2 3", "1 2 3 ", "1 2 3 noreply", "1 -2 3", "1 2 3 4", "x 2 3",
		"1000000000 2 3", "1 2 1000000000", "1 2 18446744073709551617", "1 2 3\r",
	} {
		if _, _, _, ok := ParseNumbers([]byte(line)); ok {
			t.Errorf("%q is taken", line)
		}
	}
}

func TestAppendUint(t *testing.T) {
	check := func(v uint64) {
		if got, want := string(AppendUint([]byte("x"), v)), "x"+strconv.FormatUint(v, 10); got != want {
			t.Errorf("%d is written as %q", v, got)
		}
	}
	for v := range uint64(10_001) {
		check(v)
	}
	for v := uint64(1); v != 0; v <<= 1 {
		check(v - 1)
		check(v)
		check(^v)
	}
}

func TestParseInt(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "-1": -1, "+30": 30, " 5": 5, "5 ": 5, "9223372036854775807": math.MaxInt64, "-9223372036854775807": -math.MaxInt64,
	} {
		if got, ok := ParseInt([]byte(in)); !ok || got != want {
			t.Errorf("ParseInt(%q) = %d, %v, want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{"", " ", "x", "5x", "--5", "9223372036854775808", "1e3"} {
		if got, ok := ParseInt([]byte(in)); ok {
			t.Errorf("ParseInt(%q) = %d", in, got)
		}
	}
}

func TestArgs(t *testing.T) {
	for in, want := range map[string]uint64{"0": 0, "007": 7, "18446744073709551615": math.MaxUint64, "0000000000000000000042": 42} {
		if got, ok := ArgUint([]byte(in)); !ok || got != want {
			t.Errorf("ArgUint(%q) = %d, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "+1", "-0", "-1", " 1", "1 ", "1\r", "1x", "\t4", "18446744073709551616", "00000000000000000000042", "99999999999999999999999"} {
		if got, ok := ArgUint([]byte(in)); ok {
			t.Errorf("ArgUint(%q) = %d", in, got)
		}
	}
	if got, ok := ArgUint32([]byte("04294967295")); !ok || got != math.MaxUint32 {
		t.Errorf("ArgUint32 of the largest = %d, %v", got, ok)
	}
	for _, in := range []string{"4294967296", "004294967295", "x"} {
		if got, ok := ArgUint32([]byte(in)); ok {
			t.Errorf("ArgUint32(%q) = %d", in, got)
		}
	}
	for in, want := range map[string]int64{"0": 0, "-1": -1, "-": 0, "2147483647": math.MaxInt32, "-2147483648": math.MinInt32, "2147483648": 1 << 31, "99999999999": 99999999999} {
		if got, ok := ArgInt([]byte(in)); !ok || got != want {
			t.Errorf("ArgInt(%q) = %d, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "+1", " 1", "1 ", "--1", "1-", "-2147483649", "100000000000"} {
		if got, ok := ArgInt([]byte(in)); ok {
			t.Errorf("ArgInt(%q) = %d", in, got)
		}
	}
}

func TestParseLength(t *testing.T) {
	for in, want := range map[string]int{"0": 0, "10": 10, "2147483645": MaxLength, "-0": 0, "-": 0, "00000000007": 7} {
		if got, ok := ParseLength([]byte(in)); !ok || got != want {
			t.Errorf("ParseLength(%q) = %d, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "-1", "+1", "x", "1x", " 1", "1 ", "1\r", "000000000007", "2147483646", "2147483647", "4294967295", "4294967296", "99999999999"} {
		if got, ok := ParseLength([]byte(in)); ok {
			t.Errorf("ParseLength(%q) = %d", in, got)
		}
	}
}

func TestTokens(t *testing.T) {
	got, more := Split(nil, []byte("  a  bb c\td  "), 8)
	if more || len(got) != 3 || string(bytes.Join(got, []byte("|"))) != "a|bb|c\td" {
		t.Errorf("Split = %q, %v", got, more)
	}
	if got, more = Split(nil, []byte("a b c"), 2); !more || len(got) != 2 {
		t.Errorf("Split with a limit = %q, %v", got, more)
	}
	for in, want := range map[string]string{"": "", "a": "a", "a b": "b", "a b  ": "b", "   ": ""} {
		if got := Last([]byte(in)); string(got) != want {
			t.Errorf("Last(%q) = %q", in, got)
		}
	}
	for in, want := range map[string]bool{
		"get a": true, "gets a": true, "get": false, "gat 1 a": false, "set a": false, "": false,
		strings.Repeat(" ", 100) + "get a": true, strings.Repeat(" ", 101) + "get a": false,
	} {
		if got := IsRetrieval([]byte(in)); got != want {
			t.Errorf("IsRetrieval(%q) = %v", in, got)
		}
	}
	if got := AppendKey(nil, []byte("aZ0-._~#%\x00\xff")); string(got) != "aZ0-._~%23%25%00%FF" {
		t.Errorf("AppendKey = %s", got)
	}
}

func TestKeyCoding(t *testing.T) {
	for _, key := range []string{"a", "\x00\xff", strings.Repeat("k", 186)} {
		enc := EncodeKey(nil, []byte(key))
		if got, exact, ok := DecodeKey(nil, enc); !ok || !exact || string(got) != key {
			t.Errorf("%q comes back as %q, %v", key, got, ok)
		}
	}
	for _, bad := range []string{"", "a", "!!!!", "YQ=", "YQ=!=!!!=", "Y===", strings.Repeat("YWFh", 63)} {
		if got, _, ok := DecodeKey(nil, []byte(bad)); ok {
			t.Errorf("DecodeKey(%q) = %q", bad, got)
		}
	}
	for loose, want := range map[string]string{"Zm9v!": "foo", "-Z_m9v": "foo", "YQ==YQ==": "a", "YR==": "a", "YWI=YWJj": "ab"} {
		if got, exact, ok := DecodeKey(nil, []byte(loose)); !ok || exact || string(got) != want {
			t.Errorf("DecodeKey(%q) = %q, %v, %v, want %q", loose, got, exact, ok, want)
		}
	}
}

func TestBinaryHeader(t *testing.T) {
	h := Header{Op: OpGetK, Opaque: 0x01020304}
	b := AppendResponse([]byte("x"), &h, StatusNotFound, 4, 0x0102, 0x01020304, 0x1122334455667788)
	want := "x\x81\x0c\x01\x02\x04\x00\x00\x01\x01\x02\x03\x04\x01\x02\x03\x04\x11\x22\x33\x44\x55\x66\x77\x88"
	if string(b) != want {
		t.Errorf("response %q", b)
	}
	got := ParseHeader(b[1:])
	if got.Op != OpGetK || got.KeyLen != 0x0102 || got.ExtLen != 4 || got.BodyLen != 0x01020304 || got.Opaque != h.Opaque || got.CAS != 0x1122334455667788 {
		t.Errorf("parsed %+v", got)
	}
	if OpGATQ != 0x1e || OpSASLList != 0x20 || OpSASLStep != 0x22 || OpVerbosity != 0x1b || OpPrependQ != 0x1a {
		t.Error("opcodes are not those of the protocol")
	}
	for op := range Opcode(0x30) {
		loud, quiet := op.Loud()
		if _, again := loud.Loud(); again || !quiet && loud != op {
			t.Errorf("Loud(%#x) = %#x, %v", op, loud, quiet)
		}
	}
}

func FuzzMeta(f *testing.F) {
	for _, seed := range []string{"v t f", "T30 N0 R5 k O123 b", "MSET F5 C1 E2 I", "J1 D2 M- q", "v v", "T", "\x80", "", "O" + strings.Repeat("x", 40), strings.Repeat("k ", 30)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var m Meta
		problem := m.Parse([]byte("Zm9v"), in, 2)
		if m.N > MaxMetaTokens {
			t.Fatalf("%d flags", m.N)
		}
		if problem != "" {
			if !strings.HasPrefix(problem, "CLIENT_ERROR ") {
				t.Fatalf("problem %q", problem)
			}
			return
		}
		for _, tok := range m.Flags[:m.N] {
			if len(tok) == 0 || bytes.IndexByte(tok, ' ') >= 0 || !m.Has(tok[0]) {
				t.Fatalf("flag %q of %q", tok, in)
			}
		}
		// What was parsed reads the same when written out again.
		var again Meta
		if p := again.Parse([]byte("Zm9v"), bytes.Join(m.Flags[:m.N], []byte("  ")), 2); p != "" || again.N != m.N || again.TTL != m.TTL || again.Compare != m.Compare {
			t.Fatalf("again: %q", p)
		}
	})
}

func FuzzNumbers(f *testing.F) {
	for _, seed := range []string{"0", "18446744073709551615", "-1", " 5 ", "+", "2147483645", "abc"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if v, err := strconv.ParseUint(string(in), 10, 64); err == nil {
			if got, ok := ParseUint(in); !ok || got != v {
				t.Fatalf("ParseUint(%q) = %d, %v", in, got, ok)
			}
		}
		if v, ok := ArgUint(in); ok {
			if got, ok := ParseUint(in); !ok || got != v {
				t.Fatalf("ArgUint(%q) = %d, ParseUint %d, %v", in, v, got, ok)
			}
		}
		if v, ok := ArgInt(in); ok && string(in) != "-" {
			if got, ok := ParseInt(in); !ok || got != v {
				t.Fatalf("ArgInt(%q) = %d, ParseInt %d, %v", in, v, got, ok)
			}
		}
		u, ok := ParseUint(in)
		i, ok2 := ParseInt(in)
		if ok && ok2 && u <= math.MaxInt64 && uint64(i) != u {
			t.Fatalf("%q is %d and %d", in, u, i)
		}
		if n, ok := ParseLength(in); ok && (n < 0 || n > MaxLength) {
			t.Fatalf("length %d", n)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(make([]byte, HeaderLen))
	f.Add([]byte("\x80\x01\x00\x05\x08\x00\x00\x00\x00\x00\x00\x12\xde\xad\xbe\xef\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < HeaderLen {
			return
		}
		h := ParseHeader(in)
		if h.BodyLen < 0 || h.BodyLen > math.MaxUint32 || h.KeyLen > math.MaxUint16 || h.ExtLen > math.MaxUint8 {
			t.Fatalf("%+v", h)
		}
		out := AppendResponse(nil, &h, Status(h.VBucket), h.ExtLen, h.KeyLen, int(h.BodyLen), h.CAS)
		if !bytes.Equal(out[1:5], in[1:5]) || binary.BigEndian.Uint64(out[16:]) != h.CAS {
			t.Fatalf("%x became %x", in[:HeaderLen], out)
		}
	})
}
