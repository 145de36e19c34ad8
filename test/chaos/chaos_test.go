package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
	"github.com/weir/weir/record"
	"github.com/weir/weir/test/chaos/history"
)

func TestTheSameSeedGivesTheSameSteps(t *testing.T) {
	steps := func(seed uint64) (all []step) {
		p := newPlanner(seed, kinds, 3, 6)
		for range 5 * len(kinds) {
			all = append(all, p.next())
		}
		return all
	}
	if diff := cmp.Diff(steps(7), steps(7)); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(steps(7), steps(8)) {
		t.Error("two seeds give the same steps")
	}
}

func TestEveryKindComesOnceInEachRound(t *testing.T) {
	p := newPlanner(1, kinds, 3, 6)
	for round := range 20 {
		seen := map[string]bool{}
		for range kinds {
			s := p.next()
			k := kindOf(s.Kind)
			if seen[s.Kind] {
				t.Fatalf("round %d: %s comes twice", round, s.Kind)
			}
			seen[s.Kind] = true
			if s.Node < 0 || s.Node > 2 || s.Leader < -1 || s.Leader > 5 || s.Lasts < k.least || s.Lasts > k.most || s.Pause < pauseLeast || s.Pause > pauseMost {
				t.Errorf("%+v is out of bounds", s)
			}
		}
	}
}

func TestOnlyFaultsThatTheMachineAllowsAreChosen(t *testing.T) {
	for _, test := range []struct {
		names string
		nodes int
		disks bool
		want  string
		fails bool
	}{
		{"kill,isolate,power-cut", 3, true, "kill isolate power-cut", false},
		{"kill,isolate,power-cut", 1, true, "kill power-cut", false},
		{"kill,isolate,power-cut", 3, false, "kill isolate", false},
		{"isolate", 1, true, "", true},
		{"kill,earthquake", 3, true, "", true},
	} {
		got, err := chosen(test.names, test.nodes, test.disks)
		var names []string
		for _, k := range got {
			names = append(names, k.name)
		}
		if strings.Join(names, " ") != test.want || (err != nil) != test.fails {
			t.Errorf("%s with %d nodes: %v, %v", test.names, test.nodes, names, err)
		}
	}
}

func TestGapsAreThoseThatEndDuringTheFault(t *testing.T) {
	const s = int64(time.Second)
	ack := func(client string, partition int32, seconds ...int64) (events []history.Event) {
		for i, at := range seconds {
			events = append(events, history.Event{At: at * s, Client: client, Op: int64(i), Kind: history.Send, Phase: history.OK, Partition: partition})
		}
		return events
	}
	events := append(ack("franz1", 0, 10, 11, 19, 20, 29, 30, 31), ack("franz2", 1, 10, 11, 12, 13, 20, 30, 31)...)
	events = append(events, ack("other", 0, 1, 1000)...)
	faults := []fault{
		{step: step{Kind: "kill"}, Hit: []int32{0}, Begun: 11*s + 1, Healed: 18 * s, Recovered: 21 * s},
		{step: step{Kind: "kill"}, Hit: []int32{1}, Begun: 30*s + 1, Healed: 32 * s, Recovered: 33 * s},
	}
	got := gapRows(acknowledgements(events, []string{"franz1", "franz2"}), faults)
	want := []*gapRow{
		{kind: calm, count: 1, gaps: map[gapColumn][]time.Duration{{"franz", false}: {10 * time.Second}}},
		{kind: "kill", count: 2, recovery: []time.Duration{time.Second, 3 * time.Second}, gaps: map[gapColumn][]time.Duration{
			{"franz", true}: {1 * time.Second, 8 * time.Second}, {"franz", false}: {1 * time.Second, 7 * time.Second}}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(gapRow{}, gapColumn{})); diff != "" {
		t.Error(diff)
	}
}

func TestAChangedValueIsNoticed(t *testing.T) {
	for _, name := range []string{"franz1-0", "librdkafka-12345", "once-7"} {
		b := payload(name)
		if got := valueOf(b); got != name {
			t.Errorf("%q comes back as %q", name, got)
		}
		for i := range b {
			b[i] ^= 1
			if got := valueOf(b); got == name {
				t.Errorf("a change of byte %d of %q is not noticed", i, name)
			}
			b[i] ^= 1
		}
	}
}

// TestLibrdkafkasClientSendsTheSameBytes compares the two programs that make values.
func TestLibrdkafkasClientSendsTheSameBytes(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 on this machine")
	}
	function := librdkafkaScript[strings.Index(librdkafkaScript, "def payload"):strings.Index(librdkafkaScript, "def ended")]
	out, err := exec.Command(python, "-c", "import zlib\n"+function+"\nfor i in range(300): print(payload(f'librdkafka-{i}'))").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if got := valueOf([]byte(strings.TrimSuffix(line, "\n"))); !strings.HasPrefix(got, "librdkafka-") {
			t.Fatalf("%q is %s", line, got)
		}
	}
}

