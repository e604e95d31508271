package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"lintel.dev/internal/memcached/arena"
)

// The file of Options.Path is the memory of the store: segments and extents are in
// it, and the index is built from them. It starts with a superblock and a block for
// each shard.
//
// A process may be killed between any two instructions. So a record becomes part
// of its segment (segment.end) after it is complete, the record that it replaces is
// marked as dead before, and a record is marked as dead while it is changed in
// place.
const (
	superMagic   = 0x314c45544e494c01
	superVersion = 3
	superSize    = arena.Page
	flushBlock   = 32 << 10 // two copies of a shard's flushes: one is valid while the other is written
	metaSize     = superSize + maxShards*flushBlock
)

// bootID identifies the time since the machine was started. What a killed process
// left in a file is complete only as long as the machine runs. It is empty on
// systems without such an id.
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(b)
}

// superblock is at the start of the file.
type superblock struct {
	magic    uint64
	settings settings
	sum      uint32 // of settings and key
	key      keyed
	boot     [40]byte
	clean    uint32 // 1: closed by Close
	high     arena.HighMark
	power    uint32 // Stats.HashPower
}

// settings are what a file was written with.
type settings struct {
	version uint32
	shards  uint32
	limit   int64
	size    int64
	seg     int64
	maxItem int64
	casUsed uint32
	_       uint32
}

func (s *Store) super() *superblock { return arena.At[superblock](&s.pool.Memory, 0) }

func (s *Store) settings(size, seg int64) settings {
	c := settings{
		version: superVersion, shards: uint32(len(s.shards)), limit: s.opts.MaxBytes, size: size, seg: seg,
		maxItem: int64(s.opts.MaxItemSize),
	}
	if !s.opts.DisableCAS {
		c.casUsed = 1
	}
	return c
}

func (b *superblock) checksum() uint32 {
	c := crc32.ChecksumIEEE(arena.BytesOf(&b.settings))
	return crc32.Update(c, crc32.IEEETable, arena.BytesOf(&b.key))
}

// SettingError reports a setting in which a file differs from the options.
type SettingError struct {
	Name      string
	File, Now int64
}

// LimitSetting is the Name of a SettingError of Options.MaxBytes.
const LimitSetting = "memory limit in bytes"

func (e *SettingError) Error() string {
	return fmt.Sprintf("the %s was %d and is now %d", e.Name, e.File, e.Now)
}

// difference returns a *SettingError for the first setting in which a file
// differs from what is asked for, nil if there is none.
func (c *settings) difference(o settings) error {
	for _, f := range []struct {
		name      string
		file, now int64
	}{
		{LimitSetting, c.limit, o.limit},
		{"largest item in bytes", c.maxItem, o.maxItem},
		{"use of CAS (1 is yes)", int64(c.casUsed), int64(o.casUsed)},
		{"size", c.size, o.size},
	} {
		if f.file != f.now {
			return &SettingError{f.name, f.file, f.now}
		}
	}
	return nil
}

// openFile opens the file at path. had is what its settings were, nil if it is
// new: the magic number is written last, so a file without one was not finished.
// An error wraps ErrSnapshot.
func openFile(path string) (f *arena.File, had *settings, err error) {
	f, err = arena.OpenFile(path)
	if err == nil {
		had, err = readSettings(f, path)
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	return f, had, nil
}

// readSettings returns the settings of a file, nil if it is new.
func readSettings(f *arena.File, path string) (*settings, error) {
	head := make([]byte, superSize)
	switch n, err := f.ReadAt(head, 0); {
	case n == 0 && err == io.EOF:
		return nil, nil
	case err != nil && err != io.EOF:
		return nil, err
	}
	b := arena.View[superblock](head)
	c := &b.settings
	switch {
	case b.magic == 0 && (c.version == superVersion || len(bytes.TrimLeft(head, "\x00")) == 0):
		return nil, nil // not of another program, of which the first page could begin with zeros
	case b.magic != superMagic || b.sum != b.checksum():
		return nil, fmt.Errorf("%s is not a restart file, or is damaged", path)
	case c.version != superVersion:
		return nil, fmt.Errorf("%s: the format version was %d and is now %d", path, c.version, superVersion)
	case c.shards == 0 || c.shards > maxShards || c.shards&(c.shards-1) != 0,
		c.seg < minSegment || c.seg > maxSegment || c.seg&(c.seg-1) != 0:
		return nil, fmt.Errorf("%s is damaged: %d shards, segments of %d bytes", path, c.shards, c.seg)
	}
	return c, nil
}

// attach makes a file the memory of the store, which closes it from now on.
// had is as openFile returned it.
func (s *Store) attach(f *arena.File, had *settings, size, seg int64) error {
	want := s.settings(size, seg)
	err := error(nil)
	if had != nil {
		if err = had.difference(want); err != nil {
			err = fmt.Errorf("%s: %w", s.opts.Path, err)
		}
	}
	if err == nil {
		err = f.Map(size, had == nil)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, errors.Join(err, f.Close()))
	}
	if err := s.pool.Open(f, size, seg, s.opts.MaxBytes); err != nil {
		return err
	}
	s.pool.Skip(metaSize, s.pool.Extents)
	b := s.super()
	if had == nil {
		if err := f.Allocate(0, metaSize); err != nil {
			return fmt.Errorf("%w: %s: allocating %d bytes: %w", ErrSnapshot, s.opts.Path, metaSize, err)
		}
		*b = superblock{settings: want, key: s.hash}
		b.sum = b.checksum()
		s.pool.Track(&b.high)
		s.markOpen()
		arena.Barrier()
		b.magic = superMagic
		return nil
	}
	if boot := bootID(); b.clean == 0 && string(b.boot[:min(len(boot), len(b.boot))]) != boot {
		return fmt.Errorf("%w: %s: the machine was restarted before the file was closed", ErrSnapshot, s.opts.Path)
	}
	s.hash = b.key
	return nil
}

