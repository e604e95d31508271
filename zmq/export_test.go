package zmq

// Lent reports whether receivers read the connection of s themselves.
func Lent(s Socket) bool {
	c := s.base()
	c.recv.Lock()
	defer c.recv.Unlock()
	return c.alone.r != nil
}

// Waits reports whether a receiver of s waits, be it for the connection.
func Waits(s Socket) bool {
	c := s.base()
	c.recv.Lock()
	defer c.recv.Unlock()
	return c.canRecv.Any() || c.alone.busy
}
