package node

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"golang.org/x/sys/unix"

	"github.com/weir/weir/internal/vfs"
)

// fetchOnce asks once for a topic's first partition from its start, and gives the partition of the answer.
func fetchOnce(t *testing.T, c *kgo.Client, topic string) kmsg.FetchResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.MinBytes, req.SessionEpoch = 1<<20, 0, -1
	one, part := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	one.Topic, part.PartitionMaxBytes = topic, 1<<20
	one.Partitions = append(one.Partitions, part)
	req.Topics = append(req.Topics, one)
	resp, err := req.RequestWith(timeout(t), c)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Topics[0].Partitions[0]
}

// TestFailedReadIsTold: what cannot be read is answered with KAFKA_STORAGE_ERROR, other partitions are served, and it is read when it can be.
func TestFailedReadIsTold(t *testing.T) {
	disk := vfs.NewFaults(vfs.NewMem())
	n, out := mustStart(t, disk)
	c := client(t, n, kgo.MaxVersions(kversion.V3_0_0()))
	for _, topic := range []string{"t", "other"} {
		if err := c.ProduceSync(timeout(t), &kgo.Record{Topic: topic, Value: []byte("well")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	disk.Inject(vfs.Fault{Kind: "read", Name: "/t-0/", Err: unix.EIO})
	if got := fetchOnce(t, c, "t"); got.ErrorCode != kerr.KafkaStorageError.Code || len(got.RecordBatches) > 0 {
		t.Errorf("a failed read is answered with error %d and %d bytes", got.ErrorCode, len(got.RecordBatches))
	}
	if !strings.Contains(out.String(), "reading failed") {
		t.Errorf("the log does not tell of it:\n%s", out)
	}
	if got := fetchOnce(t, c, "other"); got.ErrorCode != 0 || len(got.RecordBatches) == 0 {
		t.Errorf("the other topic: error %d", got.ErrorCode)
	}
	disk.Heal()
	if got := fetchOnce(t, c, "t"); got.ErrorCode != 0 || len(got.RecordBatches) == 0 {
		t.Errorf("when the disk is well again: error %d", got.ErrorCode)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestDamageFoundAtStart: a partition that cannot be opened is offline, the others serve, and the log names the file.
func TestDamageFoundAtStart(t *testing.T) {
	disk := vfs.NewMem()
	n, _ := mustStart(t, disk)
	c := client(t, n)
	for _, topic := range []string{"t", "other"} {
		if err := c.ProduceSync(timeout(t), &kgo.Record{Topic: topic, Value: []byte("well")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	const name = "/data/t-0/00000000000000000000.log"
	f, err := disk.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(40), f.Close()); err != nil { // shorter than what the checkpoint covers
		t.Fatal(err)
	}
	n, out := mustStart(t, disk)
	c = client(t, n, kgo.MaxVersions(kversion.V3_0_0()), kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
	if got := fetchOnce(t, c, "t"); got.ErrorCode != kerr.KafkaStorageError.Code {
		t.Errorf("reading: error %d", got.ErrorCode)
	}
	if err := produce(t, c, "more"); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("writing: %v", err)
	}
	if got := fetchOnce(t, c, "other"); got.ErrorCode != 0 || len(got.RecordBatches) == 0 {
		t.Errorf("the other topic: error %d", got.ErrorCode)
	}
	if !strings.Contains(out.String(), name) {
		t.Errorf("the log does not name the file:\n%s", out)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestReadMeetsDeletion: a topic that is deleted while it is read is gone, and that is no failed read.
func TestReadMeetsDeletion(t *testing.T) {
	base := vfs.NewMem()
	disk := vfs.NewFaults(base)
	n, _ := mustStart(t, disk)
	c := client(t, n)
	for range 3 { // each in a segment of its own
		if err := produce(t, c, strings.Repeat("x", 100)); err != nil {
			t.Fatal(err)
		}
		p, err := n.set.Lookup("t", 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Roll(); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	n, out := mustStart(t, disk) // the sealed segments are not open yet
	c = client(t, n, kgo.MaxVersions(kversion.V3_0_0()))
	deleted := make(chan error, 1)
	disk.Inject(vfs.Fault{Kind: "open", Name: "/t-0/00000000000000000000.log", Times: 1, Before: func(vfs.Op) {
		go func() {
			_, err := kadm.NewClient(c).DeleteTopic(timeout(t), "t")
			deleted <- err
		}()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			if names, _ := base.List("/data"); !slices.Contains(names, "t-0") {
				break
			}
			<-time.After(time.Millisecond)
		}
	}})
	if got := fetchOnce(t, c, "t"); got.ErrorCode != kerr.NotLeaderForPartition.Code {
		t.Errorf("reading what is deleted meanwhile is answered with %d", got.ErrorCode)
	}
	if err := <-deleted; err != nil {
		t.Error(err)
	}
	if strings.Contains(out.String(), "level=ERROR") {
		t.Errorf("the log:\n%s", out)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
}
