// Package feed publishes numbered messages over PUB/SUB, so that a subscriber
// knows what it missed, and gets it again.
//
// A [Publisher] numbers its messages within an [Epoch], keeps the latest in a
// ring, and answers on a control channel. A [Reader] yields every message once
// and in order. What it missed it asks for; what the ring no longer has becomes
// a snapshot, if the publisher has one, or a [Gap] event before the next message.
//
//	p, err := feed.NewPublisher(nil)
//	p.Bind("tcp://*:5556")
//	p.BindControl("tcp://*:5557")
//	p.Publish("prices", payload)
//
//	r, err := feed.Open(nil, feed.Source{Live: "tcp://host:5556", Control: "tcp://host:5557"})
//	for e, err := range r.Messages(ctx) {
//		// e.Kind is Message, Gap, Restart, ...
//	}
//
// # What is guaranteed
//
// A Reader yields the messages of an epoch in the order of their numbers, each
// once, and a Gap event for those that are lost. It yields a Restart event before
// the first message of another epoch. After a [Live] event, and until a [Stale]
// event, everything that had been published MaxStale ago has been yielded. This
// holds over lost and delayed messages, a publisher that is killed, stopped or
// restarted, and a reader that is stopped: age is measured by round trips from
// the moment the reader asked, never by arrival times.
//
// A system that is suspended stops the clock by which age is measured. Its
// readers may count as live for up to MaxStale after it resumes.
//
// # What it costs
//
// Publishing never waits for readers. A subscriber at its high-water mark loses
// live messages, as with PUB/SUB, and replays them. Replays and snapshots are
// sent in windows of at most 256 messages and 1 MiB for each request, by
// goroutines of their own. Both sides have bounded memory: the publisher its ring
// and one window for each request, the reader the live messages that arrive
// during a replay.
//
// # When not to use it
//
// A feed without a History keeps nothing on disk: what left the ring of a
// publisher that has no snapshots is gone, a restarted publisher begins anew, and
// two publishers cannot stand in for each other. With a History the messages and
// their numbers are those of a store outside; lintel.dev/bridge has one on NATS
// JetStream. Messages are not acknowledged.
//
// # Locks
//
// Publisher.mu orders numbers, ring and live messages. replayServer.mu protects
// the requests of readers. Neither is held while the other is taken, except that
// nothing is taken under Publisher.mu but the live socket's own locks.
//
// # Examples
//
// Example in example_test.go is a publisher and a reader.
package feed
