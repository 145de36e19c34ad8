package values

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

type placed struct {
	bucket uint32
	key    string
}

// JavaOrder gives the keys of a map in the order in which a java.util.HashMap that was filled one by one goes through them, so that
// a map is written as Kafka writes it: records keyed by one stay in their partition. Keys that share a bucket come in the order of
// their bytes (in Java: as they were put).
func JavaOrder[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	if len(m) < 2 {
		for k := range m {
			keys = append(keys, k)
		}
		return keys
	}
	buckets := uint32(16)
	for uint64(len(m)) > uint64(buckets)/4*3 {
		buckets *= 2
	}
	var few [16]placed
	all := few[:0]
	for k := range m {
		all = append(all, placed{spread(javaHash(k)) & (buckets - 1), k})
	}
	slices.SortFunc(all, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.key, b.key))
	})
	for i := range all {
		keys = append(keys, all[i].key)
	}
	return keys
}

func spread(h uint32) uint32 { return h ^ h>>16 }

// javaHash is String.hashCode, over UTF-16.
func javaHash(s string) uint32 {
	var h uint32
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			h = h*31 + uint32(c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if r >= 0x10000 {
			h = h*31 + 0xd800 + uint32(r-0x10000)>>10
			r = 0xdc00 + (r-0x10000)&0x3ff
		}
		h = h*31 + uint32(r)
	}
	return h
}
