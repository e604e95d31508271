package zmq_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// exchange sends a message each way, of sizes around every boundary.
func (r rig) exchange(server, client interface {
	zmq.Sender
	zmq.Receiver
},
) {
	r.Helper()
	for _, n := range []int{0, 1, 255, 256, 8191, 8192, 100_000, 1 << 20} {
		body := strings.Repeat("s", n)
		r.send(client, "head", body, "tail")
		r.want(server, "head", body, "tail")
		r.send(server, body)
		r.want(client, body)
	}
}

// refusedBy checks that a connection is refused with this event and status.
func (r rig) refusedBy(server, client zmq.Socket, events func() (event.Event, bool), typ event.Type, status uint32) {
	r.Helper()
	e := next(r.T, events, event.HandshakeSucceeded, event.HandshakeFailed, event.HandshakeProtocol, event.HandshakeAuth)
	if e.Type != typ || status != 0 && e.Status != status {
		r.Errorf("event %v, status %d, %v; want %v, status %d", e.Type, e.Status, e.Err, typ, status)
	}
}

func TestCurve(t *testing.T) {
	for _, n := range networks()[:2] {
		t.Run(n.name, func(t *testing.T) {
			r := over(t, n)
			ssec := zmq.NewSecretKey()
			spub := ssec.Public()
			csec := zmq.NewSecretKey()
			server := made(r, zmq.NewDealer, zmq.WithCurveServer(ssec))
			client := made(r, zmq.NewDealer, zmq.WithCurve(csec, spub))
			r.connect(client, r.bind(server))
			r.exchange(server, client)
		})
	}
}

func TestCurvePatterns(t *testing.T) {
	r := overTCP(t)
	ssec := zmq.NewSecretKey()
	spub := ssec.Public()
	csec := zmq.NewSecretKey()
	pub := made(r, zmq.NewXPub, zmq.WithCurveServer(ssec))
	sub := made(r, zmq.NewSub, zmq.WithCurve(csec, spub), zmq.WithHeartbeat(5*time.Millisecond, time.Second, 0))
	r.connect(sub, r.bind(pub))
	r.must(sub.Subscribe("A"))
	r.want(pub, "\x01A")
	for range 2000 {
		r.send(pub, "B")
		r.send(pub, "A", "x")
		r.want(sub, "A", "x")
	}
	r.must(sub.Unsubscribe("A"))
	r.want(pub, "\x00A")
}

// test_security_curve: clients that are not what the server wants.
func TestCurveRefuses(t *testing.T) {
	ssec := zmq.NewSecretKey()
	spub := ssec.Public()
	csec := zmq.NewSecretKey()
	wrong := zmq.NewSecretKey().Public()
	for name, o := range map[string][]zmq.Option{
		"NULL client":      nil,
		"PLAIN client":     {zmq.WithPlain("a", "b")},
		"wrong server key": {zmq.WithCurve(csec, wrong)},
		"keys of no pair":  {zmq.WithCurve(csec, spub), zmq.WithOption("curve_publickey", wrong.String())},
	} {
		t.Run(name, func(t *testing.T) {
			r := overTCP(t)
			server := made(r, zmq.NewPull, zmq.WithCurveServer(ssec))
			events, stop := iter.Pull(server.Events(r.ctx))
			defer stop()
			client := made(r, zmq.NewPush, append(o, zmq.WithLinger(0), zmq.WithReconnect(-1, 0))...)
			r.connect(client, r.bind(server))
			e := next(t, events, event.HandshakeSucceeded, event.HandshakeFailed, event.HandshakeProtocol)
			if e.Type == event.HandshakeSucceeded {
				t.Error("the client got in")
			}
			r.nothing(server)
		})
	}
}

// test_security_plain, with a callback as authenticator.
func TestPlain(t *testing.T) {
	for _, n := range networks()[:2] {
		for password, ok := range map[string]bool{"secret": true, "guess": false} {
			t.Run(n.name+" "+password, func(t *testing.T) {
				r := over(t, n)
				server := made(r, zmq.NewDealer, zmq.WithOption("plain_server", "1"), zmq.WithOption("zap_domain", "home"), zmq.WithAuthenticator(
					func(_ context.Context, a zmq.AuthRequest) (zmq.AuthResult, error) {
						return zmq.AuthResult{
							Allow:  a.Mechanism == "PLAIN" && a.Domain == "home" && a.Username == "ann" && a.Password == "secret",
							UserID: "Ann", Metadata: map[string]string{"Role": "admin"},
						}, nil
					}))
				events, stop := iter.Pull(server.Events(r.ctx))
				defer stop()
				client := made(r, zmq.NewDealer, zmq.WithPlain("ann", password), zmq.WithLinger(0), zmq.WithReconnect(-1, 0))
				refusals, stop2 := iter.Pull(client.Events(r.ctx))
				defer stop2()
				r.connect(client, r.bind(server))
				if !ok {
					r.refusedBy(server, client, events, event.HandshakeAuth, 400)
					r.refusedBy(server, client, refusals, event.HandshakeAuth, 400)
					return
				}
				r.exchange(server, client)
				r.send(client, "who")
				_, peer, err := server.RecvFrom(r.ctx)
				if err != nil || peer.UserID != "Ann" || peer.Properties["Role"] != "admin" {
					t.Errorf("%+v, %v", peer, err)
				}
			})
		}
	}
}

