package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// smallDisk mounts a file system in memory of some MiB, and gives its folder and how to change its size.
func smallDisk(t *testing.T, size int) (dir string, resize func(size int)) {
	t.Helper()
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", size), "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("needs the right to mount a tmpfs, as root on Linux has it: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("unmounting: %v: %s", err, out)
		}
	})
	return dir, func(size int) {
		t.Helper()
		if out, err := exec.Command("mount", "-o", fmt.Sprintf("remount,size=%dm", size), dir).CombinedOutput(); err != nil {
			t.Fatalf("resizing: %v: %s", err, out)
		}
	}
}

// fillUp leaves no byte free, and gives how to undo that.
func fillUp(t *testing.T, dir string) (undo func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullDisk fills a real disk: producers are refused with KAFKA_STORAGE_ERROR, readers are served, and when there is space
// again, because the disk was made larger or retention came, everything goes on by itself with all that was acknowledged.
func TestFullDisk(t *testing.T) {
	if external != "" {
		t.Skip("needs a node of its own")
	}
	alone(t, "of several, another one leads when a disk is full")
	dir, resize := smallDisk(t, 16)
	n := startIn(t, dir, "log.retention.check.interval.ms=100", "offsets.topic.num.partitions=1", "offsets.topic.segment.bytes=1048576")
	to := n.newTopic(1, "segment.bytes=1048576")
	acked := map[int64]string{}
	sent := 0
	produce := func() int16 {
		t.Helper()
		value := fmt.Sprintf("%d %0100000d", sent, sent)
		sent++
		req := produceRequest(to.name, -1, batch(value))
		req.TimeoutMillis = 200
		got := mustAsk[*kmsg.ProduceResponse](n, req, 9).Topics[0].Partitions[0]
		if got.ErrorCode == 0 {
			acked[got.BaseOffset] = value
		}
		return got.ErrorCode
	}
	const timedOut, storageError = 7, 56
	fill := func() {
		t.Helper()
		until(t, "a producer is refused for lack of space", func() bool {
			code := produce()
			if code != 0 && code != storageError && code != timedOut { // the first one waits for space
				t.Fatalf("a full disk is answered with %s", describe(code, nil))
			}
			return code == storageError
		})
	}
	check := func() {
		t.Helper()
		start := to.listOffset(0, -2).Offset
		want := 0
		for offset := range acked {
			if offset >= start {
				want++
			}
		}
		there := map[int64]string{}
		for _, r := range n.consume(to.name, int(to.listOffset(0, -1).Offset-start)) {
			there[r.Offset] = string(r.Value)
		}
		for offset, value := range acked {
			if offset >= start && there[offset] != value {
				t.Errorf("the record that was acknowledged at %d is not there", offset)
			}
		}
		t.Logf("%d of %d acknowledged records are after the log's start", want, len(acked))
	}

	fill()
	check()
	readers := nobody(n, n.newGroup(), to.name)
	wants(t, "committing", readers.commit(5), 0) // there is room for something small
	fillUp(t, dir)
	created := make(chan error, 1)
	go func() {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = 10_000
		req.Topics = append(req.Topics, wantTopic("late", 2))
		req.SetVersion(7)
		_, err := n.ask(req)
		created <- err
	}()
	check()
	resize(32)
	until(t, "producing goes on on a larger disk", func() bool { return produce() == 0 })
	until(t, "committing goes on", func() bool { return readers.commit(6) == 0 })
	if got := n.committed(readers.group, to.name); got != 6 {
		t.Errorf("the group is at %d", got)
	}
	if err := <-created; err != nil {
		t.Error(err)
	}
	late := n.client(kgo.DefaultProduceTopic("late"))
	if err := late.ProduceSync(ctx(t), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Errorf("the topic that was made on a full disk: %v", err)
	}
	check()

	fill()
	undo := fillUp(t, dir)
	wants(t, "producing without a byte left", produce(), storageError)
	undo()
	limit := "4000000"
	until(t, "retention is shortened", func() bool { return n.alter(2, to.name, change{"retention.bytes", 0, &limit}).ErrorCode == 0 })
	until(t, "retention made room", func() bool { return produce() == 0 })
	check()
	n.kill()
	n.start()
	check()
	wants(t, "producing after a start", produce(), 0)
	if err := n.stop(); err != nil {
		t.Error(err)
	}
}
