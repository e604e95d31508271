package memcached

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"lintel.dev/internal/memcached/mcproto"
)

// request is a binary request with the opaque 0xfeedf00d.
func binReq(op mcproto.Opcode, cas uint64, extras, key, value string) string {
	b := []byte{mcproto.MagicRequest, byte(op), byte(len(key) >> 8), byte(len(key)), byte(len(extras)), 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, uint32(len(extras)+len(key)+len(value)))
	b = binary.BigEndian.AppendUint32(b, 0xfeedf00d)
	b = binary.BigEndian.AppendUint64(b, cas)
	return string(b) + extras + key + value
}

func be32(v ...uint32) string {
	var b []byte
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return string(b)
}

func be64(v ...uint64) string {
	var b []byte
	for _, x := range v {
		b = binary.BigEndian.AppendUint64(b, x)
	}
	return string(b)
}

// binRes is a parsed response.
type binRes struct {
	op     mcproto.Opcode
	status mcproto.Status
	cas    uint64
	extras string
	key    string
	value  string
}

func (r binRes) String() string {
	return fmt.Sprintf("op=%#02x status=%#02x extras=%q key=%q value=%q", byte(r.op), uint16(r.status), r.extras, r.key, r.value)
}

// ask sends requests and returns all responses.
func (c *client) ask(requests ...string) (all []binRes) {
	c.t.Helper()
	out := c.send(strings.Join(requests, ""))
	for out != "" {
		if len(out) < mcproto.HeaderLen || out[0] != mcproto.MagicResponse {
			c.t.Fatalf("no response: %q", clip(out))
		}
		h := mcproto.ParseHeader([]byte(out))
		if h.Opaque != 0xfeedf00d {
			c.t.Errorf("opaque %#x", h.Opaque)
		}
		body := out[mcproto.HeaderLen:][:h.BodyLen]
		all = append(all, binRes{
			op: h.Op, status: mcproto.Status(h.VBucket), cas: h.CAS,
			extras: body[:h.ExtLen], key: body[h.ExtLen:][:h.KeyLen], value: body[h.ExtLen+h.KeyLen:],
		})
		out = out[mcproto.HeaderLen+int(h.BodyLen):]
	}
	return all
}

func (c *client) wantBin(request string, want ...binRes) []binRes {
	c.t.Helper()
	got := c.ask(request)
	if len(got) != len(want) {
		c.t.Fatalf("got %d responses %v, want %v", len(got), got, want)
	}
	for i := range got {
		if got[i].String() != want[i].String() {
			c.t.Errorf("got %v\nwant %v", got[i], want[i])
		}
	}
	return got
}

