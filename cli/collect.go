package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Collecting a small heap seldom saves more than it costs. A large one, as of ten thousand partitions, must not grow to many
// times of what it holds: so the garbage may take garbageMin in any case, and else as much as what lives.

const (
	garbageMin   = 64 << 20
	percentMost  = 400
	percentLeast = 100
	percentStep  = 50 // so that it does not change with each collection
)

// garbagePercent is how much garbage, in parts of what lives, is let be before it is collected.
func garbagePercent(live uint64) int {
	percent := garbageMin * 100 / int(max(live, 1))
	return min(max(percent/percentStep*percentStep, percentLeast), percentMost)
}

// collectSeldom lets garbage be according to what lives, from now on.
func collectSeldom() {
	now := percentMost
	debug.SetGCPercent(now)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	var watch func()
	watch = func() { // something that nobody uses is cleaned up after a collection
		runtime.AddCleanup(new([64]byte), func(struct{}) {
			metrics.Read(live)
			if next := garbagePercent(live[0].Value.Uint64()); next != now {
				now = next
				debug.SetGCPercent(next)
			}
			watch()
		}, struct{}{})
	}
	watch()
}
