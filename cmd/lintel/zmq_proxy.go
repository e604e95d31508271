package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"lintel.dev/zmq"
)

func newZMQProxy() *cobra.Command {
	var front, back, capture, control []string
	var options []string
	cmd := &cobra.Command{
		Use:   "proxy --front TYPE:ENDPOINT --back TYPE:ENDPOINT [flags]",
		Short: "Carry messages between two sockets",
		Long: `Carry messages between two sockets until interrupted.

  queue      --front router:tcp://*:5559 --back dealer:tcp://*:5560
  forwarder  --front xsub:tcp://*:5561   --back xpub:tcp://*:5562
  streamer   --front pull:tcp://*:5563   --back push:tcp://*:5564

Endpoints are bound; one that begins with ">" is connected to. A flag given
again, with the same type, adds an endpoint to its socket. The control socket
obeys PAUSE, RESUME, TERMINATE and STATISTICS.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sides := []struct {
				name  string
				specs []string
				need  bool
			}{{"front", front, true}, {"back", back, true}, {"capture", capture, false}, {"control", control, false}}
			var sockets [4]zmq.Socket
			defer func() {
				for _, s := range sockets {
					if s != nil {
						s.Close()
					}
				}
			}()
			for i, side := range sides {
				if len(side.specs) == 0 {
					if side.need {
						return usagef("no --%s, expected TYPE:ENDPOINT such as router:tcp://*:5559", side.name)
					}
					continue
				}
				f, name, err := proxySide(side.name, side.specs)
				if err != nil {
					return err
				}
				f.options = options
				if sockets[i], err = f.open(name); err != nil {
					return err
				}
				if err := f.attach(sockets[i], cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			return runProxy(cmd.Context(), sockets)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&front, "front", nil, "TYPE:ENDPOINT that faces clients or publishers (repeatable)")
	flags.StringArrayVar(&back, "back", nil, "TYPE:ENDPOINT that faces workers or subscribers (repeatable)")
	flags.StringArrayVar(&capture, "capture", nil, "TYPE:ENDPOINT that gets a copy of every message (repeatable)")
	flags.StringArrayVar(&control, "control", nil, "TYPE:ENDPOINT that takes commands (repeatable)")
	flags.StringArrayVar(&options, "option", nil, "option NAME=VALUE of all these sockets (repeatable)")
	return cmd
}

// proxySide reads the endpoints of one socket.
func proxySide(flag string, specs []string) (f zmqFlags, name string, err error) {
	for _, spec := range specs {
		kind, at, ok := strings.Cut(spec, ":")
		if !ok || kind == "" || at == "" || strings.HasPrefix(at, "//") {
			return f, "", usagef("--%s %q, expected TYPE:ENDPOINT such as router:tcp://*:5559", flag, spec)
		}
		if name != "" && kind != name {
			return f, "", usagef("--%s has types %s and %s, expected one", flag, name, kind)
		}
		name = kind
		at, connect := strings.CutPrefix(at, ">")
		f.endpoints = append(f.endpoints, zmqEndpoint{bind: !connect, at: strings.TrimPrefix(at, "@")})
	}
	return f, name, nil
}

func runProxy(ctx context.Context, sockets [4]zmq.Socket) error {
	var capture zmq.Sender
	if s := sockets[2]; s != nil {
		var ok bool
		if capture, ok = s.(zmq.Sender); !ok {
			return usagef("--capture %s does not send, expected pub, push, dealer or pair", strings.ToLower(s.Type().String()))
		}
	}
	var err error
	if s := sockets[3]; s != nil {
		control, ok := s.(zmq.Receiver)
		if !ok {
			return usagef("--control %s does not receive, expected rep, pair, pull or sub", strings.ToLower(s.Type().String()))
		}
		err = zmq.ProxySteerable(ctx, sockets[0], sockets[1], capture, control)
	} else {
		err = zmq.Proxy(ctx, sockets[0], sockets[1], capture)
	}
	switch {
	case errors.Is(err, zmq.ErrNotSupported):
		return usageError{err}
	case ctx.Err() != nil:
		return nil
	}
	return err
}
