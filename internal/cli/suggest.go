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

// distance returns the Levenshtein distance of two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := above
			if a[i] != b[j] {
				cost = min(above, row[j], row[j+1]) + 1
			}
			above, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
