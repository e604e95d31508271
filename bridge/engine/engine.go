package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"
)

// The errors of every engine. They are wrapped with the values that explain them.
var (
	// ErrClosed is returned by every method after Close, and is the error of the
	// puts that were outstanding then.
	ErrClosed = errors.New("engine: closed")
	// ErrName means that a name is not 1 to 64 of the characters A-Z, a-z, 0-9, _ and -.
	ErrName = errors.New("engine: invalid name")
	// ErrTooLarge means that a message with its headers exceeds the engine's limit.
	ErrTooLarge = errors.New("engine: message too large")
	// ErrFull means that a queue has reached MaxBytes or the server its storage limit.
	ErrFull = errors.New("engine: queue full")
	// ErrLate means that a job was finished after it had been delivered again, or
	// twice. The call has no effect.
	ErrLate = errors.New("engine: job is no longer held by this delivery")
	// ErrMessage means that a message has no frame or an ID longer than MaxID.
	ErrMessage = errors.New("engine: invalid message")
)

// MaxName and MaxID are the longest name of a queue or log, and the longest
// deduplication id, in octets.
const (
	MaxName = 64
	MaxID   = 128
)

// An Engine opens queues and logs by name.
type Engine interface {
	// Queue opens the work queue of that name, and creates it if it does not
	// exist. An existing queue takes the new configuration.
	Queue(ctx context.Context, name string, cfg QueueConfig) (Queue, error)
	// Log opens the log of that name, and creates it if it does not exist. An
	// existing log takes the new configuration.
	Log(ctx context.Context, name string, cfg LogConfig) (Log, error)
	// Guarantee returns what a receipt of this engine means.
	Guarantee() Guarantee
	// Close closes all queues and logs, and then the engine.
	Close() error
}

// Options are common to all engines.
type Options struct {
	// Logger receives what OnEvent receives, and the log lines of the engine.
	// Nil discards them.
	Logger *slog.Logger
	// OnEvent, if not nil, is called for every event. It must not block.
	OnEvent func(Event)
}

// QueueConfig configures a queue. A zero field means its default.
type QueueConfig struct {
	AckWait        time.Duration // how long a delivery may take without Progress; default 30 s
	MaxDeliver     int           // deliveries before a job is a dead letter; default 5, negative: unlimited
	MaxUnacked     int           // jobs delivered and not finished, over all processes; default 1,000
	Dedup          time.Duration // the deduplication window, see ID; default 2 min
	MaxOutstanding int           // puts without a result; default 256
	MaxBytes       int64         // size of the waiting messages; default and negative: the engine's own limit
}

// LogConfig configures a log. A zero field means its default.
type LogConfig struct {
	MaxAge         time.Duration // age at which an entry is removed; default: never
	MaxBytes       int64         // size at which the oldest entries are removed; default: the engine's own limit
	MaxEntries     int64         // number at which the oldest entries are removed; default: unlimited
	MaxOutstanding int           // appends without a result; default 256
}

// WithDefaults returns c with every zero field set to its default.
func (c QueueConfig) WithDefaults() QueueConfig {
	setDefault(&c.AckWait, 30*time.Second)
	setDefault(&c.MaxDeliver, 5)
	setDefault(&c.MaxUnacked, 1000)
	setDefault(&c.Dedup, 2*time.Minute)
	setDefault(&c.MaxOutstanding, 256)
	setDefault(&c.MaxBytes, -1)
	return c
}

