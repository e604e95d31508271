package cli

import "testing"

func TestDidYouMean(t *testing.T) {
	names := []string{"pub", "push", "pull", "sub", "router"}
	for typed, want := range map[string]string{
		"puhs": ", did you mean push?", "roter": ", did you mean router?", "pusch": ", did you mean push?",
		"dealer": "", "x": "", "": "", "rounter": ", did you mean router?",
	} {
		if got := DidYouMean(typed, "", names); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
	if got := DidYouMean("thraeds", "--", []string{"threads"}); got != ", did you mean --threads?" {
		t.Errorf("%q", got)
	}
}
