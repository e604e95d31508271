package shards

import (
	"fmt"
	"strings"
	"testing"

	"lintel.dev/memcache/placement"
)

func TestFirstLetter(t *testing.T) {
	for key, want := range map[string]int{
		"apple": 0, "fig": 0, "grape": 1, "melon": 1, "nut": 2, "Saffron": 2, "tea": 3, "zest": 3,
		"7up": 0, "'tis": 0, "école": 3, "~": 3,
	} {
		if got := firstLetter(key, 4); got != want {
			t.Errorf("%s is on server %d of 4, want %d", key, got, want)
		}
	}
}

func TestEverySchemePlacesOnEveryCount(t *testing.T) {
	all, err := schemes()
	if err != nil {
		t.Fatal(err)
	}
	for _, sch := range all {
		for n := 1; n <= maxServers+1; n++ {
			servers := make([]placement.Server, n)
			for i := range servers {
				servers[i] = placement.Server{Host: "127.0.0.1", Port: 40000 + i, Weight: 1, Name: serverName(i)}
			}
			picker, err := sch.selector.Place(servers)
			if err != nil {
				t.Fatalf("%s on %d servers: %v", sch.name, n, err)
			}
			for c := range 256 {
				key := fmt.Sprintf("%c%d", rune(c), c)
				if strings.TrimSpace(key) != key {
					continue
				}
				if i := picker.Pick(key, nil); i < 0 || i >= n {
					t.Fatalf("%s puts %q on server %d of %d", sch.name, key, i, n)
				}
			}
		}
	}
}

// The shares must not depend on the servers' ports.
func TestSchemesLookAtNames(t *testing.T) {
	all, err := schemes()
	if err != nil {
		t.Fatal(err)
	}
	at := func(port int) []placement.Server {
		var servers []placement.Server
		for i := range 5 {
			servers = append(servers, placement.Server{Host: "127.0.0.1", Port: port - 7*i, Weight: 1, Name: serverName(i)})
		}
		return servers
	}
	for _, sch := range all {
		one, err := sch.selector.Place(at(40000))
		if err != nil {
			t.Fatal(err)
		}
		other, err := sch.selector.Place(at(33333))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			key := fmt.Sprint("key", i)
			if a, b := one.Pick(key, nil), other.Pick(key, nil); a != b {
				t.Fatalf("%s puts %s on server %d or %d, depending on ports", sch.name, key, a, b)
			}
		}
	}
}

func TestCountedGivesUpWhenDead(t *testing.T) {
	picker, err := byCount(firstLetter).Place(make([]placement.Server, 4))
	if err != nil {
		t.Fatal(err)
	}
	if i := picker.Pick("apple", func(i int) bool { return i == 0 }); i != -1 {
		t.Errorf("picked %d although it is dead", i)
	}
}
