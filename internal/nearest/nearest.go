// Package nearest finds what someone meant who mistyped a name.
package nearest

import "strings"

// Name gives the name that is most like the one given, if any is like it at all. Of two that are equally like it, it gives
// the first in the alphabet.
func Name(name string, names []string) (string, bool) {
	best, least := "", max(2, len(name)/3)+1
	for _, candidate := range names {
		if max(len(name)-len(candidate), len(candidate)-len(name)) > least {
			continue // as many letters at least would have to go or come
		}
		d := distance(strings.ToLower(name), strings.ToLower(candidate))
		if d < least || d == least && best != "" && candidate < best {
			best, least = candidate, d
		}
	}
	return best, best != "" && least < len(name)
}

// distance counts the bytes to insert, remove or replace to make one of the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
