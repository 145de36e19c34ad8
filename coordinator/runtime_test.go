package coordinator

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir/weir/config"
	"github.com/weir/weir/coordinator/machine"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/record"
	"github.com/weir/weir/replication"
)

// counter is a machine that adds up numbers. It also answers with what is durable, and remembers timers.
type counter struct {
	sum     int
	alarm   time.Time
	waiting uint64
}

func (c *counter) Handle(now time.Time, id uint64, request any) machine.Effects {
	switch r := request.(type) {
	case int:
		sum := c.sum + r
		return machine.Effects{
			Records: []machine.Record{{Key: []byte("add"), Value: []byte(strconv.Itoa(r))}},
			Replies: []machine.Reply{{ID: id, Value: sum}},
		}
	case string: // so many records as the text has letters
		var e machine.Effects
		for range r {
			e.Records = append(e.Records, machine.Record{Key: make([]byte, 100_000), Value: []byte("1")})
		}
		e.Apart, e.Replies = true, []machine.Reply{{ID: id, Value: c.sum + len(r)}}
		return e
	case time.Duration: // answered when the time has passed
		c.alarm, c.waiting = now.Add(r), id
		return machine.Effects{}
	default:
		return machine.Effects{Replies: []machine.Reply{{ID: id, Value: c.sum}}}
	}
}

func (c *counter) Tick(time.Time) machine.Effects {
	c.alarm = time.Time{}
	return machine.Effects{Replies: []machine.Reply{{ID: c.waiting, Value: "rang"}}}
}

func (c *counter) Deadline() time.Time { return c.alarm }

func (c *counter) Replay(r machine.Record) error {
	n, err := strconv.Atoi(string(r.Value))
	if string(r.Key) == "set" {
		c.sum = 0
	}
	c.sum += n
	return err
}

func (c *counter) Snapshot() ([]machine.Record, bool) {
	return []machine.Record{{Key: []byte("set"), Value: []byte(strconv.Itoa(c.sum))}}, true
}

// rig is a runtime on a partition on a disk.
type rig struct {
	t       *testing.T
	host    *replication.Host
	set     *partition.Set
	p       *partition.Partition
	runtime *Runtime
}

func newRig(t *testing.T, fs vfs.FS) *rig { return newRigWith(t, fs, 4000) }

