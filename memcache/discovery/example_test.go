package discovery_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lintel.dev/memcache"
	"lintel.dev/memcache/discovery"
)

// A list in a file, for Follow.
func ExampleFile() {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("lintel-fleet-%d", os.Getpid()))
	if err := os.WriteFile(path, []byte("10.0.0.1 # old\n10.0.0.2:11211:2=big\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	defer os.Remove(path)
	fmt.Println(discovery.File(path).Servers(context.Background()))
	// Output:
	// [10.0.0.1 10.0.0.2:11211:2=big] <nil>
}

// zone is a resolver of the example's own; nil takes the system's.
type zone map[string][]string

func (z zone) LookupHost(_ context.Context, host string) ([]string, error) { return z[host], nil }

func (z zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	var records []*net.SRV
	for _, target := range z["_"+service+"._"+proto+"."+name] {
		records = append(records, &net.SRV{Target: target, Port: 11211})
	}
	return name, records, nil
}

// Every address of a name is a server: a headless service in Kubernetes.
func ExampleDNS() {
	r := zone{"cache.prod.svc.cluster.local": {"10.1.0.7", "2001:db8::7", "10.1.0.5"}}
	c, err := memcache.Follow(context.Background(), discovery.DNS("cache.prod.svc.cluster.local", 11211, r), time.Minute, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(strings.Join(c.Servers(), " "))
	// Output:
	// 10.1.0.5:11211 10.1.0.7:11211 [2001:db8::7]:11211
}

// SRV records name the servers and their ports: pods keep their keys when
// their addresses change.
func ExampleSRV() {
	r := zone{"_memcache._tcp.cache.prod": {"cache-0.cache.prod.", "cache-1.cache.prod."}}
	c, err := memcache.Follow(context.Background(), discovery.SRV("memcache", "cache.prod", r), time.Minute, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(strings.Join(c.Servers(), " "))
	// Output:
	// cache-0.cache.prod:11211 cache-1.cache.prod:11211
}
