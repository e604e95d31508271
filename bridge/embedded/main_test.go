package embedded_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"lintel.dev/bridge/embedded"
)

// serverVariable makes this test binary a server instead. Its value is the Config
// as JSON.
const serverVariable = "LINTEL_EMBEDDED_SERVER"

func TestMain(m *testing.M) {
	if text := os.Getenv(serverVariable); text != "" {
		if err := serve(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// serve runs a server until stdin ends, and prints its address.
func serve(text string) error {
	var cfg embedded.Config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	s, err := embedded.Start(cfg)
	if err != nil {
		return err
	}
	fmt.Println(s.URL())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends when the parent ends or closes it
	return s.Close()
}

// process is a server in a process of its own.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	url   string
}

// run starts a server process. It is killed when the test ends.
func run(t testing.TB, cfg embedded.Config) *process {
	t.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), serverVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, stdin: stdin}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server process did not start: %v", err)
	}
	p.url = strings.TrimSpace(line)
	return p
}

// kill ends the process with SIGKILL. It has no effect on a process that has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// given has the addresses that freeAddress has returned.
var given sync.Map

// freeAddress returns an address that no socket uses, of a port that the kernel
// gives to no connection by itself: a server that was killed gets it again.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(15000+rand.IntN(15000)))
		if _, used := given.LoadOrStore(addr, true); used {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}
