package webpage

import (
	"testing"
	"time"

	"lintel.dev/zmq"
)

type fakeSource struct{ st zmq.Stats }

func (f *fakeSource) Stats() zmq.Stats { return f.st }

func TestSocket(t *testing.T) {
	f := &fakeSource{zmq.Stats{Type: "PUSH", MessagesSent: 1000}}
	s := NewSocket("back", f)
	start := time.Unix(1000, 0)
	s.Sample(start)
	f.st = zmq.Stats{Type: "PUSH", MessagesSent: 1500, BytesSent: 4096, DroppedFull: 7, DroppedLost: 1, Peers: []zmq.PeerStats{
		{Endpoint: "tcp://a:1"},
		{Remote: "b:2", Connected: true, MessagesSent: 400, SendQueue: 30},
	}}
	s.Sample(start.Add(2 * time.Second))
	p := s.Part()
	want := map[string]string{"Sent": "250/s", "Received": "0/s", "Queued": "30", "Dropped": "8", "Peers": "1"}
	for _, g := range p.Figures {
		if want[g.Label] != g.Value {
			t.Errorf("%s is %q, want %q", g.Label, g.Value, want[g.Label])
		}
	}
	if p.Name != "back PUSH" || *p.Charts[1].Lines[0].Values[0] != 2048 || *p.Charts[3].Lines[0].Values[0] != 4 {
		t.Errorf("%+v", p)
	}
	rows := p.Tables[0].Rows
	if len(rows) != 2 || rows[0].Cells[0] != "b:2" || rows[0].Share != 1 || rows[1].Cells[0] != "tcp://a:1 (not connected)" {
		t.Errorf("%+v", rows)
	}
	f.st.Peers = make([]zmq.PeerStats, 100)
	if n := len(s.Part().Tables[0].Rows); n != shownPeers {
		t.Errorf("%d peers are shown", n)
	}
}
