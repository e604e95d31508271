package main

import (
	"os"
	"slices"
	"testing"
)

func TestProgramMaps(t *testing.T) {
	const text = `00400000-00d1a000 r-xp 00000000 fe:00 77                           /usr/bin/lintel
Rss:                6504 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me dw sd
00d1a000-0192b000 r--p 0091a000 fe:00 77                           /usr/bin/lintel
Anonymous:             0 kB
VmFlags: rd mr mw me dw sd
0192b000-019ea000 rw-p 0152b000 fe:00 77                           /usr/bin/lintel
Anonymous:             0 kB
VmFlags: rd wr mr mw me dw ac sd
7f0000000000-7f0000001000 r--p 00000000 fe:00 78                   /lib/relocated.so
Anonymous:             4 kB
VmFlags: rd mr mw me dw sd
7f0000002000-7f0000003000 r--p 00000000 00:00 0                    [vvar]
Anonymous:             0 kB
VmFlags: rd mr pf io de dd sd
7f0000004000-7f0000005000 r--s 00000000 fe:00 79                   /var/shared
Anonymous:             0 kB
VmFlags: rd sh mr mw me ms sd
`
	want := []mapping{{0x400000, 0xd1a000}, {0xd1a000, 0x192b000}}
	if got := programMaps([]byte(text)); !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got := programMaps(nil); len(got) > 0 {
		t.Errorf("got %x of nothing", got)
	}
}

// TestTrimMemory takes the test's own program from under its feet.
func TestTrimMemory(t *testing.T) {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	if len(programMaps(maps)) == 0 {
		t.Error("the program is mapped nowhere")
	}
	trimMemory()
	if again, err := os.ReadFile("/proc/self/smaps"); err != nil || len(again) == 0 {
		t.Error("nothing works any more:", err)
	}
}
