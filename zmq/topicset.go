package zmq

import (
	"maps"
	"slices"
)

// topicSet is the topics that one peer subscribed to, or the groups it joined.
type topicSet map[string]struct{}

// forgetSlice is how many topics are forgotten with the send lock held.
const forgetSlice = 256

// forget calls do for each topic, in the order of the octets, with the send lock
// held. Both locks are held when forget is called. If there are many, it returns at once and
// calls do from another goroutine, a slice of the topics at a time, so that no
// sender waits for long. The set must not be used any more.
func (t topicSet) forget(s *core, do func(topic string)) {
	if len(t) <= forgetSlice {
		for _, topic := range slices.Sorted(maps.Keys(t)) {
			do(topic)
		}
		if len(t) > 0 {
			s.recv.wakeOne()
		}
		return
	}
	s.wg.Go(func() {
		for some := range slices.Chunk(slices.Sorted(maps.Keys(t)), forgetSlice) {
			s.send.Lock()
			over := s.send.err != nil
			for _, topic := range some {
				if !over {
					do(topic)
				}
			}
			s.send.Unlock()
			if over {
				return
			}
			s.recv.Lock()
			s.recv.wakeOne()
			s.recv.Unlock()
		}
	})
}
