package zmq_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strconv"
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

// test_no_zap_handler: a PLAIN server without an authenticator refuses every client.
func TestPlainWithoutHandler(t *testing.T) {
	r := overTCP(t)
	server := made(r, zmq.NewPull, zmq.WithOption("plain_server", "1"))
	events, stop := iter.Pull(server.Events(r.ctx))
	defer stop()
	client := made(r, zmq.NewPush, zmq.WithPlain("a", "b"), zmq.WithLinger(0), zmq.WithReconnect(-1, 0))
	r.connect(client, r.bind(server))
	if e := next(t, events, event.HandshakeSucceeded, event.HandshakeFailed); !errors.Is(e.Err, zmq.ErrNoAuthenticator) {
		t.Errorf("event %v, %v", e.Type, e.Err)
	}
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

// A ZAP handler that never answers ends a handshake after its timeout.
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

// A secret key is not shown by accident: not by a verb of fmt, not inside
// another value, not by a logger and not as JSON.
func TestSecretKeyIsRedacted(t *testing.T) {
	key := zmq.NewSecretKey()
	text := key.Text()
	raw, err := zmq.ParseSecretKey(text)
	if err != nil || raw.Text() != text || raw.Public() != key.Public() {
		t.Fatalf("%v, %v", raw, err)
	}
	type holder struct {
		Name   string
		Key    zmq.SecretKey
		hidden zmq.SecretKey // fmt cannot call its methods
		many   []zmq.SecretKey
		byName map[string]zmq.SecretKey
	}
	h := holder{"ada", key, key, []zmq.SecretKey{key}, map[string]zmq.SecretKey{"ada": key}}
	shown := func(how, s string) {
		t.Helper()
		for _, secret := range secretForms(t, text) {
			if strings.Contains(strings.ToLower(s), strings.ToLower(secret)) {
				t.Errorf("%s shows the secret: %s", how, s)
			}
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%c", "%U", "%b", "%t", "%p", "%T"} {
		for _, v := range []any{key, &key, h, &h, []zmq.SecretKey{key}, map[string]zmq.SecretKey{"k": key}} {
			shown(verb, fmt.Sprintf(verb, v))
		}
	}
	var log strings.Builder
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("keys", "key", key, "pointer", &key, "holder", h, "many", h.many)
	}
	shown("slog", log.String())
	for _, v := range []any{key, &key, h, map[string]any{"key": key}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown("json", string(b))
	}
	if s := fmt.Sprint(key); s != "REDACTED" {
		t.Errorf("a secret prints as %q", s)
	}
	if _, err := zmq.ParseSecretKey(text[1:]); err == nil || strings.Contains(err.Error(), text[1:]) {
		t.Errorf("a key that is too short: %v", err)
	}
	if _, err := zmq.NewPush(zmq.WithOption("curve_secretkey", text[1:])); err == nil || strings.Contains(err.Error(), text[1:]) {
		t.Errorf("the option with a key that is too short: %v", err)
	}
	if key.IsZero() || !(zmq.SecretKey{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

// secretForms are the ways in which a key could be shown.
func secretForms(t *testing.T, text string) []string {
	t.Helper()
	raw, err := zmq.ParsePublicKey(text) // has the octets of the secret
	if err != nil {
		t.Fatal(err)
	}
	return []string{text, fmt.Sprintf("%x", raw[:]), fmt.Sprintf("% x", raw[:]), strings.Trim(fmt.Sprint(raw[:]), "[]"), string(raw[:]), fmt.Sprintf("%q", raw[:])}
}

// Each option can be read as it was set, except for secrets.
func TestOptionReadBack(t *testing.T) {
	r := rig{T: t, ctx: t.Context(), zctx: new(zmq.Context)}
	for name, values := range map[string][]string{
		"DEALER": {
			"sndhwm=5", "rcvhwm=0", "linger=-1", "linger=1500", "sndtimeo=20", "rcvtimeo=-1", "routing_id=me", "ipv6=1", "ipv4only=1",
			"immediate=1", "delay_attach_on_connect=0", "reconnect_ivl=-1", "reconnect_ivl_max=70", "reconnect_stop=5", "maxmsgsize=900",
			"max_message=5000", "max_frames=7", "unfinished_octets=100000", "heartbeat_ivl=5", "heartbeat_timeout=-1", "heartbeat_ttl=1000", "handshake_ivl=0",
			"connect_timeout=3", "tcp_keepalive=1", "tcp_keepalive_idle=30", "tcp_keepalive_cnt=-1", "tcp_maxrt=9", "tos=8", "priority=2",
			"metadata=X-a:b", "socks_proxy=host:1080", "bindtodevice=lo", "plain_username=u", "zap_domain=d", "zap_enforce_domain=1",
			"plain_server=1", "ws_origins=a,b", "use_fd=-1", "hello_msg=hi", "wss_hostname=h", "backlog=4", "sndbuf=-1", "rcvbuf=4096",
			"rate=9", "recovery_ivl=20", "multicast_hops=3", "multicast_loop=0", "multicast_maxtpdu=1400", "tcp_accept_filter=10.0.0.0/8",
			"ipc_filter_uid=4294967295", "conflate=1", "probe_router=1", "affinity=0", "busy_poll=0",
		},
		"ROUTER": {"router_mandatory=1", "router_handover=1", "router_notify=3", "router_raw=0", "connect_routing_id=x"},
		"XPUB":   {"xpub_verbose=1", "xpub_verboser=1", "xpub_nodrop=1", "xpub_manual=1", "xpub_welcome_msg=w", "only_first_subscribe=1", "invert_matching=1"},
		"SUB":    {"conflate_topics=1"},
		"REQ":    {"req_relaxed=1", "req_correlate=0"},
		"STREAM": {"stream_notify=0"},
	} {
		s, err := zmq.New(name, r.opts()...)
		r.socket(s, err)
		for _, o := range values {
			name, want, _ := strings.Cut(o, "=")
			if err := s.SetOption(name, want); err != nil {
				if strconv.IntSize == 32 && name == "ipc_filter_uid" {
					continue
				}
				t.Fatalf("%s: %v", o, err)
			}
			if got, err := s.Option("ZMQ_" + strings.ToUpper(name)); got != want || err != nil {
				t.Errorf("option %s is %q, %v, want %q", name, got, err, want)
			}
		}
		if got, err := s.Option("type"); got != name || err != nil {
			t.Errorf("type %q, %v, want %s", got, err, name)
		}
	}
	curve := made(r, zmq.NewPull, zmq.WithCurveServer(zmq.NewSecretKey()))
	if got, err := curve.Option("mechanism"); got != "CURVE" || err != nil {
		t.Errorf("mechanism %q, %v", got, err)
	}
	for _, name := range []string{"curve_secretkey", "plain_password", "socks_password", "wss_key_pem", "fd", "nonsense"} {
		if got, err := curve.Option(name); got != "" || !errors.Is(err, zmq.ErrNotSupported) {
			t.Errorf("option %s is %q, %v", name, got, err)
		}
	}
}
