package zmqcli

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// readyIn bounds how long a test waits for a line that must come.
const readyIn = 30 * time.Second
