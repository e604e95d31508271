// Package cachecli is the command lintel cache: a client for one or more
// servers that speak memcached's protocol.
//
// Each command makes a memcache.Client from the flags of lintel cache, runs,
// and closes it. Commands on keys (get, set, delete, incr, decr, touch) print
// values and exit with status 1 if a key is missing. where and balance compute
// placements without any connection. stats, top and dump read from every server
// of the fleet. All have --json.
package cachecli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/memcache"
	"lintel.dev/memcache/placement"
)

// cacheFlags are the flags of every command of lintel cache.
type cacheFlags struct {
	servers   string
	discover  string
	placement string
	protocol  string
	timeout   time.Duration
	user      string
	passFile  string
	tls       bool
	tlsCA     string
	tlsCert   string
	tlsKey    string
	json      bool
}

func New() *cobra.Command {
	var f cacheFlags
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Read, change and inspect memcached servers",
		Long: `Read, change and inspect servers that speak memcached's protocol.

--servers is a list of host[:port[:weight]][=name] or /path/of/a/socket,
separated by commas. --placement is the rule that assigns keys to servers. Each
but the default is that of the client it is named after:
  ` + strings.Join(placement.Names(), "\n  "),
		Example: `  lintel cache set greeting 'good day'
  lintel cache --servers 10.0.0.1:11211,10.0.0.2:11211 --placement ketama \
      get greeting
  lintel cache --discover 10.0.0.1:11211 stats`,
		Args: cli.NoOther("command"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	p := cmd.PersistentFlags()
	p.StringVar(&f.servers, "servers", "127.0.0.1:11211", "`LIST` of host:port[:weight][=name],...")
	p.StringVar(&f.discover, "discover", "", "ask this `SERVER` for the list (config get cluster)")
	p.StringVar(&f.placement, "placement", "rendezvous", "`RULE` that assigns keys to servers")
	p.StringVar(&f.protocol, "protocol", "auto", "`NAME` of the protocol: auto, meta or classic")
	p.DurationVar(&f.timeout, "timeout", time.Second, "longest time to connect, and to wait for a reply")
	p.StringVar(&f.user, "user", "", "user `NAME` for memcached -Y")
	p.StringVar(&f.passFile, "password-file", "", "`FILE` with the password on its first line")
	p.BoolVar(&f.tls, "tls", false, "use TLS")
	p.StringVar(&f.tlsCA, "tls-ca", "", "PEM `FILE` of trusted authorities (implies --tls)")
	p.StringVar(&f.tlsCert, "tls-cert", "", "PEM `FILE` of the client certificate (implies --tls)")
	p.StringVar(&f.tlsKey, "tls-key", "", "PEM `FILE` of the client certificate's key")
	p.BoolVar(&f.json, "json", false, "print JSON")
	for _, name := range []string{"servers", "discover", "timeout", "user"} {
		cli.Must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	cli.Must(cmd.RegisterFlagCompletionFunc("placement", cobra.FixedCompletions(placement.Names(), cobra.ShellCompDirectiveNoFileComp)))
	cli.Must(cmd.RegisterFlagCompletionFunc("protocol", cobra.FixedCompletions([]string{"auto", "classic", "meta"}, cobra.ShellCompDirectiveNoFileComp)))
	cmd.AddCommand(
		newCacheGet(&f), newCacheSet(&f), newCacheDelete(&f), newCacheIncr(&f), newCacheTouch(&f),
		newCacheWhere(&f), newCacheBalance(&f), newCacheStats(&f), newCacheTop(&f), newCacheDump(&f), newCacheCopy(&f), newCacheCheck(&f),
	)
	return cmd
}

// list returns the servers of --servers.
func (f *cacheFlags) list() ([]string, error) { return parseServers("--servers", f.servers) }

// parseServers returns the servers of a list separated by commas.
func parseServers(flag, list string) ([]string, error) {
	var specs []string
	for spec := range strings.SplitSeq(list, ",") {
		if spec = strings.TrimSpace(spec); spec == "" {
			continue
		}
		if _, err := placement.ParseServer(spec); err != nil {
			return nil, cli.Usagef("%s: %s", flag, plain(err))
		}
		specs = append(specs, spec)
	}
	if len(specs) == 0 {
		return nil, cli.Usagef("%s is empty, expected host:port[:weight][=name],...", flag)
	}
	return specs, nil
}

// plain returns the text of a library error without the library's name.
func plain(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "memcache: "), "placement: ")
}

