// Package sequence holds what every receiver of numbered publications needs:
// an [Epoch] that names one life of a publisher, a [Tracker] that classifies
// each number as it arrives, and a [Fence] that bounds how old the received
// state may be.
//
// A publisher numbers its publications 1, 2, 3 and so on within an epoch. A
// number that arrives is the next one, a duplicate, or behind a gap; another
// epoch means that the publisher restarted.
//
// Arrival times say nothing about age: a process that was stopped for a minute
// reads minute-old publications from its socket buffer. A Fence measures age
// from the moment the receiver asked instead. The receiver asks the publisher
// for its current number at its own monotonic time t. Once everything up to
// the answer has arrived, the receiver's state is at least as new as the
// publisher's was at t. No clocks are compared and no delay is assumed.
//
// Nothing here does I/O, reads a clock or locks.
package sequence
