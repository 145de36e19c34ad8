package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/weir/weir/test/chaos/history"
)

// librdkafka is the client of most other languages, in a process of its own. It says what it does on standard output, as events.
type librdkafka struct {
	python string
	dir    string
}

const librdkafkaName = "librdkafka"

//go:embed librdkafka.py
var librdkafkaScript string

// findLibrdkafka looks where test/clients/run.sh has put it.
func findLibrdkafka(root, dir string) (*librdkafka, error) {
	wanted, err := os.ReadFile(filepath.Join(root, "test/clients/python/requirements.txt"))
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(cache, "weir", fmt.Sprintf("python-%.8x", sha256.Sum256(wanted)))
	if _, err := os.Stat(filepath.Join(home, ".done")); err != nil {
		return nil, fmt.Errorf("%s is not there: test/clients/run.sh confluent puts it there", home)
	}
	return &librdkafka{python: filepath.Join(home, "bin/python"), dir: dir}, nil
}

// run lets it send until sending ends, and read until reading ends.
func (l *librdkafka) run(sending, reading context.Context, w *workload, every time.Duration) error {
	log, err := os.Create(filepath.Join(l.dir, "librdkafka.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(l.python, "-c", librdkafkaScript, strings.Join(w.cluster.bootstrap(), ","), topic, strconv.Itoa(w.partitions),
		strconv.FormatFloat(every.Seconds(), 'f', -1, 64), strconv.FormatFloat(drainMost.Seconds(), 'f', -1, 64))
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		<-sending.Done()
		_, _ = io.WriteString(in, "no more sending\n")
		<-reading.Done()
		_ = in.Close() // ends it
	}()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e history.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			return fmt.Errorf("librdkafka's client said %.200q: %w", lines.Text(), err)
		}
		for i := range e.Reads {
			e.Reads[i].Value = valueOf([]byte(e.Reads[i].Value))
		}
		w.recorder.add(e)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("librdkafka's client: %w; see %s", err, log.Name())
	}
	return nil
}