// WithDefaults returns c with every zero field set to its default.
func (c LogConfig) WithDefaults() LogConfig {
	setDefault(&c.MaxBytes, -1)
	setDefault(&c.MaxEntries, -1)
	setDefault(&c.MaxOutstanding, 256)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// A Message is what a queue stores. It has at least one frame.
type Message struct {
	// ID is the deduplication id: at most MaxID octets of any value. A message
	// with an empty ID is never a duplicate. An engine that restarts may forget the
	// IDs of messages that were acknowledged.
	ID string
	// Frames are the parts of the ZeroMQ message. The caller of Put must not
	// change them before done is called. The receiver of a job must not change
	// them at all.
	Frames [][]byte
}

// Check returns an error that wraps ErrMessage if m cannot be stored by any engine.
func (m Message) Check() error {
	switch {
	case len(m.Frames) == 0:
		return fmt.Errorf("%w: no frame", ErrMessage)
	case len(m.ID) > MaxID:
		return fmt.Errorf("%w: id of %d octets, at most %d", ErrMessage, len(m.ID), MaxID)
	}
	return nil
}

// A Receipt says where a message is stored.
type Receipt struct {
	Seq       uint64 // position in the queue or log; 1 is the first
	Duplicate bool   // a message with this ID was already stored, at Seq
}

// A Queue is a work queue: each message is processed by one worker.
type Queue interface {
	// Put stores m. It returns nil when the engine has taken m, and then calls
	// done exactly once with the outcome. It blocks while MaxOutstanding puts are
	// without a result. If Put returns an error, m is not stored and done is not
	// called.
	Put(ctx context.Context, m Message, done func(Receipt, error)) error
	// Get waits for a job and returns at least one and at most n, in the order of
	// the queue. No job is lost when ctx ends. Get does not return more while
	// MaxUnacked jobs are unfinished. n below 1 is 1.
	Get(ctx context.Context, n int) ([]Job, error)
	// Dead yields the dead letters that exist now, oldest first.
	Dead(ctx context.Context) iter.Seq2[DeadLetter, error]
	// Info returns the state of the queue.
	Info(ctx context.Context) (QueueInfo, error)
	// Close returns the unfinished jobs of this Queue to the engine, to be
	// delivered again at once, and ends outstanding puts with ErrClosed. If the
	// process or the engine ends without it, the jobs come again after AckWait.
	Close() error
}

// A Job is one delivery of a message. It ends with Ack, Nak or Term. After that,
// or after a later delivery of the same message, all its methods return ErrLate.
type Job interface {
	Message() Message
	// Seq is the position of the message in the queue.
	Seq() uint64
	// Deliveries counts the deliveries of the message; the first is 1.
	Deliveries() int
	// Ack removes the message. It returns nil when the engine has confirmed. The
	// message is then delivered again only if a server crashes right after. After
	// another error than ErrLate the job is still held: Ack may be called again.
	Ack(ctx context.Context) error
	// Nak ends this delivery. The next is due after delay.
	Nak(delay time.Duration) error
	// Progress restarts AckWait.
	Progress() error
	// Term moves the message to the dead letters with that reason. It returns nil
	// when the dead letter is stored. After another error than ErrLate the job is
	// still held: Term may be called again.
	Term(ctx context.Context, reason string) error
}

// A DeadLetter is a message that is not delivered any more.
type DeadLetter struct {
	Message    Message
	Seq        uint64    // its position among the dead letters
	Original   uint64    // its position in the queue
	Deliveries int       // how often it was delivered
	Reason     string    // why it is dead: ReasonDeliveries, ReasonDamaged or the worker's reason
	Time       time.Time // when it was moved
}

// The reasons of the engine for a dead letter. A worker gives its own to Term.
const (
	ReasonDeliveries = "too many deliveries"
	ReasonDamaged    = "checksum mismatch"
)

// QueueInfo is the state of a queue, over all processes that use it. A cluster
// removes acknowledged messages a little later. The counters Damaged and Moved count
// from the opening of this Queue.
type QueueInfo struct {
	Waiting uint64 `json:"waiting"` // messages that are not delivered at the moment
	Unacked uint64 `json:"unacked"` // messages that are delivered and not finished, or wait for the delay of a Nak
	Bytes   uint64 `json:"bytes"`   // size of all messages with headers
	Last    uint64 `json:"last"`    // position of the last message; 0: there was none
	Dead    uint64 `json:"dead"`    // dead letters that are kept
	Damaged uint64 `json:"damaged"` // messages whose checksum did not match
	Moved   uint64 `json:"moved"`   // messages moved to the dead letters by this process
}

// An Entry is one message of a log.
type Entry struct {
	Pos    uint64    // position in the log; 1 is the first, later ones are greater
	Topic  []byte    // as given to Append
	Frames [][]byte  // as given to Append; the receiver must not change them
	Time   time.Time // when the engine stored it
	// Lost are the positions before Pos that the log removed before they were
	// read. When Read filters by a prefix, some or all of them may have had
	// another prefix. The zero Range means that none was lost.
	Lost Range
}

// A Range is the positions First to Last, both included.
type Range struct{ First, Last uint64 }

// A Log keeps messages for readers that each have a position of their own.
type Log interface {
	// Append stores a message. It behaves as Queue.Put.
	Append(ctx context.Context, topic []byte, frames [][]byte, done func(Receipt, error)) error
	// Read yields the entries from position from on whose topic begins with
	// prefix, in order, and waits for new ones until ctx ends. 0 begins with the
	// oldest entry and reports no loss. The last pair of a reading has an error:
	// that of ctx, ErrClosed, or that of the engine. The caller may read again
	// from the position after the last entry.
	Read(ctx context.Context, from uint64, prefix []byte) iter.Seq2[Entry, error]
	// Bounds returns the positions that can be read.
	Bounds(ctx context.Context) (Bounds, error)
	// Close ends readings and outstanding appends with ErrClosed.
	Close() error
}

// Bounds are the positions of the oldest and newest entry of a log. First is
// Last+1 if it is empty. Epoch identifies one life of the log: positions of a log
// that was deleted and created again have no meaning in the new one. The epoch of a
// later life compares greater.
type Bounds struct {
	Epoch       [16]byte
	First, Last uint64
}

// CheckName returns an error that wraps ErrName unless name is 1 to MaxName of
// the characters A-Z, a-z, 0-9, _ and -.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("%w: %d octets, want 1 to %d", ErrName, len(name), MaxName)
	}
	for _, c := range []byte(name) {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return fmt.Errorf("%w: %q, want A-Z, a-z, 0-9, _ and -", ErrName, name)
		}
	}
	return nil
}
