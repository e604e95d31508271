package zmq_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lintel.dev/zmq"
)

// TestDocumentedNames: the tests that docs/protocols/zeromq.md names exist, and it names the
// options that there are.
func TestDocumentedNames(t *testing.T) {
	text, err := os.ReadFile("../docs/protocols/zeromq.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(src, -1) {
			declared[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`").FindAllSubmatch(text, -1) {
		if name := string(m[1]); !declared[name] {
			t.Errorf("docs/protocols/zeromq.md names %s, which does not exist", name)
		}
	}

	_, options, _ := bytes.Cut(text, []byte("\n## Options\n"))
	options, _, _ = bytes.Cut(options, []byte("\n## "))
	options, _, _ = bytes.Cut(options, []byte("\nUnknown here"))
	var documented []string
	for _, m := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllSubmatch(options, -1) {
		documented = append(documented, string(m[1]))
	}
	known := append(zmq.OptionNames(), "subscribe", "unsubscribe")
	for _, name := range known {
		if !slices.Contains(documented, name) {
			t.Errorf("docs/protocols/zeromq.md does not name the option %s", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(known, name) {
			t.Errorf("docs/protocols/zeromq.md names the option %s, which does not exist", name)
		}
	}
}

// section is the part of docs/protocols/zeromq.md below a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/protocols/zeromq.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/protocols/zeromq.md has no part %q", heading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	return part
}

// rows are the rows of the only table of a part, without its head.
func rows(t *testing.T, heading string) (rows [][]string) {
	t.Helper()
	for line := range strings.Lines(section(t, heading)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "|") {
			rows = append(rows, strings.Split(strings.Trim(line, "| "), " | "))
		}
	}
	if len(rows) < 3 {
		t.Fatalf("docs/protocols/zeromq.md has no table below %q", heading)
	}
	return rows[2:]
}

// TestDocumentedTables: each row of these tables names the tests that show it
// (TestDocumentedNames checks that they exist), and none is missing.
func TestDocumentedTables(t *testing.T) {
	named := regexp.MustCompile("`(Test|Fuzz)[A-Z]\\w*`")
	for heading, columns := range map[string]int{"Events": 3, "Ten traps": 3, "libzmq's tests": 2, "Bad input": 2} {
		for _, row := range rows(t, heading) {
			if len(row) != columns || !named.MatchString(row[len(row)-1]) {
				t.Errorf("%s: row %q names no test", heading, row)
			}
		}
	}
	if n := len(rows(t, "Ten traps")); n != 10 {
		t.Errorf("%d traps, want 10", n)
	}

	var events []string
	for _, row := range rows(t, "Events") {
		events = append(events, strings.Trim(row[0], "`"))
	}
	known := 0
	for bit := range 32 {
		e := zmq.EventType(1) << bit
		if e.String() == zmq.EventType(0).String() {
			continue
		}
		if known++; !slices.Contains(events, e.String()) {
			t.Errorf("docs/protocols/zeromq.md does not name the event %v", e)
		}
	}
	if known != len(events) {
		t.Errorf("docs/protocols/zeromq.md has %d events, the package %d", len(events), known)
	}
}

// portable are libzmq's test files that pin down more than its C interface,
// without the test_ in front.
const portable = `spec_req spec_rep spec_dealer spec_router spec_pushpull reqrep_tcp reqrep_inproc reqrep_ipc pair_inproc
pair_tcp pair_ipc req_correlate req_relaxed invalid_rep reqrep_device probe_router connect_rid issue_566 peer_disconnect
router_mandatory router_mandatory_hwm router_handover router_notify stream stream_disconnect stream_empty
stream_exceeds_buffer stream_timeout pubsub sub_forward hwm_pubsub mock_pub_sub xpub_manual xpub_manual_last_value
xpub_nodrop xpub_topic xpub_verbose xpub_welcome_msg xsub_verbose pub_invert_matching pubsub_topics_count conflate hwm
sockopt_hwm proxy_hwm immediate inproc_connect bind_after_connect_tcp bind_src_address connect_resolve reconnect_ivl
reconnect_options disconnect_inproc term_endpoint unbind_wildcard last_endpoint ipc_wildcard rebind_ipc abstract_ipc
use_fd many_sockets timeo ctx_destroy shutdown_stress diffserv tcp_accept_filter filter_ipc socks security_null
security_plain security_curve security_zap no_zap_handler base85 sodium heartbeats monitor metadata app_meta hello_msg
disconnect_msg hiccup_msg proxy proxy_single_socket proxy_steerable proxy_terminate client_server radio_dish
scatter_gather channel peer dgram thread_safe ws_transport wss_transport poller unittest_mtrie unittest_radix_tree
unittest_ip_resolver unittest_udp_address unittest_curve_encoding`

// TestDocumentedFiles: docs/protocols/zeromq.md says what restates each of them.
func TestDocumentedFiles(t *testing.T) {
	var named []string
	for _, row := range rows(t, "libzmq's tests") {
		named = append(named, strings.FieldsFunc(row[0], func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	for _, file := range strings.Fields(portable) {
		if !slices.Contains(named, file) {
			t.Errorf("docs/protocols/zeromq.md does not say what restates test_%s", file)
		}
	}
}
