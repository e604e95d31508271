// Package rawio reads and writes sockets without telling the scheduler. The
// calls never wait, so that it need not know of them: for a short message being
// told is most of the work, and in a program that was idle it wakes the
// runtime's monitor, on the very core that the peer wants. Where there is no way
// to do so, or the race detector watches, they are ordinary system calls on
// descriptors that do not block.
package rawio
