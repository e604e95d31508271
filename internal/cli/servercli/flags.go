package servercli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lintel.dev/internal/cli"
	"lintel.dev/memcached"
)

// serverSettings is a command line of the cache server, understood.
type serverSettings struct {
	build   string // version of the program
	options memcached.Options

	help, license, version bool

	port      int // -1: any free one
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
	certs memcached.TLSOptions

	instances int
	cluster   string
	http      string

	warnings []string // said once the command line has been accepted
}

// serverFlag is one flag of the command line, as getopt_long knows it.
type serverFlag struct {
	short byte   // 0: long only
	long  string // "": short only
	arg   string // what it takes, for the help; "": nothing
	set   func(s *serverSettings, v string) error
	help  string
	inert bool // has no effect here
}

var serverFlags = []serverFlag{
	{'p', "port", "num", (*serverSettings).setPort, "TCP port (default 11211; 0 is none, -1 any free one)", false},
	{'U', "udp-port", "num", (*serverSettings).setUDPPort, "UDP port (default 0, off)", false},
	{
		's', "unix-socket", "file", func(s *serverSettings, v string) error { s.socket = v; return nil },
		"listen on a unix socket, and on no network", false,
	},
	{'a', "unix-mask", "mode", (*serverSettings).setMask, "access mode of the unix socket, octal (default 700)", false},
	{'A', "enable-shutdown", "", on(func(s *serverSettings) *bool { return &s.options.EnableShutdown }), "the command shutdown works", false},
	{
		'l', "listen", "addr", (*serverSettings).addListen,
		"address, name or address:port to listen on (default all); may be repeated\nor hold several, separated by commas; the prefixes notls:, btls: and mtls:\nset TLS apart for one", false,
	},
	{'d', "daemon", "", on(func(s *serverSettings) *bool { return &s.daemon }), "run in the background", false},
	{'r', "enable-coredumps", "", on(func(s *serverSettings) *bool { return &s.coreDumps }), "raise the limit on core files", false},
	{'u', "user", "user", func(s *serverSettings, v string) error { s.user = v; return nil }, "become this user, when started as root", false},
	{'m', "memory-limit", "num", (*serverSettings).setMemory, "megabytes for items and their index (default 64)", false},
	{'M', "disable-evictions", "", on(func(s *serverSettings) *bool { return &s.options.DisableEvictions }), "answer with an error where an item would be evicted", false},
	{'c', "conn-limit", "num", (*serverSettings).setConns, "connections at a time (default 1024)", false},
	{'k', "lock-memory", "", on(func(s *serverSettings) *bool { return &s.lockAll }), "lock all memory", false},
	{
		'v', "verbose", "", func(s *serverSettings, _ string) error { s.options.Verbosity++; return nil },
		"-vv: write commands and replies to stderr", false,
	},
	{'h', "help", "", on(func(s *serverSettings) *bool { return &s.help }), "print this and exit", false},
	{'i', "license", "", on(func(s *serverSettings) *bool { return &s.license }), "print the licence and exit", false},
	{'V', "version", "", on(func(s *serverSettings) *bool { return &s.version }), "print the version and exit", false},
	{'P', "pidfile", "file", func(s *serverSettings, v string) error { s.pidFile = v; return nil }, "write the process number to a file, removed at the end", false},
	{'f', "slab-growth-factor", "num", (*serverSettings).setFactor, "growth of size classes in the statistics (default 1.25)", true},
	{'n', "slab-min-size", "bytes", (*serverSettings).setChunk, "smallest size class in the statistics (default 48)", true},
	{'L', "enable-largepages", "", nothing, "large memory pages", true},
	{'D', "", "char", (*serverSettings).setDelimiter, "count by the prefix of keys up to this character (default ':'), as\nstats detail on does", false},
	{'t', "threads", "num", (*serverSettings).setThreads, "event loops (default 4)", false},
	{'R', "max-reqs-per-event", "num", (*serverSettings).setRequests, "commands of a connection before others get their turn (default 20)", false},
	{'C', "disable-cas", "", on(func(s *serverSettings) *bool { return &s.options.DisableCAS }), "keep no CAS values", false},
	{'b', "listen-backlog", "num", (*serverSettings).setBacklog, "connections that may wait to be accepted (default 1024)", false},
	{'B', "protocol", "name", (*serverSettings).setProtocol, "ascii, binary or auto (default auto)", false},
	{'I', "max-item-size", "num", (*serverSettings).setItemSize, "largest item, with suffix k or m (default 1m, 1k to 1024m)", false},
	{
		'S', "enable-sasl", "", on(func(s *serverSettings) *bool { return &s.options.SASL }),
		"require SASL PLAIN of binary clients; the environment variable\nMEMCACHED_SASL_PWDB names the file of user:password lines", false,
	},
	{'F', "disable-flush-all", "", on(func(s *serverSettings) *bool { return &s.options.DisableFlush }), "refuse flush_all", false},
	{'X', "disable-dumping", "", on(func(s *serverSettings) *bool { return &s.options.DisableDump }), "refuse stats cachedump and lru_crawler metadump", false},
	{'W', "disable-watch", "", on(func(s *serverSettings) *bool { return &s.options.DisableWatch }), "refuse watch", false},
	{
		'Y', "auth-file", "file", func(s *serverSettings, v string) error { s.options.AuthFile = v; return nil },
		"require one of the file's user:password lines of ascii clients", false,
	},
	{
		'e', "memory-file", "file", func(s *serverSettings, v string) error { s.options.MemoryFile = v; return nil },
		"keep the items in a file, for the next start (stop with SIGUSR1)", false,
	},
	{'Z', "enable-ssl", "", on(func(s *serverSettings) *bool { return &s.tls }), "TLS; see the options ssl_*", false},
	{'N', "napi-ids", "num", (*serverSettings).setNAPI, "threads by network queue", true},
	{'o', "extended", "options", (*serverSettings).setExtended, "options separated by commas, as below; may be repeated", false},
	{
		0, "instances", "num", (*serverSettings).setInstances,
		"serve so many caches on consecutive ports, each with its own memory,\nitems and statistics; config get cluster names them all", false,
	},
	{
		0, "cluster", "file|list", func(s *serverSettings, v string) error { s.cluster = v; return nil },
		"what config get cluster answers: servers separated by commas, or a file\nof them, one a line, read again when it changes", false,
	},
	{0, "http", "addr", func(s *serverSettings, v string) error { s.http = v; return nil }, "serve /metrics (Prometheus) and /healthz over HTTP", false},
}

