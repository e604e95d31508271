package webpage

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel.dev/zmq"
	"lintel.dev/zmq/collector"
)

// Source has the statistics of a socket: a [zmq.Socket], or what holds one.
type Source interface{ Stats() zmq.Stats }

// Socket follows one ZeroMQ socket for the page: it adds the rates of each interval to a history. It is safe for
// concurrent use.
type Socket struct {
	name    string
	source  Source
	history History

	mu     sync.Mutex // guards what follows
	last   zmq.Stats
	lastAt time.Time
}

// NewSocket returns a Socket that is shown as name.
func NewSocket(name string, s Source) *Socket { return &Socket{name: name, source: s} }

// The columns of the history of a socket.
const (
	colSent = iota
	colReceived
	colBytesOut
	colBytesIn
	colDropped
	colSendQueue
	colRecvQueue
	colPeers
	numCols
)

func dropped(st *zmq.Stats) uint64 {
	return st.DroppedFull + st.DroppedNoPeer + st.DroppedLost + st.DroppedMalformed + st.DroppedConflated + st.DroppedNotices
}

// peers returns the number of peers that are connected, and the messages queued for and from all.
func peers(st *zmq.Stats) (connected, out, in int) {
	for _, p := range st.Peers {
		if p.Connected {
			connected++
		}
		out, in = out+p.SendQueue, in+p.RecvQueue
	}
	return connected, out, in
}

// Sample adds a row for the time since the last one.
func (s *Socket) Sample(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.source.Stats()
	if seconds := now.Sub(s.lastAt).Seconds(); !s.lastAt.IsZero() && seconds > 0 {
		rate := func(now, before uint64) float64 { return float64(now-before) / seconds }
		connected, out, in := peers(&st)
		row := make([]float64, numCols)
		row[colSent] = rate(st.MessagesSent, s.last.MessagesSent)
		row[colReceived] = rate(st.MessagesReceived, s.last.MessagesReceived)
		row[colBytesOut] = rate(st.BytesSent, s.last.BytesSent)
		row[colBytesIn] = rate(st.BytesReceived, s.last.BytesReceived)
		row[colDropped] = rate(dropped(&st), dropped(&s.last))
		row[colSendQueue], row[colRecvQueue], row[colPeers] = float64(out), float64(in), float64(connected)
		s.history.Add(row...)
	}
	s.last, s.lastAt = st, now
}

// StartSockets is Start for named sockets: the page shows each, and /metrics has the metrics of package zmq/collector. view
// may change what the page shows; nil changes nothing.
func StartSockets(ctx context.Context, tasks *errgroup.Group, addr, title, version string, all []*Socket, view func(*View), log *slog.Logger) error {
	metrics, registry := collector.New(), NewRegistry(version)
	for _, s := range all {
		metrics.Add(s.name, s.source)
	}
	if err := registry.Register(metrics); err != nil {
		return err
	}
	started := time.Now()
	err := Start(ctx, tasks, addr, registry, func() View {
		v := View{Title: title, Version: "lintel " + version, Note: "up " + Age(time.Since(started))}
		for _, s := range all {
			v.Parts = append(v.Parts, s.Part())
		}
		if view != nil {
			view(&v)
		}
		return v
	}, log)
	if err == nil {
		tasks.Go(func() error { watch(ctx, all); return nil })
	}
	return err
}

// watch samples the sockets every Interval until ctx is done.
func watch(ctx context.Context, all []*Socket) {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	for {
		for _, s := range all {
			s.Sample(time.Now())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// shownPeers is how many peers the page shows of a socket: those with the most messages.
const shownPeers = 20

// Part returns what the page shows of the socket.
func (s *Socket) Part() Part {
	st := s.source.Stats()
	connected, out, in := peers(&st)
	h := &s.history
	minute := int(time.Minute / Interval)
	return Part{
		Name: s.name + " " + st.Type,
		Figures: []Figure{
			{Label: "Sent", Value: Number(h.Mean(colSent, minute)) + "/s", Note: Number(float64(st.MessagesSent)) + " messages since start"},
			{Label: "Received", Value: Number(h.Mean(colReceived, minute)) + "/s", Note: Number(float64(st.MessagesReceived)) + " messages since start"},
			{Label: "Queued", Value: Number(float64(out + in)), Note: fmt.Sprintf("%s to send, %s received", Number(float64(out)), Number(float64(in)))},
			{Label: "Dropped", Value: Number(float64(dropped(&st))), Note: fmt.Sprintf("%s at the high-water mark", Number(float64(st.DroppedFull)))},
			{
				Label: "Peers", Value: Number(float64(connected)),
				Note: fmt.Sprintf("%s accepted, %s reconnects, %s failed handshakes", Number(float64(st.Accepted)), Number(float64(st.Reconnects)), Number(float64(st.HandshakesFailed))),
			},
		},
		Charts: []Chart{
			{Title: "Messages", Unit: Rate, Lines: []Line{h.Line("sent", colSent), h.Line("received", colReceived)}},
			{Title: "Traffic", Unit: Traffic, Lines: []Line{h.Line("out", colBytesOut), h.Line("in", colBytesIn)}},
			{Title: "Queued messages", Unit: Count, Lines: []Line{h.Line("to send", colSendQueue), h.Line("received", colRecvQueue)}},
			{Title: "Dropped messages", Unit: Rate, Lines: []Line{h.Line("dropped", colDropped)}},
		},
		Tables: []Table{peerTable(st.Peers)},
	}
}

func peerTable(peers []zmq.PeerStats) Table {
	t := Table{Title: "Peers", Columns: []string{"address", "sent", "received", "queued", "dropped"}, Note: "The peers with the most messages."}
	if len(peers) == 0 {
		t.Note = "No peers."
	}
	count := func(p zmq.PeerStats) uint64 { return p.MessagesSent + p.MessagesReceived }
	peers = slices.Clone(peers)
	slices.SortStableFunc(peers, func(a, b zmq.PeerStats) int { return cmp.Compare(count(b), count(a)) })
	peers = peers[:min(len(peers), shownPeers)]
	for _, p := range peers {
		name := cmp.Or(p.Remote, p.Endpoint)
		if !p.Connected {
			name += " (not connected)"
		}
		t.Rows = append(t.Rows, Row{
			Share: float64(count(p)) / float64(max(1, count(peers[0]))),
			Cells: []string{name, Number(float64(p.MessagesSent)), Number(float64(p.MessagesReceived)), Number(float64(p.SendQueue + p.RecvQueue)), Number(float64(p.DroppedFull))},
		})
	}
	return t
}
