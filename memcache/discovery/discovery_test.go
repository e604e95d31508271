package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"

	"lintel.dev/memcache"
	"lintel.dev/memcache/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type names map[string][]string

func (n names) LookupHost(_ context.Context, host string) ([]string, error) {
	if n[host] == nil {
		return nil, errors.New("no such host")
	}
	return n[host], nil
}

func TestFileSource(t *testing.T) {
	path := t.TempDir() + "/fleet"
	src := discovery.File(path)
	if _, err := src.Servers(t.Context()); err == nil {
		t.Error("a file that is not there is read")
	}
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# fleet\na:1:2=x\n\n  b  # the other\n")
	if got, err := src.Servers(t.Context()); err != nil || fmt.Sprint(got) != "[a:1:2=x b]" {
		t.Errorf("%v, %v", got, err)
	}
	write("a:x\n")
	if _, err := src.Servers(t.Context()); err == nil {
		t.Error("a bad line is accepted")
	}
	write("# none\n")
	_, err := src.Servers(t.Context())
	if !errors.Is(err, memcache.ErrNoServers) {
		t.Errorf("empty: %v", err)
	}
}

type srv []*net.SRV

func (s srv) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	if len(s) == 0 {
		return "", nil, errors.New("no such service")
	}
	return "", s, nil
}

func TestDNSSources(t *testing.T) {
	r := names{"cache": {"10.0.0.2", "10.0.0.1", "2001:db8::1", "10.0.0.2"}}
	got, err := discovery.DNS("cache", 11211, r).Servers(t.Context())
	if err != nil || fmt.Sprint(got) != "[10.0.0.1:11211 10.0.0.2:11211 [2001:db8::1]:11211]" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := discovery.DNS("none", 11211, r).Servers(t.Context()); err == nil {
		t.Error("an unknown name has servers")
	}
	got, err = discovery.SRV("memcache", "svc", srv{{Target: "b.svc.", Port: 2, Weight: 5}, {Target: "a.svc.", Port: 1}}).Servers(t.Context())
	if err != nil || fmt.Sprint(got) != "[a.svc:1 b.svc:2:5]" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := discovery.SRV("memcache", "svc", srv{}).Servers(t.Context()); err == nil {
		t.Error("an unknown service has servers")
	}
}