func (s *Store) markOpen() {
	b := s.super()
	copy(b.boot[:], bootID())
	atomic.StoreUint32(&b.clean, 0)
}

// detach completes the file.
func (s *Store) detach() error {
	s.Stats() // updates power
	if err := s.pool.File().Sync(); err != nil {
		return err
	}
	atomic.StoreUint32(&s.super().clean, 1)
	return s.pool.File().Sync()
}

// seal returns the check of a segment. Its key is secret, so that no value can
// contain a valid header.
func (s *Store) seal(g *segment, base arena.Loc) uint64 {
	return fold(fold(uint64(base)^s.hash[0], g.seq^s.hash[1])^uint64(g.size), uint64(g.shard)^s.hash[1])
}

// load builds the index from the file.
func (s *Store) load() error {
	b := s.super()
	p := &s.pool
	all := p.Size() - int64(p.Extents)
	if arena.Loc(int64(b.high.Segments)*p.Seg) > p.Extents || b.high.Extents < 0 || b.high.Extents > all {
		return fmt.Errorf("%w: %s is damaged", ErrSnapshot, s.opts.Path)
	}
	found := p.RestoreSegments(b.high.Segments, s.valid)
	s.power.Store(atomic.LoadUint32(&b.power))
	extents, err := s.findExtents(b.high.Extents)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	found = append(found, extents...)
	slices.SortFunc(found, func(x, y arena.Loc) int { return cmp.Compare(p.segment(x).stamp, p.segment(y).stamp) })
	for i := range s.shards {
		loader{&s.shards[i]}.loadFlushes()
	}
	for _, base := range found {
		g := p.segment(base)
		s.stamp.Store(max(s.stamp.Load(), g.stamp))
		loader{&s.shards[g.shard]}.adopt(base)
	}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.cas += 1 << 40 // above what was given out since the last segment was opened
		sh.prefixes = sh.prefixes[:0]
		loader{sh}.saveFlushes()
	}
	for _, base := range found {
		s.shards[p.segment(base).shard].reap(base)
	}
	p.Track(&b.high)
	s.markOpen()
	p.Trim()
	return nil
}

// valid reports whether there is a segment at base.
func (s *Store) valid(base arena.Loc) bool {
	g := s.pool.segment(base)
	return g.state == segmentUsed && g.shard < uint32(len(s.shards)) && g.queue < queues && g.size > segmentHeader &&
		int64(g.end) <= g.size && g.end >= segmentHeader && g.check == s.seal(g, base)
}

// findExtents searches the part of the file that extents were ever in. It reads
// the file, since reading the mapping would fill its holes.
func (s *Store) findExtents(high int64) (found []arena.Loc, err error) {
	p := &s.pool
	buf := make([]byte, 1<<20)
	skip := int64(0)
	for at := int64(0); at < high; at += int64(len(buf)) {
		data := p.File().NextData(int64(p.Extents)+at, int64(p.Extents)+high) - int64(p.Extents)
		if at = data / arena.Quantum * arena.Quantum; at == high {
			break
		}
		n := min(int64(len(buf)), high-at)
		if _, err := p.File().ReadAt(buf[:n], int64(p.Extents)+at); err != nil {
			return nil, err
		}
		for off := int64(0); off < n; off += arena.Quantum {
			if at+off < skip || binary.LittleEndian.Uint32(buf[off:]) != segmentUsed {
				continue
			}
			base := p.Extents + arena.Loc(at+off)
			if g := p.segment(base); s.valid(base) && g.size%arena.Quantum == 0 && at+off+g.size <= p.Size()-int64(p.Extents) {
				p.RestoreExtent(base, g.size)
				found = append(found, base)
				skip = at + off + g.size
			}
		}
	}
	return found, nil
}

