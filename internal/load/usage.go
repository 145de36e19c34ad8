package load

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Usage is what processes have used.
type Usage struct {
	CPUSeconds float64
	RSS        int64 // bytes
}

func (u Usage) since(before Usage) Usage {
	u.CPUSeconds -= before.CPUSeconds
	return u
}

// selfUsage gives what this process has used.
func selfUsage() Usage {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return Usage{}
	}
	u := usageOf([]int{os.Getpid()})
	u.CPUSeconds = float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
	return u
}

// usageOf gives what processes of this machine have used. One that is gone counts as nothing.
func usageOf(pids []int) (sum Usage) {
	for _, pid := range pids {
		if u, err := processUsage(pid); err == nil {
			sum.CPUSeconds += u.CPUSeconds
			sum.RSS += u.RSS
		}
	}
	return sum
}

// CheckPID makes sure that the usage of a process can be read.
func CheckPID(pid int) error {
	_, err := processUsage(pid)
	return err
}

// ticks is the number of the kernel's clock ticks in a second, which is 100 on every platform of Linux that Go has.
const ticks = 100

// processUsage reads /proc/PID/stat; man 5 proc has its fields.
func processUsage(pid int) (Usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("process %d cannot be measured: %w", pid, err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // from the third field on
	number := func(field int) int64 {
		if len(fields) <= field-3 {
			err = fmt.Errorf("process %d cannot be measured: /proc has %q of it", pid, text)
			return 0
		}
		n, _ := strconv.ParseInt(fields[field-3], 10, 64)
		return n
	}
	return Usage{float64(number(14)+number(15)) / ticks, number(24) * int64(os.Getpagesize())}, err
}
