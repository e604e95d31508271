package zmqcli

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"lintel.dev/internal/cli"
	"lintel.dev/internal/cli/logging"
	"lintel.dev/internal/cli/webpage"
	"lintel.dev/zmq"
)

func newZMQProxy() *cobra.Command {
	var front, back, capture, control []string
	var options []string
	var http string
	var logs logging.Flags
	cmd := &cobra.Command{
		Use:   "proxy --front TYPE:ENDPOINT --back TYPE:ENDPOINT [flags]",
		Short: "Forward messages between two sockets",
		Long: `Forward messages between two sockets until interrupted.

  queue      --front router, --back dealer
  forwarder  --front xsub, --back xpub
  streamer   --front pull, --back push

Endpoints are bound; one with the prefix ">" is connected to. Repeat a flag with
the same type to add an endpoint to its socket. The control socket accepts
PAUSE, RESUME, TERMINATE and STATISTICS.`,
		Example: `  lintel zmq proxy --front 'router:tcp://*:5559' --back 'dealer:tcp://*:5560'
  lintel zmq proxy --front 'xsub:tcp://*:5561' --back 'xpub:tcp://*:5562' \
      --control rep:ipc:///tmp/steer
  lintel zmq proxy --front 'pull:>tcp://10.0.0.1:5563' \
      --back 'push:tcp://*:5564'`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := logs.New(cmd.ErrOrStderr())
			p, err := openProxy([4][]string{front, back, capture, control}, options, log)
			if err == nil {
				err = p.attach()
			}
			if err == nil {
				err = p.serve(cmd, http)
			}
			return logging.Failed(log, errors.Join(err, p.close(cmd.Context())))
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&front, "front", nil, "`TYPE:ENDPOINT` for clients or publishers (repeatable)")
	flags.StringArrayVar(&back, "back", nil, "`TYPE:ENDPOINT` for workers or subscribers (repeatable)")
	flags.StringArrayVar(&capture, "capture", nil, "`TYPE:ENDPOINT` that receives a copy of each message (repeatable)")
	flags.StringArrayVar(&control, "control", nil, "`TYPE:ENDPOINT` that receives commands (repeatable)")
	flags.StringArrayVar(&options, "option", nil, "option `NAME=VALUE` of each socket that has it (repeatable)")
	flags.StringVar(&http, "http", "", "serve a status page and /metrics at `ADDR`, HOST:PORT or :PORT")
	logs.Add(cmd)
	for _, name := range proxySides {
		cli.Must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	completeOptions(cmd)
	return cmd
}

// proxySides are the names of the flags, in the order of the sockets.
var proxySides = [4]string{"front", "back", "capture", "control"}

// proxyRun are the sockets of a proxy; capture and control may be nil.
type proxyRun struct {
	flags   [4]zmqFlags
	sockets [4]zmq.Socket
	log     *slog.Logger
}

// openProxy makes the sockets. It binds and connects nothing.
func openProxy(specs [4][]string, options []string, log *slog.Logger) (p proxyRun, err error) {
	p.log = log
	for i, side := range proxySides {
		if len(specs[i]) == 0 {
			if i < 2 {
				return p, cli.Usagef("no --%s, expected TYPE:ENDPOINT such as router:tcp://*:5559", side)
			}
			continue
		}
		var name string
		if p.flags[i], name, err = proxySide(side, specs[i]); err != nil {
			return p, err
		}
		if p.sockets[i], err = p.flags[i].open(name, zmq.WithLogger(log)); err != nil {
			return p, err
		}
	}
	if s := p.sockets[2]; s != nil {
		if _, ok := s.(zmq.Sender); !ok {
			return p, cli.Usagef("--capture %s does not send, expected pub, push, dealer or pair", strings.ToLower(s.Type()))
		}
	}
	if s := p.sockets[3]; s != nil {
		if _, ok := s.(zmq.Receiver); !ok {
			return p, cli.Usagef("--control %s does not receive, expected rep, pair, pull or sub", strings.ToLower(s.Type()))
		}
	}
	return p, p.setOptions(options)
}

// setOptions sets each option on the sockets that have it.
func (p *proxyRun) setOptions(options []string) error {
	for _, o := range options {
		name, value, err := parseOption(o)
		if err != nil {
			return err
		}
		var foreign error
		taken := false
		for _, s := range p.sockets {
			if s == nil {
				continue
			}
			switch err := s.SetOption(name, value); {
			case err == nil:
				taken = true
			case errors.Is(err, zmq.ErrNotSupported):
				foreign = err
			default:
				return cli.Usage(err)
			}
		}
		if !taken {
			return cli.Usage(foreign)
		}
	}
	return nil
}

func (p *proxyRun) attach() error {
	report := func(what, endpoint string) { p.log.Info(what, "endpoints", logging.List{endpoint}) }
	for i, s := range p.sockets {
		if s == nil {
			continue
		}
		if err := p.flags[i].attach(s, report); err != nil {
			return err
		}
	}
	return nil
}

func (p *proxyRun) close(ctx context.Context) error {
	var errs []error
	for _, s := range p.sockets {
		if s != nil {
			errs = append(errs, closeSocket(ctx, s))
		}
	}
	return errors.Join(errs...)
}

// proxySide parses the endpoints of one socket.
func proxySide(flag string, specs []string) (f zmqFlags, name string, err error) {
	for _, spec := range specs {
		kind, at, ok := strings.Cut(spec, ":")
		if !ok || kind == "" || at == "" || strings.HasPrefix(at, "//") {
			return f, "", cli.Usagef("--%s %q, expected TYPE:ENDPOINT such as router:tcp://*:5559", flag, spec)
		}
		if name != "" && kind != name {
			return f, "", cli.Usagef("--%s has types %s and %s, expected one", flag, name, kind)
		}
		name = kind
		at, connect := strings.CutPrefix(at, ">")
		f.endpoints = append(f.endpoints, zmqEndpoint{bind: !connect, at: strings.TrimPrefix(at, "@")})
	}
	return f, name, nil
}

// serve runs the proxy, and beside it --http if it is not empty.
func (p *proxyRun) serve(cmd *cobra.Command, http string) error {
	if http == "" {
		return p.run(cmd.Context())
	}
	ctx, stop := context.WithCancel(cmd.Context())
	var tasks errgroup.Group
	defer tasks.Wait()
	defer stop()
	var sockets []*webpage.Socket
	for i, s := range p.sockets {
		if s != nil {
			sockets = append(sockets, webpage.NewSocket(proxySides[i], s))
		}
	}
	if err := webpage.StartSockets(ctx, &tasks, http, "Lintel proxy", cmd.Root().Version, sockets, nil, p.log); err != nil {
		return err
	}
	return p.run(ctx)
}

func (p *proxyRun) run(ctx context.Context) error {
	proxy := zmq.Proxy{Front: p.sockets[0], Back: p.sockets[1]}
	if p.sockets[2] != nil {
		proxy.Capture = p.sockets[2].(zmq.Sender)
	}
	if p.sockets[3] != nil {
		proxy.Control = p.sockets[3].(zmq.Receiver)
	}
	err := proxy.Run(ctx)
	p.log.Info("stopping")
	switch {
	case errors.Is(err, zmq.ErrNotSupported):
		return cli.Usage(err)
	case ctx.Err() != nil:
		return nil
	}
	return err
}
