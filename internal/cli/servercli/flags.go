package servercli

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/cli/logging"
	"lintel.dev/internal/memcached/listen"
	"lintel.dev/memcached"
)

// serverSettings is the parsed command line.
type serverSettings struct {
	build   string // version of the program
	options memcached.Options

	help, license, version bool

	port      int // -1: any free port
	portGiven bool
	udpPort   int
	udpGiven  bool
	listen    []string // -l, split at commas
	socket    string
	mask      os.FileMode
	backlog   int

	daemon    bool
	pidFile   string
	user      string
	coreDumps bool
	lockAll   bool

	tls   bool
	certs listen.TLSOptions

	log      logging.Flags
	logLevel bool // given

	instances int
	cluster   string
	http      string
	feed      []string // --invalidate: endpoints

	conf     string      // --conf
	given    []givenFlag // in the order of the command line
	warnings []string    // printed when the server listens
}

// newSettings returns the defaults.
func newSettings() *serverSettings {
	s := &serverSettings{port: 11211, mask: 0o700, instances: 1, backlog: 1024}
	s.certs.MinVersion = defaultTLSVersion
	return s
}

// serverFlag is one flag of the command line.
type serverFlag struct {
	short     byte // 0: only long
	long      string
	arg       string // name of the value, for the help; empty: takes none
	set       func(s *serverSettings, v string) error
	help      string
	inert     bool // accepted, without effect
	hidesLong bool // memcached has only the short name: the help does not show long
}

// text returns a setter that stores the value.
func text(field func(*serverSettings) *string) func(*serverSettings, string) error {
	return func(s *serverSettings, v string) error {
		*field(s) = v
		return nil
	}
}

