package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/weir/weir/test/chaos/history"
)

// librdkafka is the client of most other languages, in processes of their own. They say what they do on standard output, as events.
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

// send sends a record every so often until ctx ends, and then waits up to drain for what is on its way.
func (l *librdkafka) send(ctx context.Context, w *workload, every, drain time.Duration) error {
	return l.run(ctx, w, "send", seconds(every), seconds(drain))
}

// read follows the log until ctx ends.
func (l *librdkafka) read(ctx context.Context, w *workload) error { return l.run(ctx, w, "read") }

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// run runs the client, and takes down what it says. It tells it when ctx ends, and waits for its end.
func (l *librdkafka) run(ctx context.Context, w *workload, what string, more ...string) error {
	log, err := os.Create(filepath.Join(l.dir, "librdkafka-"+what+".log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	args := []string{"-c", librdkafkaScript, what, strings.Join(w.cluster.bootstrap(), ","), topic, strconv.Itoa(w.partitions)}
	cmd := exec.Command(l.python, append(args, more...)...)
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
		<-ctx.Done()
		_ = in.Close()
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
	return lines.Err()
}
