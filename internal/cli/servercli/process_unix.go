//go:build unix

package servercli

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"lintel.dev/internal/cli"
)

// daemonEnv is set for the background process of -d. Its value is the descriptor
// that the process writes to when it listens.
const daemonEnv = "LINTEL_DAEMON_READY"

func isDaemon() bool { return os.Getenv(daemonEnv) != "" }

// daemonize runs the same command line in a new session. It returns when that
// process listens, or with its exit status if it ends before.
func daemonize() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), daemonEnv+"=3")
	cmd.ExtraFiles = []*os.File{w} // becomes descriptor 3
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.Close()
	if n, _ := r.Read(make([]byte, 1)); n == 1 {
		return cmd.Process.Release()
	}
	err = cmd.Wait() // it has printed the error
	var status *exec.ExitError
	if errors.As(err, &status) && status.ExitCode() > 0 {
		return cli.Exit(status.ExitCode(), nil)
	}
	return errors.New("the background process ended before it started to listen")
}

// detach reports to the process in daemonize that this one listens, and detaches
// standard input and output. It does nothing in the foreground.
func detach(verbose bool) error {
	fd, err := strconv.Atoi(os.Getenv(daemonEnv))
	if err != nil {
		return nil
	}
	os.Unsetenv(daemonEnv)
	ready := os.NewFile(uintptr(fd), "ready")
	defer ready.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	last := 2
	if verbose {
		last = 0
	}
	for fd := 0; fd <= last; fd++ {
		if err := dup2(int(null.Fd()), fd); err != nil {
			return err
		}
	}
	_, err = ready.Write([]byte{'+'})
	return err
}

// onSignals calls stop for SIGUSR1, memcached's graceful stop, and reload for
// SIGHUP, until the function it returns is called. The context of the command
// ends with SIGINT and SIGTERM, which stop the server in the same way.
func onSignals(stop, reload func()) func() {
	c := make(chan os.Signal, 4)
	signal.Notify(c, syscall.SIGUSR1, syscall.SIGHUP)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case sig := <-c:
				if sig == syscall.SIGHUP {
					reload()
				} else {
					stop()
				}
			}
		}
	}()
	return func() {
		signal.Stop(c)
		close(quit)
		<-done
	}
}

// prepareProcess applies the flags that concern the process: limits, locked
// memory, the user.
func (s *serverSettings) prepareProcess(log *slog.Logger) error {
	if s.coreDumps {
		var lim unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_CORE, &lim); err != nil {
			return fmt.Errorf("-r: %w", err)
		}
		lim.Cur = lim.Max
		if err := unix.Setrlimit(unix.RLIMIT_CORE, &lim); err != nil {
			return fmt.Errorf("-r: %w", err)
		}
		if lim.Max == 0 {
			return errors.New("-r: core files are forbidden by the hard limit")
		}
	}
	if err := s.raiseDescriptors(); err != nil {
		return err
	}
	if s.lockAll {
		if err := lockMemory(); err != nil {
			log.Warn("-k: memory is not locked", "error", err)
		}
	}
	if os.Geteuid() == 0 && s.user != "" && s.user != "root" {
		return becomeUser(s.user)
	}
	return nil
}

// raiseDescriptors raises the limit of open files to -c connections and some more.
func (s *serverSettings) raiseDescriptors() error {
	conns := cmp.Or(s.options.MaxConns, 1024)
	need := uint64(conns)*uint64(s.instances) + 64
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return err
	}
	if lim.Cur >= need {
		return nil
	}
	want := lim
	want.Cur, want.Max = need, max(need, lim.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		return fmt.Errorf("-c %d: %d open files are needed, the limit is %d; start as root or raise ulimit -n", conns, need, lim.Max)
	}
	return nil
}

// becomeUser changes the user and groups of the process.
func becomeUser(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return cli.Usagef("-u %s: no such user", name)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("-u %s: %w", name, err)
	}
	if err := errors.Join(syscall.Setgroups([]int{gid}), syscall.Setgid(gid), syscall.Setuid(uid)); err != nil {
		return fmt.Errorf("-u %s: %w", name, err)
	}
	return nil
}
