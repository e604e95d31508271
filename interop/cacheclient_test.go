package interop_test

import (
	"os/exec"
	"testing"

	"lintel.dev/interop/peers"
)

// value is a value as the client's language represents it: the name of its type
// and its bytes.
type value struct {
	Type  string `json:"type"`
	Bytes []byte `json:"bytes"`
}

func raw(s string) *value { return &value{Type: "bytes", Bytes: []byte(s)} }

// cacheClient has the operations of every cache client, in any language. false
// is a refusal of the protocol (a miss, NOT_STORED, EXISTS); any other error
// fails the test.
type cacheClient interface {
	set(key string, v *value, ttl int) bool
	add(key string, v *value, ttl int) bool
	replace(key string, v *value, ttl int) bool
	appendTo(key string, v *value) bool
	prependTo(key string, v *value) bool
	get(key string) *value
	gets(key string) *value // remembers the token for cas
	cas(key string, v *value, ttl int) bool
	delete(key string) bool
	incr(key string, delta uint64) (uint64, bool)
	decr(key string, delta uint64) (uint64, bool)
	touch(key string, ttl int) bool
	getMulti(keys []string) map[string]*value
	setMulti(values map[string]*value, ttl int)
	deleteMulti(keys []string)
	flush()
	stats() map[string]string
}

// A maker connects a client to one or more servers (host:port or the path of a
// socket).
type maker func(t *testing.T, servers ...string) cacheClient

// kind is a kind of client.
type kind struct {
	name string
	dial maker
	// lacks names the scenarios that do not apply to this client, with the
	// reason.
	lacks map[string]string
}

// foreignClients are the third-party cache clients.
var foreignClients = []kind{
	{name: "python-memcached", dial: python("memcache", "python-memcached")},
	{name: "pymemcache", dial: python("pymemcache", "pymemcache")},
	{name: "pylibmc", dial: python("pylibmc", "pylibmc")},
	{name: "pylibmc-binary", dial: python("pylibmc", "pylibmc-binary")},
	{name: "php", dial: php("text")},
	{name: "php-binary", dial: php("binary")},
	{name: "perl-fast", dial: perl, lacks: map[string]string{
		"stats": "Cache::Memcached::Fast has no stats",
	}},
	{name: "dalli", dial: dalli, lacks: map[string]string{
		"touch into the past":      "Dalli takes any TTL beyond a month as relative",
		"a moment that has passed": "Dalli takes any TTL beyond a month as relative",
	}},
}

func php(protocol string) maker {
	return func(t *testing.T, servers ...string) cacheClient {
		t.Helper()
		interpreter := peers.Program(t, "php")
		peers.Works(t, interpreter, "-r", "exit(extension_loaded('memcached') ? 0 : 1);")
		return newForeignClient(t, exec.Command(interpreter, append([]string{"testdata/cache.php", protocol}, servers...)...))
	}
}

func perl(t *testing.T, servers ...string) cacheClient {
	t.Helper()
	interpreter := peers.Program(t, "perl")
	peers.Works(t, interpreter, "-MCache::Memcached::Fast", "-e", "1")
	return newForeignClient(t, exec.Command(interpreter, append([]string{"testdata/cache.pl", "modula"}, servers...)...))
}

func dalli(t *testing.T, servers ...string) cacheClient {
	t.Helper()
	interpreter := peers.Program(t, "ruby")
	peers.Works(t, interpreter, "-rdalli", "-e", "1")
	return newForeignClient(t, exec.Command(interpreter, append([]string{"testdata/cache.rb"}, servers...)...))
}

func python(module, library string) maker {
	return func(t *testing.T, servers ...string) cacheClient {
		t.Helper()
		interpreter := peers.Python(t, module)
		return newForeignClient(t, exec.Command(interpreter, append([]string{"testdata/cache.py", library}, servers...)...))
	}
}

// foreignClient is a cacheClient in another process (testdata/cache.*), driven
// by lines of JSON.
type foreignClient struct {
	t *testing.T
	p *peers.Proc
}

func newForeignClient(t *testing.T, cmd *exec.Cmd) *foreignClient {
	t.Helper()
	p := peers.Start(t, cmd)
	p.Expect("^ready$")
	return &foreignClient{t, p}
}

