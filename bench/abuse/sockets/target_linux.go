package sockets

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"strconv"
	"time"

	"lintel.dev/zmq"
)

// The key pair of the CURVE server, in Z85.
const (
	serverPublic = "DX4nh=yUn{-9ugra0X3Src4SU-4xTgqxcYY.+<SH"
	serverSecret = "{X}#>t#jRGaQ}gMhv=30r(Mw+87YGs+5%kh=i@f8"
)

// mark begins the messages of the good peer.
var mark = []byte("good")

// target is our side of target/target.c: the sockets that are attacked. The
// profile of the CPU is written to the file profile, if that is not empty.
func target(ctx context.Context, profile string, kinds []string) error {
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, len(kinds))
	for _, kind := range kinds {
		run, err := open(kind)
		if err != nil {
			return err
		}
		go func() { failed <- run(ctx) }()
	}
	fmt.Println("ready")
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	return <-failed
}

// bind binds s and prints the endpoint.
func bind(s zmq.Socket, name, at string) error {
	ep, err := s.Bind(at)
	if err == nil {
		fmt.Println(name, ep.Addr())
	}
	return err
}

const anyPort = "tcp://127.0.0.1:*"

// open binds the socket of a kind and returns what it does.
func open(kind string) (run func(context.Context) error, err error) {
	switch kind {
	case "router", "curve", "ws":
		at, opts := anyPort, []zmq.Option(nil)
		switch kind {
		case "curve":
			var secret zmq.SecretKey
			if err := secret.UnmarshalText([]byte(serverSecret)); err != nil {
				return nil, err
			}
			opts = append(opts, zmq.WithCurveServer(secret))
		case "ws":
			at = "ws://127.0.0.1:*"
		}
		s, err := zmq.NewRouter(opts...)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return echo(ctx, s) }, bind(s, kind, at)
	case "pull":
		pull, err := zmq.NewPull()
		if err != nil {
			return nil, err
		}
		ack, err := zmq.NewPush()
		if err == nil {
			err = bind(pull, kind, anyPort)
		}
		if err == nil {
			err = bind(ack, "ack", anyPort)
		}
		return func(ctx context.Context) error { return drain(ctx, pull, ack) }, err
	case "pub":
		s, err := zmq.NewPub()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return publish(ctx, s) }, bind(s, kind, anyPort)
	case "xpub":
		s, err := zmq.NewXPub()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error { return publish(ctx, s) }, bind(s, kind, anyPort)
	}
	return nil, fmt.Errorf("no kind %q", kind)
}

func echo(ctx context.Context, s *zmq.Router) error {
	for {
		m, err := s.Recv(ctx)
		if err == nil {
			err = s.Send(ctx, m)
		}
		if err != nil {
			return err
		}
	}
}

func drain(ctx context.Context, pull *zmq.Pull, ack *zmq.Push) error {
	for {
		m, err := pull.Recv(ctx)
		if err == nil && len(m) == 1 && bytes.HasPrefix(m[0], mark) {
			err = ack.Send(ctx, m)
		}
		if err != nil {
			return err
		}
	}
}

func publish(ctx context.Context, s interface {
	SendBytes(ctx context.Context, b []byte) error
},
) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.SendBytes(ctx, stamp(nil)); err != nil {
			return err
		}
		<-tick.C
	}
}

// stamp appends a message of the good peer: its mark, and the time.
func stamp(b []byte) []byte {
	return strconv.AppendInt(append(b, mark...), time.Now().UnixNano(), 10)
}

// stamped returns the time of a message of the good peer.
func stamped(b []byte) (time.Time, error) {
	text, ok := bytes.CutPrefix(b, mark)
	ns, err := strconv.ParseInt(string(text), 10, 64)
	if !ok || err != nil {
		return time.Time{}, fmt.Errorf("message %q is not from the good peer", b)
	}
	return time.Unix(0, ns), nil
}
