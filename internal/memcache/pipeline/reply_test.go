package pipeline

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parse reads the reply to cl with p.
func parse(p *parser, cl *Call, meta bool) (answer, broken error) {
	if meta {
		return p.readMeta(cl)
	}
	return p.readClassic(cl)
}

// read reads the reply to cl from in.
func read(in []byte, cl *Call, meta bool) (answer, broken error) {
	p := newParser(bufio.NewReaderSize(bytes.NewReader(in), 64), 1<<20, func() {})
	return parse(&p, cl, meta)
}

// interrupted yields a byte and a deadline by turns.
type interrupted struct {
	r    io.Reader
	fire bool
}

func (i *interrupted) Read(b []byte) (int, error) {
	if i.fire = !i.fire; i.fire {
		return 0, os.ErrDeadlineExceeded
	}
	return i.r.Read(b)
}

// TestInterrupted: a reply that is interrupted at every byte is read as one that is not,
// and nothing behind it is read.
func TestInterrupted(t *testing.T) {
	three := []string{"a", "b", "c"}
	for _, c := range []struct {
		cl    *Call
		meta  bool
		reply string
	}{
		{&Call{Op: OpGet}, true, "EN O0\r\n"},
		{&Call{Op: OpGet}, true, "VA 0 f0 c1 O0\r\n\r\n"},
		{&Call{Op: OpGet}, true, "VA 4 f7 c1 O0\r\nabcd\r\n"},
		{&Call{Op: OpGetInto}, true, "VA 7 f3 c1 O0\r\nab\r\ncd\n\r\n"},
		{&Call{Op: OpLease}, true, "VA 1 f3 c1 t9 O0 W X\r\nx\r\n"},
		{&Call{Op: OpStore}, true, "HD O0\r\n"},
		{&Call{Op: OpArith}, true, "VA 2 O0\r\n12\r\n"},
		{&Call{Op: OpGetMulti, Keys: three}, true, "VA 3 f0 c1 O0\r\nMN\r\r\nVA 1 f0 c1 O2\r\nx\r\nMN\r\n"},
		{&Call{Op: OpGetMulti, Keys: three}, true, "SERVER_ERROR out of memory\r\nVA 1 f0 c1 O2\r\nx\r\nMN\r\n"},
		{&Call{Op: OpGetMulti, Keys: three}, true, "MN\r\n"},
		{&Call{Op: OpStoreMulti, Keys: three}, true, "HD O0\r\nNS O1\r\nHD O2\r\n"},
		{&Call{Op: OpCommand, Expect: "VERSION "}, true, "VERSION 1\r\n"},
		{&Call{Op: OpStats}, true, "STAT a b\r\nSTAT c\r\nEND\r\n"},
		{&Call{Op: OpGet}, false, "END\r\n"},
		{&Call{Op: OpGet, Key: "k"}, false, "VALUE k 0 5 1\r\nEND\r\n\r\nEND\r\n"},
		{&Call{Op: OpGetMulti, Keys: three}, false, "VALUE a 0 1 1\r\nx\r\nVALUE c 0 0 1\r\n\r\nEND\r\n"},
		{&Call{Op: OpStore}, false, "STORED\r\n"},
		{&Call{Op: OpDeleteMulti, Keys: three}, false, "DELETED\r\nNOT_FOUND\r\nDELETED\r\n"},
	} {
		result := func(r io.Reader) (*Call, error) {
			cl := &Call{Op: c.cl.Op, Key: c.cl.Key, Keys: c.cl.Keys, Expect: c.cl.Expect}
			cl.Items, cl.Errs = make([]*Item, len(cl.Keys)), make([]error, len(cl.Keys))
			const more = "HD O9\r\n"
			p := newParser(bufio.NewReaderSize(io.MultiReader(r, bytes.NewReader([]byte(more))), 64), 1<<20, func() {})
			for {
				answer, broken := parse(&p, cl, c.meta)
				if errors.Is(broken, os.ErrDeadlineExceeded) {
					continue
				}
				if broken != nil {
					t.Fatalf("%q: %v", c.reply, broken)
				}
				line, err := p.line()
				for errors.Is(err, os.ErrDeadlineExceeded) {
					line, err = p.line()
				}
				if err != nil || string(line)+"\r\n" != more {
					t.Errorf("behind %q: %q, %v", c.reply, line, err)
				}
				return cl, answer
			}
		}
		whole, want := result(bytes.NewReader([]byte(c.reply)))
		pieces, got := result(&interrupted{r: iotest.OneByteReader(bytes.NewReader([]byte(c.reply)))})
		if !errors.Is(got, want) && (got == nil || want == nil || got.Error() != want.Error()) {
			t.Errorf("%q: answer %v, want %v", c.reply, got, want)
		}
		if !reflect.DeepEqual(whole, pieces) {
			t.Errorf("%q: %+v, want %+v", c.reply, pieces, whole)
		}
	}
	for _, bad := range []string{"VA 99999999999999999999 O0\r\n", "VA 2147483647 O0\r\n"} {
		if _, broken := read([]byte(bad), &Call{Op: OpGet}, true); !errors.Is(broken, ErrProtocol) {
			t.Errorf("%q: %v", bad, broken)
		}
	}
}