// newRigWith makes a rig that rewrites its log when that has grown by so many bytes.
func newRigWith(t *testing.T, fs vfs.FS, rewriteFloor int64) *rig {
	t.Helper()
	if err := errors.Join(fs.MkdirAll("data"), fs.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t}
	logger := slog.New(slog.DiscardHandler)
	r.host, err = replication.NewHost(replication.HostConfig{FS: fs, Dir: "data", Self: replication.NodeOf(1, 0), Logger: logger, Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	r.set = partition.NewSet(partition.SetConfig{FS: fs, Dir: "data", Self: replication.NodeOf(1, 0), Host: r.host, Logger: logger, Now: time.Now,
		Leaders: partition.NewLeaders(1)})
	if r.p, err = r.set.Open("counter", [16]byte{1}, 0, []replication.NodeID{replication.NodeOf(1, 0)}, c.Topic(config.Layers{})); err != nil {
		t.Fatal(err)
	}
	r.runtime = Start(Config{Partition: r.p, New: func() machine.Machine { return &counter{} }, Now: time.Now, Logger: logger, RewriteFloor: rewriteFloor})
	return r
}

func (r *rig) stop() {
	r.t.Helper()
	r.runtime.Stop()
	if err := errors.Join(r.set.ClosePartition(r.p), r.host.Stop()); err != nil {
		r.t.Fatal(err)
	}
}

type answer struct {
	value any
	err   error
}

func (r *rig) submit(request any) chan answer {
	out := make(chan answer, 1)
	r.runtime.Submit(request, func(v any, err error) { out <- answer{v, err} })
	return out
}

// ask submits until the machine is there.
func (r *rig) ask(request any) any {
	r.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		select {
		case a := <-r.submit(request):
			if a.err == nil {
				return a.value
			}
			if time.Now().After(deadline) {
				r.t.Fatal(a.err)
			}
			<-time.After(time.Millisecond)
		case <-time.After(10 * time.Second):
			r.t.Fatal("no answer")
		}
	}
}

func TestStateSurvivesStopsAndPowerCuts(t *testing.T) {
	disk := vfs.NewMem()
	r := newRig(t, disk)
	for i := 1; i <= 20; i++ {
		if got := r.ask(i); got != i*(i+1)/2 {
			t.Fatalf("after %d: %v", i, got)
		}
	}
	crashed := disk.CrashClone(nil)
	r.stop()
	for name, fs := range map[string]*vfs.Mem{"stopped": disk, "power cut": crashed} {
		r := newRig(t, fs)
		if got := r.ask(nil); got != 210 {
			t.Errorf("%s: %v", name, got)
		}
		r.stop()
	}
}

// TestTheLogStaysSmall adds far more than the log may grow by, with power cuts on the way.
func TestTheLogStaysSmall(t *testing.T) {
	disk := vfs.NewMem()
	sum := 0
	for range 3 {
		r := newRig(t, disk)
		for range 500 {
			sum++
			if got := r.ask(1); got != sum {
				t.Fatalf("%v, want %d", got, sum)
			}
		}
		deadline := time.Now().Add(10 * time.Second)
		for r.p.LogStart() == 0 || r.p.Size() > 20_000 {
			if time.Now().After(deadline) {
				t.Fatalf("the log begins at %d and has %d bytes", r.p.LogStart(), r.p.Size())
			}
			<-time.After(time.Millisecond)
		}
		crashed := disk.CrashClone(nil)
		r.stop()
		disk = crashed
	}
	r := newRig(t, disk)
	defer r.stop()
	if got := r.ask(nil); got != sum {
		t.Fatalf("%v, want %d", got, sum)
	}
}

// TestManyRecordsAreSeveralBatches: what may be apart is, and it is answered when all of it is in the log.
func TestManyRecordsAreSeveralBatches(t *testing.T) {
	disk := vfs.NewMem()
	r := newRigWith(t, disk, 1<<30)
	if got := r.ask(strings.Repeat("x", 20)); got != 20 {
		t.Fatal(got)
	}
	crashed := disk.CrashClone(nil)
	res, err := r.p.Read(partition.ReadRequest{MaxBytes: 1 << 30, LeaderEpoch: -1, LastFetchedEpoch: -1})
	if err != nil {
		t.Fatal(err)
	}
	run, err := res.Data.Bytes()
	res.Data.Release()
	if err != nil {
		t.Fatal(err)
	}
	batches := 0
	for batch := range record.Batches(run) {
		batches++
		if len(batch) > batchBytes+200_000 {
			t.Errorf("a batch has %d bytes", len(batch))
		}
	}
	if batches != 4 {
		t.Errorf("2 MB are %d batches", batches)
	}
	r.stop()
	r = newRig(t, crashed)
	defer r.stop()
	if got := r.ask(nil); got != 20 {
		t.Fatalf("after a power cut: %v", got)
	}
}

func TestTimersRing(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	defer r.stop()
	if got := r.ask(5 * time.Millisecond); got != "rang" {
		t.Fatal(got)
	}
}

// TestRepliesWaitForTheDisk blocks the disk: neither the write nor a read that has seen it is answered before it is durable.
func TestRepliesWaitForTheDisk(t *testing.T) {
	disk := vfs.NewFaults(vfs.NewMem())
	r := newRig(t, disk)
	defer r.stop()
	r.ask(1)
	disk.Limit(0)
	write, read := r.submit(2), r.submit(nil)
	select {
	case a := <-write:
		t.Fatalf("a write was answered with %+v while the disk was full", a)
	case a := <-read:
		t.Fatalf("a read of what is not durable was answered with %+v", a)
	case <-time.After(100 * time.Millisecond):
	}
	disk.Heal()
	for name, c := range map[string]chan answer{"write": write, "read": read} {
		select {
		case a := <-c:
			if a.err != nil || a.value != 3 {
				t.Fatalf("%s: %+v", name, a)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s is never answered", name)
		}
	}
}

// TestLostRecordsAreForgotten: when an append is refused, the machine has replayed what is not in the log; it is loaded again.
func TestLostRecordsAreForgotten(t *testing.T) {
	disk := vfs.NewFaults(vfs.NewMem())
	r := newRig(t, disk)
	defer r.stop()
	r.ask(1)
	disk.Limit(0)
	first := r.submit(2)                  // waits for space
	<-time.After(50 * time.Millisecond)   // until the group knows that the disk is full
	if a := <-r.submit(4); a.err == nil { // and this one is refused at once
		t.Fatalf("answered with %v", a.value)
	}
	if a := <-first; a.err == nil {
		t.Fatalf("answered with %v although its machine was thrown away", a.value)
	}
	disk.Heal()
	if got := r.ask(nil); got != 3 { // 1 and 2 are in the log, 4 is not
		t.Fatal(got)
	}
}

func TestDamagedLogIsNotServed(t *testing.T) {
	disk := vfs.NewMem()
	r := newRig(t, disk)
	r.ask(1)
	if a := <-r.submit(1); a.err != nil {
		t.Fatal(a.err)
	}
	r.stop()
	f, err := disk.OpenReadWrite("data/counter-0/00000000000000000000.log")
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	if _, err := f.WriteAt([]byte{0xff}, size-2); err != nil {
		t.Fatal(err)
	}
	r = newRig(t, disk)
	select {
	case <-r.runtime.Broken():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody notices")
	}
	if a := <-r.submit(nil); !errors.Is(a.err, ErrNotLeader) {
		t.Fatalf("%+v", a)
	}
	r.stop()
}

// TestPartitionForIsJavas compares with values that Kafka computed.
func TestPartitionForIsJavas(t *testing.T) {
	for id, hash := range map[string]int{"": 0, "a": 97, "group": 98629247} {
		if got := PartitionFor(id, 50); got != hash%50 {
			t.Errorf("%q: %d, want %d", id, got, hash%50)
		}
	}
	if got := PartitionFor("polygenelubricants", 50); got != 0 { // Integer.MIN_VALUE
		t.Errorf("a hash without an absolute value: %d", got)
	}
	seen := map[int]bool{}
	for i := range 1000 {
		p := PartitionFor(fmt.Sprint("group-", i), 50)
		if p < 0 || p >= 50 {
			t.Fatal(p)
		}
		seen[p] = true
	}
	if len(seen) < 45 {
		t.Errorf("only %d partitions are used", len(seen))
	}
}
