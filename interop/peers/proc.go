package peers

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Proc is a running peer. Its methods fail the test on any error. They must be
// called by one goroutine at a time.
type Proc struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   chan string
	errs  chan string

	quiet bool // its log is not shown on failure

	mu  sync.Mutex // protects log
	log strings.Builder

	reading sync.WaitGroup
	stop    sync.Once
	ended   chan struct{}
	status  error
}

// Start runs a command until the test ends or [Proc.Kill] is called. What it
// writes to stderr is shown if the test fails.
func Start(t testing.TB, cmd *exec.Cmd) *Proc {
	t.Helper()
	p := &Proc{t: t, cmd: cmd, out: make(chan string), errs: make(chan string, 1<<10), ended: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.reading.Add(2)
	go p.read(stdout, p.out, false)
	go p.read(stderr, p.errs, true)
	go func() {
		p.reading.Wait()
		p.status = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.Kill)
	return p
}

// read passes on the lines of one stream. Lines of stderr are dropped if no
// call waits for them; lines of stdout wait.
func (p *Proc) read(r io.Reader, to chan string, lossy bool) {
	defer p.reading.Done()
	defer close(to)
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		if line != "" || err == nil {
			if lossy {
				p.mu.Lock()
				if p.log.Len() < 8<<10 {
					p.log.WriteString(line + "\n")
				}
				p.mu.Unlock()
				select {
				case to <- line:
				default:
				}
			} else {
				to <- line
			}
		}
		if err != nil {
			return
		}
	}
}

// logs waits for a line of stderr with the text. It returns false if the peer
// ends without writing it.
func (p *Proc) logs(text string) bool {
	p.t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	for {
		select {
		case line, ok := <-p.errs:
			if !ok {
				return false
			}
			if strings.Contains(line, text) {
				return true
			}
		case <-timer.C:
			p.t.Fatalf("%s does not start:\n%s", p.cmd, p.Log())
		}
	}
}

// answers waits until the peer accepts connections, for a peer that does not
// report it. It returns false if the peer ends.
func (p *Proc) answers(network, addr string) bool {
	p.t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	for {
		if c, err := net.Dial(network, addr); err == nil {
			c.Close()
			return true
		}
		select {
		case <-again.C:
		case <-p.ended:
			return false
		case <-timer.C:
			p.t.Fatalf("%s does not listen:\n%s", p.cmd, p.Log())
		}
	}
}

// Log returns what the peer wrote to stderr so far.
func (p *Proc) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Line returns the next line of the peer's stdout.
func (p *Proc) Line() string {
	p.t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case line, ok := <-p.out:
		if !ok {
			p.t.Fatalf("%s ended its output: %v\n%s", p.cmd, p.Wait(), p.Log())
		}
		return line
	case <-timer.C:
		p.t.Fatalf("%s printed nothing\n%s", p.cmd, p.Log())
	}
	return ""
}

// Expect reads lines until one matches and returns its submatches.
func (p *Proc) Expect(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		if m := re.FindStringSubmatch(p.Line()); m != nil {
			return m
		}
	}
}

// ExpectLog is [Proc.Expect] on stderr, where programs report that they are
// ready. It must be called before the peer has written a thousand lines there.
func (p *Proc) ExpectLog(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	for {
		select {
		case line, ok := <-p.errs:
			if !ok {
				p.t.Fatalf("%s has ended: %v\n%s", p.cmd, p.Wait(), p.Log())
			}
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		case <-timer.C:
			p.t.Fatalf("%s did not write %q:\n%s", p.cmd, pattern, p.Log())
		}
	}
}

// Send writes a line to the peer's stdin.
func (p *Proc) Send(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatalf("%s: %v\n%s", p.cmd, err, p.Log())
	}
}

// SendJSON writes one JSON object as a line to the peer's stdin.
func (p *Proc) SendJSON(request any) {
	p.t.Helper()
	line, err := json.Marshal(request)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Send(string(line))
}

// Call sends one JSON object as a line and decodes the next line into reply.
func (p *Proc) Call(request, reply any) {
	p.t.Helper()
	p.SendJSON(request)
	p.Reply(reply)
}

// Reply decodes the next line, which must be JSON.
func (p *Proc) Reply(reply any) {
	p.t.Helper()
	answer := p.Line()
	if err := json.Unmarshal([]byte(answer), reply); err != nil {
		p.t.Fatalf("%s answered %q: %v\n%s", p.cmd, answer, err, p.Log())
	}
}

// Close closes the peer's stdin, waits for its end and returns its exit error.
func (p *Proc) Close() error {
	p.stdin.Close()
	return p.Wait()
}

// Wait waits for the peer's end and returns its exit error. It drops the rest
// of its output.
func (p *Proc) Wait() error {
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	out := p.out
	for {
		select {
		case _, ok := <-out:
			if !ok {
				out = nil
			}
		case <-p.ended:
			return p.status
		case <-timer.C:
			return errors.New("still running")
		}
	}
}

// Kill kills the peer and waits for its end.
func (p *Proc) Kill() {
	p.stop.Do(func() {
		p.stdin.Close()
		_ = p.cmd.Process.Kill()
		_ = p.Wait()
		if p.t.Failed() && !p.quiet {
			p.t.Logf("stderr of %s:\n%s", p.cmd, p.Log())
		}
	})
}

// Run runs a command and returns its output, stdout and stderr combined, and
// its exit status.
func Run(t testing.TB, cmd *exec.Cmd) (output string, status int) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Interrupt sends the peer an interrupt.
func (p *Proc) Interrupt() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
}

func (p *Proc) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}
