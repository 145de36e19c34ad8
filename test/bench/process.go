package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A process is one that a measurement needs beside the brokers, with a folder of its own. It leads a group of processes, in which
// all runs that it starts.
type process struct {
	name, home string
	cmd        *exec.Cmd
	ended      chan struct{}
}

// begin starts it.
func (p *process) begin(cmd *exec.Cmd) error {
	out, err := os.OpenFile(p.output(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // so that an interrupt is ours alone
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() { _ = cmd.Wait(); close(ended) }()
	return nil
}

func (p *process) output() string { return filepath.Join(p.home, "output") }

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) runs() bool { return p.cmd != nil }

// end sends a signal to the group and returns when the process is gone.
func (p *process) end(how syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	if err := unix.Kill(-p.pid(), how); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("ending %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		p.cmd = nil
		return nil
	case <-time.After(endMost):
		return fmt.Errorf("%s has not ended after %v", p.name, endMost)
	}
}

// until returns when something is so, or says why it will not be: the process has ended, or it takes too long.
func (p *process) until(ctx context.Context, what string, so func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startMost)
	defer cancel()
	for !so() {
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before %s:\n%s", p.name, what, p.said())
		default:
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("%s: not %s: %w\n%s", p.name, what, err, p.said())
		}
	}
	return nil
}

// said gives the end of what the process has said.
func (p *process) said() string { return tail(p.output()) }
