package test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestBehaviour126RetentionBySize: the oldest segments go, and what is kept is never less than the limit.
func TestBehaviour126RetentionBySize(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1, "segment.bytes=1048576", "retention.bytes=2097152")
	c := n.client(kgo.DefaultProduceTopic(to.name), kgo.ProducerBatchMaxBytes(100_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for range 100 {
		c.Produce(ctx(t), &kgo.Record{Value: bytes.Repeat([]byte{'x'}, 90_000)}, nil)
	}
	if err := c.Flush(ctx(t)); err != nil {
		t.Fatal(err)
	}
	// Each batch has 90 kB: 2 MiB are 23 of them, a segment holds 11.
	until(t, "the oldest are gone", func() bool { return to.listOffset(0, -2).Offset > 60 })
	first := to.listOffset(0, -2).Offset
	if first > 100-23 || first%11 != 0 {
		t.Errorf("the log starts at %d", first)
	}
	if got := to.fetch(first - 1); got.ErrorCode != 1 {
		t.Errorf("before the start: %s", describe(got.ErrorCode, nil))
	}
	if got := n.consume(to.name, 10); got[0].Offset != first {
		t.Errorf("the first record is %d, not %d", got[0].Offset, first)
	}
	to.mustEnd(100)
}

func TestBehaviour126RetentionOverCrashes(t *testing.T) {
	n := start(t, "log.retention.check.interval.ms=20")
	to := n.newTopic(1, "segment.bytes=1048576", "retention.bytes=1048576")
	large := batch(fmt.Sprintf("%0300000d", 0))
	for i := range int64(20) {
		to.mustProduce(large, i)
	}
	until(t, "the oldest are gone", func() bool { return to.listOffset(0, -2).Offset > 10 })
	first := to.listOffset(0, -2).Offset
	n.kill()
	n.start()
	if got := to.listOffset(0, -2).Offset; got < first {
		t.Errorf("after a crash the log starts at %d, before it was %d", got, first)
	}
	to.mustEnd(20)
	to.mustProduce(batch("x"), 20)
}

// TestBehaviour126RetentionByTime: what is too old goes, even if it is all there is; one young record keeps its segment.
func TestBehaviour126RetentionByTime(t *testing.T) {
	n := shared(t)
	kept := []topic{
		n.newTopic(1, "retention.ms=-1"), n.newTopic(1, "retention.ms=3600000"), n.newTopic(1, "retention.ms=3600000", "cleanup.policy=compact"),
	}
	old := []rec{{key: []byte("a"), at: -2 * time.Hour}, {key: []byte("b"), at: -90 * time.Minute}}
	for _, to := range kept {
		to.mustProduce(makeBatch(append(old, rec{key: []byte("c"), at: -time.Minute})), 0)
	}
	both := n.newTopic(1, "retention.ms=3600000", "cleanup.policy=compact,delete")
	gone := n.newTopic(1, "retention.ms=3600000")
	for _, to := range []topic{both, gone} {
		to.mustProduce(makeBatch(old), 0)
		until(t, "what is too old is gone", func() bool { return to.listOffset(0, -2).Offset == 2 })
		to.mustEnd(2)
		if got := to.listOffset(0, 0); got.Offset != -1 {
			t.Errorf("found by time: %+v", got)
		}
		to.mustProduce(makeBatch([]rec{{key: []byte("c")}}), 2)
	}
	for i, to := range kept {
		if got := to.listOffset(0, -2); got.Offset != 0 {
			t.Errorf("topic %d starts at %d", i, got.Offset)
		}
	}
	// A shorter time takes effect at once.
	if got := n.alter(topicResource, kept[1].name, change{"retention.ms", 0, value("1000")}); got.ErrorCode != 0 {
		t.Fatal(describe(got.ErrorCode, got.ErrorMessage))
	}
	until(t, "the rest is too old as well", func() bool { return kept[1].listOffset(0, -2).Offset == 3 })
}

// TestBehaviour127TornTail: what a crash leaves half-written at the end is cut off, and lost indexes are made again.
func TestBehaviour127TornTail(t *testing.T) {
	whole := batch("the last of all")
	for name, tail := range map[string][]byte{
		"zeros":        make([]byte, 5000),
		"noise":        bytes.Repeat([]byte{0x5a, 0xa5, 0x00, 0x17}, 1000),
		"half a batch": whole[:len(whole)/2],
		"a few bytes":  {0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t)
			to := n.newTopic(1, "segment.bytes=1048576")
			for i := range int64(5) {
				to.mustProduce(batch(fmt.Sprintf("%0500000d", i)), i) // over several segments
			}
			to.mustProduce(sequenced(n.producerID(), 0, 0, "a", "b"), 5)
			n.kill()
			folder := filepath.Join(n.dir, to.name+"-0")
			logs, err := filepath.Glob(filepath.Join(folder, "*.log"))
			if err != nil || len(logs) < 2 {
				t.Fatalf("%v %v", logs, err)
			}
			f, err := os.OpenFile(logs[len(logs)-1], os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(tail); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			indexes, err := filepath.Glob(filepath.Join(folder, "*.index"))
			if err != nil || len(indexes) == 0 {
				t.Fatalf("%v %v", indexes, err)
			}
			for _, file := range indexes {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
			n.start()
			to.mustEnd(7)
			for i, r := range n.consume(to.name, 7) {
				if r.Offset != int64(i) {
					t.Errorf("record %d has offset %d", i, r.Offset)
				}
			}
			if got := to.listOffset(0, time.Now().Add(-time.Hour).UnixMilli()); got.Offset != 0 {
				t.Errorf("the first by time: %+v", got)
			}
			if got := batches(t, to.fetch(3).RecordBatches); len(got) == 0 || got[0].FirstOffset != 3 {
				t.Errorf("from the middle: %+v", got)
			}
			to.mustProduce(batch("on and on"), 7)
		})
	}
}