// test_no_zap_handler: a PLAIN server with nobody to ask lets nobody in.
func TestPlainWithoutHandler(t *testing.T) {
	r := overTCP(t)
	server := made(r, zmq.NewPull, zmq.WithOption("plain_server", "1"))
	events, stop := iter.Pull(server.Events(r.ctx))
	defer stop()
	client := made(r, zmq.NewPush, zmq.WithPlain("a", "b"), zmq.WithLinger(0), zmq.WithReconnect(-1, 0))
	r.connect(client, r.bind(server))
	r.refusedBy(server, client, events, event.HandshakeFailed, 0)
}

// test_zap: a handler at inproc://zeromq.zap.01, well and badly behaved.
func TestZAPHandler(t *testing.T) {
	ssec := zmq.NewSecretKey()
	spub := ssec.Public()
	csec := zmq.NewSecretKey()
	cpub := csec.Public()
	mechanisms := map[string]struct{ server, client zmq.Option }{
		"NULL":  {zmq.WithOption("zap_domain", "test"), zmq.WithLinger(0)},
		"PLAIN": {zmq.WithOption("plain_server", "1"), zmq.WithPlain("ann", "secret")},
		"CURVE": {zmq.WithCurveServer(ssec), zmq.WithCurve(csec, spub)},
	}
	credentials := map[string][]string{"NULL": nil, "PLAIN": {"ann", "secret"}, "CURVE": {string(cpub[:])}}
	replies := map[string]struct {
		frames []string
		event  event.Type
		status uint32
	}{
		"accept":         {[]string{"1.0", "1", "200", "OK", "user", ""}, event.HandshakeSucceeded, 0},
		"try later":      {[]string{"1.0", "1", "300", "", "", ""}, event.HandshakeAuth, 300},
		"deny":           {[]string{"1.0", "1", "400", "", "", ""}, event.HandshakeAuth, 400},
		"error":          {[]string{"1.0", "1", "500", "", "", ""}, event.HandshakeAuth, 500},
		"version":        {[]string{"2.0", "1", "200", "", "", ""}, event.HandshakeProtocol, 0x20000002 + 1},
		"request id":     {[]string{"1.0", "7", "200", "", "", ""}, event.HandshakeProtocol, 0x20000002},
		"status":         {[]string{"1.0", "1", "201", "", "", ""}, event.HandshakeProtocol, 0x20000004},
		"too many parts": {[]string{"1.0", "1", "200", "", "", "", ""}, event.HandshakeProtocol, 0x20000001},
		"metadata":       {[]string{"1.0", "1", "200", "", "", "\xff"}, event.HandshakeProtocol, 0x20000005},
	}
	for mname, m := range mechanisms {
		for name, reply := range replies {
			t.Run(mname+" "+name, func(t *testing.T) {
				r := overTCP(t)
				handler := made(r, zmq.NewRep)
				_, err := handler.Bind("inproc://zeromq.zap.01")
				r.must(err)
				go handler.Serve(r.ctx, func(_ context.Context, q zmq.Msg) (zmq.Msg, error) {
					domain := ""
					if mname == "NULL" {
						domain = "test"
					}
					want := append([]string{"1.0", "1", domain, "127.0.0.1", "", mname}, credentials[mname]...)
					if q.String() != zmq.NewMsg(want...).String() {
						t.Errorf("request %q, want %q", q, want)
					}
					return zmq.NewMsg(reply.frames...), nil
				})
				server := made(r, zmq.NewPull, m.server)
				events, stop := iter.Pull(server.Events(r.ctx))
				defer stop()
				client := made(r, zmq.NewPush, m.client, zmq.WithLinger(0), zmq.WithReconnect(-1, 0))
				r.connect(client, r.bind(server))
				r.refusedBy(server, client, events, reply.event, reply.status)
				if reply.event == event.HandshakeSucceeded {
					r.send(client, "x")
					_, peer, err := server.RecvFrom(r.ctx)
					if err != nil || peer.UserID != "user" {
						t.Errorf("%+v, %v", peer, err)
					}
				}
			})
		}
	}
}

