// Package jetstream is an engine on NATS JetStream: on a cluster, a single server,
// or the server in the process of lintel.dev/bridge/embedded.
//
// # Streams
//
//	queue NAME         stream Q_NAME, subject Q.NAME, WorkQueuePolicy, one durable pull consumer "bridge"
//	its dead letters   stream D_NAME, subjects D.NAME.LIFE.SEQ, LimitsPolicy
//	log NAME           stream P_NAME, subjects P.NAME.TOKENS, LimitsPolicy
//
// A program that speaks NATS may publish to Q.NAME and P.NAME, and read all of
// them. A message of one frame is stored as it is. The headers are:
//
//	Nats-Msg-Id   the deduplication id, percent-encoded
//	Zmq-Frames    the lengths of the frames, if there is not exactly one: "3,0,17"
//	Zmq-Topic     the topic of a log entry, percent-encoded
//	Zmq-Crc32c    CRC-32C over Zmq-Frames, the topic and the body; see [checksum]
//
// The subject of a log entry has the first four octets of the topic as tokens of
// two hexadecimal digits and ends with the token "_": "ab" is P.NAME.61.62._ and
// the subscription "ab" is P.NAME.61.62.>. Longer prefixes are filtered again.
//
// # Dead letters
//
// The server reports a message that reached MaxDeliver, or was terminated, only by
// an advisory. Advisories are published once and not stored: one that is sent while
// the bridge is away is lost, and the message stays in the work queue, undelivered.
// Therefore the consumer has no MaxDeliver. The bridge counts: a message that comes
// for the MaxDeliver+1st time is stored in D_NAME and then acknowledged. The subject
// in D_NAME names the stream's creation time and the message's sequence, and the
// store is conditional on the subject being empty. So a crash between the two steps
// delivers the message once more, and the second store has no effect.
//
// # Receipts
//
// Put publishes asynchronously, and the receipt is the server's PubAck. When the
// connection breaks or no server answers, a message with an ID is published again
// with the same ID, so that it is stored once. A message without an ID is published
// again only if it was certainly not stored; otherwise done gets the error. Messages
// that are published again may be stored after later ones.
//
// # Jobs
//
// Get asks the server for as many messages as the caller wants, and for no more:
// the bridge does not prefetch. A message that arrives after its Get was cancelled
// waits for the next Get for up to half of AckWait, and is then returned to the
// server.
//
// # Goroutines and locks
//
// An Engine has the goroutines of its NATS connection and the subscription for
// receipts. A Queue, and each reading of a Log, adds a subscription for messages.
// sender.mu, puller.mu, job.mu and queue.mu are never held while another is taken, except that
// queue.mu is taken under job.mu. None is held during a call of the server, except
// job.mu, so that a job ends once.
package jetstream
