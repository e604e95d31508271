package cli

import (
	"net"
	"os"
)

// Notify sends a state such as "READY=1" to the service manager, as sd_notify
// does: one datagram to the Unix socket that NOTIFY_SOCKET names. It does
// nothing if the variable is not set.
func Notify(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}
