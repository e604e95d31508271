package servercli

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

// firstInherited is the first descriptor that a service manager passes.
const firstInherited = 3

// inherited returns the listeners that a service manager has opened for this process (sd_listen_fds(3), systemd's
// socket units): LISTEN_FDS descriptors from 3 on, if LISTEN_PID is this process. Stream sockets are listeners,
// datagram sockets are for UDP. It removes the variables, so that no child sees them. Without such variables it
// returns nothing.
func inherited() (tcp []net.Listener, packets []net.PacketConn, err error) {
	pid, fds := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if fds == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil, nil
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 || n > 1024 {
		return nil, nil, fmt.Errorf("LISTEN_FDS is %q, expected a number of sockets", fds)
	}
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		f := os.NewFile(uintptr(fd), "LISTEN_FD_"+strconv.Itoa(fd))
		l, err := net.FileListener(f)
		if err == nil {
			tcp = append(tcp, l)
		} else if p, err2 := net.FilePacketConn(f); err2 == nil {
			packets = append(packets, p)
		} else {
			f.Close()
			return tcp, packets, fmt.Errorf("LISTEN_FDS: descriptor %d is no listening socket: %w", fd, err)
		}
		f.Close() // the listener has a duplicate
	}
	return tcp, packets, nil
}
