package shards_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"lintel.dev/demo/shards"
)

// Two servers get four words, by each of the rules.
func ExampleRun() {
	cfg := shards.Defaults()
	cfg.Words, cfg.Name = strings.NewReader("apple\nbanana\ncherry\nzucchini\n"), "fruit"
	cfg.Servers = 2
	cfg.JSON = true
	cfg.Out = os.Stdout
	if err := shards.Run(context.Background(), cfg); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"words":4,"servers":2,"schemes":[{"name":"first letter","keys":[3,1],"moved":{"joins":1,"last_leaves":1,"next_leaves":1}},{"name":"hash","keys":[3,1],"moved":{"joins":4,"last_leaves":1,"next_leaves":1}},{"name":"md5","keys":[1,3],"moved":{"joins":4,"last_leaves":3,"next_leaves":3}},{"name":"ketama","keys":[2,2],"moved":{"joins":0,"last_leaves":2,"next_leaves":2}},{"name":"rendezvous","keys":[1,3],"moved":{"joins":1,"last_leaves":3,"next_leaves":3}},{"name":"jump","keys":[2,2],"moved":{"joins":1,"last_leaves":2,"next_leaves":2}}]}
}
