package partition

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"github.com/weir/weir/config"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
	"github.com/weir/weir/replication"
)

// rig is one partition on a disk, with the host that drives it.
type rig struct {
	t    *testing.T
	fs   vfs.FS
	host *replication.Host
	set  *Set
	p    *Partition
}

func newRig(t *testing.T, fs vfs.FS, topic map[string]string) *rig {
	t.Helper()
	return newRigWith(t, fs, topic, func(err error) { t.Error(err) })
}

// newRigWith makes a rig whose data directory may fail.
func newRigWith(t *testing.T, fs vfs.FS, topic map[string]string, fatal func(error)) *rig {
	t.Helper()
	if err := errors.Join(fs.MkdirAll("data"), fs.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, fs: fs}
	logger := slog.New(slog.DiscardHandler)
	r.host, err = replication.NewHost(replication.HostConfig{FS: fs, Dir: "data", Self: replication.NodeOf(1, 0), Logger: logger, Fatal: fatal})
	if err != nil {
		t.Fatal(err)
	}
	r.set = NewSet(SetConfig{FS: fs, Dir: "data", Self: replication.NodeOf(1, 0), Host: r.host, Logger: logger, Now: time.Now,
		Leaders: NewLeaders(1), Relaxed: func() {},
		ProducerIdle: func() time.Duration { return time.Hour }})
	r.p, err = r.set.Open("t", [16]byte{1}, 0, []replication.NodeID{replication.NodeOf(1, 0)}, c.Topic(config.Layers{Resource: topic}))
	if err != nil {
		t.Fatal(err)
	}
	led := make(chan struct{}, 1)
	r.p.OnLeadership(func(l Leadership) {
		if l.Broker == 1 {
			select {
			case led <- struct{}{}:
			default:
			}
		}
	})
	select {
	case <-led:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody leads")
	}
	return r
}

func (r *rig) stop() {
	r.t.Helper()
	if err := errors.Join(r.set.ClosePartition(r.p), r.host.Stop()); err != nil {
		r.t.Fatal(err)
	}
}

// batch builds one of count records by a producer; id -1: none.
func batch(id int64, epoch int16, sequence int32, count int) []byte {
	opts := record.BuilderOptions{}
	if id >= 0 {
		opts.Producer = &record.Producer{ID: id, Epoch: epoch, Sequence: sequence}
	}
	b := record.NewBuilder(opts)
	for i := range count {
		b.Append(time.Now().UnixMilli(), []byte("k"), fmt.Append(nil, i))
	}
	return b.Build()
}

// loan is memory that is lent.
type loan struct {
	users atomic.Int32
	ended chan struct{}
}

func (l *loan) Retain() { l.users.Add(1) }

func (l *loan) Release() {
	if l.users.Add(-1) == 0 {
		close(l.ended)
	}
}

func (l *loan) Size() int { return 0 }

func (r *rig) append(b []byte) AppendResult {
	r.t.Helper()
	done := make(chan AppendResult, 1)
	in := &loan{ended: make(chan struct{})}
	in.Retain()
	r.p.Append(b, func(res AppendResult) { done <- res }, in)
	in.Release()
	r.set.Settle(true)
	select {
	case res := <-done:
		<-in.ended
		return res
	case <-time.After(10 * time.Second):
		r.t.Fatal("no answer")
		return AppendResult{}
	}
}

