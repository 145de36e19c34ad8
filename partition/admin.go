package partition

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

// DeleteRecords makes an offset the first one of the log; -1 stands for the high watermark. It gives the log's start, which
// is durable. An offset below the start changes nothing. Errors are Kafka's.
func (p *Partition) DeleteRecords(before int64) (start int64, err error) {
	if !p.Config().CleanupDelete() {
		return -1, kerr.PolicyViolation
	}
	return p.advanceStart(before)
}

// Trim is DeleteRecords for the platform's own logs, whatever their configuration says.
func (p *Partition) Trim(before int64) error {
	_, err := p.advanceStart(before)
	return err
}

// Roll begins a new segment.
func (p *Partition) Roll() error {
	return p.changing(p.log.Roll)
}

// changing changes the log in the group's turn. Lack of space changes nothing; anything else that fails ends the node's
// acknowledging.
func (p *Partition) changing(change func() error) error {
	return p.group.Do(func() error {
		err := change()
		if err != nil && !vfs.IsNoSpace(err) {
			p.group.Fail(fmt.Errorf("changing %s: %w", p, err))
		}
		return err
	})
}

func (p *Partition) advanceStart(before int64) (start int64, err error) {
	done := make(chan error, 1)
	failed := p.group.Do(func() error {
		if _, leads := p.Leads(); !leads {
			return kerr.NotLeaderForPartition
		}
		high := p.high.Load()
		if before == -1 {
			before = high
		}
		if before < 0 || before > high {
			return kerr.OffsetOutOfRange
		}
		if before <= p.log.StartOffset() {
			done <- nil
			return nil
		}
		p.noteStart(before, func(err error) { done <- err })
		return nil
	})
	if failed == nil {
		failed = <-done
	}
	if failed != nil {
		return -1, appendError(failed)
	}
	return p.log.StartOffset(), nil
}

// setStart moves the log's start. What cannot be made durable for lack of space is refused; anything else that fails ends
// the node's acknowledging.
func (p *Partition) setStart(offset int64) error {
	err := p.log.SetStartOffset(offset)
	switch {
	case err == nil:
		return nil
	case !vfs.IsNoSpace(err):
		p.group.Fail(fmt.Errorf("moving the start of %s: %w", p, err))
	}
	p.logger.Error("records could not be deleted", "partition", p.String(), "error", err)
	return kerr.KafkaStorageError
}

// ProducerState is what a partition remembers of a producer.
type ProducerState struct {
	ID            int64
	Epoch         int16
	LastSequence  int32
	LastTimestamp int64 // ms
}

// Producers gives the producers that the partition remembers, by id.
func (p *Partition) Producers() ([]ProducerState, error) {
	out := []ProducerState(nil)
	err := p.group.Do(func() error {
		if _, leads := p.Leads(); !leads {
			return kerr.NotLeaderForPartition
		}
		out = p.ProducersHere()
		return nil
	})
	return out, appendError(err)
}

// ProducersHere is Producers on any replica, for who is in the group's turn or keeps turns away.
func (p *Partition) ProducersHere() []ProducerState {
	out := make([]ProducerState, 0, len(p.producers.byID))
	for id, k := range p.producers.byID {
		last := k.last()
		out = append(out, ProducerState{ID: id, Epoch: k.epoch, LastSequence: last.lastSequence, LastTimestamp: last.timestamp})
	}
	slices.SortFunc(out, func(a, b ProducerState) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// RememberedProducers is the number of producers that the partition remembers.
func (p *Partition) RememberedProducers() int { return int(p.known.Load()) }

// TimeAt gives the time (ms) of about the record at an offset: that of the first record of its batch. False: there is no record.
func (p *Partition) TimeAt(offset int64) (int64, bool) {
	data, err := p.log.Read(max(offset, p.log.StartOffset()), 0, p.high.Load(), true)
	if err != nil || len(data.Runs) == 0 {
		return 0, false
	}
	defer data.Release()
	var header [record.HeaderSize]byte
	if _, err := data.Runs[0].File.ReadAt(header[:], data.Runs[0].Pos); err != nil {
		return 0, false
	}
	h, err := record.ParseHeader(header[:])
	if err != nil {
		return 0, false
	}
	if h.LogAppendTime() {
		return h.MaxTimestamp, true
	}
	return h.BaseTimestamp, true
}
