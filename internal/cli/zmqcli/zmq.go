// Package zmqcli is the command lintel zmq: ZeroMQ sockets for shells.
//
// A socket command reads messages from standard input and writes those it
// receives to standard output, one a line (lines.go). One goroutine reads
// lines, one sends, one receives; an interrupt cancels the context of all three,
// and close.go then bounds how long queued messages keep the process. proxy,
// monitor and keygen are commands of their own.
package zmqcli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lintel.dev/internal/cli"
	"lintel.dev/zmq"
)

// zmqTypes are the socket commands with their short texts and examples.
var zmqTypes = []struct{ name, short, example string }{
	{
		"pair", "Exchange messages with one peer",
		`  lintel zmq pair --bind tcp://127.0.0.1:5555
  lintel zmq pair --connect tcp://127.0.0.1:5555`,
	},
	{
		"pub", "Publish lines to the subscribers of their prefix",
		`  vmstat 1 | lintel zmq pub --bind tcp://127.0.0.1:5556
  lintel zmq sub --connect tcp://127.0.0.1:5556 --subscribe ''`,
	},
	{
		"sub", "Print publications with the prefixes of --subscribe",
		`  lintel zmq sub --connect tcp://127.0.0.1:5556 --subscribe log. \
      --subscribe alarm.
  lintel zmq sub --connect 'epgm://eth0;239.192.1.1:5556' --subscribe '' \
      --option rate=10000`,
	},
	{
		"req", "Send lines as requests and print the replies",
		`  echo hello | lintel zmq req --connect tcp://127.0.0.1:5558 --timeout 5s
  lintel zmq rep --bind tcp://127.0.0.1:5558`,
	},
	{
		"rep", "Print requests and reply to each",
		`  lintel zmq rep --bind tcp://127.0.0.1:5558
  lintel zmq rep --bind tcp://127.0.0.1:5558 --reply pong --count 1`,
	},
	{
		"dealer", "Send lines to peers in turn, print received messages",
		`  lintel zmq dealer --connect tcp://127.0.0.1:5559 --identity worker-1`,
	},
	{
		"router", "Exchange messages with the peers that first frames name",
		`  lintel zmq router --bind tcp://127.0.0.1:5559 --option router_mandatory=1`,
	},
	{
		"pull", "Print messages of PUSH peers",
		`  lintel zmq pull --bind tcp://127.0.0.1:5557 --count 10 --json`,
	},
	{
		"push", "Send lines to PULL peers in turn",
		`  seq 100 | lintel zmq push --connect tcp://127.0.0.1:5557 \
      --connect tcp://127.0.0.1:5567`,
	},
	{
		"xpub", "Publish lines, print subscriptions",
		`  lintel zmq xpub --bind tcp://127.0.0.1:5556 --option xpub_verbose=1`,
	},
	{
		"xsub", "Print publications; \\x01topic subscribes, \\x00topic unsubscribes",
		`  printf '%s\n' '\x01log.' | lintel zmq xsub --connect tcp://127.0.0.1:5556`,
	},
	{
		"stream", "Exchange data with plain TCP peers; lines are ID, TAB, DATA",
		`  lintel zmq stream --bind tcp://127.0.0.1:8080`,
	},
	{
		"server", "Exchange messages with the clients that first frames name",
		`  lintel zmq server --bind tcp://127.0.0.1:5560`,
	},
	{
		"client", "Exchange lines of one frame with SERVER peers",
		`  echo hello | lintel zmq client --connect tcp://127.0.0.1:5560`,
	},
	{
		"radio", "Send lines GROUP, TAB, BODY to the members of the group",
		`  printf 'news\thello\n' | lintel zmq radio --connect udp://127.0.0.1:5561`,
	},
	{
		"dish", "Print GROUP, TAB, BODY of the groups in --join",
		`  lintel zmq dish --bind udp://127.0.0.1:5561 --join news`,
	},
	{
		"scatter", "Send lines of one frame to GATHER peers in turn",
		`  seq 100 | lintel zmq scatter --connect tcp://127.0.0.1:5562`,
	},
	{
		"gather", "Print messages of SCATTER peers",
		`  lintel zmq gather --bind tcp://127.0.0.1:5562`,
	},
	{
		"dgram", "Exchange UDP datagrams; lines are HOST:PORT, TAB, BODY",
		`  lintel zmq dgram --bind udp://127.0.0.1:5563`,
	},
	{
		"peer", "Exchange messages with the peers that first frames name",
		`  lintel zmq peer --bind tcp://127.0.0.1:5564`,
	},
	{
		"channel", "Exchange lines of one frame with one peer",
		`  lintel zmq channel --bind tcp://127.0.0.1:5565`,
	},
}

