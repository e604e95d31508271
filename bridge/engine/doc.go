// Package engine declares what the bridge needs of a message store: work queues
// whose jobs are acknowledged one by one, and logs that are read by position.
//
// The implementations are lintel.dev/bridge/jetstream, on a NATS cluster or on
// the server of lintel.dev/bridge/embedded, and lintel.dev/bridge/memory. The
// tests of lintel.dev/bridge/enginetest are the contract of this package as code;
// each implementation runs them.
//
// # Puts
//
// [Queue.Put] and [Log.Append] are asynchronous. They return when the engine has
// taken the message, and call done exactly once, when the engine holds the message
// as durably as its [Guarantee] says, or will never hold it, or has given up
// finding out. That may be before they return. They block while the configured number of messages is outstanding,
// which passes back-pressure on to the producer.
//
// An error that wraps [ErrTooLarge] or [ErrFull] means that the message is not
// stored. After any other error it may be stored. The caller puts it again with
// the same [Message.ID]: within the deduplication window the second message is not
// stored, and its receipt has Duplicate set.
//
// # Jobs
//
// A job is delivered at least once until it is acknowledged or terminated. A job
// that is not finished within the AckWait of its queue is delivered again. A job
// that was delivered MaxDeliver times without an acknowledgement moves to the
// dead letters of its queue at its next delivery, so only while a caller waits in
// [Queue.Get].
//
// # Concurrency
//
// All methods may be called from several goroutines. The functions that an engine
// calls (done, [Options.OnEvent]) run on the engine's goroutines: they must not
// block, and must not call the engine.
package engine
