package partition

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/log"
)

// ReadRequest asks for records.
type ReadRequest struct {
	Offset   int64
	MaxBytes int
	// MinOne gives the first batch whole even if it is larger than MaxBytes (KIP-74).
	MinOne bool
	// LeaderEpoch is what the reader believes to be the leader epoch; -1: does not say.
	LeaderEpoch int32
	// LastFetchedEpoch is the epoch of the record before Offset, to detect a diverging log; -1: does not say.
	LastFetchedEpoch int32
	// AnyReplica reads what this replica knows to be committed, whoever leads.
	AnyReplica bool
	// Committed reads up to the last stable offset (isolation read_committed).
	Committed bool
}

// ReadResult answers a read. Whoever gets it must call Data.Release.
type ReadResult struct {
	Data          log.Data
	HighWatermark int64
	LastStable    int64
	LogStart      int64
	// Diverging is set when the reader's log parted from the leader's: it must cut back to this end of this epoch.
	Diverging *EpochEnd
}

// EpochEnd is where a leader epoch ends: the offset after its last record.
type EpochEnd struct {
	Epoch  int32
	Offset int64
}

// CheckEpoch compares what a client believes to be the leader epoch with what is (KIP-320), and that this node leads.
func (p *Partition) CheckEpoch(believed int32) error {
	epoch, leads := p.Leads()
	switch {
	case believed >= 0 && believed < epoch:
		return kerr.FencedLeaderEpoch
	case believed > epoch:
		return kerr.UnknownLeaderEpoch
	case !leads:
		return kerr.NotLeaderForPartition
	}
	return nil
}

// Read gives the batches from an offset on. Errors are Kafka's.
func (p *Partition) Read(r ReadRequest) (ReadResult, error) {
	if err := p.CheckEpoch(r.LeaderEpoch); err != nil && !(r.AnyReplica && errors.Is(err, kerr.NotLeaderForPartition)) {
		return ReadResult{}, err
	}
	high := p.high.Load()
	result := ReadResult{HighWatermark: high, LastStable: p.LastStable(), LogStart: p.log.StartOffset()}
	if r.LastFetchedEpoch >= 0 {
		epoch, end := p.log.EpochEnd(r.LastFetchedEpoch)
		if epoch < 0 {
			return result, kerr.OffsetOutOfRange // an epoch that never was: nobody knows what the reader has
		}
		if epoch < r.LastFetchedEpoch || end < r.Offset {
			result.Diverging = &EpochEnd{Epoch: epoch, Offset: end}
			return result, nil
		}
	}
	limit := high
	if r.Committed {
		limit = result.LastStable
	}
	if bugs.ReadAhead {
		limit = p.log.EndOffset()
	}
	data, err := p.log.Read(r.Offset, r.MaxBytes, limit, r.MinOne)
	if err != nil {
		if p.LogStart() > result.LogStart {
			return p.Read(r) // retention took what was to be read
		}
		return result, p.readError(err)
	}
	result.Data = data
	return result, nil
}

// readError maps what the log answers to what clients understand, and tells the operator of damage.
func (p *Partition) readError(err error) error {
	var outside *log.OutOfRangeError
	if errors.As(err, &outside) {
		return kerr.OffsetOutOfRange
	}
	var corrupt *log.CorruptError
	damaged := errors.As(err, &corrupt) && !p.closed.Load()
	if _, leads := p.Leads(); !leads {
		if damaged && p.repairable() {
			return fmt.Errorf("%w: %w", kerr.NotLeaderForPartition, ErrDamaged)
		}
		return kerr.NotLeaderForPartition // it was closed meanwhile, as when its topic is deleted
	}
	if damaged {
		p.logger.Error("a damaged batch is not served", "partition", p.String(), "error", err)
		if p.repairable() {
			return fmt.Errorf("%w: %w", kerr.CorruptMessage, ErrDamaged)
		}
		return kerr.CorruptMessage
	}
	p.logger.Error("reading failed", "partition", p.String(), "error", err)
	return kerr.KafkaStorageError
}

// TimedOffset is a record found by its time.
type TimedOffset struct {
	Offset    int64 // -1: none
	Timestamp int64 // ms; -1: none
	Epoch     int32 // -1: none
}

// OffsetForTime finds the first record that is not older than ts (ms).
func (p *Partition) OffsetForTime(ts int64, committed bool) (TimedOffset, error) {
	return p.find(committed, func(limit int64) (int64, int64, int32, bool, error) { return p.log.OffsetForTime(ts, limit) })
}

// MaxTimestamp finds the first record with the newest time.
func (p *Partition) MaxTimestamp(committed bool) (TimedOffset, error) {
	return p.find(committed, p.log.MaxTimestamp)
}

// find looks a record up among those that may be read, again if retention took meanwhile what was to be read.
func (p *Partition) find(committed bool, look func(limit int64) (offset, at int64, epoch int32, found bool, err error)) (TimedOffset, error) {
	start := p.LogStart()
	offset, at, epoch, found, err := look(p.readable(committed))
	switch {
	case err != nil && p.LogStart() > start:
		return p.find(committed, look)
	case err != nil:
		return TimedOffset{-1, -1, -1}, p.readError(err)
	case !found:
		return TimedOffset{-1, -1, -1}, nil
	}
	return TimedOffset{offset, at, epoch}, nil
}

func (p *Partition) readable(committed bool) int64 {
	if committed {
		return p.LastStable()
	}
	return p.HighWatermark()
}

// EpochEnd answers OffsetForLeaderEpoch: the largest known epoch not above the asked one, and its end offset.
func (p *Partition) EpochEnd(epoch int32) EpochEnd {
	e, end := p.log.EpochEnd(epoch)
	return EpochEnd{Epoch: e, Offset: end}
}

// EpochAt tells the leader epoch of an offset's record.
func (p *Partition) EpochAt(offset int64) int32 { return p.log.EpochAt(offset) }