func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "zmq",
		Short: "Send and receive ZeroMQ messages",
		Long: `Send and receive ZeroMQ messages.

Each line of standard input is a message; each message received is printed as
a line. TAB separates frames. \xNN stands for the backslash and for bytes that
are not printable ASCII. With --json a line is an array of frames in base64.

A message that cannot be sent is reported and skipped. The exit status is then
1, as it is if messages are still queued when the linger time is over, or 5 s
after an interrupt.`,
		Example: `  lintel zmq pull --bind tcp://127.0.0.1:5557
  echo hello | lintel zmq push --connect tcp://127.0.0.1:5557`,
		Args: cli.NoOther("socket type"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, t := range zmqTypes {
		cmd.AddCommand(newZMQSocket(t.name, t.short, t.example))
	}
	cmd.AddCommand(newZMQProxy(), newZMQMonitor(), newZMQKeygen())
	return cmd
}

// zmqFlags are the flags of a socket.
type zmqFlags struct {
	endpoints []zmqEndpoint // in the order of the command line
	subscribe []string
	join      []string
	identity  string
	count     int
	timeout   time.Duration
	options   []string
	reply     string
	json      bool
}

type zmqEndpoint struct {
	bind bool
	at   string
}

// endpointFlag collects --bind and --connect in one list, in order.
type endpointFlag struct {
	list *[]zmqEndpoint
	bind bool
}

func (f endpointFlag) Set(s string) error {
	*f.list = append(*f.list, zmqEndpoint{bind: f.bind, at: s})
	return nil
}

func (f endpointFlag) Type() string   { return "endpoint" }
func (f endpointFlag) String() string { return "" }

// addSocket adds the flags of every command with a socket.
func (f *zmqFlags) addSocket(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(endpointFlag{&f.endpoints, true}, "bind", "`ENDPOINT` to bind; the port may be * (repeatable)")
	flags.Var(endpointFlag{&f.endpoints, false}, "connect", "`ENDPOINT` to connect to (repeatable)")
	flags.StringArrayVar(&f.subscribe, "subscribe", nil, "`PREFIX` to subscribe to; empty: everything (sub, xsub; repeatable)")
	flags.StringVar(&f.identity, "identity", "", "routing `ID` of 1 to 255 bytes")
	flags.StringArrayVar(&f.options, "option", nil, "socket option `NAME=VALUE`, with libzmq's name in lower case (repeatable)")
	flags.BoolVar(&f.json, "json", false, "read and write lines of JSON")
	completeEndpoints(cmd, "bind", "connect")
	completeOptions(cmd)
	for _, name := range []string{"subscribe", "identity"} {
		cli.Must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
}

func newZMQSocket(name, short, example string) *cobra.Command {
	var f zmqFlags
	cmd := &cobra.Command{
		Use:     name + " [flags]",
		Short:   short,
		Example: example,
		Args:    cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			s, err := f.open(name)
			if err != nil {
				return err
			}
			return runSocket(cmd, s, &f)
		},
	}
	f.addSocket(cmd)
	flags := cmd.Flags()
	flags.IntVar(&f.count, "count", 0, "stop after `N` messages received, or sent by push, pub, radio and scatter")
	flags.DurationVar(&f.timeout, "timeout", 0, "stop if no message could be sent or received for this time")
	if name != "sub" && name != "xsub" {
		cli.Must(flags.MarkHidden("subscribe")) // parsed, so that the error names it
	}
	if name == "rep" {
		flags.StringVar(&f.reply, "reply", "", "reply with this `TEXT` instead of the request")
	}
	if name == "dish" {
		flags.StringArrayVar(&f.join, "join", nil, "`GROUP` to join, at most 255 bytes (repeatable)")
	}
	return cmd
}

func (f *zmqFlags) check(cmd *cobra.Command) error {
	switch {
	case len(f.endpoints) == 0:
		return cli.Usagef("%s: no endpoint, expected --bind or --connect", cmd.Name())
	case cmd.Flags().Changed("count") && f.count < 1:
		return cli.Usagef("--count %d, expected at least 1", f.count)
	case cmd.Flags().Changed("timeout") && f.timeout <= 0:
		return cli.Usagef("--timeout %v, expected more than 0", f.timeout)
	case cmd.Flags().Changed("identity") && f.identity == "":
		return cli.Usagef("--identity is empty, expected 1 to 255 bytes")
	}
	return nil
}

