package interop_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/memcached"
	nearserver "lintel.dev/nearcache/server"
)

// TestInvalidationsInPython: a subscriber made of libzmq and the table in
// docs/invalidations.md knows what was changed in a cache.
func TestInvalidationsInPython(t *testing.T) {
	python := peers.Python(t, "zmq")
	feed, err := nearserver.New(&nearserver.Config{Endpoints: []string{"tcp://127.0.0.1:*"}})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := memcached.New(memcached.Options{Feed: feed})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() {
		if err := errors.Join(srv.Shutdown(context.Background()), feed.Close()); err != nil {
			t.Error(err)
		}
		<-served
	}()
	peer := peers.Start(t, exec.Command(python, "-u", "testdata/nearpeer.py", l.Addr().String()))
	peer.Expect("^joined$")

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	do := func(command string) {
		t.Helper()
		fmt.Fprintf(conn, "%s\r\n", command)
		if line, err := in.ReadString('\n'); err != nil || strings.HasPrefix(line, "ERROR") || strings.HasPrefix(line, "CLIENT") {
			t.Fatalf("%q: %q, %v", command, line, err)
		}
	}
	type known struct {
		Keys    map[string][]string `json:"keys"`
		Flushes []string            `json:"flushes"`
		Gaps    int                 `json:"gaps"`
	}
	want := known{Keys: map[string][]string{"k": {}, "longer-key": {"changed"}, "a-key-of-thirty-one-octets-1234": {"changed", "touched"}, "none": {}}}
	check := func() {
		t.Helper()
		var keys []string
		for k := range want.Keys {
			keys = append(keys, k)
		}
		line, err := json.Marshal(keys)
		if err != nil {
			t.Fatal(err)
		}
		peer.Send(string(line))
		var got known
		if peer.Reply(&got); !reflect.DeepEqual(got, want) {
			t.Errorf("the subscriber knows %+v, expected %+v", got, want)
		}
	}
	want.Flushes = []string{}
	do("set longer-key 0 0 1\r\n1")
	do("ms a-key-of-thirty-one-octets-1234 1\r\n1")
	do("touch a-key-of-thirty-one-octets-1234 100")
	do("mg none v")
	check()

	for range 300 {
		do("set k 0 0 1\r\n1")
		want.Keys["k"] = append(want.Keys["k"], "changed")
	}
	do("delete k")
	do("flush_prefix longer")
	do("flush_all")
	want.Keys["k"] = append(want.Keys["k"], "deleted")
	want.Flushes = []string{"prefix longer", "all"}
	check()
}