// serverFlags are memcached's flags in the order of its help, then ours.
var serverFlags = []serverFlag{
	{short: 'p', long: "port", arg: "num", set: (*serverSettings).setPort, help: "TCP port (default 11211; 0: none, -1: any free port)"},
	{short: 'U', long: "udp-port", arg: "num", set: (*serverSettings).setUDPPort, help: "UDP port (default 0: none)"},
	{
		short: 's', long: "unix-socket", arg: "file", set: text(func(s *serverSettings) *string { return &s.socket }),
		help: "listen on a unix socket instead of the network",
	},
	{short: 'a', long: "unix-mask", arg: "mode", set: (*serverSettings).setMask, help: "access mode of the unix socket in octal (default 700)"},
	{
		short: 'A', long: "enable-shutdown", set: on(func(s *serverSettings) *bool { return &s.options.EnableShutdown }),
		help: "accept the shutdown command",
	},
	{
		short: 'l', long: "listen", arg: "addr", set: (*serverSettings).addListen,
		help: "listen on an address or name, with or without :port (default: all addresses). Repeat the flag or separate several with commas. The prefixes notls:, btls: and mtls: set TLS for one address",
	},
	{short: 'd', long: "daemon", set: on(func(s *serverSettings) *bool { return &s.daemon }), help: "run in the background"},
	{short: 'r', long: "enable-coredumps", set: on(func(s *serverSettings) *bool { return &s.coreDumps }), help: "raise the limit on core files"},
	{short: 'u', long: "user", arg: "user", set: text(func(s *serverSettings) *string { return &s.user }), help: "run as this user if started as root"},
	{short: 'm', long: "memory-limit", arg: "num", set: (*serverSettings).setMemory, help: "memory for items and their index in megabytes (default 64)"},
	{
		short: 'M', long: "disable-evictions", set: on(func(s *serverSettings) *bool { return &s.options.DisableEvictions }),
		help: "return an error when memory is full instead of evicting items",
	},
	{short: 'c', long: "conn-limit", arg: "num", set: (*serverSettings).setConns, help: "largest number of connections (default 1024)"},
	{short: 'k', long: "lock-memory", set: on(func(s *serverSettings) *bool { return &s.lockAll }), help: "lock memory pages, so that none is swapped out"},
	{
		short: 'v', long: "verbose", set: func(s *serverSettings, _ string) error { s.options.Verbosity++; return nil },
		help: "log at level debug; -vv: also commands and replies, as memcached prints them",
	},
	{short: 'h', long: "help", set: on(func(s *serverSettings) *bool { return &s.help }), help: "print this help and exit"},
	{short: 'i', long: "license", set: on(func(s *serverSettings) *bool { return &s.license }), help: "print the licence and exit"},
	{short: 'V', long: "version", set: on(func(s *serverSettings) *bool { return &s.version }), help: "print the version and exit"},
	{
		short: 'P', long: "pidfile", arg: "file", set: text(func(s *serverSettings) *string { return &s.pidFile }),
		help: "write the process id to a file, and remove the file on exit",
	},
	{
		short: 'f', long: "slab-growth-factor", arg: "num", set: (*serverSettings).setFactor, inert: true,
		help: "growth factor of the size classes in stats (default 1.25)",
	},
	{
		short: 'n', long: "slab-min-size", arg: "bytes", set: (*serverSettings).setChunk, inert: true,
		help: "smallest size class in stats (default 48)",
	},
	{short: 'L', long: "enable-largepages", set: nothing, inert: true, help: "large memory pages"},
	{
		short: 'D', long: "prefix-delimiter", arg: "char", set: (*serverSettings).setDelimiter, hidesLong: true,
		help: "count by the prefix of keys before this character (default ':'), as after stats detail on",
	},
	{short: 't', long: "threads", arg: "num", set: (*serverSettings).setThreads, help: "number of event loops (default 4)"},
	{
		short: 'R', long: "max-reqs-per-event", arg: "num", set: (*serverSettings).setRequests,
		help: "commands of one connection before the next connection is served (default 20)",
	},
	{short: 'C', long: "disable-cas", set: on(func(s *serverSettings) *bool { return &s.options.DisableCAS }), help: "keep no CAS values"},
	{
		short: 'b', long: "listen-backlog", arg: "num", set: (*serverSettings).setBacklog,
		help: "connections that may wait to be accepted (default 1024)",
	},
	{short: 'B', long: "protocol", arg: "name", set: (*serverSettings).setProtocol, help: "ascii, binary or auto (default auto)"},
	{
		short: 'I', long: "max-item-size", arg: "num", set: (*serverSettings).setItemSize,
		help: "size of the largest item, with suffix k or m (default 1m, min 1k, max 1024m)",
	},
	{
		short: 'S', long: "enable-sasl", set: on(func(s *serverSettings) *bool { return &s.options.SASL }),
		help: "require SASL PLAIN, in the binary protocol. MEMCACHED_SASL_PWDB in the environment names a file of user:password lines",
	},
	{
		short: 'F', long: "disable-flush-all", set: on(func(s *serverSettings) *bool { return &s.options.DisableFlush }),
		help: "refuse flush_all",
	},
	{
		short: 'X', long: "disable-dumping", set: on(func(s *serverSettings) *bool { return &s.options.DisableDump }),
		help: "refuse stats cachedump and lru_crawler metadump",
	},
	{short: 'W', long: "disable-watch", set: on(func(s *serverSettings) *bool { return &s.options.DisableWatch }), help: "refuse watch"},
	{
		short: 'Y', long: "auth-file", arg: "file", set: text(func(s *serverSettings) *string { return &s.options.AuthFile }),
		help: "require authentication in the ascii protocol with a user:password line of this file",
	},
	{
		short: 'e', long: "memory-file", arg: "file", set: text(func(s *serverSettings) *string { return &s.options.MemoryFile }),
		help: "keep the items in a file for the next start",
	},
	{short: 'Z', long: "enable-ssl", set: on(func(s *serverSettings) *bool { return &s.tls }), help: "require TLS; see the options ssl_*"},
	{short: 'N', long: "napi-ids", arg: "num", set: (*serverSettings).setNAPI, inert: true, help: "assign connections to threads by NAPI id"},
	{
		short: 'o', long: "extended", arg: "options", set: (*serverSettings).setExtended,
		help: "options separated by commas, see below; may be repeated",
	},
	{
		long: "log-format", arg: "name", set: named("--log-format", func(s *serverSettings, v string) error { return s.log.SetFormat(v) }),
		help: "log as text or json (default text)",
	},
	{
		long: "log-level", arg: "name",
		set: named("--log-level", func(s *serverSettings, v string) error {
			s.logLevel = true
			return s.log.SetLevel(v)
		}),
		help: "log from this level on: debug, info, warn or error (default info; warn if started as memcached)",
	},
	{
		long: "instances", arg: "num", set: (*serverSettings).setInstances,
		help: "serve this many caches on consecutive ports, each with its own memory, items and statistics. config get cluster lists them",
	},
	{
		long: "conf", arg: "file", set: text(func(s *serverSettings) *string { return &s.conf }),
		help: "read flags from a file in the format of Debian's /etc/memcached.conf; flags of the command line replace those of the file",
	},
	{
		long: "cluster", arg: "file|list", set: text(func(s *serverSettings) *string { return &s.cluster }),
		help: "answer config get cluster with these servers: a list separated by commas, or a file with one a line, read again when it changes",
	},
	{
		long: "http", arg: "addr", set: text(func(s *serverSettings) *string { return &s.http }),
		help: "serve /metrics (Prometheus) and /healthz over HTTP",
	},
	{
		long: "invalidate", arg: "endpoint", set: (*serverSettings).addFeed,
		help: "publish every change for near caches on a ZeroMQ endpoint such as tcp://*:11311; may be repeated",
	},
}

