package deploy_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestUnits(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	dir := t.TempDir()
	// lintel.socket refers to the service.
	write(t, filepath.Join(dir, "lintel.service"), strings.ReplaceAll(read(t, "systemd/lintel.service"), "/usr/bin/lintel", lintel), 0o644)
	for file, unit := range map[string]string{"lintel.service": "lintel.service", "memcached.service": "memcached.service", "lintel.socket": "lintel.socket", "lintel@.service": "lintel@11212.service", "lintel-bridge@.service": "lintel-bridge@jobs.service"} {
		text := strings.NewReplacer("/usr/bin/lintel-bridge", lintel, "/usr/bin/lintel", lintel).Replace(read(t, "systemd/"+file))
		write(t, filepath.Join(dir, unit), text, 0o644)
		if out := run(t, analyze, "verify", "--man=no", filepath.Join(dir, unit)); strings.Contains(out, unit) {
			t.Errorf("%s: %s", file, out)
		}
		if file == "lintel.socket" {
			continue
		}
		// The threshold is in tenths: at most 2.0 of 10.
		run(t, analyze, "security", "--offline=true", "--threshold=20", filepath.Join(dir, unit))
	}
}

// TestUnitsAlike checks that the units differ in what an instance needs only, and
// memcached.service in its settings.
func TestUnitsAlike(t *testing.T) {
	instance := read(t, "systemd/lintel@.service")
	_, instance, _ = strings.Cut(instance, "\n[Unit]\n")
	instance = strings.NewReplacer(" on port %i", "", "Environment=CACHESIZE", "Environment=PORT=11211 CACHESIZE", "-p %i", "-p ${PORT}", "EnvironmentFile=-/etc/default/lintel.%i\n", "").Replace(instance)
	_, single, _ := strings.Cut(read(t, "systemd/lintel.service"), "\n[Unit]\n")
	if instance != single {
		t.Errorf("lintel@.service without its instance is\n%s\nlintel.service is\n%s", instance, single)
	}
	_, theirs, _ := strings.Cut(read(t, "systemd/memcached.service"), "\n[Unit]\n")
	theirs = strings.NewReplacer("memcached, by Lintel", "Lintel cache server", "/etc/sysconfig/memcached", "/etc/default/lintel").Replace(theirs)
	if theirs != single {
		t.Errorf("memcached.service with the settings of lintel.service is\n%s\nlintel.service is\n%s", theirs, single)
	}
}

func TestSysusersAndTmpfiles(t *testing.T) {
	sysusers, tmpfiles := tool(t, "systemd-sysusers"), tool(t, "systemd-tmpfiles")
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "usr/lib/sysusers.d/lintel.conf"), read(t, "systemd/sysusers.conf"), 0o644)
	write(t, filepath.Join(root, "usr/lib/tmpfiles.d/lintel.conf"), read(t, "systemd/tmpfiles.conf"), 0o644)
	write(t, filepath.Join(root, "etc/passwd"), "", 0o644)
	write(t, filepath.Join(root, "etc/group"), "", 0o644)
	run(t, sysusers, "--root="+root, "lintel.conf")
	if users := read(t, filepath.Join(root, "etc/passwd")); !strings.HasPrefix(users, "lintel:") {
		t.Errorf("/etc/passwd is %q", users)
	}
	run(t, tmpfiles, "--root="+root, "--create", "lintel.conf")
	info, err := os.Stat(filepath.Join(root, "run/lintel"))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner == 0 || info.Mode().Perm() != 0o755 {
		t.Errorf("/run/lintel has owner %d and mode %v", owner, info.Mode())
	}
}

// TestNotify runs the command line of the unit with its defaults, and follows
// what the server tells the service manager.
func TestNotify(t *testing.T) {
	var line string
	for l := range strings.Lines(read(t, "systemd/lintel.service")) {
		if command, ok := strings.CutPrefix(l, "ExecStart="); ok {
			line = strings.TrimSpace(command)
		}
	}
	line = strings.NewReplacer("${PORT}", "-1", "${CACHESIZE}", "64", "${MAXCONN}", "1024", "$OPTIONS", "-l 127.0.0.1").Replace(line)
	socket := filepath.Join(t.TempDir(), "notify")
	m := newManager(t, socket)
	cmd := exec.Command(lintel, strings.Fields(line)[1:]...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.wait(t, "READY=1")
	if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	m.wait(t, "STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("after KillSignal: %v", err)
	}
}

// TestBridgeNotify runs the command line of the bridge's unit, with a store in the
// folder that systemd would make, and follows what the bridge tells the service manager.
func TestBridgeNotify(t *testing.T) {
	unit := read(t, "systemd/lintel-bridge@.service")
	_, line, _ := strings.Cut(unit, "\nExecStart=/usr/bin/lintel-bridge ")
	line, _, _ = strings.Cut(line, "\n")
	_, store, _ := strings.Cut(unit, " STORE=")
	store, _, _ = strings.Cut(store, "\n")
	line = strings.NewReplacer("$MODE", "queue", "$STORE", store, "$OPTIONS", "--in req").Replace(line)
	line = strings.NewReplacer("%S", t.TempDir(), "%i", "jobs").Replace(line)
	socket := filepath.Join(t.TempDir(), "notify")
	m := newManager(t, socket)
	cmd := exec.Command(bridge(t), strings.Fields(line)...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.wait(t, "READY=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.wait(t, "STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// TestActivation starts the server with sockets that the test has opened, as lintel.socket does: one for TCP, one for
// UDP. A connection made before the start is answered.
func TestActivation(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	early, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	tcp, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := p.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	socket := filepath.Join(t.TempDir(), "notify")
	m := newManager(t, socket)
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=2 exec "$@"`, "sh", lintel, "memcached", "-p", "1", "-u", "root")
	cmd.ExtraFiles = []*os.File{tcp, udp} // descriptors 3 and 4
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	m.wait(t, "READY=1")
	if _, err := io.WriteString(early, "mn\r\n"); err != nil {
		t.Fatal(err)
	}
	if reply, err := bufio.NewReader(early).ReadString('\n'); reply != "MN\r\n" {
		t.Errorf("over TCP: %q, %v", reply, err)
	}
	client, err := net.Dial("udp", p.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("\x00\x01\x00\x00\x00\x01\x00\x00version\r\n")); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, 100)
	if n, err := client.Read(reply); err != nil || !bytes.HasPrefix(reply[8:max(8, n)], []byte("VERSION ")) {
		t.Errorf("over UDP: %q, %v", reply[:n], err)
	}
}