func on(field func(*serverSettings) *bool) func(*serverSettings, string) error {
	return func(s *serverSettings, _ string) error {
		*field(s) = true
		return nil
	}
}

func nothing(*serverSettings, string) error { return nil }

// number reads a whole number of at least low.
func number(flag, v string, low int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < low {
		return 0, cli.Usagef("%s %s: want a whole number of at least %d", flag, v, low)
	}
	return n, nil
}

func portNumber(flag, v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < -1 || n > 65535 {
		return 0, cli.Usagef("%s %s: want a port, 1 to 65535, 0 for none or -1 for any", flag, v)
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
		return cli.Usagef("-a %s: want an access mode in octal, such as 700", v)
	}
	s.mask = os.FileMode(n)
	return nil
}

func (s *serverSettings) addListen(v string) error {
	for _, a := range strings.Split(v, ",") {
		if a = strings.TrimSpace(a); a != "" {
			s.listen = append(s.listen, a)
		}
	}
	return nil
}

func (s *serverSettings) setMemory(v string) error {
	n, err := number("-m", v, 1)
	if err == nil && n > 1<<30 {
		return cli.Usagef("-m %s: want megabytes, not bytes", v)
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
	if err != nil || f <= 1 {
		return cli.Usagef("-f %s: want a number greater than 1", v)
	}
	s.options.Report.GrowthFactor = f
	return nil
}

func (s *serverSettings) setChunk(v string) (err error) {
	s.options.Report.ChunkSize, err = number("-n", v, 1)
	return err
}

func (s *serverSettings) setDelimiter(v string) error {
	if len(v) != 1 {
		return cli.Usagef("-D %s: want one character", v)
	}
	s.options.PrefixDelimiter = v[0]
	s.options.Detail = true
	return nil
}

func (s *serverSettings) setThreads(v string) (err error) {
	s.options.Threads, err = number("-t", v, 1)
	return err
}

func (s *serverSettings) setRequests(v string) (err error) {
	s.options.Requests, err = number("-R", v, 1)
	return err
}

func (s *serverSettings) setBacklog(v string) (err error) {
	s.backlog, err = number("-b", v, 0)
	if s.backlog == 0 { // memcached takes it, and so does listen(2)
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
		return cli.Usagef("-B %s: want ascii, binary or auto", v)
	}
	return nil
}

// setItemSize reads -I: bytes, or kilobytes or megabytes by suffix.
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
		return cli.Usagef("-I %s: want a size of 1k to 1024m", v)
	}
	s.options.MaxItemSize = int(n << shift)
	return nil
}