func TestB027And028Idempotence(t *testing.T) {
	r := newRig(t, vfs.NewMem(), nil)
	for i := range 7 {
		if res := r.append(batch(9, 0, int32(2*i), 2)); res.Err != nil || res.BaseOffset != int64(2*i) {
			t.Fatalf("batch %d: %+v", i, res)
		}
	}
	check := func(what string, b []byte, want error, offset int64) {
		t.Helper()
		end := r.p.LogEnd()
		res := r.append(b)
		if !errors.Is(res.Err, want) && (res.Err != nil || want != nil) || res.BaseOffset != offset {
			t.Errorf("%s: %+v, want offset %d, error %v", what, res, offset, want)
		}
		if want != nil && r.p.LogEnd() != end {
			t.Errorf("%s: refused, and yet appended", what)
		}
	}
	for i := 2; i < 7; i++ {
		check(fmt.Sprintf("repeat of batch %d", i), batch(9, 0, int32(2*i), 2), nil, int64(2*i))
	}
	if r.p.LogEnd() != 14 {
		t.Fatalf("repeats were appended: end %d", r.p.LogEnd())
	}
	check("repeat beyond the last five", batch(9, 0, 2, 2), kerr.OutOfOrderSequenceNumber, -1)
	check("gap", batch(9, 0, 16, 1), kerr.OutOfOrderSequenceNumber, -1)
	check("new epoch not from 0", batch(9, 1, 14, 1), kerr.OutOfOrderSequenceNumber, -1)
	check("new epoch", batch(9, 1, 0, 1), nil, 14)
	check("old epoch", batch(9, 0, 14, 1), kerr.InvalidProducerEpoch, -1)
	check("unknown producer", batch(10, 3, 77, 1), nil, 15)
	check("next in line", batch(9, 1, 1, 1), nil, 16)
	r.stop()

	// The state is the same after a clean stop and after a crash.
	for name, fs := range map[string]vfs.FS{"stopped": r.fs, "crashed": r.fs.(*vfs.Mem).CrashClone(nil)} {
		r = newRig(t, fs, nil)
		check(name+": repeat", batch(9, 1, 1, 1), nil, 16)
		check(name+": gap", batch(9, 1, 3, 1), kerr.OutOfOrderSequenceNumber, -1)
		check(name+": old epoch", batch(9, 0, 14, 1), kerr.InvalidProducerEpoch, -1)
		r.stop()
	}
}

func TestSequenceWraps(t *testing.T) {
	r := newRig(t, vfs.NewMem(), nil)
	defer r.stop()
	for i, sequence := range []int32{math.MaxInt32 - 1, 1, 3} { // the first batch has MaxInt32-1, MaxInt32 and 0
		n := 2
		if i == 0 {
			n = 3
		}
		if res := r.append(batch(1, 0, sequence, n)); res.Err != nil {
			t.Fatalf("sequence %d: %v", sequence, res.Err)
		}
	}
}

// TestProducersSurviveSnapshots compares the state after a snapshot at a random place and replay with the state itself.
func TestProducersSurviveSnapshots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := func() int64 { return 1 }
		live := newProducers(now)
		var log []record.Header
		offset := int64(0)
		next := map[int64]int32{}
		for range rapid.IntRange(1, 40).Draw(t, "batches") {
			id := rapid.Int64Range(0, 3).Draw(t, "id")
			count := rapid.Int32Range(1, 3).Draw(t, "count")
			h := record.Header{BaseOffset: offset, LastOffsetDelta: count - 1, ProducerID: id, BaseSequence: next[id]}
			next[id] += count
			offset = h.NextOffset()
			live.add(h)
			log = append(log, h)
		}
		// What a checkpoint covers may be behind what is known already, by as many batches as can be in flight.
		cut := max(0, len(log)-rapid.IntRange(0, 5).Draw(t, "behind"))
		at := offset
		if cut < len(log) {
			at = log[cut].BaseOffset
		}
		restored := newProducers(now)
		if err := restored.Restore(live.Snapshot(at)); err != nil {
			t.Fatal(err)
		}
		for id, p := range restored.byID {
			if p.last().lastOffset >= at {
				t.Fatalf("producer %d has a batch above the snapshot's offset", id)
			}
		}
		for _, h := range log[cut:] {
			restored.Replay(h)
		}
		for id, want := range live.byID {
			got := restored.byID[id]
			if got == nil || got.epoch != want.epoch || got.last() != want.last() {
				t.Fatalf("producer %d: got %+v, want %+v", id, got, want)
			}
		}
	})
}

