//go:build !linux

package load

import "time"

func ownThread() {}

func pause(d time.Duration) { time.Sleep(d) }
