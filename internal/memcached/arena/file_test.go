//go:build unix

package arena

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mapFile opens and maps a file, which is fresh if it did not exist.
func mapFile(path string, size int64) (*File, error) {
	_, err := os.Stat(path)
	f, ferr := OpenFile(path)
	if ferr != nil {
		return nil, ferr
	}
	if merr := f.Map(size, err != nil); merr != nil {
		return nil, errors.Join(merr, f.Close())
	}
	return f, nil
}

func TestFile(t *testing.T) {
	const size = 4 << 20
	path := filepath.Join(t.TempDir(), "arena")
	f, err := mapFile(path, size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mapFile(path, size); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("mapped twice: %v", err)
	}
	copy(f.Bytes(Page, 5), "hello")
	copy(f.Bytes(2*Page, 5), "world")
	f.Punch(2*Page, Page)
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	got := make([]byte, 5)
	if _, err := f.ReadAt(got, Page); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if f, err = mapFile(path, size); err != nil || string(f.Bytes(Page, 5)) != "hello" {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := mapFile(path, size*2); err == nil || !strings.Contains(err.Error(), "bytes long") {
		t.Errorf("mapped with another size: %v", err)
	}
	if f, err = OpenFile(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Map(size*2, true); err != nil || f.Byte(Page) != 0 {
		t.Errorf("mapped afresh: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// What is not a regular file is refused at once.
func TestOpenFileRefuses(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		dir:                          "is a directory, want a regular file",
		fifo:                         "is a named pipe, want a regular file",
		"/dev/null":                  "is a device, want a regular file",
		filepath.Join(dir, "no/dir"): "no such file or directory",
	} {
		if _, err := OpenFile(path); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", path, err, says)
		}
	}
}

// What was in use is found again in a file.
func TestRestore(t *testing.T) {
	const seg, limit = 16 << 10, 1 << 20
	size := PoolSize(16<<20, seg)
	path := filepath.Join(t.TempDir(), "arena")
	open := func() (*Pool, *HighMark) {
		f, err := mapFile(path, size)
		if err != nil {
			t.Fatal(err)
		}
		p := new(Pool)
		if err := p.Open(f, size, seg, limit); err != nil {
			t.Fatal(err)
		}
		p.Skip(seg, p.Extents)
		return p, At[HighMark](&p.Memory, 0)
	}
	p, high := open()
	p.Track(high)
	var segments []Loc
	for range 5 {
		segments = append(segments, p.TakeSegment(false))
		*At[uint32](&p.Memory, segments[len(segments)-1]) = 1 // not a hole
	}
	first, second := p.TakeExtent(3*Quantum, false), p.TakeExtent(20*Quantum, false)
	if *high != (HighMark{Segments: 6, Extents: 23 * Quantum}) || segments[0] != seg {
		t.Errorf("%+v, first segment %x", *high, segments[0])
	}
	p.GiveExtent(first, 3*Quantum)
	used := p.Used() - 2*seg
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}

	p, high = open()
	found := p.RestoreSegments(high.Segments, func(l Loc) bool { return l != segments[1] && l != segments[3] })
	if len(found) != 3 || found[0] != segments[0] || found[2] != segments[4] {
		t.Errorf("found %x of %x", found, segments)
	}
	p.RestoreExtent(second, 20*Quantum)
	p.Track(high)
	if p.Used() != used {
		t.Errorf("%d bytes in use, want %d", p.Used(), used)
	}
	if base := p.TakeSegment(false); base != segments[1] && base != segments[3] {
		t.Errorf("took %x first", base)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// A block of the file of TestBarrier: valid says which of two copies counts.
type block struct {
	valid  uint32
	copies [2][30]uint64
}

const blocks = 64

// TestBarrierChild is the process that TestBarrier kills.
func TestBarrierChild(t *testing.T) {
	path := os.Getenv("ARENA_KILLED")
	if path == "" {
		t.Skip("only runs as a child of TestBarrier")
	}
	f, err := mapFile(path, blocks*512)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); ; n++ {
		b := At[block](&f.Memory, Loc(n%blocks*512))
		other := 1 - b.valid
		for i := range b.copies[other] {
			b.copies[other][i] = n
		}
		Barrier()
		b.valid = other
		Barrier()
		if n%1024 == 0 {
			if _, err := os.Stdout.Write(binary.LittleEndian.AppendUint64(nil, n)); err != nil {
				return
			}
		}
	}
}

// A process that is killed leaves its writes in the order that Barrier gives
// them: the copy that counts is whole and not older than what it reported.
func TestBarrier(t *testing.T) {
	for run := range 8 {
		path := filepath.Join(t.TempDir(), "arena")
		cmd := exec.Command(os.Args[0], "-test.run=^TestBarrierChild$")
		cmd.Env = append(os.Environ(), "ARENA_KILLED="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(out)
		var acked uint64
		buf := make([]byte, 8)
		for acked < uint64(20_000+run*3331) {
			if _, err := io.ReadFull(in, buf); err != nil {
				t.Fatalf("the child ended by itself after %d: %v", acked, err)
			}
			acked = binary.LittleEndian.Uint64(buf)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := io.ReadFull(in, buf); err != nil {
				break
			}
			acked = binary.LittleEndian.Uint64(buf)
		}
		_ = cmd.Wait() // it was killed
		f, err := mapFile(path, blocks*512)
		if err != nil {
			t.Fatal(err)
		}
		for k := range uint64(blocks) {
			b := At[block](&f.Memory, Loc(k*512))
			values := b.copies[b.valid]
			for _, v := range values {
				if v != values[0] || v+blocks <= acked || v%blocks != k {
					t.Fatalf("block %d holds %d and %d, %d was reported", k, values[0], v, acked)
				}
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A file system without space is found before a page of the file is used. Then
// what is in use is the limit, until Regrow.
func TestFileSystemFull(t *testing.T) {
	const seg, limit = 16 << 10, 1 << 20
	size := PoolSize(16<<20, seg)
	f, err := mapFile(filepath.Join(t.TempDir(), "arena"), size)
	if err != nil {
		t.Fatal(err)
	}
	var p Pool
	if err := p.Open(f, size, seg, limit); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	held := p.TakeSegment(false)
	extent := p.TakeExtent(8*Quantum, false)
	p.GiveSegment(p.TakeSegment(false))
	f.refuse = unix.ENOSPC
	if p.TakeSegment(false) != 0 || p.TakeSegment(true) != 0 || p.TakeExtent(Quantum, true) != 0 && p.TakeExtent(8*Quantum, true) != 0 {
		t.Error("memory of a full file system")
	}
	if p.Limit() != p.Used() || p.Used() != seg+Page || p.Full() == 0 || p.Fits(1) {
		t.Errorf("limit %d, %d used, found full %d times", p.Limit(), p.Used(), p.Full())
	}
	if _, err := p.Audit(); err != nil {
		t.Error(err)
	}
	f.refuse = nil
	p.GiveSegment(held)
	if p.TakeSegment(false) == 0 || p.TakeSegment(false) != 0 {
		t.Error("not as much as was freed")
	}
	p.Regrow()
	if p.Limit() != limit || p.TakeSegment(false) == 0 {
		t.Error("the limit stays lowered")
	}
	p.GiveExtent(extent, 8*Quantum)
}
