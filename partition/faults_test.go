package partition

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sys/unix"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/replication"
)

// TestFullDiskBetweenBatches: of two batches that are written in one turn, the disk refuses the second for a while. Then both are
// there, and the producer of both is remembered.
func TestFullDiskBetweenBatches(t *testing.T) {
	disk := vfs.NewFaults(vfs.NewMem())
	r := newRig(t, disk, nil)
	defer r.stop()
	large := func(sequence int32) []byte { return batch(9, 0, sequence, 2000) } // each is written on its own
	answers := make(chan AppendResult, 2)
	err := r.p.group.Do(func() error { // so that both come into the next turn
		disk.Inject(vfs.Fault{Kind: "write", Name: ".log", After: 1, Times: 2, Err: unix.ENOSPC, Write: 100})
		for _, b := range [][]byte{large(0), large(2000)} {
			r.p.Append(b, func(res AppendResult) { answers <- res }, nil)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.set.Settle(false)
	for _, want := range []int64{0, 2000} {
		select {
		case res := <-answers:
			if res.Err != nil || res.BaseOffset != want {
				t.Fatalf("%+v, want offset %d", res, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no answer after space was freed")
		}
	}
	if got := r.host.Stats().Stalls.Value(); got != 2 {
		t.Errorf("%d writes were refused", got)
	}
	if res := r.append(large(2000)); res.Err != nil || res.BaseOffset != 2000 || r.p.LogEnd() != 4000 {
		t.Errorf("the second batch again: %+v; the log ends at %d", res, r.p.LogEnd())
	}
	if res := r.append(large(4000)); res.Err != nil || res.BaseOffset != 4000 {
		t.Errorf("the next batch: %+v", res)
	}
}

// TestFailedSyncOfACheckpoint: a sync that fails for lack of space has lost what it was for, as any other.
func TestFailedSyncOfACheckpoint(t *testing.T) {
	disk := vfs.NewFaults(vfs.NewMem())
	failed := make(chan error, 1)
	r := newRigWith(t, disk, nil, func(err error) { failed <- err })
	for i := range 3 {
		if res := r.append(batch(-1, 0, 0, 1)); res.Err != nil {
			t.Fatalf("batch %d: %v", i, res.Err)
		}
	}
	disk.Inject(vfs.Fault{Kind: "sync", Name: ".log", Times: 1, Err: unix.ENOSPC})
	deleted := make(chan error, 1)
	go func() {
		_, err := r.p.DeleteRecords(1)
		deleted <- err
	}()
	select {
	case err := <-failed:
		if !errors.Is(err, unix.ENOSPC) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the data directory is still trusted")
	}
	if res := r.append(batch(-1, 0, 0, 1)); !errors.Is(res.Err, kerr.KafkaStorageError) {
		t.Errorf("appending: %+v", res)
	}
	r.stop()
	if err := <-deleted; err == nil {
		t.Error("deleting records was acknowledged")
	}
}

// TestFailedMaintenance: a sync that fails while retention removes segments is final.
func TestFailedMaintenance(t *testing.T) {
	disk := vfs.NewFaults(vfs.NewMem())
	failed := make(chan error, 1)
	r := newRigWith(t, disk, map[string]string{"retention.bytes": "1"}, func(err error) { failed <- err })
	for range 2 {
		if res := r.append(batch(-1, 0, 0, 1)); res.Err != nil {
			t.Fatal(res.Err)
		}
		if err := r.p.Roll(); err != nil {
			t.Fatal(err)
		}
	}
	for r.p.checkpointing.Load() { // it syncs too, and would meet the fault
		time.Sleep(time.Millisecond)
	}
	disk.Inject(vfs.Fault{Kind: "sync", Name: ".log", Times: 1})
	if err := r.p.maintain(time.Now(), time.Hour); !errors.Is(err, unix.EIO) {
		t.Errorf("maintenance: %v", err)
	}
	select {
	case <-failed:
	case <-time.After(10 * time.Second):
		t.Fatal("the data directory is still trusted")
	}
	r.stop()
}

// TestReadMeetsRetention: what is removed while it is read is out of range, and no failed read.
func TestReadMeetsRetention(t *testing.T) {
	disk := vfs.NewFaults(vfs.NewMem())
	r := newRig(t, disk, nil)
	for range 2 {
		if res := r.append(batch(-1, 0, 0, 1)); res.Err != nil {
			t.Fatal(res.Err)
		}
		if err := r.p.Roll(); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	r = newRig(t, disk, nil) // whose segments are not open yet
	defer r.stop()
	deleted := make(chan error, 1)
	disk.Inject(vfs.Fault{Kind: "open", Name: "00000000000000000000.log", Times: 1, Err: fs.ErrNotExist, Before: func(vfs.Op) {
		go func() {
			_, err := r.p.DeleteRecords(1)
			deleted <- err
		}()
		for deadline := time.Now().Add(10 * time.Second); r.p.LogStart() == 0 && time.Now().Before(deadline); {
			<-time.After(time.Millisecond)
		}
	}})
	if _, err := r.p.Read(ReadRequest{MaxBytes: 1000, LeaderEpoch: -1, LastFetchedEpoch: -1}); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Errorf("reading: %v", err)
	}
	if err := <-deleted; err != nil {
		t.Error(err)
	}
}

// TestOpenOnAFullDisk: partitions that a full disk refuses are opened when they are asked for again, and others are not.
func TestOpenOnAFullDisk(t *testing.T) {
	for _, c := range []struct {
		err   error
		again bool
	}{{unix.ENOSPC, true}, {unix.EIO, false}} {
		h := &hosted{partitions: []*Partition{{}, nil}, errors: []error{nil, c.err}}
		s := &Set{cfg: SetConfig{Self: replication.NodeOf(1, 0)}, topics: map[string]*hosted{"t": h}}
		want := 1
		if c.again {
			want = 2
		}
		if got := s.missing(h, &cluster.Topic{Partitions: []cluster.Partition{{Replicas: []int32{1}}, {Replicas: []int32{1}}, {Replicas: []int32{2, 1}}, {Replicas: []int32{2}}}}); len(got) != want {
			t.Errorf("after %v, %v are opened", c.err, got)
		}
		if got := s.refused([]string{"t", "other"}); (len(got) == 1) != c.again {
			t.Errorf("after %v, %v are to be tried again", c.err, got)
		}
	}
}