func TestBinaryStorage(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	c := dial(t, s)
	ok := func(op mcproto.Opcode) binRes { return binRes{op: op} }
	fail := func(op mcproto.Opcode, st mcproto.Status) binRes { return binRes{op: op, status: st, value: st.Text()} }

	c.wantBin(binReq(mcproto.OpGet, 0, "", "a", ""), fail(mcproto.OpGet, mcproto.StatusNotFound))
	c.wantBin(binReq(mcproto.OpGetK, 0, "", "a", ""), binRes{op: mcproto.OpGetK, status: mcproto.StatusNotFound, key: "a"})
	set := c.wantBin(binReq(mcproto.OpSet, 0, be32(0xdeadbeef, 100), "a", "value"), ok(mcproto.OpSet))[0]
	if set.cas == 0 {
		t.Error("set returned no unique")
	}
	get := c.wantBin(binReq(mcproto.OpGet, 0, "", "a", ""), binRes{op: mcproto.OpGet, extras: be32(0xdeadbeef), value: "value"})[0]
	if get.cas != set.cas {
		t.Errorf("unique %d of the get, %d of the set", get.cas, set.cas)
	}
	c.wantBin(binReq(mcproto.OpGetK, 0, "", "a", ""), binRes{op: mcproto.OpGetK, extras: be32(0xdeadbeef), key: "a", value: "value"})
	c.wantBin(binReq(mcproto.OpAdd, 0, be32(0, 0), "a", "x"), fail(mcproto.OpAdd, mcproto.StatusExists))
	c.wantBin(binReq(mcproto.OpReplace, 0, be32(0, 0), "b", "x"), fail(mcproto.OpReplace, mcproto.StatusNotFound))
	c.wantBin(binReq(mcproto.OpAdd, 0, be32(1, 0), "b", "x"), ok(mcproto.OpAdd))
	c.wantBin(binReq(mcproto.OpReplace, 0, be32(1, 0), "b", "y"), ok(mcproto.OpReplace))
	c.wantBin(binReq(mcproto.OpAppend, 0, "", "b", "+"), ok(mcproto.OpAppend))
	c.wantBin(binReq(mcproto.OpPrepend, 0, "", "b", "-"), ok(mcproto.OpPrepend))
	c.wantBin(binReq(mcproto.OpAppend, 0, "", "none", "+"), fail(mcproto.OpAppend, mcproto.StatusNotStored))
	c.wantBin(binReq(mcproto.OpGet, 0, "", "b", ""), binRes{op: mcproto.OpGet, extras: be32(1), value: "-y+"})
	// With a CAS value set, add and replace all compare it.
	c.wantBin(binReq(mcproto.OpSet, set.cas+99, be32(0, 0), "a", "x"), fail(mcproto.OpSet, mcproto.StatusExists))
	c.wantBin(binReq(mcproto.OpSet, 1, be32(0, 0), "none", "x"), fail(mcproto.OpSet, mcproto.StatusNotFound))
	c.wantBin(binReq(mcproto.OpSet, set.cas, be32(0, 0), "a", "x"), ok(mcproto.OpSet))
	c.wantBin(binReq(mcproto.OpDelete, 1<<60, "", "a", ""), fail(mcproto.OpDelete, mcproto.StatusExists))
	c.wantBin(binReq(mcproto.OpDelete, 0, "", "a", ""), ok(mcproto.OpDelete))
	c.wantBin(binReq(mcproto.OpDelete, 0, "", "a", ""), fail(mcproto.OpDelete, mcproto.StatusNotFound))
	// Quiet forms only suppress the ordinary response.
	c.wantBin(binReq(mcproto.OpGetQ, 0, "", "a", "")+binReq(mcproto.OpGetKQ, 0, "", "a", "")+
		binReq(mcproto.OpSetQ, 0, be32(0, 0), "a", "q")+binReq(mcproto.OpAddQ, 0, be32(0, 0), "a", "q")+
		binReq(mcproto.OpGetKQ, 0, "", "a", "")+binReq(mcproto.OpDeleteQ, 0, "", "a", "")+binReq(mcproto.OpDeleteQ, 0, "", "a", "")+
		binReq(mcproto.OpNoop, 0, "", "", ""),
		fail(mcproto.OpAddQ, mcproto.StatusExists), binRes{op: mcproto.OpGetKQ, extras: be32(0), key: "a", value: "q"},
		fail(mcproto.OpDeleteQ, mcproto.StatusNotFound), ok(mcproto.OpNoop))
	big := strings.Repeat("x", 2<<20)
	c.wantBin(binReq(mcproto.OpSet, 0, be32(0, 0), "b", big)+binReq(mcproto.OpNoop, 0, "", "", ""),
		fail(mcproto.OpSet, mcproto.StatusTooLarge), ok(mcproto.OpNoop))
	c.wantBin(binReq(mcproto.OpGet, 0, "", "b", ""), fail(mcproto.OpGet, mcproto.StatusNotFound))
}