type cacheRequest struct {
	Op     string            `json:"op"`
	Key    string            `json:"key,omitempty"`
	Value  *value            `json:"value,omitempty"`
	TTL    int               `json:"ttl"`
	Delta  uint64            `json:"delta"`
	Keys   []string          `json:"keys,omitempty"`
	Values map[string]*value `json:"values,omitempty"`
}

type cacheReply struct {
	OK     bool              `json:"ok"`
	Value  *value            `json:"value"`
	Number uint64            `json:"number"`
	Values map[string]*value `json:"values"`
	Stats  map[string]string `json:"stats"`
	Error  string            `json:"error"`
}

// call returns the reply. Its error is the caller's to check.
func (s *foreignClient) call(r cacheRequest) cacheReply {
	s.t.Helper()
	var reply cacheReply
	s.p.Call(r, &reply)
	return reply
}

func (s *foreignClient) must(r cacheRequest) cacheReply {
	s.t.Helper()
	reply := s.call(r)
	if reply.Error != "" {
		s.t.Fatalf("%s %s: %s\n%s", r.Op, r.Key, reply.Error, s.p.Log())
	}
	return reply
}

func (s *foreignClient) set(key string, v *value, ttl int) bool {
	s.t.Helper()
	return s.must(cacheRequest{Op: "set", Key: key, Value: v, TTL: ttl}).OK
}

func (s *foreignClient) add(key string, v *value, ttl int) bool {
	s.t.Helper()
	return s.must(cacheRequest{Op: "add", Key: key, Value: v, TTL: ttl}).OK
}

func (s *foreignClient) replace(key string, v *value, ttl int) bool {
	s.t.Helper()
	return s.must(cacheRequest{Op: "replace", Key: key, Value: v, TTL: ttl}).OK
}

func (s *foreignClient) appendTo(key string, v *value) bool {
	s.t.Helper()
	return s.must(cacheRequest{Op: "append", Key: key, Value: v}).OK
}

func (s *foreignClient) prependTo(key string, v *value) bool {
	s.t.Helper()
	return s.must(cacheRequest{Op: "prepend", Key: key, Value: v}).OK
}

func (s *foreignClient) get(key string) *value {
	s.t.Helper()
	return s.must(cacheRequest{Op: "get", Key: key}).Value
}

func (s *foreignClient) gets(key string) *value {
	s.t.Helper()
	return s.must(cacheRequest{Op: "gets", Key: key}).Value
}

func (s *foreignClient) cas(key string, v *value, ttl int) bool {
	s.t.Helper()
	return s.must(cacheRequest{Op: "cas", Key: key, Value: v, TTL: ttl}).OK
}

func (s *foreignClient) delete(key string) bool {
	s.t.Helper()
	return s.must(cacheRequest{Op: "delete", Key: key}).OK
}

func (s *foreignClient) incr(key string, delta uint64) (uint64, bool) {
	s.t.Helper()
	r := s.must(cacheRequest{Op: "incr", Key: key, Delta: delta})
	return r.Number, r.OK
}

func (s *foreignClient) decr(key string, delta uint64) (uint64, bool) {
	s.t.Helper()
	r := s.must(cacheRequest{Op: "decr", Key: key, Delta: delta})
	return r.Number, r.OK
}

func (s *foreignClient) touch(key string, ttl int) bool {
	s.t.Helper()
	return s.must(cacheRequest{Op: "touch", Key: key, TTL: ttl}).OK
}

func (s *foreignClient) getMulti(keys []string) map[string]*value {
	s.t.Helper()
	return s.must(cacheRequest{Op: "get_multi", Keys: keys}).Values
}

func (s *foreignClient) setMulti(values map[string]*value, ttl int) {
	s.t.Helper()
	s.must(cacheRequest{Op: "set_multi", Values: values, TTL: ttl})
}

func (s *foreignClient) deleteMulti(keys []string) {
	s.t.Helper()
	s.must(cacheRequest{Op: "delete_multi", Keys: keys})
}

func (s *foreignClient) flush() {
	s.t.Helper()
	s.must(cacheRequest{Op: "flush"})
}

func (s *foreignClient) stats() map[string]string {
	s.t.Helper()
	return s.must(cacheRequest{Op: "stats"}).Stats
}
