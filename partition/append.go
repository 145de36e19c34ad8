package partition

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/internal/stats"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
	"github.com/weir/weir/replication"
)

// AppendResult answers an append. Err is nil or has a *kerr.Error in its chain.
type AppendResult struct {
	BaseOffset    int64
	LastOffset    int64
	LogStart      int64
	LogAppendTime int64 // ms; -1 unless the topic's timestamps are the broker's
	Err           error
}

// appendRequest is an append on its way through the group.
type appendRequest struct {
	header        record.Header
	index         uint64
	logAppendTime int64
	repeats       []*appendRequest // repeats of this batch that came while it was not yet committed
	done          func(AppendResult)
	in            replication.Buffer // what the batch is in; nil: nobody else's memory
	stats         counted
	began         int64 // stats.Now of the append
	bytes         int   // that were proposed; 0: a repeat, or refused
	note          bool  // it is no batch
	here          bool  // it is answered when this node has it
}

func (p *Partition) newAppend(done func(AppendResult), in replication.Buffer) *appendRequest {
	return &appendRequest{done: done, in: in, logAppendTime: -1, stats: p.stats, began: stats.Now()}
}

func (r *appendRequest) finish(result AppendResult) {
	if r.note {
		r.done(result)
		return
	}
	records := 0
	if r.bytes > 0 && result.Err == nil {
		records = int(r.header.NumRecords)
		r.stats.all.CommitTime.Observe(stats.Now() - r.began)
	}
	r.stats.appended(r.bytes, records, result.Err)
	if result.Err != nil {
		result.BaseOffset, result.LastOffset, result.LogStart, result.LogAppendTime = -1, -1, -1, -1
	} else {
		result.LogAppendTime = r.logAppendTime
	}
	r.done(result)
	if r.in != nil {
		r.in.Release()
	}
}

// finishAll is finish for the append and its repeats.
func (r *appendRequest) finishAll(result AppendResult) {
	r.finish(result)
	for _, again := range r.repeats {
		again.finish(result)
	}
}

func (p *Partition) result(first, last int64) AppendResult {
	return AppendResult{BaseOffset: first, LastOffset: last, LogStart: p.log.StartOffset()}
}

// Append checks one batch from a client and appends it; Set.Settle must follow, once after several. done is called once, from another goroutine or before Append
// returns, when the batch is committed (on disk, unless the topic is relaxed) or refused; it must be quick, and the caller must hold no lock that it wants. in is
// what the bytes of batch are in, and is retained as long as they are needed; nil: they stay untouched for good.
func (p *Partition) Append(batch []byte, done func(AppendResult), in replication.Buffer) {
	p.append(batch, p.newAppend(done, in))
}

// AppendHere is Append that calls done as soon as this node has the batch on disk, or in the operating system if the topic is relaxed,
// whoever else has it: it is lost if this node is lost before others have it. The batches of idempotent producers wait for them.
func (p *Partition) AppendHere(batch []byte, done func(AppendResult), in replication.Buffer) {
	req := p.newAppend(done, in)
	req.here = true
	p.append(batch, req)
}

func (p *Partition) append(batch []byte, req *appendRequest) {
	if req.in != nil {
		req.in.Retain()
	}
	if _, ok := p.Leads(); !ok {
		req.finish(AppendResult{Err: kerr.NotLeaderForPartition})
		return
	}
	batch, err := p.admit(batch, req)
	if err != nil {
		req.finish(AppendResult{Err: err})
		return
	}
	p.group.ProposeHere(&replication.Proposal{Batch: batch, In: req.in, Context: req})
}

// AppendOwn appends a batch that this node built itself, and that stays untouched for good. done is never called before it returns, unless the partition is
// closed.
func (p *Partition) AppendOwn(batch []byte, done func(AppendResult)) {
	header, err := record.ParseHeader(batch)
	if err != nil {
		panic("BUG: own batch without a header")
	}
	req := p.newAppend(done, nil)
	req.header = header
	p.group.Propose(&replication.Proposal{Batch: batch, Context: req})
}

// noteStart tells all replicas the log's new start. done is called when this one has taken it.
func (p *Partition) noteStart(offset int64, done func(error)) {
	req := &appendRequest{note: true, done: func(res AppendResult) { done(res.Err) }}
	p.group.Propose(&replication.Proposal{Batch: binary.BigEndian.AppendUint64(nil, uint64(offset)), Note: true, Context: req})
}

// Noted implements replication.Replica: the log's start moves, on all replicas alike.
func (p *Partition) Noted(note []byte) {
	if len(note) != 8 {
		panic(fmt.Sprintf("BUG: %v: a note of %d bytes", p.ID, len(note)))
	}
	if offset := int64(binary.BigEndian.Uint64(note)); offset > p.log.StartOffset() {
		p.noted = p.setStart(offset)
		p.rollPassed()
	} else {
		p.noted = nil
	}
}

// passedBytes is how large the newest segment of a compacted log gets before it is closed because the log begins within it.
const passedBytes = 1 << 20

// rollPassed closes a segment whose beginning was let go. The log of a coordinator starts anew when it has been written anew, and
// only who leads knows beforehand; on the others the segment would stay until it is full. What fails is tried with the next start.
func (p *Partition) rollPassed() {
	if !p.Config().CleanupCompact() {
		return
	}
	if err := p.log.RollIfPassed(passedBytes); err != nil && !vfs.IsNoSpace(err) {
		p.group.Fail(fmt.Errorf("beginning a new segment of %s: %w", p, err))
	}
}

// appendError maps what the group answers to what clients understand.
func appendError(err error) error {
	switch {
	case errors.Is(err, replication.ErrStorage), errors.Is(err, replication.ErrFailed):
		return kerr.KafkaStorageError
	case errors.Is(err, replication.ErrNotLeader), errors.Is(err, replication.ErrClosed):
		return kerr.NotLeaderForPartition
	}
	return err
}
