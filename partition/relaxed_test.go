package partition

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weir/weir/config"
	"github.com/weir/weir/internal/vfs"
)

// relaxedRig is a relaxed partition with several segments of which nothing was synced, and how many records they have.
func relaxedRig(t *testing.T) (r *rig, fs *vfs.Mem, count int64) {
	t.Helper()
	fs = vfs.NewMem()
	r = newRig(t, fs, map[string]string{"durability": "relaxed"})
	_ = r.p.group.Do(func() error { r.p.background = func(func()) {}; return nil }) // a checkpoint would sync
	for range 4 {
		if res := r.append(batch(-1, 0, 0, 3)); res.Err != nil {
			t.Fatal(res.Err)
		}
		if err := r.p.group.Do(r.p.log.Roll); err != nil {
			t.Fatal(err)
		}
	}
	if left := leastLeft(t, fs, 20); left == 12 {
		t.Fatal("nothing would be lost")
	}
	return r, fs, 12
}

// leastLeft gives the fewest records that a power failure now would leave.
func leastLeft(t *testing.T, fs *vfs.Mem, seeds uint64) int64 {
	t.Helper()
	least := int64(1 << 40)
	for seed := range seeds {
		after := newRig(t, fs.CrashClone(rand.New(rand.NewPCG(seed, 7))), nil)
		least = min(least, after.p.LogEnd())
		after.stop()
	}
	return least
}

func (r *rig) configure(durability string) {
	c, _, err := config.Load(config.Sources{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.p.SetConfig(c.Topic(config.Layers{Resource: map[string]string{"durability": durability}}))
}

func (r *rig) isRelaxed() (yes bool) {
	_ = r.p.group.Do(func() error { yes = r.p.log.Relaxed(); return nil })
	return yes
}

// TestFirstSyncedAckCoversAll: when a relaxed topic is to be synced, the first record that is acknowledged then makes durable what came
// before, over all segments.
func TestFirstSyncedAckCoversAll(t *testing.T) {
	r, fs, count := relaxedRig(t)
	defer r.stop()
	r.configure("fsync")
	if res := r.append(batch(-1, 0, 0, 1)); res.Err != nil {
		t.Fatal(res.Err)
	}
	if left := leastLeft(t, fs, 20); left != count+1 {
		t.Errorf("%d of %d records are left", left, count+1)
	}
}

// TestSwitchedPartitionSettles: what a topic acknowledged while it was relaxed becomes durable soon when it is to be synced, also if
// nothing more is written, and only then it counts as one that loses nothing.
func TestSwitchedPartitionSettles(t *testing.T) {
	r, fs, count := relaxedRig(t)
	defer r.stop()
	for range 3 {
		r.configure("fsync")
		r.configure("relaxed")
	}
	if !r.isRelaxed() {
		t.Fatal("it is relaxed, and that is not noted")
	}
	r.configure("fsync")
	for end := time.Now().Add(10 * time.Second); r.isRelaxed(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it still counts as relaxed")
		}
	}
	if left := leastLeft(t, fs, 20); left != count {
		t.Errorf("%d of %d records are left", left, count)
	}
}

// TestCleanStopSyncsRelaxed: a partition that was closed loses nothing any more.
func TestCleanStopSyncsRelaxed(t *testing.T) {
	r, fs, count := relaxedRig(t)
	r.stop()
	if left := leastLeft(t, fs, 20); left != count {
		t.Errorf("%d of %d records are left", left, count)
	}
}
