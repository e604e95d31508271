// Package webpage serves a page that shows how a process is doing: figures, charts of the last minutes, tables.
//
// The commands memcached, zmq proxy and feed serve share it. A command describes what is to be seen as a View,
// which it makes for each request from counters and a History. Handler serves the page at /, its script and style sheet,
// and the View as JSON at /status.json, which the script fetches every few seconds and draws.
//
// The page loads nothing from elsewhere, and its Content-Security-Policy allows nothing but its own script and style
// sheet. The script puts texts into the document as text nodes only, so names that clients choose, such as keys, cannot
// become markup.
//
// Start serves all of it for a flag --http, with /metrics for Prometheus and /healthz. The page and the View are refused
// to requests for another host, see package ownhost; /metrics and /healthz are not, because Prometheus may know the machine by
// any name, and they contain no keys.
//
// A History is safe for concurrent use. The rest has no state.
package webpage

import (
	"embed"
	"encoding/json"
	"net/http"
	"time"

	"lintel.dev/internal/cli/ownhost"
)

// Interval is how often the page fetches the View, and commands add to a History.
const Interval = 2 * time.Second

// View is what the page shows.
type View struct {
	Title   string `json:"title"`
	Version string `json:"version"`
	Note    string `json:"note"`  // beside the title
	Every   int64  `json:"every"` // Interval in milliseconds; set by Handler
	Parts   []Part `json:"parts"` // shown side by side
}

// Part is one server or socket.
type Part struct {
	Name    string   `json:"name"`
	Figures []Figure `json:"figures"`
	Charts  []Chart  `json:"charts"`
	Tables  []Table  `json:"tables"`
}

// Figure is a number with its label.
type Figure struct {
	Label string   `json:"label"`
	Value string   `json:"value"`
	Note  string   `json:"note,omitempty"`
	Share *float64 `json:"share,omitempty"` // 0 to 1, shown as a bar; nil is none
}

// Unit is how the page writes the values of a chart.
type Unit string

// The units.
const (
	Count   Unit = ""
	Rate    Unit = "/s"
	Bytes   Unit = "B"
	Traffic Unit = "B/s"
	Percent Unit = "%" // of values 0 to 1
	Seconds Unit = "s"
)

// Chart shows values over time. The last value is that of now, those before it are Interval apart.
type Chart struct {
	Title string `json:"title"`
	Unit  Unit   `json:"unit"`
	Lines []Line `json:"lines"`
}

// Line is one line of a chart. A missing value is nil.
type Line struct {
	Name   string     `json:"name"`
	Values []*float64 `json:"values"`
}

// Table has a bar behind each row whose Share is not 0.
type Table struct {
	Title   string   `json:"title"`
	Note    string   `json:"note,omitempty"`
	Columns []string `json:"columns"`
	Rows    []Row    `json:"rows"`
}

// Row is a row of a table. The first cell is a name, the others are numbers.
type Row struct {
	Cells []string `json:"cells"`
	Share float64  `json:"share,omitempty"` // 0 to 1
}

//go:embed page.html page.css page.js icon.svg
var files embed.FS

// policy is the Content-Security-Policy of all replies.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handle adds the page to mux, at /, /page.css, /page.js, /icon.svg and /status.json. view is called for each request of
// the last, by several goroutines. addr is that of --http, whose name the page may be asked for by.
func Handle(mux *http.ServeMux, addr string, view func() View) {
	for path, name := range map[string]string{"/{$}": "page.html", "/page.css": "page.css", "/page.js": "page.js", "/icon.svg": "icon.svg"} {
		mux.HandleFunc("GET "+path, ownhost.Check(addr, func(w http.ResponseWriter, r *http.Request) {
			secure(w)
			http.ServeFileFS(w, r, files, name)
		}))
	}
	mux.HandleFunc("GET /status.json", ownhost.Check(addr, func(w http.ResponseWriter, _ *http.Request) {
		secure(w)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		v := view()
		v.Every = Interval.Milliseconds()
		for i := range v.Parts {
			for j := range v.Parts[i].Tables {
				if t := &v.Parts[i].Tables[j]; t.Rows == nil {
					t.Rows = []Row{} // not null
				}
			}
		}
		_ = json.NewEncoder(w).Encode(v) // an error is the client's: it is gone
	}))
}

func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
