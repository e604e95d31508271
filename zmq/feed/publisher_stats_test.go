package feed

import "testing"

func TestPublisherStats(t *testing.T) {
	p, err := NewPublisher(&Config{MaxMessages: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 3 {
		if _, err := p.Publish("topic", []byte("payload")); err != nil {
			t.Fatal(err)
		}
	}
	st := p.Stats()
	if st.Position.Seq != 3 || st.Kept != 2 || st.Octets != 2*int64(96+len("topic")+len("payload")) || st.Live.Type != "XPUB" || st.Control.Type != "ROUTER" {
		t.Errorf("%+v", st)
	}
}
