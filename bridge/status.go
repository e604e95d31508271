package bridge

import (
	"context"
	"iter"

	"lintel.dev/bridge/engine"
	"lintel.dev/bridge/internal/dispatch"
	"lintel.dev/zmq"
)

// maxWorkersListed bounds QueueStatus.WorkerList.
const maxWorkersListed = 100

// IntakeStatus counts the messages of producers.
type IntakeStatus struct {
	Producers   int    `json:"producers"`   // connected now
	Stored      uint64 `json:"stored"`      // held by the engine
	Duplicates  uint64 `json:"duplicates"`  // stored before, with the same id
	Refused     uint64 `json:"refused"`     // too large or malformed, and the producer knows
	Unavailable uint64 `json:"unavailable"` // results that are errors of the engine
	Lost        uint64 `json:"lost"`        // of PUSH and PUB producers: taken and not stored
	Unsent      uint64 `json:"unsent"`      // replies dropped because the producer does not read them
	Malformed   uint64 `json:"malformed"`   // without an envelope, so that there is no way to answer
}

// QueueStatus is the state of a Queue. The counters begin with the Queue, those of
// Queue.Damaged and Queue.Moved too.
type QueueStatus struct {
	Name      string           `json:"name"`
	Guarantee string           `json:"guarantee"`
	Queue     engine.QueueInfo `json:"queue"`

	IntakeStatus

	Workers     int    `json:"workers"` // connected now
	Held        int    `json:"held"`    // jobs that they hold
	Delivered   uint64 `json:"delivered"`
	Acked       uint64 `json:"acked"`
	Nacked      uint64 `json:"nacked"`
	Terminated  uint64 `json:"terminated"`
	Returned    uint64 `json:"returned"` // their worker was gone
	Late        uint64 `json:"late"`     // acknowledgements refused
	Pushed      uint64 `json:"pushed"`   // jobs handed to PULL workers
	InvalidAcks uint64 `json:"invalid"`  // messages of workers that do not follow the protocol

	// WorkerList has at most 100 REQ and DEALER workers.
	WorkerList []dispatch.WorkerStatus `json:"worker_list"`
}

// Status returns the state of the queue. Its error is that of the engine; the
// counters are right then too.
func (q *Queue) Status(ctx context.Context) (QueueStatus, error) {
	c := &q.desk.Counters
	s := QueueStatus{
		Name: q.name, Guarantee: q.guarantee.String(), IntakeStatus: q.intake.status(),
		Delivered: c.Delivered.Load(), Acked: c.Acked.Load(), Nacked: c.Nacked.Load(), Terminated: c.Terminated.Load(),
		Returned: c.Returned.Load(), Late: c.Late.Load(), InvalidAcks: c.Invalid.Load(), Pushed: q.pushed.Load(),
	}
	s.Producers = connectedProducers(q.producers, q.pull)
	s.WorkerList, s.Workers, s.Held = q.desk.Workers(maxWorkersListed)
	if q.push != nil {
		s.Workers += len(q.push.Stats().Peers)
	}
	var err error
	s.Queue, err = q.queue.Info(ctx)
	return s, err
}

// Dead yields the dead letters of the queue, oldest first.
func (q *Queue) Dead(ctx context.Context) iter.Seq2[engine.DeadLetter, error] {
	return q.queue.Dead(ctx)
}

func (in *intake) status() IntakeStatus {
	return IntakeStatus{
		Stored: in.stored.Load(), Duplicates: in.duplicates.Load(), Refused: in.refused.Load(), Unavailable: in.unavailable.Load(),
		Lost: in.lost.Load(), Unsent: in.unsent.Load(), Malformed: in.malformed.Load(),
	}
}

func connectedProducers(routers []producerSocket, pull *zmq.Pull) (n int) {
	for _, p := range routers {
		n += len(p.router.Stats().Peers)
	}
	if pull != nil {
		n += len(pull.Stats().Peers)
	}
	return n
}
