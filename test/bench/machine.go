package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what processes have used: CPU in seconds, and memory in MB.
type usage struct{ cpu, rss float64 }

func usageOf(pids ...int) (all usage, err error) {
	for _, pid := range pids {
		u, err := usageOfOne(pid)
		if err != nil {
			return usage{}, err
		}
		all.cpu += u.cpu
		all.rss += u.rss
	}
	return all, nil
}

// usageOfOne reads /proc/PID/stat; man 5 proc has its fields. A tick is 10 ms on every platform of Linux that Go has.
func usageOfOne(pid int) (usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // from the third on
	field := func(n int) float64 {
		f, _ := strconv.ParseFloat(fields[n-3], 64)
		return f
	}
	return usage{(field(14) + field(15)) / 100, field(24) * float64(os.Getpagesize()) / 1e6}, nil
}

// lineOf gives the rest of the first line of a file that begins with a prefix.
func lineOf(file, prefix string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, " \t:"))
		}
	}
	return ""
}

func memoryOf(what string) (int64, error) {
	kb, err := strconv.ParseInt(strings.TrimSuffix(lineOf("/proc/meminfo", what+":"), " kB"), 10, 64)
	return kb << 10, err
}

func freeDisk(dir string) (int64, error) {
	var s unix.Statfs_t
	err := unix.Statfs(dir, &s)
	return int64(s.Bavail) * s.Bsize, err
}

// fileSystem gives the kind of that which holds a folder.
func fileSystem(dir string) string {
	dir, _ = filepath.Abs(dir)
	text, _ := os.ReadFile("/proc/mounts")
	kind, longest := "", 0
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 2 && len(f[1]) >= longest && (dir == f[1] || strings.HasPrefix(dir, strings.TrimSuffix(f[1], "/")+"/")) {
			kind, longest = f[2], len(f[1])
		}
	}
	return kind
}

// syncTime gives how long the disk itself takes to sync 1 KB that was appended to a file, half of the time.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	var took []time.Duration
	for range 300 {
		if _, err := f.Write(make([]byte, 1<<10)); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// facts tells where and with what was measured.
type facts struct {
	Date    string  `json:"date"`
	Nodes   int     `json:"nodes"`
	Command string  `json:"command"`
	CPU     string  `json:"cpu"`
	Cores   int     `json:"cores"`
	Memory  float64 `json:"memory_gb"`
	Kernel  string  `json:"kernel"`
	Files   string  `json:"file_system"`
	SyncMs  float64 `json:"fdatasync_1kb_p50_ms"`
	Weir    string  `json:"weir"`
	Kafka   string  `json:"kafka"`
	Java    string  `json:"java"`
}

func factsOf(ctx context.Context, of suite, binary, dir string) (facts, error) {
	memory, err := memoryOf("MemTotal")
	if err != nil {
		return facts{}, err
	}
	sync, err := syncTime(dir)
	if err != nil {
		return facts{}, err
	}
	beside, err := of.versions(ctx)
	if err != nil {
		return facts{}, err
	}
	first := func(name string, args ...string) string {
		var out []byte
		if err == nil {
			if out, err = exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
				err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
			}
		}
		line, _, _ := strings.Cut(string(out), "\n")
		return line
	}
	f := facts{
		Date: time.Now().UTC().Format(time.DateOnly), Command: "bench " + strings.Join(os.Args[1:], " "),
		CPU: lineOf("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Memory: float64(memory) / 1e9,
		Kernel: runtime.GOOS + " " + lineOf("/proc/sys/kernel/osrelease", ""), Files: fileSystem(dir), SyncMs: sync.Seconds() * 1e3,
		Weir:  strings.TrimPrefix(first(binary, "version"), "weir "),
		Kafka: beside,
		Java:  first("java", "-version"),
	}
	return f, err
}

func kafkaVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, kafkaScript, "libs").Output()
	if err != nil {
		return "", fmt.Errorf("%s libs: %w", kafkaScript, err)
	}
	return strings.TrimPrefix(filepath.Base(strings.TrimSpace(string(out))), "kafka-"), nil
}