// A ZAP handler that never answers costs the handshake timeout, nobody else.
func TestZAPHandlerSilent(t *testing.T) {
	r := overTCP(t)
	handler := made(r, zmq.NewRouter)
	_, err := handler.Bind("inproc://zeromq.zap.01")
	r.must(err)
	server := made(r, zmq.NewPull, zmq.WithOption("zap_domain", "d"), zmq.WithOption("handshake_ivl", "20"))
	events, stop := iter.Pull(server.Events(r.ctx))
	defer stop()
	client := made(r, zmq.NewPush, zmq.WithLinger(0), zmq.WithReconnect(-1, 0))
	r.connect(client, r.bind(server))
	r.refusedBy(server, client, events, event.HandshakeFailed, 0)
}

// An enforced domain needs a handler, for CURVE too.
func TestZAPEnforced(t *testing.T) {
	ssec := zmq.NewSecretKey()
	spub := ssec.Public()
	csec := zmq.NewSecretKey()
	for domain, want := range map[string]event.Type{"": event.HandshakeSucceeded, "d": event.HandshakeFailed} {
		r := overTCP(t)
		server := made(r, zmq.NewPull, zmq.WithCurveServer(ssec), zmq.WithOption("zap_domain", domain), zmq.WithOption("zap_enforce_domain", "1"))
		events, stop := iter.Pull(server.Events(r.ctx))
		client := made(r, zmq.NewPush, zmq.WithCurve(csec, spub), zmq.WithLinger(0), zmq.WithReconnect(-1, 0))
		r.connect(client, r.bind(server))
		r.refusedBy(server, client, events, want, 0)
		stop()
	}
}

func TestCurveKeyText(t *testing.T) {
	secret := zmq.NewSecretKey()
	public := secret.Public()
	if secret.Public() != public {
		t.Error("the public key is not the secret one's")
	}
	text, err := public.MarshalText()
	if err != nil || len(text) != 40 {
		t.Fatal(string(text), err)
	}
	var back zmq.PublicKey
	if err := back.UnmarshalText(text); err != nil || back != public {
		t.Error(err)
	}
	for _, bad := range []string{"", "short", strings.Repeat("\"", 40)} {
		if err := back.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
}

// The options of libzmq, by name.
func TestOptionNames(t *testing.T) {
	secret := zmq.NewSecretKey()
	public := secret.Public()
	for name, values := range map[string][2]string{
		"sndhwm": {"5", "-1"}, "linger": {"-1", "-2"}, "routing_id": {"me", ""}, "ZMQ_RCVHWM": {"0", "x"},
		"heartbeat_ttl": {"6553599", "6553600"}, "conflate": {"1", "2"}, "curve_publickey": {public.String(), "x"},
		"curve_secretkey": {secret.Text(), ""}, "metadata": {"X-a:b", "a:b"}, "maxmsgsize": {"-1", "-2"},
		"tcp_keepalive_idle": {"10", "-2"}, "router_notify": {"3", "4"}, "router_raw": {"1", "x"}, "fail_unroutable": {"1", "2"}, "use_fd": {"-1", "-2"},
		"delay_attach_on_connect": {"0", ""}, "wss_trust_pem": {testCertificate, "x"}, "wss_trust_system": {"1", "2"}, "identity": {"x", "\x00x"},
	} {
		r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
		s := made(r, zmq.NewRouter)
		if err := s.SetOption(name, values[0]); err != nil {
			t.Errorf("%s=%s: %v", name, values[0], err)
		}
		if err := s.SetOption(name, values[1]); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s=%s: %v", name, values[1], err)
		}
	}
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	s := made(r, zmq.NewRouter, zmq.WithOption("sndhwm", "7"))
	for name, want := range map[string]string{"sndhwm": "7", "rcvhwm": "1000", "linger": "5000", "handshake_ivl": "30000"} {
		if got, err := s.Option(name); got != want || err != nil {
			t.Errorf("option %s is %q, %v, want %q", name, got, err, want)
		}
	}
	if err := s.SetOption("nonsense", "1"); !errors.Is(err, zmq.ErrNotSupported) {
		t.Error(err)
	}
	if err := s.SetOption("subscribe", "x"); !errors.Is(err, zmq.ErrNotSupported) {
		t.Error(err)
	}
	if len(zmq.OptionNames()) < 60 {
		t.Error("options are missing")
	}
}
