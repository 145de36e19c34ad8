package vfs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

const lockEnv = "VFS_TEST_LOCK"

// TestMain is also the other process: with lockEnv set it takes that lock, says so, and holds it until its input ends.
func TestMain(m *testing.M) {
	name := os.Getenv(lockEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	_, err := NewOS().Lock(name)
	fmt.Println(err)
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}

func TestLockBetweenProcesses(t *testing.T) {
	name := t.TempDir() + "/lock"
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), lockEnv+"="+name)
	input, output := got(cmd.StdinPipe()), got(cmd.StdoutPipe())
	do(cmd.Start())
	if line := got(bufio.NewReader(output).ReadString('\n')); line != "<nil>\n" {
		t.Fatalf("the other process: %s", line)
	}
	if _, err := NewOS().Lock(name); !errors.Is(err, ErrLocked) {
		t.Errorf("a lock that another process holds: %v", err)
	}
	do(cmd.Process.Kill())
	_ = cmd.Wait()
	_ = input.Close()
	lock, err := NewOS().Lock(name)
	if err != nil {
		t.Fatalf("after the other process was killed: %v", err)
	}
	do(lock.Close())
}

func TestOSFd(t *testing.T) {
	f := got(NewOS().Create(t.TempDir() + "/f"))
	defer f.Close()
	if f.Fd() == NoFd {
		t.Error("an open file has no descriptor")
	}
	got(f.WriteAt([]byte("x"), 0))
	b := make([]byte, 1)
	if n, err := syscall.Pread(int(f.Fd()), b, 0); n != 1 || err != nil || b[0] != 'x' {
		t.Errorf("reading the descriptor: %q, %v", b[:n], err)
	}
	faults := NewFaults(NewOS())
	wrapped := got(faults.Create(t.TempDir() + "/f"))
	defer wrapped.Close()
	if wrapped.Fd() == NoFd {
		t.Error("Faults hides the descriptor without a reason")
	}
	faults.Inject(Fault{Kind: "read", Name: "/other"})
	if wrapped.Fd() == NoFd {
		t.Error("a fault of another file hides the descriptor")
	}
	faults.Inject(Fault{Name: "/f"})
	if wrapped.Fd() != NoFd {
		t.Error("the descriptor leads around a fault")
	}
}

func TestIsNoSpace(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "f", Err: syscall.ENOSPC}
	for err, want := range map[error]bool{full: true, fmt.Errorf("x: %w", full): true, syscall.EDQUOT: true, syscall.EIO: false, nil: false,
		final(syscall.ENOSPC): false, errors.Join(full, final(full)): false} {
		if IsNoSpace(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}

// TestRetry sees that interrupted system calls are made again.
func TestRetry(t *testing.T) {
	calls := 0
	err := retry(func() error {
		if calls++; calls < 3 {
			return syscall.EINTR
		}
		return syscall.EIO
	})
	if err != syscall.EIO || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
