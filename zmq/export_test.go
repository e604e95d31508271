package zmq

// Lent reports whether receivers read the connection of s themselves.
func Lent(s Socket) bool {
	c := s.base()
	c.recv.Lock()
	defer c.recv.Unlock()
	return c.recv.direct.r != nil
}

// Waits reports whether a receiver of s waits, be it for the connection.
func Waits(s Socket) bool {
	c := s.base()
	c.recv.Lock()
	defer c.recv.Unlock()
	return c.recv.waiters.Any() || c.recv.direct.busy
}

// Readers is the number of peers that read a log of the publisher s.
func Readers(s Socket) (n int) {
	c := s.base()
	c.send.Lock()
	defer c.send.Unlock()
	for p := range c.pipes {
		if p.fan.at > 0 {
			n++
		}
	}
	return n
}

// Kept is the number of peers, here and gone, that s would receive from.
func Kept(s Socket) int {
	c := s.base()
	c.recv.Lock()
	defer c.recv.Unlock()
	return c.recv.fq.ring.Len()
}
