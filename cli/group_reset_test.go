package cli

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

// billing makes a topic of three partitions that a group has read in part: 2 of 3 records, 0 of 2, and none of none.
func billing(t *testing.T, opts ...kfake.Opt) *cluster {
	t.Helper()
	c := newCluster(t, opts...)
	c.topic("orders", 3)
	c.write("orders", "0 k 0 1700000000000", "0 k 1 1700000001000", "0 k 2 1700000002000", "1 k 3 1700000003000", "1 k 4 1700000004000")
	in := "orders,0,2\norders,1,0\n"
	if got := c.weirWith(context.Background(), in, "group", "reset-offsets", "billing", "--from-file", "-", "--execute"); got.code != 0 {
		t.Fatal(got)
	}
	return c
}

const dryRun = "Nothing was changed: --execute does it.\n"

func TestGroupReset(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"--to earliest", `
TOPIC   PARTITION  CURRENT  NEW
orders  0          2        0
orders  1          0        0
`}, {"--to latest", `
TOPIC   PARTITION  CURRENT  NEW
orders  0          2        3
orders  1          0        2
`}, {"--to 1 --topic orders", `
TOPIC   PARTITION  CURRENT  NEW  NOTE
orders  0          2        1    -
orders  1          0        1    -
orders  2          -        0    1 is beyond the end
`}, {"--to current --topic orders:1-2", `
TOPIC   PARTITION  CURRENT  NEW  NOTE
orders  1          0        0    -
orders  2          -        0    nothing was committed: the end
`}, {"--to -1", `
TOPIC   PARTITION  CURRENT  NEW
orders  0          2        2
orders  1          0        1
`}, {"--shift-by -1", `
TOPIC   PARTITION  CURRENT  NEW  NOTE
orders  0          2        1    -
orders  1          0        0    -1 is before the start
`}, {"--shift-by 9223372036854775807", `
TOPIC   PARTITION  CURRENT  NEW  NOTE
orders  0          2        3    9223372036854775807 is beyond the end
orders  1          0        2    9223372036854775807 is beyond the end
`}, {"--to-time 2023-11-14T22:13:21.5Z", `
TOPIC   PARTITION  CURRENT  NEW
orders  0          2        2
orders  1          0        0
`}, {"--to-time 2023-11-14T22:13:23Z", `
TOPIC   PARTITION  CURRENT  NEW  NOTE
orders  0          2        3    no record is that new: the end
orders  1          0        0    -
`}, {"--by-duration PT1H --topic orders:0", `
TOPIC   PARTITION  CURRENT  NEW  NOTE
orders  0          2        3    no record is that new: the end
`}, {"--by-duration 65535d --topic orders:0", `
TOPIC   PARTITION  CURRENT  NEW
orders  0          2        0
`},
	} {
		t.Run(test.args, func(t *testing.T) {
			c := billing(t)
			args := append([]string{"group", "reset-offsets", "billing"}, strings.Fields(test.args)...)
			expect(t, c.weir(args...), 0, test.want, dryRun)
			expect(t, c.weir(append(args, "--dry-run")...), 0, test.want, dryRun) // it was one before, too
			expect(t, c.weir(append(args, "--execute")...), 0, test.want, "")
			done := c.weir(append(args, "--execute")...).out
			for _, line := range strings.Split(strings.TrimSpace(test.want), "\n")[1:] {
				fields := strings.Fields(line)
				if moved := strings.Join(fields[:2], " ") + " " + fields[3]; !strings.Contains(words(done), moved) && !strings.HasPrefix(test.args, "--shift-by") {
					t.Errorf("after it was done: %s\nwant %s", done, moved)
				}
			}
		})
	}
}

