package zmq_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lintel.dev/zmq"
	"lintel.dev/zmq/event"
)

// The pages that these tests keep true.
const (
	guide   = "../docs/sockets.md"
	support = "../docs/protocols/zeromq.md"
)

// TestDocumentedOptions checks that the guide names the options that exist.
func TestDocumentedOptions(t *testing.T) {
	options, _, _ := strings.Cut(section(t, guide, "Options"), "\nUnknown here")
	var documented []string
	for _, m := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(options, -1) {
		documented = append(documented, m[1])
	}
	known := zmq.OptionNames()
	for _, name := range known {
		if !slices.Contains(documented, name) {
			t.Errorf("%s does not name the option %s", guide, name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(known, name) {
			t.Errorf("%s names the option %s, which does not exist", guide, name)
		}
	}
}

// section returns the part of a page below a heading.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", page, heading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	return part
}

// rows returns the rows of the only table of a section, without its head.
func rows(t *testing.T, page, heading string) (rows [][]string) {
	t.Helper()
	for line := range strings.Lines(section(t, page, heading)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "|") {
			rows = append(rows, strings.Split(strings.Trim(line, "| "), " | "))
		}
	}
	if len(rows) < 3 {
		t.Fatalf("%s has no table below %q", page, heading)
	}
	return rows[2:]
}

// TestDocumentedTables checks that each row of these tables names a test.
// That the tests exist is checked by the tests of docs/.
func TestDocumentedTables(t *testing.T) {
	named := regexp.MustCompile("`(Test|Fuzz)[A-Z]\\w*`")
	for _, table := range []struct {
		page, heading string
		columns       int
	}{{guide, "Events", 3}, {support, "Ten traps", 3}, {support, "libzmq's tests", 2}} {
		for _, row := range rows(t, table.page, table.heading) {
			if len(row) != table.columns || !named.MatchString(row[len(row)-1]) {
				t.Errorf("%s: row %q names no test", table.heading, row)
			}
		}
	}
	if n := len(rows(t, support, "Ten traps")); n != 10 {
		t.Errorf("%d traps, want 10", n)
	}

	var events []string
	for _, row := range rows(t, guide, "Events") {
		events = append(events, strings.Trim(row[0], "`"))
	}
	known := 0
	for bit := range 32 {
		e := event.Type(1) << bit
		if e.String() == event.Type(0).String() {
			continue
		}
		if known++; !slices.Contains(events, e.String()) {
			t.Errorf("%s does not name the event %v", guide, e)
		}
	}
	if known != len(events) {
		t.Errorf("%s has %d events, the package %d", guide, len(events), known)
	}
}

// portable lists libzmq's test files that check more than its C interface,
// without the prefix test_.
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

// TestDocumentedFiles checks that the page names the tests that restate each of them.
func TestDocumentedFiles(t *testing.T) {
	var named []string
	for _, row := range rows(t, support, "libzmq's tests") {
		named = append(named, strings.FieldsFunc(row[0], func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	for _, file := range strings.Fields(portable) {
		if !slices.Contains(named, file) {
			t.Errorf("%s does not name the tests that restate test_%s", support, file)
		}
	}
}
