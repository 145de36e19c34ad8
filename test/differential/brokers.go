package main

import (
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
		port, err := freePorts(2)
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
	port, err := freePorts(1)
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

// clusterOptions are set in the nodes of clusters. #node is a node's number.
var clusterOptions = []string{
	"group.initial.rebalance.delay.ms=0", "offsets.topic.num.partitions=2", "auto.leader.rebalance.enable=false", "auto.create.topics.enable=false",
	"log.segment.delete.delay.ms=1000", "broker.rack=rack-#node", "num.partitions=2",
}

// startClusters starts a cluster of both. The addresses are those of the nodes, in their order; pid names files with the process of the
// last node.
func startClusters(nodes int) (addresses [2][]string, pid [2]string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "weir-differential-")
	if err != nil {
		return addresses, pid, func() {}, err
	}
	scripts := [2]string{"test/clients/java/kafka.sh", "test/clients/weir.sh"}
	homes := [2]string{filepath.Join(dir, "kafka"), filepath.Join(dir, "weir")}
	stop = func() {
		for side, script := range scripts {
			_ = exec.Command(script, "stop", homes[side]).Run()
		}
		_ = os.RemoveAll(dir)
	}
	var ports [2]int
	for side := range ports {
		if ports[side], err = freePorts(2 * nodes); err != nil {
			return addresses, pid, stop, err
		}
		for node := range nodes {
			addresses[side] = append(addresses[side], fmt.Sprintf("127.0.0.1:%d", ports[side]+node))
		}
	}
	starts := [2]*exec.Cmd{
		exec.Command(scripts[kafka], append([]string{"start", homes[kafka], strconv.Itoa(ports[kafka])}, clusterOptions...)...),
		exec.Command(scripts[weir], append([]string{"start", homes[weir], strconv.Itoa(ports[weir]), strconv.Itoa(nodes)}, clusterOptions...)...),
	}
	starts[kafka].Env = append(os.Environ(), fmt.Sprintf("NODES=%d", nodes))
	for side, start := range starts {
		said := &strings.Builder{}
		start.Stdout, start.Stderr = said, said
		if err := start.Run(); err != nil {
			return addresses, pid, stop, fmt.Errorf("starting %s: %w\n%s", names[side], err, said)
		}
		pid[side] = filepath.Join(homes[side], strconv.Itoa(nodes), "pid")
	}
	return addresses, pid, stop, nil
}

// freePorts gives a port that is free, as are those above it, so many in all. The system gives out none of them by itself: a cluster
// takes its time until it has them.
func freePorts(count int) (int, error) {
	for range 100 {
		port, free := 10_000+rand.IntN(20_000), true
		for next := range count {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+next))
			if free = free && err == nil; err == nil {
				_ = l.Close()
			}
		}
		if free {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports beside each other", count)
}
