package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lintel.dev/interop/peers"
)

// server starts lintel memcached on a free port and returns its address.
func server(t *testing.T, env []string, flags ...string) string {
	t.Helper()
	cmd := exec.Command(lintel(t), append([]string{"memcached", "-p", "-1", "-l", "127.0.0.1"}, flags...)...)
	cmd.Env = append(cmd.Environ(), env...)
	return peers.Start(t, cmd).ExpectLog(`listens on (\S+)$`)[1]
}

// TestCacheBinary runs the scenarios on the program instead of the package.
func TestCacheBinary(t *testing.T) {
	t.Parallel()
	addr := server(t, nil)
	dial := python("pylibmc", "pylibmc-binary")
	play(t, dial(t, addr), python("pymemcache", "pymemcache")(t, addr), nil)
}

// TestSASL runs the scenarios with SASL on the program with -S, and checks that
// a client with a wrong password gets nothing.
func TestSASL(t *testing.T) {
	for _, x := range []struct {
		name    string
		command func(t *testing.T, addr string) *exec.Cmd
		lacks   []string
	}{
		{"pylibmc", func(t *testing.T, addr string) *exec.Cmd {
			return exec.Command(peers.Python(t, "pylibmc"), "testdata/cache.py", "pylibmc-sasl", addr)
		}, nil},
		{"php", func(t *testing.T, addr string) *exec.Cmd {
			interpreter := peers.Program(t, "php")
			peers.Works(t, interpreter, "-r", "exit(extension_loaded('memcached') && Memcached::HAVE_SASL ? 0 : 1);")
			return exec.Command(interpreter, "testdata/cache.php", "sasl", addr)
		}, nil},
		{"dalli", func(t *testing.T, addr string) *exec.Cmd {
			interpreter := peers.Program(t, "ruby")
			peers.Works(t, interpreter, "-rdalli", "-e", "1")
			return exec.Command(interpreter, "testdata/cache.rb", addr)
		}, []string{"touch into the past", "a moment that has passed"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			users := filepath.Join(t.TempDir(), "users")
			if err := os.WriteFile(users, []byte("joe:open sesame\nann:hello\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			addr := server(t, []string{"MEMCACHED_SASL_PWDB=" + users}, "-S")
			login := func(user, password string) *foreignClient {
				cmd := x.command(t, addr)
				cmd.Env = append(cmd.Environ(), "CACHE_USER="+user, "CACHE_PASSWORD="+password)
				return newForeignClient(t, cmd)
			}
			lacks := map[string]string{}
			for _, name := range x.lacks {
				lacks[name] = "as it is without a login"
			}
			play(t, login("joe", "open sesame"), login("ann", "hello"), lacks)

			yes(t, login("joe", "open sesame").set("secret", raw("v"), 0))
			for _, who := range [][2]string{{"joe", "hello"}, {"unknown", "hello"}} {
				c := login(who[0], who[1])
				for _, op := range []string{"get", "set"} {
					reply := c.call(cacheRequest{Op: op, Key: "secret", Value: raw("w")})
					if reply.OK || reply.Value != nil {
						t.Errorf("%s with a wrong password: %s is answered %+v", strings.Join(who[:], ":"), op, reply)
					}
				}
			}
			same(t, login("ann", "hello").get("secret"), raw("v"))
		})
	}
}
