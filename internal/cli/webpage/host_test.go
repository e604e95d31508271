package webpage

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestIsOwnHost(t *testing.T) {
	for host, want := range map[string]bool{
		"":                       true, // HTTP/1.0
		"127.0.0.1:9150":         true,
		"192.0.2.7":              true,
		"[::1]:9150":             true,
		"[2001:db8::1]":          true,
		"[fe80::1%eth0]:9150":    true,
		"localhost:9150":         true,
		"LocalHost.":             true,
		"cache.localhost:9150":   true,
		"cache1.example:9150":    true,
		"Cache1.Example.:9150":   true,
		"cache1":                 true,
		"web7":                   true,
		"evil.example":           false,
		"evil.example:9150":      false,
		"cache1.evil.example":    false,
		"localhost.evil.example": false,
		"notlocalhost":           false,
		"127.0.0.1.evil.example": false,
		"evil.example:80:80":     false,
		"cache1.example@evil":    false,
		"[evil.example]":         false,
		"2130706433":             false, // a browser sends 127.0.0.1
	} {
		if got := isOwnHost(host, "cache1.example", "web7"); got != want {
			t.Errorf("isOwnHost(%q): got %v, expected %v", host, got, want)
		}
	}
	for _, host := range []string{"x", "."} {
		if got := isOwnHost(host, "", ""); got != (host == ".") {
			t.Errorf("isOwnHost(%q) without names: got %v", host, got)
		}
	}
}

// TestRebinding checks that the page and its data are only served under a name of
// this machine, and that Prometheus may use any.
func TestRebinding(t *testing.T) {
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	handler := NewServer(t.Context(), "cache1.example:9150", prometheus.NewRegistry(), func() View { return View{} }).Handler
	for _, test := range []struct {
		host, path string
		want       int
	}{
		{"evil.example", "/", http.StatusForbidden},
		{"evil.example:9150", "/status.json", http.StatusForbidden},
		{"evil.example:9150", "/page.js", http.StatusForbidden},
		{"evil.example", "/metrics", http.StatusOK},
		{"10.0.0.7:9150", "/status.json", http.StatusOK},
		{"localhost:9150", "/status.json", http.StatusOK},
		{"cache1.example:9150", "/status.json", http.StatusOK},
		{machine + ":9150", "/status.json", http.StatusOK},
	} {
		r := httptest.NewRequest(http.MethodGet, test.path, nil)
		r.Host = test.host
		r.Header.Set("X-Forwarded-Host", "localhost")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != test.want {
			t.Errorf("%s of %s: status %d, expected %d", test.path, test.host, w.Code, test.want)
		}
	}
}