func (s *serverSettings) setNAPI(v string) (err error) {
	s.options.Report.NAPIIDs, err = number("-N", v, 1)
	return err
}

func (s *serverSettings) setInstances(v string) (err error) {
	s.instances, err = number("--instances", v, 1)
	return err
}

// parseServer reads a command line as getopt_long would.
func parseServer(args []string, getenv func(string) string) (*serverSettings, error) {
	s := &serverSettings{port: 11211, mask: 0o700, instances: 1, backlog: 1024}
	s.certs.MinVersion = defaultTLSVersion
	if err := s.scan(args); err != nil {
		return nil, err
	}
	if s.help || s.license || s.version {
		return s, nil
	}
	return s, s.settle(getenv)
}

func (s *serverSettings) scan(args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			if len(args) > 0 {
				return cli.Usagef("unexpected argument %q", args[0])
			}
		case strings.HasPrefix(arg, "--"):
			name, value, has := strings.Cut(arg[2:], "=")
			f, err := longFlag(name)
			if err != nil {
				return err
			}
			if f.arg == "" && has {
				return cli.Usagef("--%s takes no value", f.long)
			}
			if f.arg != "" && !has {
				if len(args) == 0 {
					return cli.Usagef("--%s wants a value: <%s>", f.long, f.arg)
				}
				value, args = args[0], args[1:]
			}
			if err := f.set(s, value); err != nil {
				return err
			}
		case len(arg) > 1 && arg[0] == '-':
			for cluster := arg[1:]; cluster != ""; {
				f, err := shortFlag(cluster[0])
				if err != nil {
					return err
				}
				cluster = cluster[1:]
				value := ""
				if f.arg != "" {
					if value, cluster = cluster, ""; value == "" {
						if len(args) == 0 {
							return cli.Usagef("-%c wants a value: <%s>", f.short, f.arg)
						}
						value, args = args[0], args[1:]
					}
				}
				if err := f.set(s, value); err != nil {
					return err
				}
			}
		default:
			return cli.Usagef("unexpected argument %q", arg)
		}
	}
	return nil
}

func shortFlag(c byte) (*serverFlag, error) {
	for i := range serverFlags {
		if serverFlags[i].short == c {
			return &serverFlags[i], nil
		}
	}
	return nil, cli.Usagef("unknown flag -%c, see -h", c)
}

// longFlag finds a flag by its name or by a beginning that only it has.
func longFlag(name string) (*serverFlag, error) {
	var found *serverFlag
	for i := range serverFlags {
		f := &serverFlags[i]
		switch {
		case f.long == name && name != "":
			return f, nil
		case name != "" && strings.HasPrefix(f.long, name):
			if found != nil {
				return nil, cli.Usagef("--%s may be --%s or --%s", name, found.long, f.long)
			}
			found = f
		}
	}
	if found == nil {
		return nil, cli.Usagef("unknown flag --%s, see -h", name)
	}
	return found, nil
}

