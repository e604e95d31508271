package cli

import "fmt"

// suggestWithin is how many letters a name may differ from what was typed to be
// suggested.
const suggestWithin = 2

// DidYouMean returns ", did you mean X?" with the candidate closest to typed,
// and prefix before it. It returns an empty string if none is close.
func DidYouMean(typed, prefix string, candidates []string) string {
	best, found := suggestWithin+1, ""
	for _, c := range candidates {
		if d := distance(typed, c); d < best && d < len(typed) {
			best, found = d, c
		}
	}
	if found == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %s%s?", prefix, found)
}

// distance returns the optimal string alignment distance of two names: the least
// number of insertions, deletions, replacements and swaps of neighbours.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
