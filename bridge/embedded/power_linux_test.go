package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"lintel.dev/bridge/embedded"
	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/jetstream"
)

// disk is a file system that forgets: powerCut takes back all writes since the last
// sync of each file. Names are kept at once, as with LazyFS, which Jepsen used
// against JetStream. The files are in a directory that survives the mount.
type disk struct {
	mu    sync.Mutex
	dirty map[*node]bool
	syncs int
}

// mountDisk mounts a disk. It skips the test where that is not possible: without
// root or /dev/fuse.
func mountDisk(t *testing.T, backing string) (*disk, string) {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(backing, &st); err != nil {
		t.Fatal(err)
	}
	d := &disk{dirty: make(map[*node]bool)}
	root := &fs.LoopbackRoot{Path: backing, Dev: st.Dev}
	root.NewNode = func(rd *fs.LoopbackRoot, _ *fs.Inode, _ string, _ *syscall.Stat_t) fs.InodeEmbedder {
		return &node{LoopbackNode: fs.LoopbackNode{RootData: rd}, disk: d}
	}
	root.RootNode = root.NewNode(root, nil, "", &st)
	dir := t.TempDir()
	var none time.Duration
	srv, err := fs.Mount(dir, root.RootNode, &fs.Options{
		EntryTimeout: &none, AttrTimeout: &none, // nothing is cached by the kernel
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "forgetful"},
	})
	if err != nil {
		t.Skipf("this machine mounts no FUSE file system: %v", err)
	}
	t.Cleanup(func() {
		if err := srv.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
		srv.Wait()
		for n := range d.dirty {
			_ = n.file.Close()
		}
	})
	return d, dir
}

// node is a file of a disk.
type node struct {
	fs.LoopbackNode
	disk *disk
	file *os.File // the file in the backing directory; nil: never written
	undo []change // what was written since the last sync
}

// change is what one write or truncation replaced.
type change struct {
	size int64  // of the file
	off  int64  // of old
	old  []byte // the octets that were there
}

// handle is an open file. It keeps the kernel from reading and writing the backing
// file directly.
type handle struct {
	*fs.LoopbackFile
	synced bool // opened with O_SYNC or O_DSYNC
}

func (handle) PassthroughFd() (int, bool) { return -1, false }

// replace notes what is about to be replaced: length octets at off, and all behind
// if cut is set.
func (n *node) replace(off, length int64, cut bool) error {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.file == nil {
		var err error
		if n.file, err = os.OpenFile(filepath.Join(n.RootData.Path, n.Path(n.Root())), os.O_RDWR, 0); err != nil {
			return err
		}
	}
	st, err := n.file.Stat()
	if err != nil {
		return err
	}
	if cut {
		length = st.Size() - off
	}
	c := change{size: st.Size(), off: off}
	if c.old = make([]byte, max(0, min(length, st.Size()-off))); len(c.old) > 0 {
		if _, err := n.file.ReadAt(c.old, off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	n.undo = append(n.undo, c)
	n.disk.dirty[n] = true
	return nil
}

// sync makes the writes of n durable.
func (n *node) sync() {
	n.disk.mu.Lock()
	n.undo = nil
	n.disk.syncs++
	n.disk.mu.Unlock()
}

// powerCut takes back what was not synced, and returns the number of writes.
func (d *disk) powerCut(t *testing.T) (lost, syncs int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := range d.dirty {
		for i := len(n.undo) - 1; i >= 0; i-- {
			c := n.undo[i]
			if err := n.file.Truncate(c.size); err != nil {
				t.Fatal(err)
			}
			if _, err := n.file.WriteAt(c.old, c.off); err != nil {
				t.Fatal(err)
			}
			lost++
		}
		n.undo = nil
	}
	return lost, d.syncs
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	child, fh, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	return child, wrap(fh, flags), fuseFlags, 0
}

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_TRUNC != 0 {
		if err := n.replace(0, 0, true); err != nil {
			return nil, 0, fs.ToErrno(err)
		}
	}
	fh, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return wrap(fh, flags), fuseFlags, 0
}

func wrap(fh fs.FileHandle, flags uint32) handle {
	return handle{fh.(*fs.LoopbackFile), flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0}
}

func (n *node) Write(ctx context.Context, fh fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	h := fh.(handle)
	if err := n.replace(off, int64(len(data)), false); err != nil {
		return 0, fs.ToErrno(err)
	}
	written, errno := h.Write(ctx, data, off)
	if h.synced {
		n.sync()
	}
	return written, errno
}

// Fsync needs no sync of the backing file, whose machine keeps its power.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.sync()
	return 0
}

func (n *node) Setattr(ctx context.Context, fh fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if err := n.replace(int64(size), 0, true); err != nil {
			return fs.ToErrno(err)
		}
	}
	return n.LoopbackNode.Setattr(ctx, fh, in, out)
}

// Allocate and CopyFileRange are refused: programs write instead.
func (n *node) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return syscall.ENOTSUP
}

func (n *node) CopyFileRange(context.Context, fs.FileHandle, uint64, *fs.Inode, fs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.ENOTSUP
}

// TestPowerCut kills the server under load and takes back every write that it had
// not synced. With a sync before each receipt nothing is lost. With a sync every
// hour something must be: otherwise the disk of this test would prove nothing.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	const receipts = 300
	for _, tt := range []struct {
		name string
		sync time.Duration
	}{{"sync always", 0}, {"sync every hour", time.Hour}} {
		t.Run(tt.name, func(t *testing.T) {
			backing := t.TempDir()
			d, dir := mountDisk(t, backing)
			p := run(t, embedded.Config{Dir: dir, Listen: "127.0.0.1:0", SyncEvery: tt.sync})
			e, err := jetstream.Open(within(t), jetstream.Config{URL: p.url})
			if err != nil {
				t.Fatal(err)
			}
			q := openQueue(t, e, "jobs", engine.QueueConfig{MaxOutstanding: 64})
			acknowledged := make(map[string]bool)
			var mu sync.Mutex
			enough := make(chan struct{})
			ctx, cancel := context.WithCancel(within(t))
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 0; ; i++ {
					id := fmt.Sprint(i)
					err := q.Put(ctx, engine.Message{ID: id, Frames: [][]byte{[]byte(id)}}, func(_ engine.Receipt, err error) {
						mu.Lock()
						defer mu.Unlock()
						if err != nil {
							return
						}
						if acknowledged[id] = true; len(acknowledged) == receipts {
							close(enough)
						}
					})
					if err != nil {
						return
					}
				}
			})
			select {
			case <-enough:
			case <-ctx.Done():
				t.Fatalf("there were not %d receipts", receipts)
			}
			p.kill()
			cancel()
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			unsynced, syncs := d.powerCut(t)

			s := start(t, embedded.Config{Dir: backing})
			q = openQueue(t, openEngine(t, s, jetstream.Config{}), "jobs", engine.QueueConfig{})
			for i := info(t, q); i.Waiting+i.Unacked > 0; i = info(t, q) {
				j := get(t, q)
				delete(acknowledged, j.Message().ID)
				if err := j.Ack(within(t)); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d syncs; the cut took back %d writes; %d of at least %d acknowledged messages are lost", syncs, unsynced, len(acknowledged), receipts)
			if lost := len(acknowledged); tt.sync == 0 && lost > 0 {
				t.Errorf("%d acknowledged messages are lost", lost)
			} else if tt.sync > 0 && lost == 0 {
				t.Error("nothing is lost without syncs")
			}
		})
	}
}