// settle applies the rules that need the whole command line.
func (s *serverSettings) settle(getenv func(string) string) error {
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
	r := &o.Report
	if hot, warm := pct(r.HotPct, 20), pct(r.WarmPct, 40); hot+warm > 80 {
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
			return cli.Usagef("--instances %d: from port %d on there are not so many", s.instances, s.port)
		}
	}
	s.report()
	return nil
}

func pct(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}

// report fills in what stats settings shows of the listening side.
func (s *serverSettings) report() {
	r := &s.options.Report
	r.TCPPort, r.UDPPort = s.port, s.udpPort
	r.Interface = strings.Join(s.listen, ",")
	r.UnixSocket = s.socket
	r.UnixMask = int(s.mask)
	if s.tls {
		r.TLS = true
		r.TLSChain, r.TLSKey, r.TLSCA = s.certs.Chain, s.certs.Key, s.certs.CA
		r.TLSVerify = int(s.certs.Verify)
		r.TLSCiphers = s.certs.Ciphers
		r.TLSSessionCache = s.certs.SessionCache
		r.TLSMinVersion = tlsVersionName(s.certs.MinVersion)
	}
}

// serverExamples are command lines that the help shows.
var serverExamples = []string{
	"-p 11211 -m 1024 -t 4 -l 127.0.0.1",
	"-s /tmp/cache.sock -a 770",
	"-m 256 --instances 3 --http 127.0.0.1:9150",
}

// serverHelp is what -h prints.
func serverHelp(program string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s [flags]\n\nA cache that speaks memcached's protocols and takes memcached's flags.\n\nFlags:\n", program)
	for _, inert := range []bool{false, true} {
		if inert {
			b.WriteString("\nAccepted, without effect here:\n")
		}
		for _, f := range serverFlags {
			if f.inert == inert {
				helpLine(&b, f.name(), f.help)
			}
		}
	}
	b.WriteString("\nOptions of -o:\n")
	for _, inert := range []bool{false, true} {
		if inert {
			b.WriteString("\nOptions of -o that are accepted, without effect here but on stats settings:\n")
		}
		for _, o := range suboptions {
			if o.inert == inert && o.help != "" {
				helpLine(&b, "  "+o.usage(), o.help)
			}
		}
	}
	b.WriteString("\nThose of slab_*, lru_* and hash* describe an allocator that is not used here. slab_reassign,\nslab_automove, lru_maintainer and inline_ascii_resp may have no_ in front.\n\nExamples:\n")
	for _, args := range serverExamples {
		b.WriteString("  " + program + " " + args + "\n")
	}
	return b.String()
}

func (f *serverFlag) name() string {
	var b strings.Builder
	if f.short != 0 {
		fmt.Fprintf(&b, "-%c", f.short)
	} else {
		b.WriteString("  ")
	}
	if f.long != "" {
		if f.short != 0 {
			b.WriteString(", ")
		} else {
			b.WriteString("  ")
		}
		b.WriteString("--" + f.long)
		if f.arg != "" {
			b.WriteString("=<" + f.arg + ">")
		}
	} else if f.arg != "" {
		b.WriteString(" <" + f.arg + ">")
	}
	return b.String()
}

const helpColumn = 32

func helpLine(b *strings.Builder, name, help string) {
	for i, line := range strings.Split(help, "\n") {
		if i > 0 {
			name = ""
		}
		if len(name) >= helpColumn {
			b.WriteString(name + "\n")
			name = ""
		}
		fmt.Fprintf(b, "%-*s%s\n", helpColumn, name, line)
	}
}

// programName is how messages call the server: by its own name when it was
// started as memcached.
func programName(arg0 string) (name string, dropIn bool) {
	switch base := filepath.Base(arg0); base {
	case "memcached", "memcached-debug":
		return base, true
	}
	return "lintel memcached", false
}
