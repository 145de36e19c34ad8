package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asWeir makes the test binary the command, for what starts it as a process of its own.
const asWeir = "TEST_AS_WEIR" // without the prefix of options

func TestMain(m *testing.M) {
	if os.Getenv(asWeir) != "" {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// bashPackage is where the bash-completion package is, on machines that have it.
const bashPackage = "/usr/share/bash-completion/bash_completion"

// TestCompletionInBash types into an interactive bash.
func TestCompletionInBash(t *testing.T) {
	c := billing(t)
	c.topic("orders-eu", 1)
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", asWeir, os.Args[0])
	if err := os.WriteFile(filepath.Join(bin, "weir"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, loads := range [][]string{{}, {"source " + bashPackage}} {
		if _, err := os.Stat(bashPackage); err != nil && len(loads) > 0 {
			continue
		}
		tt := newTerminal(t)
		control(t, tt.screen, func(fd int) error { // a terminal that does not echo makes bash silent
			mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
			if err != nil {
				return err
			}
			mode.Lflag |= unix.ECHO | unix.ICANON
			return unix.IoctlSetTermios(fd, unix.TCSETS, mode)
		})
		bash := exec.Command("bash", "--norc", "--noprofile", "-i")
		bash.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + bin, "TERM=dumb", "INPUTRC=/dev/null", "PS1=ready> ", bootstrapEnv + "=" + c.seed}
		bash.Stdin, bash.Stdout, bash.Stderr = tt.screen, tt.screen, tt.screen
		bash.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := bash.Start(); err != nil {
			t.Fatal(err)
		}
		for _, line := range append(loads, "source <(weir completion bash)", "echo begin") {
			tt.typed(t, line+"\n")
		}
		tt.shown.until(t, "\nbegin\n")
		for _, test := range []struct{ typed, shown string }{
			{"weir top", "weir topic "},
			{"weir group describe b", "weir group describe billing "},
			{"weir topic describe orders-", "weir topic describe orders-eu "},
			{"weir consume orders-", "weir consume orders-eu "},
			{"weir consume orders --group b", "weir consume orders --group billing "},
			{"weir consume orders --group=b", "weir consume orders --group=billing "},
			{"weir  -b " + c.seed + " group reset-offsets b", "group reset-offsets billing "},
			{"weir group reset-offsets billing --topic=orders-", "--topic=orders-eu "},
			{"weir produce orders --compression z", "--compression zstd "},
			{"weir bench latency orders-", "weir bench latency orders-eu "},
		} {
			before := len(tt.shown.String())
			tt.typed(t, test.typed+"\t")
			tt.shown.until(t, test.shown)
			if got := tt.shown.String()[before:]; !strings.Contains(got, test.shown) {
				t.Errorf("%q became %q, want %q", test.typed, got, test.shown)
			}
			tt.typed(t, "\x15") // deletes the line
		}
		tt.typed(t, "exit\n")
		if err := bash.Wait(); err != nil {
			t.Errorf("bash: %v", err)
		}
	}
}
