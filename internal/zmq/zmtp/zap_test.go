package zmtp

import (
	"errors"
	"reflect"
	"testing"
)

func frames(s ...string) [][]byte {
	var f [][]byte
	for _, s := range s {
		f = append(f, []byte(s))
	}
	return f
}

func TestZAPRequest(t *testing.T) {
	r := ZAPRequest{
		RequestID: "7", Domain: "global", Address: "10.0.0.1", Identity: []byte("id"),
		Mechanism: "PLAIN", Credentials: frames("user", "password"),
	}
	want := frames("1.0", "7", "global", "10.0.0.1", "id", "PLAIN", "user", "password")
	if got := r.Frames(); !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (ZAPRequest{Mechanism: "NULL"}).Frames(); len(got) != 6 || string(got[1]) != "1" {
		t.Errorf("NULL request: %q", got)
	}
}

func TestZAPReply(t *testing.T) {
	for _, status := range []int{200, 300, 400, 500} {
		r := ZAPReply{RequestID: "1", Status: status, Text: "text", UserID: "joe", Metadata: Metadata{{"X-role", []byte("admin")}}}
		if got, err := ParseZAPReply(r.Frames(), ""); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%d: %+v, %v", status, got, err)
		}
	}
	if got := (ZAPReply{Status: 1}).Frames(); string(got[2]) != "500" {
		t.Errorf("status 1 goes out as %q", got[2])
	}
	tests := []struct {
		name   string
		frames [][]byte
		code   Code
	}{
		{"none", nil, CodeZAPMalformed},
		{"too few", frames("1.0", "1", "200", "", ""), CodeZAPMalformed},
		{"too many", frames("1.0", "1", "200", "", "", "", ""), CodeZAPMalformed},
		{"version", frames("1.1", "1", "200", "", "", ""), CodeZAPVersion},
		{"request", frames("1.0", "2", "200", "", "", ""), CodeZAPRequestID},
		{"status", frames("1.0", "1", "201", "", "", ""), CodeZAPStatus},
		{"status 100", frames("1.0", "1", "100", "", "", ""), CodeZAPStatus},
		{"status of two digits", frames("1.0", "1", "20", "", "", ""), CodeZAPStatus},
		{"metadata", frames("1.0", "1", "200", "", "", "\x05ab"), CodeZAPMetadata},
	}
	for _, tt := range tests {
		_, err := ParseZAPReply(tt.frames, "1")
		var e *Error
		if !errors.As(err, &e) || e.Code != tt.code {
			t.Errorf("%s: %v, want code %#x", tt.name, err, uint32(tt.code))
		}
	}
}