func TestDamagedSnapshotIsRefused(t *testing.T) {
	p := newProducers(func() int64 { return 1 })
	p.add(record.Header{ProducerID: 1, BaseSequence: 0})
	b := p.Snapshot(10)
	for n := range b {
		if err := p.Restore(b[:n]); err == nil && n != 0 {
			t.Fatalf("%d of %d bytes are accepted", n, len(b))
		}
	}
}

func TestB054Reading(t *testing.T) {
	r := newRig(t, vfs.NewMem(), nil)
	defer r.stop()
	r.append(batch(-1, 0, 0, 5))
	r.append(batch(-1, 0, 0, 5))
	epoch, _ := r.p.Leads()
	read := func(offset int64, epoch int32) (ReadResult, error) {
		return r.p.Read(ReadRequest{Offset: offset, MaxBytes: 1 << 20, MinOne: true, LeaderEpoch: epoch, LastFetchedEpoch: -1})
	}
	for offset, want := range map[int64]error{0: nil, 3: nil, 10: nil, 11: kerr.OffsetOutOfRange, -1: kerr.OffsetOutOfRange} {
		res, err := read(offset, -1)
		if !errors.Is(err, want) && (err != nil || want != nil) {
			t.Errorf("offset %d: %v, want %v", offset, err, want)
		}
		if err == nil && (res.HighWatermark != 10 || (res.Data.Size() == 0) != (offset == 10)) {
			t.Errorf("offset %d: %+v", offset, res)
		}
		res.Data.Release()
	}
	if _, err := read(0, epoch-1); !errors.Is(err, kerr.FencedLeaderEpoch) {
		t.Errorf("B060 older epoch: %v", err)
	}
	if _, err := read(0, epoch+1); !errors.Is(err, kerr.UnknownLeaderEpoch) {
		t.Errorf("B060 newer epoch: %v", err)
	}
	if got := r.p.EpochEnd(epoch + 1); got.Epoch != -1 || got.Offset != -1 {
		t.Errorf("B069 newer epoch ends at %+v", got)
	}
	if got := r.p.EpochEnd(epoch); got.Epoch != epoch || got.Offset != 10 {
		t.Errorf("B069 this epoch ends at %+v", got)
	}
}

func TestWaitersWake(t *testing.T) {
	r := newRig(t, vfs.NewMem(), nil)
	defer r.stop()
	w := NewWaiter()
	r.p.Watch(w)
	r.append(batch(-1, 0, 0, 1))
	select {
	case <-w.C:
	case <-time.After(10 * time.Second):
		t.Fatal("an append wakes nobody")
	}
	r.p.Unwatch(w)
	r.append(batch(-1, 0, 0, 1))
	select {
	case <-w.C:
		t.Fatal("woken after Unwatch")
	default:
	}
}

func TestTopicsWishes(t *testing.T) {
	r := newRig(t, vfs.NewMem(), map[string]string{"message.timestamp.type": "LogAppendTime", "compression.type": "zstd", "max.message.bytes": "2000"})
	defer r.stop()
	before := time.Now().UnixMilli()
	res := r.append(batch(-1, 0, 0, 20))
	if res.Err != nil || res.LogAppendTime < before {
		t.Fatalf("%+v", res)
	}
	read, err := r.p.Read(ReadRequest{MaxBytes: 1 << 20, MinOne: true, LeaderEpoch: -1, LastFetchedEpoch: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer read.Data.Release()
	b, err := read.Data.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	h, _ := record.ParseHeader(b)
	if !record.CheckCRC(b) || h.Codec() != record.Zstd || !h.LogAppendTime() || h.MaxTimestamp != res.LogAppendTime || h.NumRecords != 20 {
		t.Fatalf("B020 and B022: stored %+v", h)
	}
	if res := r.append(batch(-1, 0, 0, 500)); !errors.Is(res.Err, kerr.MessageTooLarge) {
		t.Fatalf("B014: %+v", res)
	}
}