// open returns a socket with opts, and the options and subscriptions of the flags.
// It binds and connects nothing.
func (f *zmqFlags) open(name string, opts ...zmq.Option) (zmq.Socket, error) {
	var later [][2]string
	for _, o := range f.options {
		name, value, err := parseOption(o)
		if err != nil {
			return nil, err
		}
		if name == "subscribe" || name == "unsubscribe" {
			later = append(later, [2]string{name, value})
			continue
		}
		opts = append(opts, zmq.WithOption(name, value))
	}
	if f.identity != "" {
		id, err := cli.Unescape([]byte(f.identity))
		if err != nil {
			return nil, cli.Usagef("--identity: %v", err)
		}
		opts = append(opts, zmq.WithIdentity(id))
	}
	s, err := zmq.New(name, opts...)
	if err != nil {
		return nil, cli.Usagef("%v", err)
	}
	for _, o := range later {
		if err := s.SetOption(o[0], o[1]); err != nil {
			return nil, errors.Join(cli.Usagef("%v", err), s.Close())
		}
	}
	if err := errors.Join(f.subscribeTo(s), f.joinGroups(s)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// parseOption parses NAME=VALUE. \xNN in the value is replaced, unless the value
// has another backslash.
func parseOption(o string) (name, value string, err error) {
	name, value, ok := strings.Cut(o, "=")
	if !ok || name == "" {
		return "", "", cli.Usagef("--option %q, expected NAME=VALUE", o)
	}
	if !slices.Contains(zmq.OptionNames(), name) {
		return "", "", cli.Usagef("--option %s: unknown option%s", name, cli.DidYouMean(name, "", zmq.OptionNames()))
	}
	if raw, err := cli.Unescape([]byte(value)); err == nil {
		value = string(raw)
	}
	return name, value, nil
}

func (f *zmqFlags) subscribeTo(s zmq.Socket) error {
	if len(f.subscribe) == 0 {
		return nil
	}
	var subscribe func(string) error
	switch s := s.(type) {
	case *zmq.Sub:
		subscribe = s.Subscribe
	case *zmq.XSub:
		subscribe = s.Subscribe
	default:
		return cli.Usagef("--subscribe is for sub and xsub, not %s", strings.ToLower(s.Type()))
	}
	for _, prefix := range f.subscribe {
		raw, err := cli.Unescape([]byte(prefix))
		if err != nil {
			return cli.Usagef("--subscribe: %v", err)
		}
		if err := subscribe(string(raw)); err != nil {
			return err
		}
	}
	return nil
}

func (f *zmqFlags) joinGroups(s zmq.Socket) error {
	dish, _ := s.(*zmq.Dish)
	for _, group := range f.join {
		raw, err := cli.Unescape([]byte(group))
		if err == nil {
			err = dish.Join(string(raw))
		}
		if err != nil {
			return cli.Usagef("--join: %v", err)
		}
	}
	return nil
}

// attach binds and connects in order. It reports each bound endpoint, and for PEER
// the routing id of each connection.
func (f *zmqFlags) attach(s zmq.Socket, report reporter) error {
	for _, ep := range f.endpoints {
		if err := attach(s, ep, report); err != nil {
			return err
		}
	}
	return nil
}

// reporter is called with what was done and the endpoint.
type reporter func(what, endpoint string)

// printTo returns a reporter that prints lines.
func printTo(w io.Writer) reporter {
	return func(what, endpoint string) { fmt.Fprintf(w, "%s %s\n", what, endpoint) }
}

func attach(s zmq.Socket, ep zmqEndpoint, report reporter) error {
	if !ep.bind {
		e, err := s.Connect(ep.at)
		if _, ok := s.(*zmq.Peer); ok && err == nil && e.RoutingID() != nil {
			report(fmt.Sprintf("peer %s at", textLines.append(nil, zmq.Msg{e.RoutingID()})), ep.at)
		}
		return cli.EndpointError(err)
	}
	bound, err := s.Bind(ep.at)
	if err != nil {
		return cli.EndpointError(err)
	}
	report("bound", bound.Addr())
	return nil
}