// writeReplica makes a log of records, a batch each, whose leader has that epoch. It gives the end of the log.
func writeReplica(t *testing.T, dir string, epoch int32, values ...string) {
	t.Helper()
	config := log.Config{SegmentBytes: 256, SegmentMs: 1 << 40, IndexIntervalBytes: 4096, RetentionMs: -1, RetentionBytes: -1}
	l, _, err := log.Open(vfs.NewOS(), dir, log.Identity{TopicID: [16]byte{1}}, config, nil)
	if err != nil {
		t.Fatal(err)
	}
	const ofRaft = 2
	entries := []log.Entry{{Index: 1, Term: uint64(epoch), Kind: ofRaft}}
	for i, v := range values {
		b := record.NewBuilder(record.BuilderOptions{})
		b.Append(1000, nil, []byte(v))
		batch := b.Build()
		record.Assign(batch, int64(i), epoch)
		entries = append(entries, log.Entry{Index: uint64(i + 2), Term: uint64(epoch), Kind: log.Batch, Data: batch})
	}
	if err := errors.Join(l.Append(entries), l.Sync(), l.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestReplicasThatDifferAreNoticed(t *testing.T) {
	for _, test := range []struct {
		name   string
		end    int64
		second func(t *testing.T, dir string)
		want   string // "": they are equal
	}{
		{"equal", 4, func(t *testing.T, dir string) { writeReplica(t, dir, 1, "a", "b", "c", "d") }, ""},
		{"another end above the high watermark", 4, func(t *testing.T, dir string) { writeReplica(t, dir, 1, "a", "b", "c", "d", "e") }, ""},
		{"another record above the high watermark", 3, func(t *testing.T, dir string) { writeReplica(t, dir, 1, "a", "b", "c", "x") }, ""},
		{"another record", 4, func(t *testing.T, dir string) { writeReplica(t, dir, 1, "a", "x", "c", "d") }, "differs between nodes 1 and 2: offset 1"},
		{"another epoch", 4, func(t *testing.T, dir string) { writeReplica(t, dir, 2, "a", "b", "c", "d") }, "epoch 2"},
		{"too short", 4, func(t *testing.T, dir string) { writeReplica(t, dir, 1, "a", "b", "c") }, "the log ends at 3; the high watermark is 4"},
		{"missing", 4, func(*testing.T, string) {}, "the log ends at 0"},
		{"a flipped bit", 4, func(t *testing.T, dir string) {
			writeReplica(t, dir, 1, "a", "b", "c", "d")
			name := filepath.Join(dir, "00000000000000000000.log")
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "damage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var nodes []*node
			for id := 1; id <= 2; id++ {
				nodes = append(nodes, &node{id: id, disk: &disk{dir: t.TempDir()}})
			}
			folder := func(n *node) string { return filepath.Join(n.disk.data(), "chaos-0") }
			for _, n := range nodes {
				if err := os.MkdirAll(folder(n), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			writeReplica(t, folder(nodes[0]), 1, "a", "b", "c", "d")
			test.second(t, folder(nodes[1]))
			got := strings.Join(compareReplicas(nodes, map[int32]int64{0: test.end}), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("found %q; it should say %q", got, test.want)
			}
		})
	}
}

func TestSpreadIsOfNearestRank(t *testing.T) {
	times := func(count int) (d []time.Duration) {
		for i := range count {
			d = append(d, time.Duration(i+1)*time.Second)
		}
		return d
	}
	for count, want := range map[int]string{0: "-", 1: "1.00 1.00 1.00", 2: "1.00 2.00 2.00", 100: "50.00 99.00 100.00", 101: "51.00 100.00 101.00"} {
		if got := spread(times(count)); got != want {
			t.Errorf("%d times: %s, not %s", count, got, want)
		}
	}
}
