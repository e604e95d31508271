// Package rawio performs non-blocking socket I/O with raw system calls, which
// bypass the Go scheduler.
//
// For a short message, the work of the scheduler at each system call is most of
// the cost, and in an idle program it wakes the runtime's monitor thread, on the
// core that the peer may need. Round trip of 1 octet over tcp, zmq: p99 from 40
// to 27 us. The calls do not block, so that the scheduler need not know of them.
// The price is this package, with one use of unsafe.
//
// On systems without MSG_DONTWAIT, and with the race detector, the calls are
// ordinary system calls on descriptors that do not block.
package rawio
