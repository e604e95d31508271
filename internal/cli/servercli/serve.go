package servercli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/cli/logging"
	"lintel.dev/internal/memcached/listen"
	"lintel.dev/memcached"
	"lintel.dev/nearcache/server"
)

// stopIn is the longest time of a clean stop.
const stopIn = 10 * time.Second

// instance is one cache server of the process and its sockets.
type instance struct {
	server  *memcached.Server
	feed    *server.Publisher // nil without --invalidate
	tcp     []net.Listener
	packets []net.PacketConn
}

// serve runs the instances until ctx is done, or a signal or a command ends them.
// It logs to stderr.
func (s *serverSettings) serve(ctx context.Context, stderr io.Writer) error {
	var level slog.LevelVar
	setVerbosity := func(verbosity int) {
		level.Set(s.log.Level)
		if verbosity > 0 {
			level.Set(slog.LevelDebug)
		}
	}
	setVerbosity(s.options.Verbosity)
	log := logging.New(stderr, s.log.Format, &level)
	s.options.OnVerbosity = setVerbosity
	s.options.Trace = func(line string) { log.Debug(line) }
	if s.log.Format == logging.Text {
		s.options.Trace = func(line string) { fmt.Fprintln(stderr, line) } // as memcached
	}
	s.options.OnPanic = func(v any, stack []byte) {
		log.Error("internal error, connection closed", "panic", fmt.Sprint(v), "stack", string(stack))
	}
	s.options.OnHandshakeError = func(client net.Addr, err error) {
		log.Debug("TLS handshake failed", "client", client.String(), "error", err)
	}
	return logging.Failed(log, s.serveInstances(ctx, log))
}

// serveInstances is serve with a logger.
func (s *serverSettings) serveInstances(ctx context.Context, log *slog.Logger) (err error) {
	if err := s.prepareProcess(log); err != nil {
		return err
	}
	// Each event loop keeps its P while it runs. One more P leaves the other
	// goroutines one to run on.
	if threads := cmp.Or(s.options.Threads, 4) * s.instances; os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) <= threads {
		runtime.GOMAXPROCS(min(threads+1, 256))
	}
	s.options.Dedicated = true
	var certs *listen.TLS
	if s.tls {
		if certs, err = listen.LoadTLS(s.certs); err != nil {
			return cli.Usage(err)
		}
		s.options.Certs = &reloader{certs, func() error { return checkInputs(s) }}
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s.options.OnShutdown = func(bool) { stop(errStopped) }
	s.options.TrackLatency, s.options.TrackKeys = s.http != "", s.http != ""

	began := time.Now()
	instances, topology, err := s.open(ctx, certs, log)
	defer func() {
		for _, in := range instances {
			err = errors.Join(err, in.close())
		}
	}()
	if err != nil {
		return err
	}
	took := time.Since(began)
	log.Info("started", "lintel", s.build, "memcached", memcached.DefaultVersion, "pid", os.Getpid())
	for _, w := range s.warnings {
		log.Warn(w)
	}
	if err := s.writePortFile(instances); err != nil {
		return err
	}
	if s.pidFile != "" {
		err := cli.OutputFile(s.pidFile)
		if err == nil {
			err = os.WriteFile(s.pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644)
		}
		if err != nil {
			log.Warn("-P: no pid file", "error", err) // as memcached: not fatal
		} else {
			defer os.Remove(s.pidFile)
		}
	}
	reload := func() {
		if err := checkInputs(s); err != nil {
			log.Error("reload: users and certificates stay", "error", err)
			return
		}
		for _, in := range instances {
			if err := in.server.ReloadAuth(); err != nil {
				log.Error("reload users: the old ones stay", "error", err)
			}
		}
		if certs != nil {
			if err := certs.Reload(); err != nil {
				log.Error("reload certificates: the old ones stay", "error", err)
			}
		}
	}
	defer onSignals(func() { stop(errStopped) }, reload)()

	var tasks errgroup.Group
	fail := func(err error) {
		if err != nil && !errors.Is(err, memcached.ErrServerClosed) {
			stop(err)
		}
	}
	for _, in := range instances {
		for _, l := range in.tcp {
			tasks.Go(func() error { fail(in.server.Serve(l)); return nil })
		}
		for _, p := range in.packets {
			tasks.Go(func() error { fail(in.server.ServePacket(p)); return nil })
		}
	}
	if s.cluster != "" {
		tasks.Go(func() error {
			s.watchCluster(ctx, topology, func(err error) {
				log.Error("reload --cluster: the old list stays", "error", err)
			})
			return nil
		})
	}
	if s.http != "" {
		if err := s.startHTTP(ctx, &tasks, instances, log); err != nil {
			stop(err)
		}
	}
	if err := detach(s.options.Verbosity > 0); err != nil {
		stop(err)
	}
	// Scripts wait for these lines: the pid file exists and signals are handled by now.
	if s.options.MemoryFile != "" {
		log.Info(fmt.Sprintf("%d items restored from %s in %v", instances[0].server.Stats().Items, s.options.MemoryFile, took.Round(time.Millisecond)))
	}
	switch at := addresses(instances); {
	case len(at) == 0: // memcached also runs without a listener
		log.Warn("nothing to listen on: -p 0 without -s or -U (-p -1 is any free port)")
	case ctx.Err() == nil:
		announceFeeds(log, instances)
		log.Info("memcached listens on", "addresses", at)
	}

	if ctx.Err() == nil {
		if err := cli.Notify("READY=1"); err != nil {
			log.Warn("NOTIFY_SOCKET: the service manager was not notified", "error", err)
		}
	}
	<-ctx.Done()
	log.Info("stopping")
	_ = cli.Notify("STOPPING=1") // best effort: the manager also sees the process end
	for i := range instances {
		err = errors.Join(err, instances[i].close())
	}
	tasks.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errStopped) && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	if err == nil {
		log.Info("stopped", "uptime", time.Since(began).Round(time.Second).String())
	}
	return err
}

