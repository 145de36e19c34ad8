package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// node is one process of the cluster, on a host and a disk of its own.
type node struct {
	id    int // from 1 on
	dir   string
	serve []string // the command that starts it, but for its properties
	host  *host
	disk  *disk

	mu      sync.Mutex
	process *os.Process // nil: it does not run
	ended   chan struct{}
	expect  expectation
	faults  []string // what it did wrong by itself
}

// expectation is what a process may do.
type expectation int

const (
	toRun    expectation = iota // it must not end
	toEnd                       // it was asked to end, and must do so without an error, or as the signal does
	anything                    // its disk fails
)

const stopMost = 30 * time.Second

func (n *node) properties() string { return filepath.Join(n.dir, "server.properties") }
func (n *node) logFile() string    { return filepath.Join(n.dir, "log") }

func (n *node) clientAddress() string { return n.host.address + ":9092" }
func (n *node) voterAddress() string  { return n.host.address + ":9093" }

// configure writes the node's properties, as KRaft has them.
func (n *node) configure(all []*node, more []string) error {
	var voters []string
	for _, v := range all {
		voters = append(voters, fmt.Sprintf("%d@%s", v.id, v.voterAddress()))
	}
	replicas, inSync := min(len(all), 3), min(len(all), 2)
	lines := append([]string{
		"process.roles=broker,controller",
		fmt.Sprintf("node.id=%d", n.id),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://%s", n.clientAddress(), n.voterAddress()),
		"advertised.listeners=PLAINTEXT://" + n.clientAddress(),
		"controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=PLAINTEXT",
		"log.dirs=" + n.disk.data(),
		fmt.Sprintf("default.replication.factor=%d", replicas),
		fmt.Sprintf("min.insync.replicas=%d", inSync),
		fmt.Sprintf("offsets.topic.replication.factor=%d", replicas),
		"offsets.topic.num.partitions=4",
		"group.initial.rebalance.delay.ms=0",
		"auto.create.topics.enable=false",
	}, more...)
	return os.WriteFile(n.properties(), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// start starts the process. It does not wait until it answers.
func (n *node) start() error {
	out, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(n.serve[0], append(n.serve[1:], n.properties())...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := n.host.do(cmd.Start); err != nil {
		return fmt.Errorf("starting node %d: %w", n.id, err)
	}
	ended := make(chan struct{})
	n.mu.Lock()
	n.process, n.ended, n.expect = cmd.Process, ended, toRun
	n.mu.Unlock()
	go func() {
		_ = cmd.Wait()
		n.mu.Lock()
		if n.expect == toRun {
			n.faults = append(n.faults, fmt.Sprintf("node %d ended by itself: %v; %s says: %s", n.id, cmd.ProcessState, n.logFile(), n.said()))
		} else if code := cmd.ProcessState.ExitCode(); n.expect == toEnd && code > 0 && code != 128+int(syscall.SIGTERM) {
			n.faults = append(n.faults, fmt.Sprintf("node %d was stopped and ended with exit code %d", n.id, code))
		}
		n.process = nil
		n.mu.Unlock()
		close(ended)
	}()
	return nil
}

// end sends a signal that ends the process, and waits until it is gone. The paused are not asked twice: only SIGKILL ends them.
func (n *node) end(signal syscall.Signal) error {
	n.mu.Lock()
	process, ended := n.process, n.ended
	if n.expect == toRun {
		n.expect = toEnd
	}
	n.mu.Unlock()
	if process == nil {
		return nil
	}
	if err := process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(stopMost):
		_ = process.Signal(syscall.SIGQUIT) // its log then tells what it waits for
		time.Sleep(time.Second)
		_ = process.Kill()
		return fmt.Errorf("node %d was not gone %v after signal %q; what it waited for is at the end of %s", n.id, stopMost, signal, n.logFile())
	}
}

// excuse allows the process everything, as its disk fails.
func (n *node) excuse() {
	n.mu.Lock()
	n.expect = anything
	n.mu.Unlock()
}

// signal sends a signal that does not end the process.
func (n *node) signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return fmt.Errorf("node %d does not run", n.id)
	}
	return n.process.Signal(s)
}

// wrong gives what the process did wrong by itself.
func (n *node) wrong() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.faults)
}

// said gives what the node's log says of its end: the last panic, or else the last line.
func (n *node) said() string {
	text, _ := os.ReadFile(n.logFile())
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return line
		}
	}
	return lines[len(lines)-1]
}
