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

func (q queueSource) status(ctx context.Context) (any, error) { return q.Status(ctx) }

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

func queueDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("lintel_bridge_"+name, help, append([]string{"queue"}, labels...), nil)
}

var (
	queueUp       = queueDesc("engine_up", "1 if the engine answers.")
	queueMessages = queueDesc("queue_messages", "Messages in the engine: waiting, delivered and not acknowledged, or dead.", "state")
	queueOctets   = queueDesc("queue_octets", "Size of the messages in the engine.")
	queueDamaged  = queueDesc("damaged_total", "Messages whose checksum did not match.")
	queuePeers    = queueDesc("peers", "Connected producers and workers.", "role")
	queueHeld     = queueDesc("held_jobs", "Jobs that workers hold.")
	queuePuts     = queueDesc("puts_total", "Messages of producers by result.", "result")
	queueReplies  = queueDesc("unsent_replies_total", "Replies dropped because the producer did not read them.")
	queueJobs     = queueDesc("jobs_total", "Jobs by what happened to them.", "event")
)

// Describe implements prometheus.Collector.
func (q queueSource) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueUp, queueMessages, queueOctets, queueDamaged, queuePeers, queueHeld, queuePuts, queueReplies, queueJobs} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (q queueSource) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	s, err := q.Status(ctx)
	emit := func(d *prometheus.Desc, t prometheus.ValueType, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, float64(v), append([]string{s.Name}, labels...)...)
	}
	const gauge, count = prometheus.GaugeValue, prometheus.CounterValue
	if err == nil {
		emit(queueUp, gauge, 1)
		emit(queueMessages, gauge, s.Queue.Waiting, "waiting")
		emit(queueMessages, gauge, s.Queue.Unacked, "unacked")
		emit(queueMessages, gauge, s.Queue.Dead, "dead")
		emit(queueOctets, gauge, s.Queue.Bytes)
		emit(queueDamaged, count, s.Queue.Damaged)
	} else {
		emit(queueUp, gauge, 0)
	}
	emit(queuePeers, gauge, uint64(s.Producers), "producer")
	emit(queuePeers, gauge, uint64(s.Workers), "worker")
	emit(queueHeld, gauge, uint64(s.Held))
	emit(queuePuts, count, s.Stored, "stored")
	emit(queuePuts, count, s.Duplicates, "duplicate")
	emit(queuePuts, count, s.Refused, "refused")
	emit(queuePuts, count, s.Unavailable, "unavailable")
	emit(queuePuts, count, s.Lost, "lost")
	emit(queuePuts, count, s.Malformed, "malformed")
	emit(queueReplies, count, s.Unsent)
	emit(queueJobs, count, s.Delivered, "delivered")
	emit(queueJobs, count, s.Acked, "acked")
	emit(queueJobs, count, s.Nacked, "nacked")
	emit(queueJobs, count, s.Terminated, "terminated")
	emit(queueJobs, count, s.Returned, "returned")
	emit(queueJobs, count, s.Late, "late")
	emit(queueJobs, count, s.Pushed, "pushed")
	emit(queueJobs, count, s.InvalidAcks, "invalid")
}
