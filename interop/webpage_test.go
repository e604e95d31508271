package interop_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lintel.dev/interop/peers"
)

// probe reports what the browser shows once the page is live. It is loaded before the page's own script.
const probe = `
const errors = [];
addEventListener('error', e => errors.push(String(e.message || e.target.src || e.target.href)), true);
addEventListener('unhandledrejection', e => errors.push(String(e.reason)));
addEventListener('securitypolicyviolation', e => errors.push('policy: ' + e.violatedDirective));
for (const kind of ['error', 'warn']) console[kind] = (...a) => errors.push(a.join(' '));
addEventListener('DOMContentLoaded', () => {
  const state = document.getElementById('state');
  new MutationObserver((_, observer) => {
    if (!state.classList.contains('live')) return;
    observer.disconnect();
    const texts = query => [...document.querySelectorAll(query)].map(e => e.textContent);
    fetch('/report', {method: 'POST', body: JSON.stringify({
      title: document.title, width: innerWidth, scroll: document.documentElement.scrollWidth,
      dark: matchMedia('(prefers-color-scheme: dark)').matches, back: getComputedStyle(document.body).backgroundColor,
      parts: texts('.part h2'), figures: texts('.figures .card'), charts: texts('.chart h3'), names: texts('td.named span'),
      lines: document.querySelectorAll('path.line').length,
      foreign: document.querySelectorAll('#parts script, #parts img, #parts iframe, #parts a').length, errors,
    })});
  }).observe(state, {attributes: true});
});
`

// pageReport is what probe sends.
type pageReport struct {
	Title, Back                           string
	Width, Scroll                         int
	Dark                                  bool
	Parts, Figures, Charts, Names, Errors []string
	Lines, Foreign                        int
}

// openPage shows the page at url in Chromium and returns what it has drawn. With width it is shown in a frame of so
// many pixels.
func openPage(t *testing.T, chromium, url string, dark bool, width int) pageReport {
	t.Helper()
	reports := make(chan pageReport, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		reply, err := http.Get(url + r.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer reply.Body.Close()
		body, _ := io.ReadAll(reply.Body)
		for name, values := range reply.Header {
			w.Header()[name] = values
		}
		w.Header().Del("Content-Length")
		w.Header().Set("Content-Security-Policy", strings.Replace(reply.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
		w.WriteHeader(reply.StatusCode)
		_, _ = w.Write(bytes.Replace(body, []byte("<head>"), []byte(`<head><script src="/probe.js"></script>`), 1))
	})
	mux.HandleFunc("GET /probe.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = io.WriteString(w, probe)
	})
	mux.HandleFunc("GET /frame", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<!doctype html><iframe src="/" width="%d" height="800" style="border:0"></iframe>`, width)
	})
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		var p pageReport
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			p.Errors = append(p.Errors, err.Error())
		}
		select {
		case reports <- p:
		default:
		}
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	at, scheme := srv.URL+"/", 1
	if width > 0 {
		at += "frame"
	}
	if dark {
		scheme = 0
	}
	cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-breakpad", "--user-data-dir="+t.TempDir(),
		fmt.Sprintf("--blink-settings=preferredColorScheme=%d", scheme), at)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	p := peers.Start(t, cmd)
	defer func() { p.Interrupt(); p.Wait() }()
	timer := time.NewTimer(peers.Patience)
	defer timer.Stop()
	select {
	case r := <-reports:
		return r
	case <-timer.C:
		t.Fatalf("the page did not become live:\n%s", p.Log())
		return pageReport{}
	}
}

// TestStatusPage opens the page of a cache server in a browser: wide and light, dark, and as wide as a phone. A client
// has used a key that is markup.
func TestStatusPage(t *testing.T) {
	chromium := peers.Program(t, "chromium")
	socket := filepath.Join(peers.SocketDir(t), "cache")
	cmd := exec.Command(lintel(t), "memcached", "-s", socket, "-u", "root", "--http", "127.0.0.1:0")
	url := peers.Start(t, cmd).ExpectLog(`(http://\S+)/metrics`)[1]
	const hostile = `x:"><script>document.title='taken'</script><img/src=x:y><a/href=//a>&lt;b&gt;`
	// Of 62 commands in a row at least one is sampled.
	talkTo(t, socket, "set "+hostile+" 0 0 1\r\nv\r\n"+strings.Repeat("get "+hostile+"\r\nget absent\r\n", 640))
	for _, c := range []struct {
		name  string
		dark  bool
		width int
		back  string
	}{
		{"light", false, 0, "rgb(244, 246, 248)"},
		{"dark", true, 0, "rgb(15, 20, 25)"},
		{"phone", false, 360, "rgb(244, 246, 248)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := openPage(t, chromium, url, c.dark, c.width)
			if len(r.Errors) > 0 || r.Title != "Lintel cache server" || r.Foreign != 0 {
				t.Errorf("errors %q, title %q, %d foreign elements", r.Errors, r.Title, r.Foreign)
			}
			if r.Dark != c.dark || r.Back != c.back {
				t.Errorf("dark %v, background %s", r.Dark, r.Back)
			}
			if c.width > 0 && r.Width != c.width || r.Scroll > r.Width {
				t.Errorf("the window has %d pixels, the page %d", r.Width, r.Scroll)
			}
			figures := strings.Join(r.Figures, "\n")
			for _, want := range []string{"; 50 % since start", "Items1", "none so far"} {
				if !strings.Contains(figures, want) {
					t.Errorf("no %q in\n%s", want, figures)
				}
			}
			if len(r.Charts) != 8 || r.Lines != 15 || len(r.Parts) != 1 || r.Parts[0] != socket {
				t.Errorf("charts %q with %d lines, parts %q", r.Charts, r.Lines, r.Parts)
			}
			for _, name := range []string{hostile, "absent", "x:"} {
				if !slices.Contains(r.Names, name) {
					t.Errorf("%q is not among %q", name, r.Names)
				}
			}
		})
	}
}

// TestProxyPage opens the page of a proxy without peers.
func TestProxyPage(t *testing.T) {
	chromium := peers.Program(t, "chromium")
	cmd := exec.Command(lintel(t), "zmq", "proxy", "--front", "pull:tcp://127.0.0.1:*", "--back", "push:tcp://127.0.0.1:*", "--http", "127.0.0.1:0")
	url := peers.Start(t, cmd).ExpectLog(`(http://\S+)/metrics`)[1]
	r := openPage(t, chromium, url, true, 360)
	if len(r.Errors) > 0 || r.Title != "Lintel proxy" || r.Scroll > r.Width || r.Lines != 14 || !slices.Equal(r.Parts, []string{"front PULL", "back PUSH"}) {
		t.Errorf("%+v", r)
	}
	if figures := strings.Join(r.Figures, "\n"); !strings.Contains(figures, "0 messages since start") {
		t.Errorf("figures:\n%s", figures)
	}
}

// talkTo sends commands to the cache server at a Unix socket and waits until they are executed.
func talkTo(t *testing.T, socket, commands string) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, commands+"mn\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(conn)
	for in.Scan() && in.Text() != "MN" {
	}
	if in.Text() != "MN" {
		t.Fatalf("the server ended the connection: %v", in.Err())
	}
}
