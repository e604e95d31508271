package peers

import (
	"net"
	"os/exec"
	"strconv"
	"testing"
)

// Microsocks starts Debian's SOCKS5 proxy of this name, without authentication
// or with a user and password. It returns its address, host:port.
func Microsocks(t testing.TB, user, password string) (*Proc, string) {
	t.Helper()
	binary := Program(t, "microsocks")
	for range 10 {
		// The port may be taken meanwhile; see Memcached.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		args := []string{"-i", "127.0.0.1", "-p", strconv.Itoa(port)}
		if user != "" {
			args = append(args, "-u", user, "-P", password)
		}
		p := Start(t, exec.Command(binary, args...))
		if p.answers("tcp", l.Addr().String()) {
			return p, l.Addr().String()
		}
	}
	t.Fatal("microsocks did not start in ten attempts")
	return nil, ""
}

// Logs waits until the peer has written a line with the text to stderr.
func (p *Proc) Logs(text string) {
	p.t.Helper()
	if !p.logs(text) {
		p.t.Fatalf("%s ended without writing %q:\n%s", p.cmd, text, p.Log())
	}
}
