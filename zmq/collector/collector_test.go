package collector_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"lintel.dev/zmq"
	"lintel.dev/zmq/collector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCollect(t *testing.T) {
	zctx := new(zmq.Context)
	push, err := zmq.NewPush(zmq.InContext(zctx))
	if err != nil {
		t.Fatal(err)
	}
	defer push.Close()
	pull, err := zmq.NewPull(zmq.InContext(zctx))
	if err != nil {
		t.Fatal(err)
	}
	defer pull.Close()
	if _, err := pull.Bind("inproc://x"); err != nil {
		t.Fatal(err)
	}
	if _, err := push.Connect("inproc://x"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := push.SendBytes(t.Context(), []byte("12345678")); err != nil {
			t.Fatal(err)
		}
	}
	c := collector.New()
	c.Add("work", push)
	c.Add("gone", pull)
	c.Remove("gone")
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := strings.TrimPrefix(f.GetName(), "lintel_zmq_")
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			got[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"messages_total out work PUSH":      3,
		"messages_total in work PUSH":       0,
		"bytes_total out work PUSH":         30,
		"peers work connected PUSH":         1,
		"peers work expected PUSH":          0,
		"queue_messages out work PUSH":      3,
		"dropped_total full work PUSH":      0,
		"handshakes_failed_total work PUSH": 0,

		"multicast_lost_packets_total work PUSH": 0,
	} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", key, v, ok, want)
		}
	}
	if _, ok := got["peers gone connected PULL"]; ok {
		t.Error("a removed socket is still shown")
	}
}

// TestDocumented checks that docs/sockets.md names every metric.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/sockets.md")
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan *prometheus.Desc, 32)
	collector.New().Describe(ch)
	close(ch)
	for d := range ch {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/sockets.md does not name %s", name)
		}
	}
}
