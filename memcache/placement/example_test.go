package placement_test

import (
	"fmt"
	"log"

	"lintel.dev/memcache/placement"
)

// Another client's placement: keys are looked up on the servers where that client
// stored them.
func ExampleNew() {
	ketama, err := placement.New("ketama")
	if err != nil {
		log.Fatal(err)
	}
	var servers []placement.Server
	for _, spec := range []string{"127.0.0.71", "127.0.0.72:11211:2", "127.0.0.73:21213:3"} {
		s, err := placement.ParseServer(spec)
		if err != nil {
			log.Fatal(err)
		}
		servers = append(servers, s)
	}
	picker, err := ketama.Place(servers)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"key:1", "key:2", "key:5"} {
		fmt.Println(key, servers[picker.Pick(key, nil)])
	}
	// Output:
	// key:1 127.0.0.72:11211:2
	// key:2 127.0.0.72:11211:2
	// key:5 127.0.0.73:21213:3
}
