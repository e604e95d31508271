package zmqcli

import (
	"path/filepath"
	"strings"
	"testing"
)

// A reply that comes after --timeout is printed all the same: the requests in
// between are refused, and the socket goes on.
func TestLateReply(t *testing.T) {
	at := "ipc://" + filepath.Join(t.TempDir(), "s")
	router := newSession(t, "router", "--bind", at)
	router.after("bound ")
	req := newSession(t, "req", "--connect", at, "--timeout", "300ms")
	req.send("question")
	request := router.line()
	req.after("lintel: receive: no reply")
	router.send(strings.TrimSuffix(request, "question") + "late")
	req.repeat("late", req)
}