func on(field func(*serverSettings) *bool) func(*serverSettings, string) error {
	return func(s *serverSettings, _ string) error {
		*field(s) = true
		return nil
	}
}

// named returns set with usage errors that begin with the flag and its value.
func named(flag string, set func(*serverSettings, string) error) func(*serverSettings, string) error {
	return func(s *serverSettings, v string) error {
		if err := set(s, v); err != nil {
			return cli.Usagef("%s %s: %w", flag, v, err)
		}
		return nil
	}
}

func nothing(*serverSettings, string) error { return nil }

// number parses a whole number of at least low.
func number(flag, v string, low int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < low {
		return 0, cli.Usagef("%s %s: expected a whole number of at least %d", flag, v, low)
	}
	return n, nil
}

func portNumber(flag, v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < -1 || n > 65535 {
		return 0, cli.Usagef("%s %s: expected a port, 1 to 65535, 0 for none or -1 for any", flag, v)
	}
	return n, nil
}

func (s *serverSettings) setPort(v string) (err error) {
	s.port, err = portNumber("-p", v)
	s.portGiven = true
	return err
}

func (s *serverSettings) setUDPPort(v string) (err error) {
	s.udpPort, err = portNumber("-U", v)
	s.udpGiven = true
	return err
}

func (s *serverSettings) setMask(v string) error {
	n, err := strconv.ParseUint(v, 8, 32)
	if err != nil || n > 0o777 {
		return cli.Usagef("-a %s: expected an access mode in octal, such as 700", v)
	}
	s.mask = os.FileMode(n)
	return nil
}

func (s *serverSettings) addListen(v string) error {
	none := true
	for _, a := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ';' }) { // as memcached
		if a = strings.TrimSpace(a); a == "" {
			continue
		}
		none = false
		if !slices.Contains(s.listen, a) { // the same address twice is one
			s.listen = append(s.listen, a)
		}
	}
	if none { // an unset variable of a script must not open every address
		return cli.Usagef("-l %q: no address, expected an address or a name with or without :PORT", v)
	}
	return nil
}

func (s *serverSettings) setMemory(v string) error {
	n, err := number("-m", v, 1)
	if err == nil && n > 1<<30 {
		return cli.Usagef("-m %s: expected megabytes, not bytes", v)
	}
	s.options.MemoryLimit = int64(n) << 20
	return err
}

func (s *serverSettings) setConns(v string) (err error) {
	s.options.MaxConns, err = number("-c", v, 1)
	return err
}

func (s *serverSettings) setFactor(v string) error {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f > 1) { // NaN is not
		return cli.Usagef("-f %s: expected a number greater than 1", v)
	}
	s.show("growth_factor", strconv.FormatFloat(f, 'f', 2, 64))
	return nil
}

func (s *serverSettings) setChunk(v string) error {
	n, err := number("-n", v, 1)
	s.show("chunk_size", strconv.Itoa(n))
	return err
}

func (s *serverSettings) setDelimiter(v string) error {
	if len(v) != 1 {
		return cli.Usagef("-D %s: expected one character", v)
	}
	s.options.PrefixDelimiter = v[0]
	s.options.Detail = true
	return nil
}

// maxThreads is the bound of memcached.Options.Threads.
const maxThreads = 1024

func (s *serverSettings) setThreads(v string) (err error) {
	if s.options.Threads, err = number("-t", v, 1); err == nil && s.options.Threads > maxThreads {
		return cli.Usagef("-t %s: expected 1 to %d", v, maxThreads)
	}
	return err
}

func (s *serverSettings) setRequests(v string) (err error) {
	s.options.Requests, err = number("-R", v, 1)
	return err
}

func (s *serverSettings) setBacklog(v string) (err error) {
	s.backlog, err = number("-b", v, 0)
	if s.backlog == 0 { // as memcached accepts it
		s.backlog = 1024
	}
	s.options.Backlog = s.backlog
	return err
}

func (s *serverSettings) setProtocol(v string) error {
	switch v {
	case "auto":
		s.options.Protocol = memcached.Auto
	case "ascii":
		s.options.Protocol = memcached.ASCII
	case "binary":
		s.options.Protocol = memcached.Binary
	default:
		return cli.Usagef("-B %s: expected ascii, binary or auto", v)
	}
	return nil
}

// setItemSize parses -I: bytes, or KiB, MiB or GiB with a suffix.
func (s *serverSettings) setItemSize(v string) error {
	digits, shift := v, 0
	if n := len(v); n > 0 {
		switch v[n-1] {
		case 'k', 'K':
			digits, shift = v[:n-1], 10
		case 'm', 'M':
			digits, shift = v[:n-1], 20
		case 'g', 'G':
			digits, shift = v[:n-1], 30
		}
	}
	n, err := strconv.ParseInt(digits, 10, 40)
	if err != nil || n<<shift < 1<<10 || n<<shift > 1<<30 {
		return cli.Usagef("-I %s: expected a size of 1k to 1024m", v)
	}
	s.options.MaxItemSize = int(n << shift)
	return nil
}

