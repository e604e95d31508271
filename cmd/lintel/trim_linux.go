package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// trimMemory gives back what only starting needed: garbage, and the pages of
// the program, of which those in use come back from the page cache at once.
func trimMemory() {
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range programMaps(maps) {
		_ = unix.Madvise(unsafe.Slice((*byte)(address(m.from)), m.to-m.from), unix.MADV_DONTNEED)
	}
}

// address turns one of the system's into a pointer; the memory is not Go's.
func address(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

type mapping struct{ from, to uintptr }

// programMaps finds, in the text of smaps, the mappings of files that are as
// they are in the file: not to be written to, and never were.
func programMaps(smaps []byte) (all []mapping) {
	var m mapping
	same := false
	for lines := bufio.NewScanner(bytes.NewReader(smaps)); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		switch {
		case !strings.HasSuffix(name, ":"):
			var perms, offset, device string
			var inode uint64
			_, err1 := fmt.Sscanf(name, "%x-%x", &m.from, &m.to)
			_, err2 := fmt.Sscan(rest, &perms, &offset, &device, &inode)
			same = err1 == nil && err2 == nil && inode != 0 && (perms == "r-xp" || perms == "r--p")
		case name == "Anonymous:":
			same = same && strings.TrimSpace(rest) == "0 kB"
		case name == "VmFlags:": // the last line of each
			if same {
				all = append(all, m)
			}
			same = false
		}
	}
	return all
}
