package nearcache

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if soakProcess() {
		return
	}
	goleak.VerifyTestMain(m)
}
