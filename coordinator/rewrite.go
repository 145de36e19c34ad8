package coordinator

import (
	"github.com/weir/weir/coordinator/machine"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/record"
)

// A machine's log would grow for ever. When it has grown to several times what the machine knows, the machine writes all
// that it knows once more, at the log's end, and then the log begins there. It is what compaction is for, without reading
// anything, and a crash in between leaves a log that replays to the same state.
const (
	// rewriteFloor is how many bytes a log may grow by at least.
	rewriteFloor = 1 << 20
	// rewriteFactor is how many times the size of what the machine knows a log may grow by.
	rewriteFactor = 4
	// batchBytes is about how many bytes go into one batch of many.
	batchBytes = 512 << 10
)

// rewrite is one that is under way.
type rewrite struct {
	first int64 // offset of its first record
	left  int   // batches that are not committed
}

// grew counts bytes that the log has grown by, and starts a rewrite when it is due. Under mu.
func (r *Runtime) grew(bytes int64) {
	r.grown += bytes
	if r.rewriting != nil || r.machine == nil || r.grown < max(r.cfg.RewriteFloor, rewriteFactor*r.live) {
		return
	}
	w := &rewrite{first: -1}
	r.rewriting = w
	r.cfg.Background(func() { r.rewrite(w) })
}

func (r *Runtime) rewrite(w *rewrite) {
	err := r.cfg.Partition.Roll() // so that whole segments are left behind
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rewriting != w {
		return
	}
	r.grown = 0
	if err != nil {
		r.rewriteFailed(err)
		return
	}
	records, ok := r.machine.Snapshot()
	if !ok {
		r.cfg.Logger.Warn("a coordinator's log holds records that this version does not know; they are kept, and so the log grows", "partition", r.cfg.Partition.String())
		return // and rewriting stays set: it is not tried again
	}
	w.first = r.cfg.Partition.HighWatermark() // all before it is in the snapshot
	now := r.cfg.Now().UnixMilli()
	r.live = 0
	var batches [][]byte
	for len(records) > 0 {
		b := record.NewBuilder(record.BuilderOptions{})
		count := fitting(records)
		for _, rec := range records[:count] {
			b.Append(now, rec.Key, rec.Value)
		}
		records = records[count:]
		batches = append(batches, b.Build())
		r.live += int64(len(batches[len(batches)-1]))
	}
	w.left = len(batches)
	if w.left == 0 {
		r.cfg.Background(func() { r.trim(w) })
		return
	}
	for i, b := range batches {
		r.append(b, &effect{}, func(res partition.AppendResult) {
			if i == 0 {
				w.first = res.BaseOffset
			}
			if w.left--; w.left == 0 && r.rewriting == w {
				r.cfg.Background(func() { r.trim(w) })
			}
		})
	}
}

// trim lets the log begin with a rewrite that is committed.
func (r *Runtime) trim(w *rewrite) {
	err := r.cfg.Partition.Trim(w.first)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rewriting != w {
		return
	}
	r.rewriting = nil
	if err != nil {
		r.rewriteFailed(err)
		return
	}
	r.cfg.Logger.Debug("a coordinator's log was rewritten", "partition", r.cfg.Partition.String(), "start", w.first, "bytes", r.live)
	r.grew(0) // it may have grown enough meanwhile, and nothing more may come
}

func (r *Runtime) rewriteFailed(err error) {
	r.rewriting = nil
	r.cfg.Logger.Warn("a coordinator's log could not be rewritten; it is tried again when it has grown", "partition", r.cfg.Partition.String(), "error", err)
}

// fitting tells how many of some records go into the next batch.
func fitting(records []machine.Record) (count int) {
	for size := 0; count < len(records) && size < batchBytes; count++ {
		size += len(records[count].Key) + len(records[count].Value)
	}
	return count
}

// build makes one batch of records that were just proposed, and replays them.
func (r *Runtime) build(records []machine.Record) []byte {
	now := r.cfg.Now().UnixMilli()
	b := record.NewBuilder(record.BuilderOptions{})
	for _, rec := range records {
		b.Append(now, rec.Key, rec.Value)
		rec.Offset, rec.Timestamp = -1, now
		if err := r.machine.Replay(rec); err != nil {
			panic("BUG: " + r.cfg.Partition.String() + ": a proposed record cannot be replayed: " + err.Error())
		}
	}
	return b.Build()
}
