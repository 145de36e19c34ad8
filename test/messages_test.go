package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMessagesAsJSON: log.level and log.format of a server.properties count, and then nothing but objects is written.
func TestMessagesAsJSON(t *testing.T) {
	alone(t, "it starts a node with a file of its own")
	n := start(t, "offsets.topic.num.partitions=1")
	n.kill()
	file := filepath.Join(t.TempDir(), "server.properties")
	text := fmt.Sprintf("log.level=debug\nlog.format=json\nnum.io.threads=8\nlog.dirs=%s\nlisteners=PLAINTEXT://%s\nhttp.listener=\n", n.dir, n.address)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	n.out = &output{}
	n.cmd = exec.Command(weirBinary, "serve", "--config", file)
	n.cmd.Stdout, n.cmd.Stderr = n.out, n.out
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the node is ready", func() bool { return strings.Contains(n.out.String(), "Weir is ready") })
	n.newGroup()
	until(t, "a debug message is written", func() bool { return strings.Contains(n.out.String(), "coordinator loaded") })
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for line := range strings.Lines(n.out.String()) {
		var m struct{ Time, Level, Msg, Options string }
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.Time == "" || m.Level == "" || m.Msg == "" {
			t.Fatalf("not a message: %q (%v)", line, err)
		}
		seen[m.Msg] = m.Level + " " + m.Options
	}
	for msg, want := range map[string]string{
		"Weir is ready.": "INFO ", "Weir has stopped.": "INFO ", "coordinator loaded": "DEBUG ", "these options of Kafka have no effect here": "INFO num.io.threads",
	} {
		if seen[msg] != want {
			t.Errorf("%q is %q, want %q", msg, seen[msg], want)
		}
	}
}

// TestWrongOptionsAreRefused: a node that cannot be as it is told does not start, and says which option is wrong.
func TestWrongOptionsAreRefused(t *testing.T) {
	n := start(t)
	for option, want := range map[string]string{
		"log.level=loud":                           "log.level",
		"log.format=xml":                           "log.format",
		"num.partitions=0":                         "num.partitions",
		"log.segment.bytes=1":                      "log.segment.bytes",
		"advertised.listeners=PLAINTEXT://host":    "advertised.listeners",
		"advertised.listeners=PLAINTEXT://h:x":     "advertised.listeners",
		"listeners=PLAINTEXT://127.0.0.1:99999":    "listeners",
		"compression.gzip.level=12":                "compression.gzip.level",
		"num.partition=3":                          "did you mean num.partitions",
		"max.connections.per.ip.overrides=a:b":     "max.connections.per.ip.overrides",
		"http.listener=somewhere":                  "http.listener",
		"log.dirs=/proc/weir":                      "/proc/weir",
		"listeners=PLAINTEXT://" + n.address + " ": n.address,
	} {
		args := []string{"serve", "--set", "log.dirs=" + t.TempDir(), "--set", "http.listener=", "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", option}
		out, err := exec.CommandContext(ctx(t), weirBinary, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", option, err, out)
		}
		if lines := strings.Count(string(out), "\n"); lines > 3 || strings.Contains(string(out), "goroutine") {
			t.Errorf("%s: not a sentence:\n%s", option, out)
		}
	}
}
