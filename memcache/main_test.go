package memcache

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The examples leave the client its defaults, and a busy machine can hold
	// a server up for longer than that.
	defaultTimeout = time.Minute
	goleak.VerifyTestMain(m)
}
