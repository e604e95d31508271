package state

import "time"

// waste finds keys that change more often than they are read. Keys share a slot
// by hash; a key that shares one with such a key is bypassed with it.
type waste struct {
	slots [128]wasteSlot
}

type wasteSlot struct {
	fills  uint8 // since the last decision
	wasted uint8 // of those, removed before they were served, or voided
	until  int64 // bypassed until this time
}

const (
	wasteFills  = 64          // decide after so many fills
	wasteBypass = time.Second // bypass for so long
)

func (w *waste) slot(hash uint64) *wasteSlot { return &w.slots[hash>>8%uint64(len(w.slots))] }

// count counts a fill whose end is known. at is a time near to now.
func (w *waste) count(hash uint64, at int64, wasted bool) {
	s := w.slot(hash)
	s.fills++
	if wasted {
		s.wasted++
	}
	if s.fills < wasteFills {
		return
	}
	if s.wasted > wasteFills/2 {
		s.until = at + int64(wasteBypass)
	}
	s.fills, s.wasted = 0, 0
}

// bypasses reports whether replies for the key are not worth keeping.
func (w *waste) bypasses(hash uint64, now int64) bool { return now < w.slot(hash).until }
