package zmq

import "testing"

// A peer that is gone, and whose topics are removed later, makes room for the next
// subscriber of a topic: no fan-out is made for the two.
func TestGoneSubscriberMakesRoom(t *testing.T) {
	x := newPublisher(nil)
	gone, next, third := new(pipe), new(pipe), new(pipe)
	if !x.subscribe(gone, "topic") {
		t.Error("a new topic is known")
	}
	gone.gone = true
	if x.subscribe(next, "topic") {
		t.Error("a topic whose end was not noted yet is new")
	}
	if f, _ := x.topics.Get([]byte("topic")); f.one != next || f.all != nil {
		t.Errorf("subscribers %+v, want only the one that is there", f)
	}
	if x.unsubscribe(gone, []byte("topic")) {
		t.Error("the topic ended with the peer that is gone")
	}
	x.subscribe(third, "topic")
	if f, _ := x.topics.Get([]byte("topic")); f.all == nil || !f.has(next) || !f.has(third) {
		t.Errorf("subscribers %+v, want the two that are there", f)
	}
}