// adopt makes a segment found in the file the shard's newest. Records that are
// damaged, duplicate or not visible are marked as dead.
func (sh loader) adopt(base arena.Loc) {
	g := sh.pool.segment(base)
	now := sh.s.now()
	g.live, g.items, g.pins, g.gone, g.expiry = 0, 0, 0, 0, 0
	sh.link(base, g.queue, 0)
	sh.seq = max(sh.seq, g.seq)
	sh.cas = max(sh.cas, g.cas+uint64(g.size/4))
	g.rules = 0
	sh.flushes = 1
	off := int64(segmentHeader)
	for off < int64(g.end) {
		n := sh.sound(base+arena.Loc(off), int64(g.end)-off)
		if n == 0 {
			g.end = uint32(off) // nothing behind it can be read
			break
		}
		var r record
		r.decode(sh.pool, base+arena.Loc(off))
		off += n
		if r.dead() {
			continue
		}
		if !r.sound() {
			sh.s.damaged.Add(1)
			r.kill()
			continue
		}
		h := sh.s.hash.sum(r.keyBytes())
		word := uint64(r.loc)
		if r.fetched() {
			word |= freqOne
		}
		var twin record
		known, _ := sh.lookup(h, r.keyBytes(), &twin, 0)
		if known != nil || sh.s.shardOf(h) != sh.shard || sh.visible(&r, now) != Absent || !sh.index.insert(h, word) {
			r.kill()
			continue
		}
		g.live += n
		g.items++
		if e := r.expiry(); e != 0 && (g.expiry == 0 || e < g.expiry) {
			g.expiry = e
			sh.noteDue(e)
		}
		counter(sh).count(&r)
	}
	sh.lose(int64(g.end) - segmentHeader - g.live)
	g.rules = sh.flushes
}

// sound returns the length of the record at loc, 0 if there is none within n bytes.
func (sh loader) sound(loc arena.Loc, n int64) int64 {
	if n < lenAt+2 {
		return 0
	}
	b := sh.pool.Bytes(loc, n)
	w := int64(b[1]&shapeLen) + 1
	head := lenAt + w + int64(sh.pool.sums) + int64(casWidth[b[1]&shapeCAS>>2])
	if b[1]&shapeExpiry != 0 {
		head += 5
	}
	if b[1]&shapeFlags != 0 {
		head += 4
	}
	if b[0] == 0 || int(b[0]) > MaxKey || head > n {
		return 0
	}
	if length := head + int64(b[0]) + int64(getN(b[lenAt:], int(w))); length <= n {
		return length
	}
	return 0
}

// A shard's flushes in the file: which of two copies is valid, and the copies. A
// copy is the time of a pending FlushAll, the number of flushes, and the flushes.
const flushCopy = (flushBlock - 64) / 2

func (sh loader) flushArea() (which *uint32, copies [2][]byte) {
	at := arena.Loc(superSize + sh.id*flushBlock)
	b := sh.pool.Bytes(at+64, 2*flushCopy)
	return arena.At[uint32](&sh.pool.Memory, at), [2][]byte{b[:flushCopy], b[flushCopy:]}
}

// saveFlushes writes the shard's flushes to the file.
func (sh loader) saveFlushes() {
	if sh.pool.File() == nil {
		return
	}
	which, copies := sh.flushArea()
	n := 1 - atomic.LoadUint32(which)&1
	b := binary.LittleEndian.AppendUint64(copies[n][:0], uint64(sh.flushAt))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(sh.prefixes)))
	for _, f := range sh.prefixes {
		b = append(append(b, byte(len(f.prefix))), f.prefix...)
		b = binary.LittleEndian.AppendUint64(b, f.next)
		for _, m := range f.open {
			b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(b, m.seq), m.end)
		}
	}
	atomic.StoreUint32(which, n)
}

func (sh loader) loadFlushes() {
	which, copies := sh.flushArea()
	b := copies[atomic.LoadUint32(which)&1]
	sh.flushAt = int64(binary.LittleEndian.Uint64(b))
	n := min(binary.LittleEndian.Uint32(b[8:]), maxFlushes+1)
	b = b[12:]
	for range n {
		var f flush
		f.prefix = string(b[1 : 1+b[0]])
		b = b[1+int(b[0]):]
		f.next = binary.LittleEndian.Uint64(b)
		b = b[8:]
		for i := range f.open {
			f.open[i] = mark{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])}
			b = b[12:]
		}
		sh.prefixes = append(sh.prefixes, f)
	}
}

// A copy has room for maxFlushes of the longest prefix.
var _ [flushCopy - 12 - (maxFlushes+1)*(1+MaxKey+8+12*streams)]byte
