package cli

import (
	"net"
	"path/filepath"
	"runtime"
	"testing"
)

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify("READY=1"); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	if runtime.GOOS == "windows" {
		t.Skip("no datagram Unix sockets")
	}
	name := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	if err := Notify("READY=1"); err != nil {
		t.Fatal(err)
	}
	state := make([]byte, 64)
	n, err := manager.Read(state)
	if err != nil || string(state[:n]) != "READY=1" {
		t.Errorf("received %q, %v, expected READY=1", state[:n], err)
	}
	manager.Close()
	if err := Notify("STOPPING=1"); err == nil {
		t.Error("no error without a receiver")
	}
}
