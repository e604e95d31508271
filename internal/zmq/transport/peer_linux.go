package transport

import (
	"fmt"
	"net"
	"slices"

	"golang.org/x/sys/unix"
)

// credentials returns those of the process at the other end of a unix connection.
func credentials(conn net.Conn) (*unix.Ucred, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("no credentials of the peer on a %T", conn)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	if ctl := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); ctl != nil {
		return nil, ctl
	}
	return cred, err
}

// PeerName is what authenticators know the other end of a unix connection by:
// localhost:USER:GROUP:PROCESS, in numbers.
func PeerName(conn net.Conn) string {
	cred, err := credentials(conn)
	if err != nil {
		return "localhost"
	}
	return fmt.Sprintf("localhost:%d:%d:%d", cred.Uid, cred.Gid, cred.Pid)
}

// CheckPeer refuses a unix connection whose process is in none of the lists.
func CheckPeer(conn net.Conn, uids, gids, pids []int) error {
	cred, err := credentials(conn)
	if err != nil {
		return err
	}
	if slices.Contains(uids, int(cred.Uid)) || slices.Contains(gids, int(cred.Gid)) || slices.Contains(pids, int(cred.Pid)) {
		return nil
	}
	return fmt.Errorf("peer of user %d, group %d, process %d is not among those allowed", cred.Uid, cred.Gid, cred.Pid)
}
