package webpage

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

func get(t *testing.T, mux *http.ServeMux, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil))
	return w
}

// TestHandle reads everything that the page consists of, and checks that it is small and
// loads nothing from elsewhere.
func TestHandle(t *testing.T) {
	mux := http.NewServeMux()
	Handle(mux, ":9150", func() View {
		return View{Title: "T", Parts: []Part{{Name: "<script>", Tables: []Table{{Title: "empty"}}}}}
	})
	size := 0
	foreign := regexp.MustCompile(`(src|href|url)\W{0,2}(https?:)?//`)
	for path, kind := range map[string]string{"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript", "/icon.svg": "image/svg+xml", "/status.json": "application/json"} {
		w := get(t, mux, path)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: status %d, %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		if w.Header().Get("Content-Security-Policy") != policy || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, w.Header())
		}
		body := w.Body.String()
		size += len(body)
		for _, bad := range []string{"innerHTML", "style=", "onclick", "<script>", "eval("} {
			if strings.Contains(body, bad) {
				t.Errorf("%s contains %s", path, bad)
			}
		}
		if foreign.MatchString(body) {
			t.Errorf("%s refers to another host", path)
		}
	}
	if size > 50<<10 {
		t.Errorf("the page has %d bytes", size)
	}
	if w := get(t, mux, "/other"); w.Code != http.StatusNotFound {
		t.Errorf("/other: status %d", w.Code)
	}
	if body := get(t, mux, "/status.json").Body.String(); !strings.Contains(body, `"rows":[]`) {
		t.Errorf("a table without rows has none in %s", body)
	}
	var v View
	if err := json.Unmarshal(get(t, mux, "/status.json").Body.Bytes(), &v); err != nil || v.Every != 2000 || v.Parts[0].Name != "<script>" {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestHistory(t *testing.T) {
	var h History
	for i := range historyLength + 5 {
		h.Add(float64(i), math.NaN())
	}
	l := h.Line("x", 0)
	if len(l.Values) != historyLength || *l.Values[0] != 5 || *l.Values[historyLength-1] != historyLength+4 {
		t.Errorf("%d values, from %v", len(l.Values), *l.Values[0])
	}
	if v := h.Line("y", 1).Values[3]; v != nil {
		t.Errorf("NaN is %v", *v)
	}
	if v := h.Mean(0, 2); v != historyLength+3.5 {
		t.Errorf("Mean is %v", v)
	}
	if !math.IsNaN(h.Mean(1, 9)) || !math.IsNaN(new(History).Mean(0, 1)) {
		t.Error("the mean of nothing is a number")
	}
	for v, want := range map[float64]float64{0: 0, 1234567: 1235000, -0.00012345: -0.0001235, math.Inf(1): math.Inf(1)} {
		if got := short(v); math.Abs(got-want) > math.Abs(want)*1e-9 {
			t.Errorf("short(%v) is %v", v, got)
		}
	}
}

func TestFormat(t *testing.T) {
	for got, want := range map[string]string{
		Number(0):                        "0",
		Number(0.5):                      "0.5",
		Number(999.6):                    "1 k",
		Number(12345):                    "12.3 k",
		Number(math.NaN()):               "–",
		Size(1023):                       "1023 B",
		Size(1536):                       "1.5 KiB",
		Ratio(0.1234):                    "12.3 %",
		Ratio(math.NaN()):                "–",
		Latency(12.34e-6):                "12.3 µs",
		Latency(0.0025):                  "2.5 ms",
		Latency(3):                       "3 s",
		Age(59 * time.Second):            "59 s",
		Age(61 * time.Second):            "1 min 1 s",
		Age(3*time.Hour + 5*time.Minute): "3 h 5 min",
		Age(50 * time.Hour):              "2 d 2 h",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if Share(1, 0) != nil || Share(0, 0) != nil || *Share(3, 2) != 1 || *Share(1, 2) != 0.5 {
		t.Error("Share")
	}
}
