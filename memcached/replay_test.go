package memcached

import (
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// recording holds the replies of memcached 1.6.45, byte for byte. Bytes are written
// as Latin-1 characters.
type recording struct {
	Probes []struct {
		Name   string
		Send   []string
		Recv   string
		Closed bool
	}
	StatNames map[string][]string `json:"stat_names"`
}

func readRecording(t *testing.T) (r recording) {
	t.Helper()
	data, err := os.ReadFile("testdata/replies.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Probes) < 100 {
		t.Fatalf("only %d probes", len(r.Probes))
	}
	return r
}

func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// Values that differ from run to run: CAS values and times.
var (
	casToken  = regexp.MustCompile(` c[0-9]+`)
	casField  = regexp.MustCompile(`cas=[0-9]+`)
	casValue  = regexp.MustCompile(`(VALUE \S+ \d+ \d+) \d+\r\n`)
	dumpClock = regexp.MustCompile(`(exp|la)=[0-9]{6,}`)
	meClock   = regexp.MustCompile(`exp=(99|100) la=[01]`)
)

func normal(s string) string {
	s = casToken.ReplaceAllString(s, " c#")
	s = casField.ReplaceAllString(s, "cas=#")
	s = casValue.ReplaceAllString(s, "$1 #\r\n")
	s = dumpClock.ReplaceAllString(s, "$1=#")
	s = meClock.ReplaceAllString(s, "exp=# la=#")
	if len(s) >= 24 && s[0] == 0x81 {
		s = s[:16] + "########" + s[24:]
	}
	return s
}

// between lists commands that the recorder sent before a probe without recording
// them.
var between = map[string]string{
	"metadump hash": "flush_all\r\nms md1 2 F3 T100\r\nhi\r\n",
	"bin get miss":  "ms Zm9v 2 b\r\nhi\r\n",
}

// TestReplay sends every recorded probe, in order, to one server, each on a
// connection of its own, in one piece and then in single bytes.
func TestReplay(t *testing.T) {
	rec := readRecording(t)
	for _, way := range []string{"whole", "bytewise"} {
		t.Run(way, func(t *testing.T) {
			s := startServer(t, Options{})
			s.engine.Clock.Pause()
			for _, p := range rec.Probes {
				if setup := between[p.Name]; setup != "" {
					dial(t, s).send(setup)
				}
				if way == "bytewise" && (p.Name == "metadump pipelined" || p.Name == "get ok then k251") {
					continue // about what arrives together
				}
				t.Run(p.Name, func(t *testing.T) {
					c := dial(t, s)
					var got strings.Builder
					for _, send := range p.Send {
						if way == "whole" {
							got.WriteString(c.send(latin1(send)))
							continue
						}
						for _, b := range []byte(latin1(send)) {
							got.WriteString(c.send(string([]byte{b})))
						}
					}
					if g, w := normal(got.String()), normal(latin1(p.Recv)); g != w {
						t.Errorf("sent %q\n got %q\nwant %q", p.Send, clip(g), clip(w))
					}
					if c.closed != p.Closed {
						t.Errorf("closed = %v, want %v", c.closed, p.Closed)
					}
				})
			}
		})
	}
}

// TestStatNames compares the names of every statistic, in order.
func TestStatNames(t *testing.T) {
	rec := readRecording(t)
	s := startServer(t, Options{})
	c := dial(t, s)
	// One item in each of the classes that the recorder used.
	for _, n := range []int{1, 40, 400000} {
		c.send("set key 0 0 " + strconv.Itoa(n) + "\r\n" + strings.Repeat("v", n) + "\r\n")
		c.send("set " + strconv.Itoa(n) + " 0 0 " + strconv.Itoa(n) + "\r\n" + strings.Repeat("v", n) + "\r\n")
	}
	for sub, want := range map[string][]string{
		"":         rec.StatNames["general"],
		"settings": rec.StatNames["settings"],
		"items":    rec.StatNames["items"],
	} {
		var got []string
		for line := range strings.Lines(c.send(strings.TrimSpace("stats "+sub) + "\r\n")) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "STAT" {
				got = append(got, f[1])
			}
		}
		if sub == "items" {
			got = got[:28]
		}
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			t.Errorf("stats %s:\n got %s\nwant %s", sub, strings.Join(got, " "), strings.Join(want, " "))
		}
	}
}
