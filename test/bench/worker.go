package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const workerScript = "test/connect/jvm/connect.sh"

// workerJVM is what Kafka's own connect-distributed.sh gives to Java.
const workerJVM = "-Xms256M -Xmx2G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true"

// workerEnv has the connector for sinks too.
func workerEnv() []string {
	return append(os.Environ(), "CONNECT_SINK=1", "CONNECT_JAVA="+workerJVM)
}

// A worker of Connect is a process of its own. It can be started and ended many times.
type worker struct {
	process
	args []string
	env  []string
	rest string // host:port
}

// newWorker gives one with the options that it comes with.
func newWorker(of column, binary, dir, kafka string) (*worker, error) {
	port, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, columnKeys[of])
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	w := &worker{process: process{name: "the worker of " + columnNames[of], home: home}, rest: "127.0.0.1:" + strconv.Itoa(port), env: workerEnv()}
	if of == kafkaWorker {
		w.args = []string{workerScript, "serve", home, strconv.Itoa(port), kafka}
	} else {
		w.args = []string{binary, "connect", "worker", "-b", kafka, "--set", "listeners=http://" + w.rest, "--set", "rest.advertised.host.name=127.0.0.1"}
	}
	return w, nil
}

// start returns when the REST API answers.
func (w *worker) start(ctx context.Context) error {
	cmd := exec.Command(w.args[0], w.args[1:]...)
	cmd.Env = w.env
	if err := w.begin(cmd); err != nil {
		return err
	}
	return w.until(ctx, "ready", func() bool {
		_, err := w.ask(ctx, "GET", "/connectors", nil)
		return err == nil
	})
}

func (w *worker) stop() error { return w.end(syscall.SIGTERM) }
func (w *worker) kill() error { return w.end(syscall.SIGKILL) }

// ask sends a request to the REST API, and gives the answer if it is no error.
func (w *worker) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	return ask(ctx, method, "http://"+w.rest+path, body)
}

func ask(ctx context.Context, method, url string, body any) ([]byte, error) {
	var send io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		send = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, send)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, response.Status, text)
	}
	return text, err
}
