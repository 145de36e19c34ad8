package cli

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir/weir/config"
	"github.com/weir/weir/node"
)

// newNode starts a real node and gives its data directory.
func newNode(t *testing.T) (c *cluster, dir string, stop func()) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	cfg, _, err := config.Load(config.Sources{Set: []string{"listeners=PLAINTEXT://127.0.0.1:0", "http.listener=", "log.dirs=" + dir, "group.initial.rebalance.delay.ms=0"}})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(node.Options{Config: cfg, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return &cluster{t: t, seed: n.Addresses()["PLAINTEXT"]}, dir, stop
}

// TestAdministrationOfANode goes through what an administrator does, on a real node.
func TestAdministrationOfANode(t *testing.T) {
	c, dir, stop := newNode(t)
	c.topic("orders", 2)
	c.write("orders", "0 k 0 1700000000000", "0 k 1 1700000001000", "0 k 2 1700000002000", "1 k 3 1700000003000")
	for _, test := range []struct{ args, out, err string }{
		{"topic alter orders --partitions 3 --set segment.bytes=2MiB", `
TOPIC   SETTING        BEFORE      AFTER
orders  partitions     2           3
orders  segment.bytes  1073741824  2097152
`, ""},
		{"config set log.retention.ms=5d --broker 1", `
SETTING           BEFORE  AFTER
log.retention.ms  -       432000000
`, ""},
		{"config set consumer.session.timeout.ms=50s --group billing", `
SETTING                      BEFORE  AFTER
consumer.session.timeout.ms  45000   50000
`, ""},
		{"group reset-offsets billing --to -1 --topic orders:0,1 --execute", `
TOPIC   PARTITION  CURRENT  NEW
orders  0          -        2
orders  1          -        0
`, "Group billing does not exist yet: its offsets make it.\n"},
		{"group describe billing", `
Group billing: Empty, classic, coordinator 1, 0 members
TOPIC   PARTITION  COMMITTED  END  LAG  TIME-LAG  MEMBER
orders  0          2          3    1    <age>     -
orders  1          0          1    1    <age>     -
`, ""},
		{"partition delete-records orders:1 --before end --execute", `
TOPIC   PARTITION  START  END  DELETE-BEFORE  OFFSETS
orders  1          0      1    1              1
`, ""},
		{"group list", `
GROUP    TYPE     STATE  COORDINATOR  LAG  TIME-LAG
billing  classic  Empty  1            2    <age>
`, ""},
		{"group delete-offsets billing --topic orders:1", `
TOPIC   PARTITION  FORGOTTEN
orders  1          0
`, ""},
		{"group delete billing", "Deleted group billing.\n", ""},
	} {
		got := c.weir(strings.Fields(test.args)...)
		expect(t, got, 0, test.out, test.err)
	}
	if got := c.weir("cluster", "info"); got.code != 0 || !strings.Contains(got.out, "1 broker, controller 1, 2 topics, 53 partitions, 0 groups") {
		t.Errorf("%+v", got)
	}
	if got := c.weir("partition", "describe", "orders:0"); got.code != 0 || !strings.Contains(words(got.out), "orders 0 1 1 1 1 0 3 3\n") {
		t.Errorf("%+v", got)
	}
	if got := weir(context.Background(), nil, "log", "verify", dir); got.code != 0 || !strings.HasPrefix(got.out, "Checked ") || strings.Contains(got.out, "damage") {
		t.Errorf("of a node that is running: %+v", got)
	}
	stop()
	if got := weir(context.Background(), nil, "log", "verify", dir); got.code != 0 || !strings.HasPrefix(got.out, "Checked ") || got.err != "" {
		t.Errorf("of a node that was stopped: %+v", got)
	}
	expect(t, weir(context.Background(), nil, "log", "verify", filepath.Join(dir, "orders-1"), filepath.Join(dir, "orders-2")), 0,
		"Checked 2 segments of 2 partitions: 246 B, 1 record.\n", "")
}

// verified checks a stopped node's files after something was done to them, and gives what was found.
func verified(t *testing.T, do func(dir string)) (ran, []findingJSON) {
	t.Helper()
	c, dir, stop := newNode(t)
	c.topic("orders", 2)
	c.topic("payments", 1)
	c.write("orders", "0 k 0", "0 k 1", "1 k 2")
	stop()
	do(dir)
	got := weir(context.Background(), nil, "log", "verify", dir, "-o", "json")
	var result struct {
		Partitions int
		Findings   []findingJSON
	}
	if err := json.Unmarshal([]byte(got.out), &result); err != nil || result.Partitions < 4 {
		t.Fatalf("%v: %+v", err, got)
	}
	return weir(context.Background(), nil, "log", "verify", dir), result.Findings
}

func TestLogVerifyFindsDamage(t *testing.T) {
	write := func(name string, change func([]byte) []byte) {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, change(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const segment = "00000000000000000000.log"
	for _, test := range []struct {
		name   string
		do     func(dir string)
		want   string // of the one finding
		damage bool
	}{
		{"a flipped bit in a record", func(dir string) {
			write(filepath.Join(dir, "orders-0", segment), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
		}, "its checksum does not match", true},
		{"a byte too few", func(dir string) {
			write(filepath.Join(dir, "orders-0", segment), func(b []byte) []byte { return b[:len(b)-1] })
		}, "it ends there, but the checkpoint covers", true},
		{"half a batch too many", func(dir string) {
			write(filepath.Join(dir, "orders-0", segment), func(b []byte) []byte { return append(b, b[73:120]...) })
		}, "the last 47 bytes are not whole", false},
		{"folders exchanged", func(dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "orders-1")); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(filepath.Join(dir, "orders-1"), os.DirFS(filepath.Join(dir, "orders-0"))); err != nil {
				t.Fatal(err)
			}
		}, "its segments belong to partition 0", true},
		{"another topic's folder", func(dir string) {
			if err := os.CopyFS(filepath.Join(dir, "payments-1"), os.DirFS(filepath.Join(dir, "orders-1"))); err != nil {
				t.Fatal(err)
			}
		}, "its segments belong to topic id", true},
		{"the voter journal", func(dir string) {
			write(filepath.Join(dir, "votes.journal"), func(b []byte) []byte { b[30] ^= 1; return b })
		}, "bytes were durable", true},
		{"no voter journal", func(dir string) {
			if err := os.Remove(filepath.Join(dir, "votes.journal")); err != nil {
				t.Fatal(err)
			}
		}, "it is missing", true},
		{"meta.properties", func(dir string) {
			write(filepath.Join(dir, "meta.properties"), func([]byte) []byte { return []byte("version=1\n") })
		}, "meta.properties is damaged", true},
		{"a topic that was being deleted", func(dir string) {
			if err := os.Mkdir(filepath.Join(dir, "gone-0.0123-delete"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "a deleted topic's partition", false},
		{"nothing", func(string) {}, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, findings := verified(t, test.do)
			if test.want == "" {
				if len(findings) > 0 {
					t.Fatalf("%+v", findings)
				}
				return
			}
			if len(findings) != 1 || !strings.Contains(findings[0].Reason, test.want) || findings[0].Damage != test.damage {
				t.Fatalf("%+v", findings)
			}
			kind, code, said := "unfinished", exitOK, ""
			if test.damage {
				kind, code, said = "damage", exitFailed, "weir: there is damage in 1 place: restore these files from a backup, and check the disk\n"
			}
			if got.code != code || got.err != said || !strings.Contains(got.out, kind) || !strings.Contains(got.out, test.want) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestLogVerifyOfOtherPaths(t *testing.T) {
	empty := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(empty, "nothing"): "weir: stat " + filepath.Join(empty, "nothing") + ": no such file or directory\n",
		empty:                           "weir: " + empty + " is no data directory: give one (log.dirs), a partition's folder, or segment files\n",
	} {
		expect(t, weir(context.Background(), nil, "log", "verify", path), exitFailed, "", want)
	}
	other := filepath.Join(empty, "notes.txt")
	if err := os.WriteFile(other, []byte("no log"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, weir(context.Background(), nil, "log", "verify", other), exitFailed, "",
		"weir: "+other+" is no segment file: give a .log file, a partition's folder or a data directory\n")
	file := segment(t)
	expect(t, weir(context.Background(), nil, "log", "verify", file), 0, "Checked 1 segment: 383 B, 4 records.\n", "")
	table := weir(context.Background(), nil, "log", "verify", filepath.Dir(file))
	table.out = words(strings.ReplaceAll(table.out, filepath.Dir(file), "DIR"))
	expect(t, table, exitFailed, `
FILE KIND FINDING
DIR damage its segments belong to partition 3
Checked 1 segment of 1 partition: 383 B, 4 records.
`, "weir: there is damage in 1 place: restore these files from a backup, and check the disk\n")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	expect(t, weir(ctx, nil, "log", "verify", file), exitFailed, "", "weir: interrupted\n")
}

func TestProgressOfLongWork(t *testing.T) {
	var shown strings.Builder
	start := time.UnixMilli(0)
	l := checkProgress{progressLine: &progressLine{w: &shown, last: start}}
	l.begin("orders-0\x1b", 4096)
	l.add(1024, start.Add(progressEvery-1))
	l.clear()
	if shown.Len() > 0 {
		t.Errorf("of short work it shows %q", shown.String())
	}
	l.add(1024, start.Add(progressEvery))
	l.add(1024, start.Add(progressEvery+1))
	l.clear()
	l.clear()
	if want := "\r\x1b[KChecking orders-0\\x1b: 2.0 KiB of 4.0 KiB\r\x1b[K"; shown.String() != want {
		t.Errorf("it shows %q, want %q", shown.String(), want)
	}
}
