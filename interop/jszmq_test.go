package interop_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lintel.dev/interop/peers"
	"lintel.dev/zmq"
)

// jsServer is an HTTP server with a page and a socket for each type of jszmq.
// The paths are the types of the other side.
type jsServer struct {
	t       *testing.T
	srv     *httptest.Server
	rep     *zmq.Req
	pair    *zmq.Pair
	pull    *zmq.Push
	dealer  *zmq.Router
	router  *zmq.Dealer
	sub     *zmq.XPub
	xpub    *zmq.Sub
	req     *zmq.Rep
	results *zmq.Pull
	waiting [][]string // results that are for later
}

func newJSServer(t *testing.T, overTLS bool, pages map[string][]byte) *jsServer {
	t.Helper()
	s := &jsServer{
		t:       t,
		rep:     opened[*zmq.Req](t)(zmq.NewReq()),
		pair:    opened[*zmq.Pair](t)(zmq.NewPair()),
		pull:    opened[*zmq.Push](t)(zmq.NewPush()),
		dealer:  opened[*zmq.Router](t)(zmq.NewRouter()),
		router:  opened[*zmq.Dealer](t)(zmq.NewDealer(zmq.WithIdentity([]byte("go dealer")))),
		sub:     opened[*zmq.XPub](t)(zmq.NewXPub()),
		xpub:    opened[*zmq.Sub](t)(zmq.NewSub()),
		req:     opened[*zmq.Rep](t)(zmq.NewRep()),
		results: opened[*zmq.Pull](t)(zmq.NewPull()),
	}
	mux := http.NewServeMux()
	for path, socket := range map[string]zmq.Socket{
		"/rep": s.rep, "/pair": s.pair, "/pull": s.pull, "/dealer": s.dealer, "/router": s.router,
		"/sub": s.sub, "/xpub": s.xpub, "/req": s.req, "/results": s.results,
	} {
		h, _, err := zmq.WebSocketHandler(socket)
		if err != nil {
			t.Fatal(err)
		}
		mux.Handle(path, h)
	}
	for path, content := range pages {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.Write(content) })
	}
	s.srv = httptest.NewUnstartedServer(mux)
	if overTLS {
		s.srv.StartTLS()
	} else {
		s.srv.Start()
	}
	t.Cleanup(s.srv.Close)
	return s
}

// reported returns the next result of one kind.
func (s *jsServer) reported(kind string, want ...string) {
	s.t.Helper()
	is := func(r []string) bool { return len(r) > 0 && r[0] == kind }
	i := slices.IndexFunc(s.waiting, is)
	for i < 0 {
		s.waiting = append(s.waiting, recvFrames(s.t, s.results.Recv))
		if is(s.waiting[len(s.waiting)-1]) {
			i = len(s.waiting) - 1
		}
	}
	got := s.waiting[i][1:]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	if !slices.Equal(got, want) {
		s.t.Fatalf("%s reports %.80q, want %.80q", kind, got, want)
	}
}

// jsMessages are the messages of the other tests except for the largest, and
// one with all octets.
func jsMessages() (all [][]string) {
	for _, m := range messages {
		if len(strings.Join(m, "")) < 1<<20 {
			all = append(all, m)
		}
	}
	var octets strings.Builder
	for i := range 256 {
		octets.WriteByte(byte(i))
	}
	return append(all, []string{octets.String()})
}

// talk exchanges every message over every pair of types with
// testdata/jszmq/agent.js.
func (s *jsServer) talk() {
	t := s.t
	t.Helper()
	re := func(m []string) []string { return append([]string{"re"}, m...) }

	sameFrames(t, recvFrames(t, s.dealer.Recv), []string{"js dealer", "hello"})
	sameFrames(t, recvFrames(t, s.sub.Recv), []string{"\x01a"})
	sameFrames(t, recvFrames(t, s.req.Recv), []string{"first"})
	if err := s.xpub.Subscribe("topic"); err != nil {
		t.Fatal(err)
	}
	sameFrames(t, recvFrames(t, s.xpub.Recv), []string{"topic", "published"})
	s.reported("xpub", "\x01topic")

	for _, m := range jsMessages() {
		sendFrames(t, s.rep.Send, m...)
		s.reported("rep", m...)
		sameFrames(t, recvFrames(t, s.rep.Recv), re(m))

		sendFrames(t, s.req.Send, m...)
		s.reported("req", m...)
		sameFrames(t, recvFrames(t, s.req.Recv), m)

		sendFrames(t, s.pair.Send, m...)
		s.reported("pair", m...)
		sameFrames(t, recvFrames(t, s.pair.Recv), re(m))

		sendFrames(t, s.pull.Send, m...)
		s.reported("pull", m...)

		sendFrames(t, s.dealer.Send, append([]string{"js dealer"}, m...)...)
		s.reported("dealer", m...)
		sameFrames(t, recvFrames(t, s.dealer.Recv), append([]string{"js dealer"}, re(m)...))

		sendFrames(t, s.router.Send, m...)
		// jszmq marks ids that were chosen by its peers.
		s.reported("router", append([]string{"\x00go dealer"}, m...)...)
		sameFrames(t, recvFrames(t, s.router.Recv), re(m))

		sendFrames(t, s.sub.Send, append([]string{"b"}, m...)...)
		sendFrames(t, s.sub.Send, append([]string{"a b"}, m...)...)
		s.reported("sub", append([]string{"a b"}, m...)...)
	}
}

