package auth

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRefresh: users are read again when the file has changed, and stay when it is no
// file any more or has become invalid.
func TestRefresh(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a:1\n")
	first, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if first.Refresh() != first {
		t.Error("read again without a change")
	}
	write("a:1\nb:22\n")
	second := first.Refresh()
	if second == first || !second.Check([]byte("b"), []byte("22")) {
		t.Error("the new user is unknown")
	}
	write("no colon in this line\n")
	if second.Refresh() != second {
		t.Error("an invalid file replaced the users")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if second.Refresh() != second {
		t.Error("a missing file replaced the users")
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if second.Refresh() != second {
		t.Error("a directory replaced the users")
	}
}