func (f *cacheFlags) selector() (placement.Selector, error) {
	sel, err := placement.New(f.placement)
	if err != nil {
		return nil, cli.Usagef("--placement: %s%s", plain(err), cli.DidYouMean(f.placement, "", placement.Names()))
	}
	return sel, nil
}

// connect returns a client for the servers of the flags.
func (f *cacheFlags) connect(ctx context.Context) (*memcache.Client, error) {
	specs, err := f.list()
	if err != nil {
		return nil, err
	}
	opts, err := f.options()
	if err != nil {
		return nil, err
	}
	if f.discover != "" {
		if _, err := placement.ParseServer(f.discover); err != nil {
			return nil, cli.Usagef("--discover: %s", plain(err))
		}
		return memcache.Discover(ctx, f.discover, opts)
	}
	return memcache.New(opts, specs...)
}

func (f *cacheFlags) options() (*memcache.Options, error) {
	sel, err := f.selector()
	if err != nil {
		return nil, err
	}
	if f.timeout < time.Millisecond {
		return nil, cli.Usagef("--timeout is %v, expected 1ms or more", f.timeout)
	}
	opts := &memcache.Options{
		Selector:    sel,
		DialTimeout: f.timeout, QueueTimeout: f.timeout, WriteTimeout: f.timeout, ReadTimeout: f.timeout,
		Username: f.user, EncodeKeys: true,
	}
	switch f.protocol {
	case "auto":
	case "meta":
		opts.Protocol = memcache.ProtocolMeta
	case "classic":
		opts.Protocol = memcache.ProtocolClassic
	default:
		return nil, cli.Usagef("--protocol is %q, expected auto, meta or classic", f.protocol)
	}
	if f.passFile != "" {
		b, err := cli.ReadFile(f.passFile)
		if err != nil {
			return nil, cli.Usagef("--password-file: %v", err)
		}
		opts.Password, _, _ = strings.Cut(string(b), "\n")
		opts.Password = strings.TrimSuffix(opts.Password, "\r")
		if opts.Password == "" {
			return nil, cli.Usagef("--password-file: the first line of %s is empty, expected the password", f.passFile)
		}
	}
	if opts.TLS, err = f.tlsConfig(); err != nil {
		return nil, err
	}
	return opts, nil
}

func (f *cacheFlags) tlsConfig() (*tls.Config, error) {
	if !f.tls && f.tlsCA == "" && f.tlsCert == "" && f.tlsKey == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.tlsCA != "" {
		pem, err := cli.ReadFile(f.tlsCA)
		if err != nil {
			return nil, cli.Usagef("--tls-ca: %v", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, cli.Usagef("--tls-ca: %s holds no certificate", f.tlsCA)
		}
	}
	if f.tlsCert != "" || f.tlsKey != "" {
		for _, file := range []struct{ flag, path string }{{"--tls-cert", f.tlsCert}, {"--tls-key", f.tlsKey}} {
			if file.path == "" {
				return nil, cli.Usagef("%s is missing, --tls-cert and --tls-key need each other", file.flag)
			}
			if err := cli.InputFile(file.path); err != nil {
				return nil, cli.Usagef("%s: %v", file.flag, err)
			}
		}
		pair, err := tls.LoadX509KeyPair(f.tlsCert, f.tlsKey)
		if err != nil {
			return nil, cli.Usagef("--tls-cert and --tls-key: %v", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// withCache returns a RunE that connects, runs and closes the client.
func (f *cacheFlags) withCache(run func(cmd *cobra.Command, c *memcache.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := f.connect(cmd.Context())
		if err != nil {
			return err
		}
		defer c.Close()
		return refusals(run(cmd, c, args))
	}
}

// refusals returns errors of malformed keys as usage errors.
func refusals(err error) error {
	if errors.Is(err, memcache.ErrMalformedKey) {
		err = cli.Usage(err)
	}
	return err
}