// words makes every run of spaces one.
func words(table string) string {
	var b strings.Builder
	for line := range strings.Lines(table) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

func TestGroupResetRefuses(t *testing.T) {
	c := billing(t)
	for _, test := range []struct{ args, want string }{
		{"billing --to latest --topic ordres", `topic "ordres" does not exist: did you mean "orders"?`},
		{"billing --to latest --topic orders:0,7", `topic "orders" has no partition 7: it has 3 partitions`},
		{"billing --shift-by 1 --topic orders", `partition 2 of topic "orders" has no committed offset to shift: leave it out, or use --to`},
		{"biling --to latest", `group "biling" does not exist: did you mean "billing"?`},
		{"billing --from-file /does/not/exist", "open /does/not/exist: no such file or directory"},
	} {
		got := c.weir(append([]string{"group", "reset-offsets"}, strings.Fields(test.args)...)...)
		expect(t, got, exitFailed, "", "weir: "+test.want+"\n")
	}
}

func TestGroupResetOfNewGroup(t *testing.T) {
	c := billing(t)
	expect(t, c.weir("group", "reset-offsets", "dispatch", "--to", "latest", "--topic", "orders:0", "--execute"), 0, `
TOPIC   PARTITION  CURRENT  NEW
orders  0          -        3
`, "Group dispatch does not exist yet: its offsets make it.\n")
	if got := c.weir("group", "describe", "dispatch"); !strings.Contains(words(got.out), "orders 0 3 3 0 0s -") {
		t.Errorf("%+v", got)
	}
}

func TestGroupResetOfGroupInUse(t *testing.T) {
	for kind, opt := range map[string]kgo.Opt{"classic": kgo.Balancers(kgo.RangeBalancer()), "consumer": kgo.ServerSideBalancer()} {
		t.Run(kind, func(t *testing.T) {
			c := billing(t)
			member := c.client(kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(), opt)
			if fetches := member.PollRecords(t.Context(), 1); fetches.Err() != nil {
				t.Fatal(fetches.Err())
			}
			refusesInUse(t, c)
		})
	}
}

func refusesInUse(t *testing.T, c *cluster) {
	t.Helper()
	for _, more := range []string{"--dry-run", "--execute"} {
		expect(t, c.weir("group", "reset-offsets", "billing", "--to", "earliest", more), exitFailed, "",
			"weir: group \"billing\" is in use: it is Stable with 1 member; stop its consumers first, then reset its offsets\n")
	}
	expect(t, c.weir("group", "reset-offsets", "billing", "--to", "current", "--export"), 0, "orders,0,2\norders,1,0\n", "")
	expect(t, c.weir("group", "delete", "billing"), exitFailed, "", "weir: group \"billing\" has members: stop its consumers first\n")
	if got := c.weir("group", "delete-offsets", "billing", "--topic", "orders:0"); got.code != exitFailed || got.out != "" || !strings.Contains(got.err, `group "billing" has members`) {
		t.Errorf("%+v", got)
	}
}

func TestGroupExportAndImport(t *testing.T) {
	c := billing(t)
	expect(t, c.weir("group", "reset-offsets", "billing", "--to", "9", "--export"), 0, "orders,0,3\norders,1,2\n",
		"Partition 0 of topic orders: 9 is beyond the end.\nPartition 1 of topic orders: 9 is beyond the end.\n")
	saved := c.weir("group", "reset-offsets", "billing", "--to", "current", "-o", "json").out
	if got := c.weir("group", "reset-offsets", "billing", "--to", "latest", "--execute"); got.code != 0 {
		t.Fatal(got)
	}
	file := filepath.Join(t.TempDir(), "billing.json")
	if err := os.WriteFile(file, []byte(saved), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, c.weir("group", "reset-offsets", "billing", "--from-file", file, "--execute", "--topic", "orders:0,2"), 0, `
TOPIC   PARTITION  CURRENT  NEW
orders  0          3        2
`, "")
	expect(t, c.weir("group", "reset-offsets", "billing", "--to", "current", "--topic", "orders:0", "-o", "json"), 0, `
[
  {
    "group": "billing",
    "topic": "orders",
    "partition": 0,
    "committed_offset": 2,
    "offset": 2
  }
]
`, dryRun)
}

func TestReadOffsets(t *testing.T) {
	at := func(topic string, partition int32) topicPartition { return topicPartition{topic, partition} }
	for _, test := range []struct {
		text string
		want map[topicPartition]int64
		err  string
	}{
		{"a,0,1\na,1,-2\n", map[topicPartition]int64{at("a", 0): 1, at("a", 1): -2}, ""},
		{"g,a,0,1\nother,a,0,2\n", map[topicPartition]int64{at("a", 0): 1}, ""},
		{"\"a\", 0, 1\r\n", map[topicPartition]int64{at("a", 0): 1}, ""},
		{` [{"topic":"a","partition":3,"offset":4},{"group":"other","topic":"b","partition":3,"offset":4}]`, map[topicPartition]int64{at("a", 3): 4}, ""},
		{"", nil, `- has no offsets for group "g"`},
		{"other,a,0,1\n", nil, `- has no offsets for group "g"`},
		{"a,0\n", nil, "-: line 1 has 2 fields: write topic,partition,offset or group,topic,partition,offset"},
		{"a,0,1\na,x,1\n", nil, "-: line 2 is not topic,partition,offset"},
		{"a,-1,1\n", nil, "-: line 1 is not topic,partition,offset"},
		{"a,4294967296,1\n", nil, "-: line 1 is not topic,partition,offset"},
		{",0,1\n", nil, "-: line 1 is not topic,partition,offset"},
		{"a,0,1\na,0,2\n", nil, `-: partition 0 of topic "a" is there twice`},
		{"a,\"0,1\n", nil, "-: parse error on line 1, column 8: extraneous or missing \" in quoted-field"},
		{`[{"topic":"a","partition":3}]`, nil, "-: entry 1 has no topic, partition and offset"},
		{`[{]`, nil, "-: invalid character ']' looking for beginning of object key string"},
	} {
		got, err := readOffsets("-", strings.NewReader(test.text), "g")
		if text := errorText(err); text != test.err || !cmp.Equal(got, test.want, cmp.AllowUnexported(topicPartition{})) {
			t.Errorf("%q: %v, %q, want %v, %q", test.text, got, text, test.want, test.err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParsePartitions(t *testing.T) {
	for _, test := range []struct {
		text string
		want partitionSet
	}{
		{"orders", partitionSet{"orders", nil}},
		{"orders:0", partitionSet{"orders", []int32{0}}},
		{"orders:5-7,0,2,6", partitionSet{"orders", []int32{0, 2, 5, 6, 7}}},
	} {
		got, err := parsePartitions(test.text)
		if err != nil || !cmp.Equal(got, test.want, cmp.AllowUnexported(partitionSet{})) {
			t.Errorf("%q: %v, %v", test.text, got, err)
		}
	}
	for _, text := range []string{"", ":1", "orders:", "orders:x", "orders:1,", "orders:-1", "orders:3-1", "orders:1-", "orders:2147483648", "orders:0-2147483647"} {
		if got, err := parsePartitions(text); err == nil {
			t.Errorf("%q was taken as %v", text, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000).UTC()
	for text, want := range map[string]int64{
		"-5m":                       1_700_000_000_000 - 300_000,
		"5m":                        1_700_000_000_000 - 300_000,
		"5m ago":                    1_700_000_000_000 - 300_000,
		"P1DT2H":                    1_700_000_000_000 - 26*3_600_000,
		"PT0.5S":                    1_700_000_000_000 - 500,
		"2023-11-14T22:13:20Z":      1_700_000_000_000,
		"2023-11-14T22:13:20.123":   1_700_000_000_123,
		"2023-11-14T23:13:20+01:00": 1_700_000_000_000,
	} {
		if got, err := parseTime("--to-time", text, now); err != nil || got != (position{fromTime, want}) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "12", "earliest", "P", "PT", "PT5", "--5m", "ago", "-", "P99999D"} {
		if got, err := parseTime("--to-time", text, now); err == nil {
			t.Errorf("%q was taken as %v", text, got)
		}
	}
}

// TestResetStaysInThePartition: whatever is asked for, the new offset is one that a consumer can go on from.
func TestResetStaysInThePartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, math.MaxInt64).Draw(t, "start")
		p := place{start: start, end: rapid.Int64Range(start, math.MaxInt64).Draw(t, "end")}
		if rapid.Bool().Draw(t, "since") {
			since := rapid.Int64Range(p.start, p.end).Draw(t, "offset")
			p.since = &since
		}
		at := topicPartition{"t", 0}
		committed := rapid.Int64Range(p.start, p.end).Draw(t, "committed") // --to current leaves it as it is
		target := resetTarget{
			kind:     resetKind(rapid.IntRange(0, 3).Draw(t, "kind")),
			position: position{positionKind(rapid.IntRange(0, 3).Draw(t, "position")), rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")},
			shift:    rapid.Int64().Draw(t, "shift"),
			file:     map[topicPartition]int64{at: rapid.Int64().Draw(t, "file")},
		}
		got, _, err := target.plan(at, &committed, p)
		if err != nil || got < p.start || got > p.end {
			t.Fatalf("%+v in %+v is %d (%v)", target, p, got, err)
		}
	})
}

func TestGroupDelete(t *testing.T) {
	c := billing(t)
	expect(t, c.weir("group", "delete", "biling"), exitFailed, "", `weir: group "biling" does not exist: did you mean "billing"?`+"\n")
	expect(t, c.weir("group", "delete", "biling", "--if-exists"), 0, "There is no group biling.\n", "")
	expect(t, c.weir("group", "delete-offsets", "billing", "--topic", "orders:1,2", "-o", "json"), 0, `
[
  {
    "topic": "orders",
    "partition": 1,
    "committed_offset": 0
  }
]
`, "")
	expect(t, c.weir("group", "delete-offsets", "billing", "--topic", "orders:1"), exitFailed, "",
		"weir: group \"billing\" has committed no offsets for partitions 1 of topic \"orders\": `weir group describe` shows for which\n")
	expect(t, c.weir("group", "delete-offsets", "dispatch", "--topic", "orders"), exitFailed, "",
		"weir: group \"dispatch\" does not exist: `weir group list` shows those that do\n")
	expect(t, c.weir("group", "delete-offsets", "billing", "--topic", "orders"), 0, `
TOPIC   PARTITION  FORGOTTEN
orders  0          2
`, "")
	expect(t, c.weir("group", "delete", "billing", "-o", "json"), 0, "[\n  \"billing\"\n]\n", "")
	expect(t, c.weir("group", "list", "-o", "json"), 0, "[]\n", "")
}