func (s *serverSettings) setNAPI(v string) error {
	n, err := number("-N", v, 1)
	s.show("num_napi_ids", strconv.Itoa(n))
	return err
}

func (s *serverSettings) setInstances(v string) (err error) {
	s.instances, err = number("--instances", v, 1)
	return err
}

// check applies the rules that need the whole command line.
func (s *serverSettings) check(getenv func(string) string) error {
	if s.help || s.license || s.version {
		return nil
	}
	if s.conf != "" {
		if err := s.readConf(); err != nil {
			return err
		}
	}
	o := &s.options
	memory := o.MemoryLimit
	if memory == 0 {
		memory = 64 << 20
	}
	if item := cmp.Or(int64(o.MaxItemSize), 1<<20); item > memory/2 {
		return cli.Usagef("-I: an item of %d bytes is more than half of the memory (-m %d)", item, memory>>20)
	}
	if s.udpGiven && s.udpPort != 0 && !s.portGiven {
		s.port = s.udpPort
	}
	if o.SASL {
		if o.Protocol == memcached.ASCII || o.Protocol == memcached.Auto { // as given with -B
			return cli.Usagef("-S needs the binary protocol, leave out -B or make it -B binary")
		}
		if o.SASLFile = getenv("MEMCACHED_SASL_PWDB"); o.SASLFile == "" {
			return cli.Usagef("-S: the environment variable MEMCACHED_SASL_PWDB must name a file of user:password lines")
		}
		if o.AuthFile != "" {
			return cli.Usagef("-S and -Y exclude each other")
		}
		s.udpPort = 0
	}
	if o.AuthFile != "" {
		if o.Protocol == memcached.Binary {
			return cli.Usagef("-Y needs the ascii protocol, not -B binary")
		}
		s.udpPort = 0
	}
	if s.tls {
		switch {
		case s.port == 0:
			return cli.Usagef("-Z needs a TCP port, not -p 0")
		case s.certs.Chain == "":
			return cli.Usagef("-Z wants -o ssl_chain_cert=FILE")
		}
	}
	if hot, warm := s.percent("hot_lru_pct", 20), s.percent("warm_lru_pct", 40); hot+warm > 80 {
		return cli.Usagef("-o: hot_lru_pct and warm_lru_pct are %d together, at most 80", hot+warm)
	}
	if s.instances > 1 {
		switch {
		case s.socket != "":
			return cli.Usagef("--instances needs ports, leave out -s")
		case s.cluster != "":
			return cli.Usagef("--instances and --cluster exclude each other")
		case o.MemoryFile != "":
			return cli.Usagef("--instances: one memory file (-e) cannot hold the items of several")
		case s.port > 0 && s.port+s.instances-1 > 65535:
			return cli.Usagef("--instances %d: ports %d-%d exceed 65535", s.instances, s.port, s.port+s.instances-1)
		}
	}
	s.report()
	return nil
}

// percent returns a setting that is a number, def if it is not set.
func (s *serverSettings) percent(name string, def int) int {
	if n, err := strconv.Atoi(s.options.Settings[name]); err == nil {
		return n
	}
	return def
}

// show sets lines of stats settings: pairs of a name and a value.
func (s *serverSettings) show(pairs ...string) {
	if s.options.Settings == nil {
		s.options.Settings = make(map[string]string)
	}
	for i := 0; i < len(pairs); i += 2 {
		s.options.Settings[pairs[i]] = pairs[i+1]
	}
}

// report sets the values of stats settings that concern listeners.
func (s *serverSettings) report() {
	s.show("tcpport", strconv.Itoa(s.port), "udpport", strconv.Itoa(s.udpPort),
		"inter", cmp.Or(strings.Join(s.listen, ","), "NULL"), "domain_socket", cmp.Or(s.socket, "NULL"),
		"umask", strconv.FormatInt(int64(s.mask), 8))
	if !s.tls {
		return
	}
	s.show("ssl_chain_cert", s.certs.Chain, "ssl_key", cmp.Or(s.certs.Key, "(null)"),
		"ssl_ca_cert", cmp.Or(s.certs.CA, "NULL"), "ssl_ciphers", cmp.Or(s.certs.Ciphers, "NULL"),
		"ssl_verify_mode", strconv.Itoa(int(s.certs.Verify)), "ssl_min_version", tlsVersionName(s.certs.MinVersion))
}

// programName returns the name of the program for its help, and whether it was
// started as memcached.
func programName(arg0 string) (name string, dropIn bool) {
	switch base := filepath.Base(arg0); base {
	case "memcached", "memcached-debug":
		return base, true
	}
	return "lintel memcached", false
}
