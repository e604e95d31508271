package cli

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	recorded := func(version string) *debug.BuildInfo { return &debug.BuildInfo{Main: debug.Module{Version: version}} }
	const commit = "v0.0.0-20261129000103-af343beac378"
	for _, c := range []struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		{"v1.2.3", recorded(commit), "v1.2.3"},
		{"", recorded(commit), commit},
		{"", recorded("(devel)"), "devel"},
		{"", recorded(""), "devel"},
		{"", nil, "devel"},
	} {
		if got := versionOf(c.linked, c.info); got != c.want {
			t.Errorf("linked %q, recorded %v: got %s, want %s", c.linked, c.info, got, c.want)
		}
	}
}
