package webpage

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

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
