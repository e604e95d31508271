package cli

import (
	"errors"
	"net"
	"os"

	"lintel.dev/zmq"
)

// EndpointError returns what Bind or Connect returned as a usage error, unless
// the operating system refused: an endpoint that cannot be parsed is an error
// in the command line, a port that is in use is not.
func EndpointError(err error) error {
	var op *net.OpError
	var sys *os.SyscallError
	if err == nil || errors.As(err, &op) || errors.As(err, &sys) || errors.Is(err, zmq.ErrAddressInUse) {
		return err
	}
	return Usage(err)
}
