package bridgecli

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lintel.dev/bridge"
)

// scrapeTimeout bounds the question to the engine in a scrape.
const scrapeTimeout = 5 * time.Second

// queueSource is a queue that is asked for its state.
type queueSource struct{ *bridge.Queue }

func (q queueSource) status(ctx context.Context) (status, error) {
	s, err := q.Status(ctx)
	return status{Queue: &s}, err
}

func (q queueSource) dead(ctx context.Context, limit int) ([]deadLetter, error) {
	letters := []deadLetter{} // an empty list is [] in JSON
	for d, err := range q.Dead(ctx) {
		if err != nil {
			return letters, err
		}
		if letters = append(letters, newDeadLetter(d)); len(letters) == limit {
			break
		}
	}
	return letters, nil
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("lintel_bridge_"+name, help, append([]string{"name"}, labels...), nil)
}

var (
	engineUp      = desc("engine_up", "1 if the engine answers.")
	peers         = desc("peers", "Connected producers and workers.", "role")
	puts          = desc("puts_total", "Messages of producers by result.", "result")
	unsentReplies = desc("unsent_replies_total", "Replies dropped because the producer did not read them.")

	queueMessages = desc("queue_messages", "Messages in the engine: waiting, delivered and not acknowledged, or dead.", "state")
	queueOctets   = desc("queue_octets", "Size of the messages in the engine.")
	queueDamaged  = desc("damaged_total", "Messages whose checksum did not match.")
	heldJobs      = desc("held_jobs", "Jobs that workers hold.")
	jobs          = desc("jobs_total", "Jobs by what happened to them.", "event")

	logPosition = desc("log_position", "Position of the oldest and the latest entry of a log.", "end")
	logEntries  = desc("log_entries_total", "Entries read from a log: published, or skipped because they are no messages of a feed.", "result")
)

const (
	gauge = prometheus.GaugeValue
	count = prometheus.CounterValue
)

// An emitter sends metrics with the name of a queue or log.
type emitter struct {
	ch   chan<- prometheus.Metric
	name string
}

func (e emitter) emit(d *prometheus.Desc, t prometheus.ValueType, v uint64, labels ...string) {
	e.ch <- prometheus.MustNewConstMetric(d, t, float64(v), append([]string{e.name}, labels...)...)
}

// intake sends the metrics of producers.
func (e emitter) intake(s bridge.IntakeStatus, err error) {
	up := uint64(1)
	if err != nil {
		up = 0
	}
	e.emit(engineUp, gauge, up)
	e.emit(peers, gauge, uint64(s.Producers), "producer")
	e.emit(puts, count, s.Stored, "stored")
	e.emit(puts, count, s.Duplicates, "duplicate")
	e.emit(puts, count, s.Refused, "refused")
	e.emit(puts, count, s.Unavailable, "unavailable")
	e.emit(puts, count, s.Lost, "lost")
	e.emit(puts, count, s.Malformed, "malformed")
	e.emit(unsentReplies, count, s.Unsent)
}

// Describe implements prometheus.Collector.
func (q queueSource) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{engineUp, peers, puts, unsentReplies, queueMessages, queueOctets, queueDamaged, heldJobs, jobs} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (q queueSource) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	s, err := q.Status(ctx)
	e := emitter{ch, s.Name}
	e.intake(s.IntakeStatus, err)
	if err == nil {
		e.emit(queueMessages, gauge, s.Queue.Waiting, "waiting")
		e.emit(queueMessages, gauge, s.Queue.Unacked, "unacked")
		e.emit(queueMessages, gauge, s.Queue.Dead, "dead")
		e.emit(queueOctets, gauge, s.Queue.Bytes)
		e.emit(queueDamaged, count, s.Queue.Damaged)
	}
	e.emit(peers, gauge, uint64(s.Workers), "worker")
	e.emit(heldJobs, gauge, uint64(s.Held))
	e.emit(jobs, count, s.Delivered, "delivered")
	e.emit(jobs, count, s.Acked, "acked")
	e.emit(jobs, count, s.Nacked, "nacked")
	e.emit(jobs, count, s.Terminated, "terminated")
	e.emit(jobs, count, s.Returned, "returned")
	e.emit(jobs, count, s.Late, "late")
	e.emit(jobs, count, s.Pushed, "pushed")
	e.emit(jobs, count, s.InvalidAcks, "invalid")
}

// logSource is a log that is asked for its state.
type logSource struct{ *bridge.Log }

func (l logSource) status(ctx context.Context) (status, error) {
	s, err := l.Status(ctx)
	return status{Log: &s}, err
}

func (l logSource) dead(context.Context, int) ([]deadLetter, error) { return []deadLetter{}, nil }

// Describe implements prometheus.Collector.
func (l logSource) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{engineUp, peers, puts, unsentReplies, logPosition, logEntries} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l logSource) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	s, err := l.Status(ctx)
	e := emitter{ch, s.Name}
	e.intake(s.IntakeStatus, err)
	if err == nil {
		e.emit(logPosition, gauge, s.First, "first")
		e.emit(logPosition, gauge, s.Last, "last")
	}
	e.emit(logEntries, count, s.Published, "published")
	e.emit(logEntries, count, s.Skipped, "skipped")
}
