package exec

import (
	"sync"
	"sync/atomic"
	"time"

	"lintel.dev/internal/memcached/netloop"
)

// Job is a command that takes long. It runs in a goroutine of its own, while its
// connection waits, so that it never occupies an event loop. Its reply is sent as it
// is made; a client that does not read it suspends the job. One job computes at a
// time. While other jobs cannot begin, one that is suspended for jobPatience is ended
// together with its connection.
type Job struct {
	// Run makes the reply by calls of emit. It returns early if emit or pause
	// returns false: the connection is closed.
	Run func(j *Job)
	// Dump is set for a job for which Crawler.BeginDump has returned true.
	Dump bool

	engine *Engine
	conn   netloop.Conn

	mu      sync.Mutex // guards what follows
	room    sync.Cond  // out has been taken, or the job is stopped
	out     []byte     // what has not been sent
	done    bool       // Run has returned
	stopped bool
}

// jobPatience is how long a job waits for its client to read while others wait for
// the job to end.
const jobPatience = 2 * time.Second

// maxJobOutput is how much of a job's reply waits to be sent, in bytes.
const maxJobOutput = 64 << 10

// StartJob makes j the pending command of the connection. It returns false over UDP,
// where a reply cannot be sent in parts.
func (b *Batch) StartJob(j *Job) bool {
	if b.Conn.Datagram {
		if j.Dump {
			b.Crawler.endDump()
		}
		return false
	}
	j.engine, j.conn = b.Engine, b.Conn.Net
	j.room.L = &j.mu
	b.Conn.Pending = j
	if !b.background(j.run) {
		j.finish() // the server shuts down, and closes the connection
	}
	return true
}

// jobs bounds the work of jobs.
type jobs struct {
	slots   chan struct{} // one element for each job that holds memory
	waiting atomic.Int32  // jobs that wait for a slot
	running chan struct{} // one element while a job computes
}

// maxJobs is how many jobs hold memory at a time; others wait before they begin.
const maxJobs = 16

func newJobs() jobs {
	return jobs{slots: make(chan struct{}, maxJobs), running: make(chan struct{}, 1)}
}

// run runs the job. A dump needs no slot: there is only one.
func (j *Job) run() {
	defer j.finish()
	if !j.Dump {
		j.engine.jobs.waiting.Add(1)
		ok := j.acquire(j.engine.jobs.slots)
		j.engine.jobs.waiting.Add(-1)
		if !ok {
			return
		}
		defer func() { <-j.engine.jobs.slots }()
	}
	if j.acquire(j.engine.jobs.running) {
		j.Run(j)
		<-j.engine.jobs.running
	}
}

// acquire puts an element into c. It returns false if the engine is stopped.
func (j *Job) acquire(c chan struct{}) bool {
	select {
	case c <- struct{}{}:
		return true
	case <-j.engine.stop:
		return false
	}
}

// finish ends the job.
func (j *Job) finish() {
	j.mu.Lock()
	j.done = true
	j.mu.Unlock()
	if j.Dump {
		j.engine.Crawler.endDump()
	}
	j.conn.Wake()
}

// Emit sends a part of the reply, which it copies. It waits while too much is
// waiting to be sent. It returns false if the connection is closed.
func (j *Job) Emit(b []byte) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.out) > maxJobOutput && !j.stopped {
		<-j.engine.jobs.running // let others compute
		j.awaitRoom()
		j.mu.Unlock()
		j.engine.jobs.running <- struct{}{}
		j.mu.Lock()
	}
	if j.stopped {
		return false
	}
	if len(j.out) == 0 {
		defer j.conn.Wake()
	}
	j.out = append(j.out, b...)
	return true
}

// awaitRoom waits until out has been taken. j.mu is held.
func (j *Job) awaitRoom() {
	var stall *time.Timer
	stall = time.AfterFunc(jobPatience, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		switch {
		case len(j.out) <= maxJobOutput || j.stopped:
		case j.unwanted():
			j.conn.Close(netloop.Failed)
		default:
			stall.Reset(jobPatience)
		}
	})
	for len(j.out) > maxJobOutput && !j.stopped {
		j.room.Wait()
	}
	stall.Stop()
}

// unwanted reports whether another job waits for this one to end.
func (j *Job) unwanted() bool {
	if j.Dump {
		return j.engine.Crawler.dumpRefused()
	}
	return j.engine.jobs.waiting.Load() > 0
}

// Pause lets other goroutines and jobs run, for the time set by lru_crawler sleep.
// It returns false if the connection is closed.
func (j *Job) Pause() bool {
	if !j.engine.Crawler.pause() {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.stopped
}

// Step implements Pending.
func (j *Job) Step(b *Batch, _ []byte) (n int, step netloop.Step) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b.W.B = append(b.W.B, j.out...)
	j.out = j.out[:0]
	if j.done {
		return 0, netloop.Next
	}
	j.room.Signal()
	return 0, netloop.Wait
}

// Stop implements Pending. It does not wait for the goroutine.
func (j *Job) Stop(*Engine) {
	j.mu.Lock()
	j.stopped = true
	j.mu.Unlock()
	j.room.Signal()
}
