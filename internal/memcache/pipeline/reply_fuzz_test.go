package pipeline

import (
	"bytes"
	"strconv"
	"testing"
)

// FuzzReplies reads what a server might send to every kind of request: it
// never panics, and every value it hands out is followed by its line ending.
func FuzzReplies(f *testing.F) {
	for _, seed := range []string{
		"VA 5 f1 c2 O0\r\nhello\r\n", "EN O0\r\n", "HD O0\r\n", "NS O0\r\n", "EX O0\r\nNF O1\r\nHD O2\r\n",
		"VA 0 f0 c1 t30 O0 W\r\n\r\n", "VA 1 O0\r\na\r\nVA 1 O2\r\nb\r\nMN\r\n", "MN\r\n",
		"VALUE k0 1 5 9\r\nhello\r\nEND\r\n", "END\r\n", "STORED\r\n", "NOT_FOUND\r\n", "12 \r\n", "18446744073709551616\r\n",
		"SERVER_ERROR object too large for cache\r\n", "CLIENT_ERROR bad\r\n", "ERROR\r\n", "STAT a b\r\nSTAT c\r\nEND\r\n",
		"VA 2147483647 O0\r\nx", "VA -1 O0\r\n", "VALUE k0 1 99999999999 9\r\n", "\r\n", "\n", " ", "VA 3 O0\r\nabcd\r\n",
	} {
		for o := OpGet; o <= lastOp; o++ {
			f.Add(byte(o), o%2 == 0, []byte(seed))
			f.Add(byte(o), o%2 == 1, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, o byte, meta bool, in []byte) {
		cl := &Call{Op: Op(o) % (lastOp + 1), Key: "k0", Mode: ModeCAS}
		switch cl.Op {
		case OpGetMulti, OpStoreMulti, OpDeleteMulti:
			for i := range 3 {
				cl.Keys = append(cl.Keys, "k"+strconv.Itoa(i))
			}
			cl.Items, cl.Errs = make([]*Item, 3), make([]error, 3)
		}
		_, broken := read(in, cl, meta)
		for _, it := range append(cl.Items, cl.Item) {
			if it == nil || broken != nil {
				continue
			}
			if !bytes.Contains(in, append(bytes.Clone(it.Value), "\r\n"...)) {
				t.Errorf("%q is not a value of %q", it.Value, in)
			}
		}
	})
}