// errStopped is the cause of a stop by a signal or command.
var errStopped = errors.New("stopped")

// close ends the instance. A second call does nothing.
func (in *instance) close() error {
	err := in.closeServer()
	if in.feed != nil {
		err = errors.Join(err, in.feed.Close())
		in.feed = nil
	}
	return err
}

func (in *instance) closeServer() error {
	for _, p := range in.packets {
		p.Close()
	}
	for _, l := range in.tcp {
		l.Close()
	}
	if in.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopIn)
	defer cancel()
	return in.server.Shutdown(ctx)
}

// open makes the instances and their sockets. On an error it returns those made
// so far.
func (s *serverSettings) open(ctx context.Context, certs *listen.TLS, log *slog.Logger) ([]*instance, *memcached.Topology, error) {
	tcp, packets, err := inherited()
	all := []*instance{{tcp: tcp, packets: packets}}
	if err != nil {
		return all, nil, err
	}
	if active := len(tcp)+len(packets) > 0; !active {
		all = nil
		for i := range s.instances {
			in := &instance{}
			all = append(all, in)
			if err := s.listenFor(ctx, in, i, certs); err != nil {
				return all, nil, err
			}
		}
	} else if s.instances > 1 {
		return all, nil, cli.Usagef("--instances %d: a service manager has passed sockets (LISTEN_FDS), expected 1 instance", s.instances)
	} else if certs != nil {
		for i, l := range tcp {
			all[0].tcp[i] = certs.Listener(l)
		}
	}
	topology, err := s.topology(all)
	if err != nil {
		return all, nil, err
	}
	for i, in := range all {
		o := s.options
		o.Topology = topology
		if i > 0 && s.port > 0 {
			o.Settings = maps.Clone(o.Settings)
			o.Settings["tcpport"] = strconv.Itoa(s.port + i)
		}
		if in.feed, err = s.openFeed(i, log); err != nil {
			return all, nil, err
		}
		if in.feed != nil {
			o.Feed = in.feed
		}
		srv, err := memcached.New(o)
		if err != nil {
			// New fails for wrong values, and for files that cannot be read.
			if _, file := errors.AsType[*fs.PathError](err); file || errors.Is(err, memcached.ErrOptions) {
				return all, nil, cli.Usage(err)
			}
			return all, nil, err
		}
		in.server = srv
	}
	return all, topology, nil
}

