// Package victim is what the rows of the cache and of the sockets share: the
// bounds of what an attack may do, and the memory of the process under attack.
package victim

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Bounds of what one attack may do to ours.
const (
	MaxWait   = 250 // milliseconds that a good client waits
	MaxMemory = 150 // megabytes that the process grows
)

// Memory returns the resident memory of a process in megabytes.
func Memory(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(status), "VmRSS:")
	if !ok {
		return 0, errors.New("no VmRSS")
	}
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kb / 1024, err
}

// Watched is a process whose memory is measured ten times a second.
type Watched struct {
	before, peak float64
	err          error
	stop, done   chan struct{}
}

// Watch measures the memory of a process until Growth.
func Watch(pid int) (*Watched, error) {
	before, err := Memory(pid)
	if err != nil {
		return nil, err
	}
	w := &Watched{before: before, peak: before, stop: make(chan struct{}), done: make(chan struct{})}
	go w.run(pid)
	return w, nil
}

func (w *Watched) run(pid int) {
	defer close(w.done)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := Memory(pid)
		if err != nil {
			w.err = err
			return
		}
		w.peak = max(w.peak, now)
		select {
		case <-tick.C:
		case <-w.stop:
			return
		}
	}
}

// Growth ends the measuring and returns by how many megabytes the process had
// grown at most.
func (w *Watched) Growth() (float64, error) {
	close(w.stop)
	<-w.done
	return w.peak - w.before, w.err
}