func TestBinaryOthers(t *testing.T) {
	s := startServer(t, Options{})
	s.engine.Clock.Pause()
	c := dial(t, s)
	ok := func(op mcproto.Opcode, value string) binRes { return binRes{op: op, value: value} }
	fail := func(op mcproto.Opcode, st mcproto.Status) binRes { return binRes{op: op, status: st, value: st.Text()} }
	arith := func(op mcproto.Opcode, delta, initial uint64, exp uint32) string {
		return binReq(op, 0, be64(delta, initial)+be32(exp), "n", "")
	}
	c.wantBin(arith(mcproto.OpIncr, 1, 7, 0xffffffff), fail(mcproto.OpIncr, mcproto.StatusNotFound))
	c.wantBin(arith(mcproto.OpIncr, 1, 7, 0), ok(mcproto.OpIncr, be64(7)))
	c.wantBin(arith(mcproto.OpIncr, 5, 7, 0), ok(mcproto.OpIncr, be64(12)))
	c.wantBin(arith(mcproto.OpDecr, 20, 7, 0), ok(mcproto.OpDecr, be64(0)))
	c.wantBin(arith(mcproto.OpIncrQ, 3, 0, 0)+arith(mcproto.OpDecrQ, 1, 0, 0)+arith(mcproto.OpIncr, 0, 0, 0), ok(mcproto.OpIncr, be64(2)))
	c.wantBin(binReq(mcproto.OpSet, 0, be32(0, 0), "n", "x")+arith(mcproto.OpIncr, 1, 0, 0),
		ok(mcproto.OpSet, ""), fail(mcproto.OpIncr, mcproto.StatusNonNumeric))

	c.wantBin(binReq(mcproto.OpTouch, 0, be32(10), "n", ""), binRes{op: mcproto.OpTouch, extras: be32(0)})
	c.wantBin(binReq(mcproto.OpGAT, 0, be32(20), "n", ""), binRes{op: mcproto.OpGAT, extras: be32(0), value: "x"})
	c.wantBin(binReq(mcproto.OpGATK, 0, be32(30), "n", ""), binRes{op: mcproto.OpGATK, extras: be32(0), key: "n", value: "x"})
	c.wantBin(binReq(mcproto.OpGATQ, 0, be32(30), "none", "")+binReq(mcproto.OpTouch, 0, be32(10), "none", ""), fail(mcproto.OpTouch, mcproto.StatusNotFound))
	dial(t, s).want("mg n t\r\n", "HD t30\r\n")

	c.wantBin(binReq(mcproto.OpVersion, 0, "", "", ""), ok(mcproto.OpVersion, DefaultVersion))
	c.wantBin(binReq(mcproto.OpFlush, 0, be32(100), "", "")+binReq(mcproto.OpGetQ, 0, "", "n", ""), ok(mcproto.OpFlush, ""), binRes{op: mcproto.OpGetQ, extras: be32(0), value: "x"})
	c.wantBin(binReq(mcproto.OpFlushQ, 0, "", "", "")+binReq(mcproto.OpGet, 0, "", "n", ""), fail(mcproto.OpGet, mcproto.StatusNotFound))

	names := map[string]string{}
	stats := c.ask(binReq(mcproto.OpStat, 0, "", "", ""))
	for _, r := range stats {
		names[r.key] = r.value
	}
	if last := stats[len(stats)-1]; last.key != "" || last.value != "" {
		t.Errorf("stat does not end in an empty response: %v", last)
	}
	if names["cmd_flush"] != "2" || names["version"] != DefaultVersion {
		t.Errorf("stat: cmd_flush %q, version %q", names["cmd_flush"], names["version"])
	}
	c.wantBin(binReq(mcproto.OpStat, 0, "", "nosuch", ""), fail(mcproto.OpStat, mcproto.StatusNotFound))
	c.wantBin(binReq(mcproto.OpStat, 0, "", "reset", ""), ok(mcproto.OpStat, ""))
	c.wantBin(binReq(mcproto.OpStat, 0, "", "sizes", ""), binRes{op: mcproto.OpStat, key: "sizes_status", value: "disabled"}, ok(mcproto.OpStat, ""))
	c.wantBin(binReq(mcproto.OpStat, 0, "", "detail dump", ""), binRes{op: mcproto.OpStat, key: "detailed", value: "END\r\n"}, ok(mcproto.OpStat, ""))
	tracked := dial(t, startServer(t, Options{TrackSizes: true}))
	tracked.wantBin(binReq(mcproto.OpSet, 0, be32(0)+be32(0), "a", "x")+binReq(mcproto.OpStat, 0, "", "sizes", "")+binReq(mcproto.OpNoop, 0, "", "", ""),
		ok(mcproto.OpSet, ""), binRes{op: mcproto.OpStat, key: "64", value: "1"}, ok(mcproto.OpStat, ""), ok(mcproto.OpNoop, ""))
	c.wantBin(binReq(0xfe, 0, "", "", "abc")+binReq(mcproto.OpNoop, 0, "", "", ""), fail(0xfe, mcproto.StatusUnknownCommand), ok(mcproto.OpNoop, ""))
	c.wantBin(binReq(mcproto.OpQuit, 0, "", "", ""), ok(mcproto.OpQuit, ""))
	if !c.closed {
		t.Error("quit leaves the connection open")
	}
	q := dial(t, s)
	if got := q.send(binReq(mcproto.OpQuitQ, 0, "", "", "")); got != "" || !q.closed {
		t.Errorf("quitq: closed = %v, %q", q.closed, got)
	}
	dial(t, startServer(t, Options{DisableFlush: true})).wantBin(binReq(mcproto.OpFlush, 0, "", "", ""), fail(mcproto.OpFlush, mcproto.StatusAuthError))
}