// listenFor opens the sockets of instance number i.
func (s *serverSettings) listenFor(ctx context.Context, in *instance, i int, certs *listen.TLS) error {
	if s.socket != "" {
		l, err := listen.Unix(s.socket, s.mask, s.backlog)
		if err != nil {
			return fmt.Errorf("failed to listen on UNIX socket %s: %s", s.socket, systemText(err))
		}
		in.tcp = append(in.tcp, l)
		return nil
	}
	where := s.listen
	if len(where) == 0 {
		where = []string{""}
	}
	for _, text := range where {
		e, err := listen.Parse(text, shifted(s.port, i))
		if err != nil {
			return cli.Usage(err)
		}
		own := strings.HasSuffix(text, ":"+strconv.Itoa(e.Port)) // -l has a port
		if own && i > 0 && e.Port != 0 {
			e.Port += i
		}
		if e.Protocol != "" && s.options.Protocol != "" && e.Protocol != string(s.options.Protocol) {
			return cli.Usagef("-l %s: one protocol for all of the server, and it is %s", text, s.options.Protocol)
		}
		if e.Protocol != "" && len(where) == 1 {
			s.options.Protocol = memcached.Protocol(e.Protocol)
		}
		if s.port != 0 || own {
			found, err := e.Listen(ctx, s.backlog, certs)
			if noHost := (*net.DNSError)(nil); errors.As(err, &noHost) {
				return cli.Usagef("-l %s: no such host, expected an address or a name with or without :PORT", text)
			}
			if err != nil {
				return listenError("TCP", text, e.Port, err)
			}
			in.tcp = append(in.tcp, found...)
		}
		if s.udpPort != 0 {
			if !own { // a port in -l is for TCP and UDP
				e.Port = shifted(s.udpPort, i)
			}
			found, err := e.ListenPacket(ctx)
			if err != nil {
				return listenError("UDP", text, e.Port, err)
			}
			in.packets = append(in.packets, found...)
		}
	}
	return nil
}

// listenError is the error of a socket in memcached's words, which scripts know.
func listenError(network, interfaces string, port int, err error) error {
	if _, ok := errors.AsType[syscall.Errno](err); !ok {
		return err
	}
	if interfaces == "" {
		return fmt.Errorf("failed to listen on %s port %d: %s", network, port, systemText(err))
	}
	return fmt.Errorf("failed to listen on one of interface(s) %s: %s, %s port %d", interfaces, systemText(err), network, port)
}

// systemText is the text of a system error with a capital, as strerror has it,
// or of err itself.
func systemText(err error) string {
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		text := no.Error()
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return err.Error()
}

// shifted returns the port of instance i; 0, any port, for memcached's -1.
func shifted(port, i int) int {
	if port <= 0 {
		return 0
	}
	return port + i
}

// portFile is the environment variable that names the file for the ports.
const portFile = "MEMCACHED_PORT_FILENAME"

// writePortFile writes the ports to the file that portFile names,
// in memcached's format. The file is renamed into place.
func (s *serverSettings) writePortFile(all []*instance) error {
	name := os.Getenv(portFile)
	if name == "" || s.socket != "" {
		return nil
	}
	var b strings.Builder
	for _, in := range all {
		for _, l := range in.tcp {
			if a, ok := l.Addr().(*net.TCPAddr); ok {
				writePorts(&b, "TCP", a.IP, a.Port)
			}
		}
		for _, p := range in.packets {
			if a, ok := p.LocalAddr().(*net.UDPAddr); ok {
				writePorts(&b, "UDP", a.IP, a.Port)
			}
		}
	}
	if err := os.WriteFile(name+".lck", []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf(portFile+": %w", err)
	}
	if err := os.Rename(name+".lck", name); err != nil {
		return fmt.Errorf(portFile+": %w", err)
	}
	return nil
}

// writePorts writes a line for each address family that a socket serves. A socket
// on all IPv6 addresses also serves IPv4.
func writePorts(b *strings.Builder, network string, ip net.IP, port int) {
	six := ip.To4() == nil
	if !six || ip.IsUnspecified() {
		fmt.Fprintf(b, "%s INET: %d\n", network, port)
	}
	if six {
		fmt.Fprintf(b, "%s INET6: %d\n", network, port)
	}
}

// addresses lists the addresses of all sockets.
func addresses(all []*instance) logging.List {
	var words logging.List
	for _, in := range all {
		for _, l := range in.tcp {
			words = append(words, l.Addr().String())
		}
		for _, p := range in.packets {
			words = append(words, "udp "+p.LocalAddr().String())
		}
	}
	return words
}
