package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type product string

const (
	theKafka product = "Kafka"
	theWeir  product = "Weir"
)

const kafkaScript = "test/clients/java/kafka.sh"

// kafkaJVM is what Kafka's own kafka-server-start.sh gives to Java.
const kafkaJVM = "-Xmx1G -Xms1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true"

// A broker is a process with a directory. It can be started and stopped many times.
type broker struct {
	product product
	binary  string // of Weir
	cluster string // the directory of all
	home    string // its own
	address string
	number  int // from 1 on
	of      int // brokers that there are
	port    int // of the first; those of all follow, and then those that they have for each other
	pid     int
	group   int // of processes, in which everything runs that was started
	before  int // the process that ran the last time
	reaped  chan struct{}
}

func newBroker(p product, binary, dir string, number, of, port int) *broker {
	home := dir
	if number > 1 { // as Kafka's script has it
		home = filepath.Join(dir, strconv.Itoa(number))
	}
	return &broker{product: p, binary: binary, cluster: dir, home: home, address: local(port + number - 1), number: number, of: of, port: port}
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (b *broker) output() string { return filepath.Join(b.home, "output") }

// said gives the end of what the broker has said.
func (b *broker) said() string { return tail(b.output()) + tail(filepath.Join(b.home, "log")) }

// tail gives the end of a file.
func tail(path string) string {
	const most = 4000
	text, _ := os.ReadFile(path)
	return string(text[max(len(text)-most, 0):])
}

// command gives what starts it.
func (b *broker) command() *exec.Cmd {
	if b.product == theKafka {
		cmd := exec.Command(kafkaScript, "start", b.cluster, strconv.Itoa(b.port), "log.segment.delete.delay.ms=1000", "log.initial.task.delay.ms=1000")
		cmd.Env = append(os.Environ(), "KAFKA_JVM="+kafkaJVM, fmt.Sprintf("NODES=%d", b.of), fmt.Sprintf("NODE=%d", b.number))
		return cmd
	}
	listeners, more := "PLAINTEXT://"+b.address, []string(nil)
	if b.of > 1 {
		var voters []string
		for n := range b.of {
			voters = append(voters, fmt.Sprintf("%d@%s", n+1, local(b.port+b.of+n)))
		}
		listeners += ",CONTROLLER://" + local(b.port+b.of+b.number-1)
		more = []string{"process.roles=broker,controller", fmt.Sprintf("node.id=%d", b.number), "controller.listener.names=CONTROLLER",
			"controller.quorum.voters=" + strings.Join(voters, ","), "offsets.topic.replication.factor=3", "default.replication.factor=3", "min.insync.replicas=2"}
	}
	cmd := exec.Command(b.binary, "serve")
	for _, option := range append([]string{"log.dirs=" + filepath.Join(b.home, "data"), "listeners=" + listeners, "http.listener=", "connect.listener="}, more...) {
		cmd.Args = append(cmd.Args, "--set", option)
	}
	return cmd
}

// begin starts the process. If it does not come up, or ends again, ended gets to know.
func (b *broker) begin(ended func(error)) error {
	if err := os.MkdirAll(b.home, 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(b.output(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	cmd := b.command()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that it can be ended as a whole, and an interrupt is ours alone
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w; run make build", b.product, err)
	}
	b.group, b.reaped = cmd.Process.Pid, make(chan struct{})
	go func(reaped chan struct{}) {
		err := cmd.Wait()
		close(reaped)
		if b.product == theWeir || err != nil { // Kafka's script ends when Kafka runs
			ended(fmt.Errorf("%s ended: %v\n%s", b.product, err, b.said()))
		}
	}(b.reaped)
	return nil
}

// up returns when the process that begin has started is known.
func (b *broker) up() {
	if b.product == theKafka {
		<-b.reaped
	}
	b.find()
}

// find sets which process it is. Kafka's is in a file, if the script has come so far.
func (b *broker) find() {
	if b.product == theWeir {
		b.pid = b.group
		return
	}
	text, _ := os.ReadFile(filepath.Join(b.home, "pid"))
	if pid, _ := strconv.Atoi(strings.TrimSpace(string(text))); pid != b.before {
		b.pid = pid
	}
}

// stop ends the process in order.
func (b *broker) stop() error {
	return b.end(func() error { return unix.Kill(b.pid, unix.SIGTERM) })
}

// kill ends it as a crash does, with all that was started with it.
func (b *broker) kill() error {
	if b.group == 0 {
		return nil
	}
	b.find()
	return b.end(func() error {
		err := unix.Kill(-b.group, unix.SIGKILL)
		if errors.Is(err, unix.ESRCH) {
			return nil
		}
		return err
	})
}

const endMost = 2 * time.Minute

// end waits until the process is gone.
func (b *broker) end(how func() error) error {
	handle, err := unix.PidfdOpen(b.pid, 0)
	if b.pid == 0 || errors.Is(err, unix.ESRCH) { // not up yet, or gone
		return how()
	} else if err != nil {
		return err
	}
	defer func() { _ = unix.Close(handle) }()
	if err := how(); err != nil {
		return fmt.Errorf("ending %s: %w", b.product, err)
	}
	wait := []unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}
	for deadline := time.Now().Add(endMost); ; {
		n, err := unix.Poll(wait, int(time.Until(deadline).Milliseconds()))
		if n == 1 {
			<-b.reaped
			b.before, b.pid, b.group = b.pid, 0, 0
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("%s has not ended after %v: %v", b.product, endMost, err)
		}
	}
}

// freePorts gives the first of so many ports beside each other that are free. They are none of those that connections get by
// themselves, for Kafka takes seconds until it listens.
func freePorts(n int) (int, error) {
	const from, many = 20_000, 10_000
	for range 100 {
		port, free := from+rand.IntN(many), true
		for i := range n {
			l, err := net.Listen("tcp", local(port+i))
			if free = err == nil; !free {
				break
			}
			_ = l.Close()
		}
		if free {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports beside each other", n)
}