// bundle joins the script of a page and jszmq to one file.
func bundle(t *testing.T) []byte {
	t.Helper()
	modules := peers.NodeModules(t, "jszmq", "esbuild")
	out := filepath.Join(t.TempDir(), "page.js")
	cmd := exec.Command(filepath.Join(modules, "esbuild", "bin", "esbuild"), "page.js", "--bundle", "--outfile="+out,
		"--log-level=warning", "--define:global=globalThis", `--define:process={"env":{}}`, "--alias:url=./url.js")
	cmd.Dir = "testdata/jszmq"
	cmd.Env = append(os.Environ(), nodePath(modules))
	if said, status := peers.Run(t, cmd); status != 0 {
		t.Fatal(said)
	}
	script, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return script
}

// nodePath sets NODE_PATH so that programs find jszmq and its dependencies.
func nodePath(modules string) string {
	return "NODE_PATH=" + modules + string(filepath.ListSeparator) + filepath.Join(modules, "jszmq", "node_modules")
}

// TestBrowser opens a page that uses Lintel's sockets through the HTTP server
// it was loaded from.
func TestBrowser(t *testing.T) {
	chromium := peers.Program(t, "chromium")
	pages := map[string][]byte{
		"/{$}":     []byte("<!doctype html><title>lintel</title><script src=\"/page.js\"></script>"),
		"/page.js": bundle(t),
	}
	for _, scheme := range []string{"ws", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			s := newJSServer(t, scheme == "wss", pages)
			other := newJSServer(t, scheme == "wss", nil)
			elsewhere := "ws" + strings.TrimPrefix(other.srv.URL, "http") + "/pull"
			cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
				"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
				"--disable-breakpad", "--ignore-certificate-errors", "--user-data-dir="+t.TempDir(),
				"--enable-logging=stderr", s.srv.URL+"/?elsewhere="+url.QueryEscape(elsewhere))
			cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
			p := peers.Start(t, cmd)
			s.talk()
			// A page must not reach the sockets of another origin.
			s.reported("elsewhere", "refused")
			p.Interrupt()
			p.Wait()
		})
	}
}

// TestJSZMQ does the same under Node.js, for machines without a browser.
func TestJSZMQ(t *testing.T) {
	node := peers.Program(t, "node")
	modules := peers.NodeModules(t, "jszmq")
	for _, scheme := range []string{"ws", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			s := newJSServer(t, scheme == "wss", nil)
			cmd := exec.Command(node, "testdata/jszmq/node.js", "ws"+strings.TrimPrefix(s.srv.URL, "http"))
			cmd.Env = append(os.Environ(), nodePath(modules))
			if scheme == "wss" {
				cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+certificateFile(t, s.srv.Certificate()))
			}
			peers.Start(t, cmd)
			s.talk()
		})
	}
	t.Run("they bind", func(t *testing.T) {
		cmd := exec.Command(node, "testdata/jszmq/node.js", "bind")
		cmd.Env = append(os.Environ(), nodePath(modules))
		at := peers.Start(t, cmd).Line()
		req := opened[*zmq.Req](t)(zmq.NewReq())
		pair := opened[*zmq.Pair](t)(zmq.NewPair())
		for path, s := range map[string]ourSocket{"/rep": req, "/pair": pair} {
			if _, err := s.Connect(at + path); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range jsMessages() {
			sendFrames(t, req.Send, m...)
			sameFrames(t, recvFrames(t, req.Recv), append([]string{"re"}, m...))
			sendFrames(t, pair.Send, m...)
			sameFrames(t, recvFrames(t, pair.Recv), append([]string{"re"}, m...))
		}
	})
}

func certificateFile(t *testing.T, c *x509.Certificate) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
