package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
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
	home    string
	address string
	pid     int

	options []string // of Weir, as name=value

	// where a start's first record goes
	topic     string
	partition int32

	group  int // of processes, in which everything runs that was started
	before int // the process that ran the last time
	reaped chan struct{}
}

func newBroker(p product, binary, dir string) (*broker, error) {
	port, err := freePorts()
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp(dir, strings.ToLower(string(p))+"-")
	return &broker{product: p, binary: binary, home: home, address: fmt.Sprintf("127.0.0.1:%d", port), topic: "first"}, err
}

// remove kills the broker if it runs, and deletes its files.
func (b *broker) remove() error { return errors.Join(b.kill(), os.RemoveAll(b.home)) }

func (b *broker) output() string { return filepath.Join(b.home, "output") }

// said gives the end of what the broker has said.
func (b *broker) said() string { return tail(b.output()) + tail(filepath.Join(b.home, "log")) }

// tail gives the end of a file.
func tail(path string) string {
	const most = 4000
	text, _ := os.ReadFile(path)
	return string(text[max(len(text)-most, 0):])
}

// started starts the broker if it does not run.
func (b *broker) started(ctx context.Context) error {
	if b.group != 0 {
		return nil
	}
	return b.start(ctx)
}

// start starts the process and returns when it has acknowledged a record.
func (b *broker) start(ctx context.Context) error {
	_, port, _ := net.SplitHostPort(b.address)
	cmd := exec.Command(b.binary, "serve", "--set", "log.dirs="+filepath.Join(b.home, "data"),
		"--set", "listeners=PLAINTEXT://"+b.address, "--set", "http.listener=")
	for _, option := range b.options {
		cmd.Args = append(cmd.Args, "--set", option)
	}
	if b.product == theKafka {
		cmd = exec.Command(kafkaScript, "start", b.home, port, "log.segment.delete.delay.ms=1000", "log.initial.task.delay.ms=1000")
		cmd.Env = append(os.Environ(), "KAFKA_JVM="+kafkaJVM)
	}
	out, err := os.OpenFile(b.output(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that it can be ended as a whole, and an interrupt is ours alone
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w; run make build", b.product, err)
	}
	b.group, b.reaped = cmd.Process.Pid, make(chan struct{})
	ctx, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	go func() {
		err := cmd.Wait()
		close(b.reaped)
		if b.product == theWeir || err != nil { // Kafka's script ends when Kafka runs
			ended(fmt.Errorf("%s ended: %v\n%s", b.product, err, b.said()))
		}
	}()
	if err := b.acknowledged(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w; the end of what it said:\n%s", err, b.said())
	}
	if b.product == theKafka {
		<-b.reaped
	}
	b.find()
	return nil
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

// connect gives a client that asks again soon.
func (b *broker) connect(opts ...kgo.Opt) (*kgo.Client, error) {
	soon := func(int) time.Duration { return pauseTime }
	return kgo.NewClient(append(opts, kgo.SeedBrokers(b.address), kgo.RetryBackoffFn(soon), kgo.MetadataMinAge(10*time.Millisecond), kgo.RequestRetries(1<<30),
		kgo.RecordRetries(1<<30), kgo.RetryTimeout(startMost), kgo.UnknownTopicRetries(-1), kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequestTimeoutOverhead(startMost))...)
}

const (
	pauseTime = 2 * time.Millisecond
	startMost = 3 * time.Minute
)

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pauseTime):
		return nil
	}
}

// acknowledged returns when a record is acknowledged.
func (b *broker) acknowledged(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startMost)
	defer cancel()
	for { // the client library would begin again later, the longer the later
		connection, err := net.Dial("tcp", b.address)
		if err == nil {
			_ = connection.Close()
			break
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("%s does not listen after %v: %w", b.product, startMost, err)
		}
	}
	client, err := b.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: b.topic, Partition: b.partition, Value: []byte("first")}).FirstErr(); err != nil {
		return fmt.Errorf("%s acknowledged no record: %w", b.product, err)
	}
	return nil
}

// settle returns when the files of deleted topics are gone, so that their deletion is not measured with what comes next.
func (b *broker) settle(ctx context.Context) error {
	for {
		left := false
		err := filepath.WalkDir(filepath.Join(b.home, "data"), func(_ string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) { // deleted just now
				return nil
			}
			left = left || err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "bench-")
			return err
		})
		if err != nil || !left {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// freePorts gives a port that is free, as is the one above it. It is not one of those that connections get by themselves, for
// Kafka takes seconds until it listens.
func freePorts() (int, error) {
	const from, many = 20_000, 10_000
	for range 100 {
		port := from + rand.IntN(many)
		a, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		above, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = a.Close()
		if err == nil {
			_ = above.Close()
			return port, nil
		}
	}
	return 0, errors.New("no two free ports beside each other")
}
