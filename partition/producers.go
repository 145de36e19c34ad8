package partition

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/record"
)

// batchesKept is how many of a producer's newest batches are remembered to recognise repeats. A producer has at most as
// many requests in flight (KIP-98).
const batchesKept = 5

// appendedBatch is what is remembered of one batch.
type appendedBatch struct {
	firstSequence, lastSequence int32
	firstOffset, lastOffset     int64
	timestamp                   int64 // ms, the batch's max timestamp
}

// producer is the state of one producer id in one partition.
type producer struct {
	epoch   int16
	batches []appendedBatch // oldest first, at most batchesKept, at least one
	touched int64           // ms, clock of this node, for expiry
}

func (p *producer) last() appendedBatch { return p.batches[len(p.batches)-1] }

// producers is the state of all idempotent producers of a partition: a function of the log's batches. It belongs to the
// group's turn.
type producers struct {
	byID map[int64]*producer
	now  func() int64 // ms
}

func newProducers(now func() int64) *producers {
	return &producers{byID: map[int64]*producer{}, now: now}
}

// check decides over the next batch of a producer (surface 3.5). A repeat of a remembered batch answers that batch.
func (t *producers) check(h record.Header) (repeat *appendedBatch, err error) {
	p := t.byID[h.ProducerID]
	switch {
	case p == nil:
		return nil, nil // retention may have removed what was known, so any sequence is accepted
	case h.ProducerEpoch < p.epoch && bugs.EpochUnfenced:
		return nil, nil
	case h.ProducerEpoch < p.epoch:
		return nil, kerr.InvalidProducerEpoch
	case h.ProducerEpoch > p.epoch:
		if h.BaseSequence != 0 {
			return nil, kerr.OutOfOrderSequenceNumber
		}
		return nil, nil
	}
	if bugs.RepeatUnseen {
		return nil, nil
	}
	for i, b := range p.batches {
		if b.firstSequence == h.BaseSequence && b.lastSequence == h.LastSequence() {
			return &p.batches[i], nil
		}
	}
	if h.BaseSequence != nextSequence(p.last().lastSequence) {
		return nil, kerr.OutOfOrderSequenceNumber
	}
	return nil, nil
}

func nextSequence(s int32) int32 {
	if s == math.MaxInt32 {
		return 0
	}
	return s + 1
}

// add notes a batch that was appended. Batches that are known already are passed over, so that a state that is ahead of
// its snapshot's offset can be replayed over.
func (t *producers) add(h record.Header) {
	if !h.HasProducer() {
		return
	}
	p := t.byID[h.ProducerID]
	if p == nil {
		p = &producer{epoch: h.ProducerEpoch}
		t.byID[h.ProducerID] = p
	}
	if len(p.batches) > 0 && h.BaseOffset <= p.last().lastOffset {
		return
	}
	if h.ProducerEpoch != p.epoch {
		p.epoch, p.batches = h.ProducerEpoch, p.batches[:0]
	}
	if len(p.batches) == batchesKept {
		p.batches = append(p.batches[:0], p.batches[1:]...)
	}
	p.batches = append(p.batches, appendedBatch{
		firstSequence: h.BaseSequence, lastSequence: h.LastSequence(),
		firstOffset: h.BaseOffset, lastOffset: h.NextOffset() - 1, timestamp: h.MaxTimestamp,
	})
	p.touched = t.now()
}

// expire forgets producers that wrote nothing for maxIdle milliseconds.
func (t *producers) expire(maxIdle int64) {
	before := t.now() - maxIdle
	for id, p := range t.byID {
		if p.touched < before {
			delete(t.byID, id)
		}
	}
}

// A snapshot of producers, all big-endian:
//
//	version int8 = 1, count int32, then for each:
//	  id int64, epoch int16, batches int8, then for each:
//	    first and last sequence int32, first and last offset int64, timestamp int64
const (
	producersVersion = 1
	batchBytes       = 4 + 4 + 8 + 8 + 8
)

var errSnapshot = errors.New("snapshot of the producers is damaged")

// Snapshot implements log.State: the producers as of the batches below upTo.
func (t *producers) Snapshot(upTo int64) []byte {
	b := []byte{producersVersion, 0, 0, 0, 0}
	count := uint32(0)
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		p, n := t.byID[id], 0
		for n < len(p.batches) && p.batches[n].lastOffset < upTo {
			n++
		}
		if bugs.SnapshotLate {
			n--
		}
		if n <= 0 {
			continue
		}
		count++
		b = binary.BigEndian.AppendUint64(b, uint64(id))
		b = binary.BigEndian.AppendUint16(b, uint16(p.epoch))
		b = append(b, byte(n))
		for _, k := range p.batches[:n] {
			b = binary.BigEndian.AppendUint32(b, uint32(k.firstSequence))
			b = binary.BigEndian.AppendUint32(b, uint32(k.lastSequence))
			b = binary.BigEndian.AppendUint64(b, uint64(k.firstOffset))
			b = binary.BigEndian.AppendUint64(b, uint64(k.lastOffset))
			b = binary.BigEndian.AppendUint64(b, uint64(k.timestamp))
		}
	}
	binary.BigEndian.PutUint32(b[1:], count)
	return b
}

// Restore implements log.State.
func (t *producers) Restore(b []byte) error {
	clear(t.byID)
	if b == nil {
		return nil
	}
	if len(b) < 5 || b[0] != producersVersion {
		return errSnapshot
	}
	count := binary.BigEndian.Uint32(b[1:])
	b = b[5:]
	for range count {
		if len(b) < 11 {
			return errSnapshot
		}
		id, n := int64(binary.BigEndian.Uint64(b)), int(b[10])
		p := &producer{epoch: int16(binary.BigEndian.Uint16(b[8:])), touched: t.now()}
		b = b[11:]
		if n == 0 || n > batchesKept || len(b) < n*batchBytes {
			return errSnapshot
		}
		for range n {
			p.batches = append(p.batches, appendedBatch{
				firstSequence: int32(binary.BigEndian.Uint32(b)), lastSequence: int32(binary.BigEndian.Uint32(b[4:])),
				firstOffset: int64(binary.BigEndian.Uint64(b[8:])), lastOffset: int64(binary.BigEndian.Uint64(b[16:])),
				timestamp: int64(binary.BigEndian.Uint64(b[24:])),
			})
			b = b[batchBytes:]
		}
		t.byID[id] = p
	}
	if len(b) != 0 {
		return errSnapshot
	}
	return nil
}

// Replay implements log.State.
func (t *producers) Replay(h record.Header) { t.add(h) }
