package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The two that are compared.
const (
	kafka = 0
	weir  = 1
)

var names = [2]string{"Kafka", "Weir"}

// options are set in both brokers.
var options = []string{
	"group.initial.rebalance.delay.ms=0",
	"offsets.topic.num.partitions=4",
	"offsets.topic.replication.factor=1",
	"group.max.size=4",
	"log.segment.delete.delay.ms=1000",
}

// startBrokers starts those of the two for which no address is given.
func startBrokers(binary string, addresses [2]string) (_ [2]string, stop func(), err error) {
	var undo []func()
	stop = func() {
		for _, f := range undo {
			f()
		}
	}
	dir, err := os.MkdirTemp("", "weir-differential-")
	if err != nil {
		return addresses, stop, err
	}
	undo = append(undo, func() { _ = os.RemoveAll(dir) })
	if addresses[kafka] == "" {
		port, err := freePorts()
		if err != nil {
			return addresses, stop, err
		}
		home := filepath.Join(dir, "kafka")
		script := "test/clients/java/kafka.sh"
		undo = append([]func(){func() { _ = exec.Command(script, "stop", home).Run() }}, undo...)
		start := exec.Command(script, append([]string{"start", home, strconv.Itoa(port)}, options...)...)
		start.Stderr = os.Stderr
		if out, err := start.Output(); err != nil {
			return addresses, stop, fmt.Errorf("starting Apache Kafka: %w\n%s", err, out)
		}
		addresses[kafka] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	if addresses[weir] == "" {
		end, address, err := startWeir(binary, dir)
		if err != nil {
			return addresses, stop, err
		}
		undo = append([]func(){end}, undo...)
		addresses[weir] = address
	}
	return addresses, stop, nil
}

func startWeir(binary, dir string) (stop func(), address string, err error) {
	port, err := freePorts()
	if err != nil {
		return nil, "", err
	}
	address = fmt.Sprintf("127.0.0.1:%d", port)
	args := []string{"serve", "--set", "log.dirs=" + filepath.Join(dir, "weir"), "--set", "listeners=PLAINTEXT://" + address, "--set", "http.listener="}
	for _, o := range options {
		args = append(args, "--set", o)
	}
	said, err := os.Create(filepath.Join(dir, "weir.out"))
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("%w: run make build", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		_ = said.Close()
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if b, _ := os.ReadFile(said.Name()); strings.Contains(string(b), "Weir is ready") {
			return stop, address, nil
		}
		select {
		case err := <-ended:
			b, _ := os.ReadFile(said.Name())
			return nil, "", fmt.Errorf("Weir ended: %v\n%s", err, b)
		case <-time.After(5 * time.Millisecond):
		}
	}
	stop()
	return nil, "", fmt.Errorf("Weir is not ready after 30 seconds")
}

// freePorts gives a port that is free, as is the one above it.
func freePorts() (int, error) {
	for range 100 {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := a.Addr().(*net.TCPAddr).Port
		b, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = a.Close()
		if err == nil {
			_ = b.Close()
			return port, nil
		}
	}
	return 0, fmt.Errorf("no two free ports beside each other")
}