// TestBinaryNonsense sends headers that contradict themselves.
func TestBinaryNonsense(t *testing.T) {
	header := func(op byte, key uint16, ext byte, body uint32) string {
		b := make([]byte, mcproto.HeaderLen)
		b[0], b[1], b[4] = mcproto.MagicRequest, op, ext
		binary.BigEndian.PutUint16(b[2:], key)
		binary.BigEndian.PutUint32(b[8:], body)
		return string(b)
	}
	for name, in := range map[string]string{
		"negative body":     header(0x12, 1, 8, 0xffffffe8) + strings.Repeat("\xff", 40),
		"body of 2^31":      header(0x01, 1, 8, 1<<31) + strings.Repeat("x", 40),
		"extras of 48":      header(0x01, 1, 0x30, 0x31) + strings.Repeat("x", 100),
		"key beyond body":   header(0x0e, 4, 0, 2) + "abcd",
		"extras beyond":     header(0x01, 2, 8, 9) + strings.Repeat("x", 20),
		"append underflow":  header(0x0e, 250, 0, 0) + strings.Repeat("x", 250),
		"auth underflow":    header(0x21, 5, 0, 4) + "PLAIN",
		"key of 65535":      header(0x00, 65535, 0, 65535) + strings.Repeat("k", 300),
		"get with a value":  header(0x00, 1, 0, 5) + "abcde",
		"get without a key": header(0x00, 0, 0, 0),
		"getq without key":  header(0x09, 0, 0, 0),
		"set without a key": header(0x01, 0, 8, 8) + be32(0, 0),
		"incr with a value": header(0x05, 1, 20, 22) + strings.Repeat("x", 22),
		"noop with a body":  header(0x0a, 0, 0, 1) + "x",
		"stat with extras":  header(0x10, 0, 4, 4) + "xxxx",
		"wrong magic later": header(0x0a, 0, 0, 0) + "\x81" + strings.Repeat("\x00", 23),
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, Options{})
			c := dial(t, s)
			out := c.send(in + "set injected 0 0 1\r\nx\r\n")
			if !c.closed {
				t.Errorf("still open after %q", clip(out))
			}
			dial(t, s).want("get injected\r\n", "END\r\n")
		})
	}
}

func TestProtocolChoice(t *testing.T) {
	noop := binReq(mcproto.OpNoop, 0, "", "", "")
	// With text only, the magic byte has no meaning.
	a := dial(t, startServer(t, Options{Protocol: ASCII}))
	a.want("\x80\x0b\x00\x00\r\n", "ERROR\r\n")
	b := dial(t, startServer(t, Options{Protocol: Binary}))
	if got := b.send("version\r\n" + strings.Repeat("x", 24)); got != "" || !b.closed {
		t.Errorf("text to a binary server: closed = %v, %q", b.closed, got)
	}
	auto := startServer(t, Options{})
	dial(t, auto).wantBin(noop, binRes{op: mcproto.OpNoop})
	dial(t, auto).want("mn\r\n", "MN\r\n")
}
