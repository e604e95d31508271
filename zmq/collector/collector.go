// Package collector exports the counters of zmq sockets to Prometheus. A Collector
// reads Socket.Stats when it is scraped.
//
// # Examples
//
// Example in example_test.go registers a Collector of two sockets.
package collector

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"lintel.dev/zmq"
)

// Source has the statistics of a socket: a zmq.Socket, or what holds one.
type Source interface{ Stats() zmq.Stats }

// Collector is a prometheus.Collector of named sockets. All methods are safe for
// concurrent use.
type Collector struct {
	mu      sync.Mutex
	sockets map[string]Source // protected by mu
}

// New returns a Collector without sockets.
func New() *Collector { return &Collector{sockets: make(map[string]Source)} }

// Add exports the counters of s with the label socket=name. It replaces an earlier
// socket of that name.
func (c *Collector) Add(name string, s Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets[name] = s
}

// Remove removes the socket of that name.
func (c *Collector) Remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sockets, name)
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("lintel_zmq_"+name, help, append([]string{"socket", "type"}, labels...), nil)
}

var (
	messages  = desc("messages_total", "Messages queued for peers (out) and received from them (in).", "direction")
	octets    = desc("bytes_total", "Bytes of those messages, with frame headers.", "direction")
	dropped   = desc("dropped_total", "Messages dropped.", "reason")
	multicast = desc("multicast_lost_packets_total", "Multicast packets that could not be repaired.")
	refused   = desc("handshakes_failed_total", "Connections whose handshake failed.")
	accepted  = desc("accepted_total", "Connections accepted.")
	reconnect = desc("reconnects_total", "Connections that were lost and made again.")
	peers     = desc("peers", "Peers, connected and not.", "state")
	queued    = desc("queue_messages", "Messages in all queues of a direction.", "direction")
)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{messages, octets, dropped, multicast, refused, accepted, reconnect, peers, queued} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	names := make([]string, 0, len(c.sockets))
	for name := range c.sockets {
		names = append(names, name)
	}
	slices.Sort(names)
	sockets := make([]Source, len(names))
	for i, name := range names {
		sockets[i] = c.sockets[name]
	}
	c.mu.Unlock()
	for i, s := range sockets {
		collect(ch, names[i], s.Stats())
	}
}

func collect(ch chan<- prometheus.Metric, name string, st zmq.Stats) {
	typ := st.Type
	emit := func(d *prometheus.Desc, t prometheus.ValueType, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, float64(v), append([]string{name, typ}, labels...)...)
	}
	emit(messages, prometheus.CounterValue, st.MessagesSent, "out")
	emit(messages, prometheus.CounterValue, st.MessagesReceived, "in")
	emit(octets, prometheus.CounterValue, st.BytesSent, "out")
	emit(octets, prometheus.CounterValue, st.BytesReceived, "in")
	emit(dropped, prometheus.CounterValue, st.DroppedFull, "full")
	emit(dropped, prometheus.CounterValue, st.DroppedNoPeer, "no_peer")
	emit(dropped, prometheus.CounterValue, st.DroppedLost, "lost")
	emit(dropped, prometheus.CounterValue, st.DroppedMalformed, "malformed")
	emit(dropped, prometheus.CounterValue, st.DroppedConflated, "conflated")
	emit(dropped, prometheus.CounterValue, st.DroppedNotices, "notice")
	emit(multicast, prometheus.CounterValue, st.MulticastLost)
	emit(refused, prometheus.CounterValue, st.HandshakesFailed)
	emit(accepted, prometheus.CounterValue, st.Accepted)
	emit(reconnect, prometheus.CounterValue, st.Reconnects)
	var connected, expected, out, in uint64
	for _, p := range st.Peers {
		if p.Connected {
			connected++
		} else {
			expected++
		}
		out += uint64(p.SendQueue)
		in += uint64(p.RecvQueue)
	}
	emit(peers, prometheus.GaugeValue, connected, "connected")
	emit(peers, prometheus.GaugeValue, expected, "expected")
	emit(queued, prometheus.GaugeValue, out, "out")
	emit(queued, prometheus.GaugeValue, in, "in")
}
