package runtime

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/weirtest"
)

func position(partition, offset map[string]any) sdk.Position {
	return sdk.Position{Partition: partition, Offset: offset}
}

// TestPositions: what is put is there, the newest of each partition, for who asks first and for who has asked before.
func TestPositions(t *testing.T) {
	node := weirtest.Start(t, weirtest.Topic("offsets", 5, "cleanup.policy=compact"))
	kafka := []kgo.Opt{kgo.SeedBrokers(node.Addr())}
	topic := func() Offsets {
		return NewTopicOffsets("offsets", kafka, func(context.Context, *kadm.Client) error { return nil })
	}
	path := filepath.Join(t.TempDir(), "offsets")
	for name, open := range map[string]func() Offsets{"topic": topic, "file": func() Offsets { return NewFileOffsets(path) }} {
		t.Run(name, func(t *testing.T) {
			a, b := open(), open()
			defer a.Close()
			one, two := map[string]any{"table": "one", "<&>": int32(1)}, map[string]any{"table": "two"}
			check := func(o Offsets, connector string, want ...sdk.Position) {
				t.Helper()
				got, err := o.Get(t.Context(), connector)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s is not there as it was put (-want +got):\n%s", connector, diff)
				}
			}
			put := func(o Offsets, connector string, all ...sdk.Position) {
				t.Helper()
				if err := o.Put(t.Context(), connector, all); err != nil {
					t.Fatal(err)
				}
			}
			check(a, "c")
			put(a, "c", position(one, map[string]any{"at": 1}), position(two, map[string]any{"at": 1.5, "deep": []any{nil, true}}))
			put(a, "other", position(one, map[string]any{"at": 7}))
			put(a, "c", position(map[string]any{"<&>": 1.0, "table": "one"}, map[string]any{"at": 2}))
			readOne := map[string]any{"table": "one", "<&>": int64(1)}
			check(a, "c", position(readOne, map[string]any{"at": int64(2)}), position(two, map[string]any{"at": 1.5, "deep": []any{nil, true}}))
			check(b, "other", position(readOne, map[string]any{"at": int64(7)}))
			b.Close()
			put(a, "c", position(two, nil))
			c := open()
			defer c.Close()
			check(c, "c", position(readOne, map[string]any{"at": int64(2)}))
			check(a, "c", position(readOne, map[string]any{"at": int64(2)}))
		})
	}
}

// TestPositionsOfOthers: a position that a worker of Kafka's wrote is found, and is written again under the very key that it has there; new
// ones have the key that such a worker would give them; what is none is passed over.
func TestPositionsOfOthers(t *testing.T) {
	node := weirtest.Start(t, weirtest.Topic("offsets", 1))
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.DefaultProduceTopic("offsets"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	theirs := `["c",{"table":"t","protocol":"1","server":"s"}]`
	if err := client.ProduceSync(t.Context(), kgo.KeySliceRecord([]byte(theirs), []byte(`{"incrementing":41}`)), kgo.KeySliceRecord([]byte("{}"), []byte("nonsense")),
		kgo.KeySliceRecord([]byte(`["gone",{"a":1}]`), []byte(`null`))).FirstErr(); err != nil {
		t.Fatal(err)
	}
	o := NewTopicOffsets("offsets", []kgo.Opt{kgo.SeedBrokers(node.Addr())}, func(context.Context, *kadm.Client) error { return nil })
	defer o.Close()
	got, err := o.Get(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]sdk.Position{position(map[string]any{"server": "s", "protocol": "1", "table": "t"}, map[string]any{"incrementing": int64(41)})}, got); diff != "" {
		t.Error(diff)
	}
	if err := o.Put(t.Context(), "c", []sdk.Position{position(map[string]any{"protocol": "1", "server": "s", "table": "t"}, map[string]any{"incrementing": int64(42)})}); err != nil {
		t.Fatal(err)
	}
	if err := o.Put(t.Context(), "d", []sdk.Position{position(map[string]any{"server": "dbserver", "database": "inventory"}, map[string]any{"lsn": int64(1)})}); err != nil {
		t.Fatal(err)
	}
	client.AddConsumeTopics("offsets")
	var keys []string
	for len(keys) < 5 {
		fetches := client.PollFetches(t.Context())
		for r := range fetches.RecordsAll() {
			keys = append(keys, string(r.Key))
		}
	}
	want := []string{theirs, `["d",{"server":"dbserver","database":"inventory"}]`}
	if diff := cmp.Diff(want, keys[3:]); diff != "" {
		t.Errorf("keys differ from those of Kafka's workers:\n%s", diff)
	}
}

// TestForeignFile: a file that is not one of positions is told of, and not overwritten.
func TestForeignFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "offsets")
	foreign := []byte("\xac\xed\x00\x05sr")
	if err := os.WriteFile(path, foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	o := NewFileOffsets(path)
	_, err := o.Get(t.Context(), "c")
	if sdk.CauseOf(err) != sdk.Configuration {
		t.Errorf("it is read: %v", err)
	}
	if err := o.Put(t.Context(), "c", []sdk.Position{position(map[string]any{"a": 1}, map[string]any{"b": 1})}); err == nil {
		t.Error("it is written")
	}
	if b, _ := os.ReadFile(path); !slices.Equal(b, foreign) {
		t.Error("it was changed")
	}
}

// TestJavaOrder: names come as a java.util.HashMap has them; the orders are Java's.
func TestJavaOrder(t *testing.T) {
	for _, want := range [][]string{
		{"server"},
		{"server", "database"},
		{"protocol", "table"},
		{"kafka_partition", "kafka_topic"},
	} {
		m := map[string]any{}
		for _, k := range want {
			m[k] = nil
		}
		if got := javaOrder(slices.Sorted(maps.Keys(m))); !slices.Equal(got, want) {
			t.Errorf("%v, not %v", got, want)
		}
	}
}
