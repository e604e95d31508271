package zmq_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"lintel.dev/zmq"
)

// Options that belong to some sockets are refused by the others, as by libzmq
// 4.3.4, whose answers these are.
func TestOptionOwners(t *testing.T) {
	all := []string{
		"PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER",
		"PULL", "PUSH", "XPUB", "XSUB", "STREAM",
	}
	for _, c := range []struct {
		options string
		takes   []string
	}{
		{"router_mandatory router_raw router_handover", []string{"ROUTER", "REP"}},
		{"probe_router", []string{"ROUTER", "REP", "REQ", "DEALER"}},
		{"req_relaxed req_correlate", []string{"REQ"}},
		{"xpub_verbose xpub_verboser xpub_nodrop xpub_manual", []string{"PUB", "XPUB"}},
		{"stream_notify", []string{"STREAM"}},
		{"immediate ipv6 invert_matching conflate", all},
	} {
		for _, name := range strings.Fields(c.options) {
			for _, typ := range all {
				s, err := zmq.New(typ, zmq.WithOption(name, "1"))
				if err == nil {
					s.Close()
				}
				if slices.Contains(c.takes, typ) != (err == nil) || err != nil && !errors.Is(err, zmq.ErrNotSupported) {
					t.Errorf("%s on %v: %v", name, typ, err)
				}
			}
		}
	}
}

// Values out of range are refused when they are set, not when they are used.
func TestOptionValues(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, c := range []struct{ name, good, bad string }{
		{"plain_username", long[1:], long},
		{"plain_username", "u", ""},
		{"plain_password", "p", ""},
		{"plain_password", long[1:], long},
		{"zap_domain", "", long},
		{"routing_id", long[1:], ""},
		{"socks_proxy", "", "proxy"},
		{"socks_proxy", "proxy:1080", "proxy:"},
		{"socks_proxy", "[::1]:1080", ":1080"},
		{"socks_username", long[1:], long},
		{"socks_password", "", long},
		{"sndhwm", "0", "-1"},
		{"linger", "-1", "-2"},
		{"heartbeat_ttl", "6553599", "6553600"},
		{"tcp_keepalive", "-1", "2"},
		{"recovery_ivl", "0", "-1"},
		{"affinity", "18446744073709551615", "18446744073709551616"},
		{"bindtodevice", long[:15], long[:16]},
		{"immediate", "1", "2"},
		{"curve_serverkey", long[:32], long[:33]},
		{"metadata", "X-name:value", "name:value"},
	} {
		s, err := zmq.NewDealer()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetOption(c.name, c.good); err != nil {
			t.Errorf("%s=%.20q: %v", c.name, c.good, err)
		}
		if err := s.SetOption(c.name, c.bad); err == nil || !strings.Contains(err.Error(), "expected") && !strings.Contains(err.Error(), "routing id") {
			t.Errorf("%s=%.20q: %v", c.name, c.bad, err)
		}
		s.Close()
	}
}

// libzmq's names without a setting are refused, each with the reason.
func TestAbsentOptions(t *testing.T) {
	for name, want := range map[string]string{
		"fd": "only be read", "mechanism": "only be read", "ZMQ_EVENTS": "only be read", "last_endpoint": "only be read",
		"gssapi_server": "no mechanism GSSAPI", "gssapi_plaintext": "no mechanism GSSAPI",
		"vmci_buffer_size": "no transport vmci", "norm_mode": "no transport norm", "sndhmw": `no option "sndhmw"`,
	} {
		_, err := zmq.NewDealer(zmq.WithOption(name, "1"))
		if !errors.Is(err, zmq.ErrNotSupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// An XPUB subscribes for its peers only by hand.
func TestSubscribeByHandOnly(t *testing.T) {
	s, err := zmq.NewXPub()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.SetOption("subscribe", "A"); !errors.Is(err, zmq.ErrNotSupported) || !strings.Contains(err.Error(), "without xpub_manual") {
		t.Errorf("refused with %v, want the reason", err)
	}
	if err := s.SetOption("xpub_manual", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetOption("subscribe", "A"); err != nil {
		t.Errorf("by hand: %v", err)
	}
}

// A missing key is an error of Bind and Connect: no handshake could succeed.
func TestCurveKeysMissing(t *testing.T) {
	secret := zmq.NewSecretKey()
	server := zmq.NewSecretKey().Public()
	for _, c := range []struct {
		missing string
		options []zmq.Option
	}{
		{"curve_secretkey", []zmq.Option{zmq.WithOption("curve_server", "1")}},
		{"curve_secretkey", []zmq.Option{zmq.WithOption("curve_serverkey", server.String())}},
		{"curve_serverkey", []zmq.Option{zmq.WithOption("curve_secretkey", secret.Text())}},
	} {
		s, err := zmq.NewDealer(c.options...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Connect("tcp://127.0.0.1:9"); err == nil || !strings.Contains(err.Error(), c.missing) {
			t.Errorf("without %s: %v", c.missing, err)
		}
		if _, err = s.Bind("inproc://open"); err != nil {
			t.Errorf("in process: %v", err)
		}
		s.Close()
	}
}
