package load

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// ownThread gives a goroutine that paces a thread of its own, whose pauses end on time: Go's timers may be 1 ms late.
func ownThread() {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

func pause(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // woken early, the caller pauses again
}
