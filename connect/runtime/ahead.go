package runtime

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// reading is what was read at once.
type reading struct {
	fetches kgo.Fetches
	// made are the first of its records, converted, in their order; nil: it was dropped. The others are still to convert.
	made []*sdk.Record
}

// ahead reads and converts the next records while others are put. As long as it has some, partitions neither come nor go.
type ahead struct {
	reading
	cancel context.CancelFunc
	done   chan struct{}
}

// readAhead begins to read the next records, if there are likely some: not with a task that goes back to others.
func (s *sink) readAhead(now reading) {
	if now.fetches.NumRecords() < s.most || s.rewinds || s.ahead != nil {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	a := &ahead{cancel: cancel, done: make(chan struct{})}
	s.ahead = a
	s.client.AllowRebalance() // those that it calls wait for the work
	go func() {
		defer close(a.done)
		a.fetches = s.client.PollRecords(ctx, s.most)
		_ = s.guard(func() error { s.convertAhead(&a.reading); return nil }) // it panics again where that counts
	}()
}

// convertAhead converts records up to the first that fails: what is done about that is decided when it is its turn.
func (s *sink) convertAhead(r *reading) {
	n := r.fetches.NumRecords()
	made, out := make([]sdk.Record, n), make([]*sdk.Record, 0, n)
	for all := r.fetches.RecordIter(); !all.Done(); {
		record, err := s.decode(all.Next(), &made[len(out)])
		if err != nil {
			break
		}
		out = append(out, record)
	}
	r.made = out
}

// nextReading waits for records, or until offsets are to be kept.
func (s *sink) nextReading() reading {
	a := s.ahead
	if a == nil {
		return reading{fetches: s.poll()}
	}
	due, _ := s.due()
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-a.done:
		a.cancel()
		s.ahead = nil
		return a.reading
	case <-timer.C:
	case <-s.ctx.Done():
	}
	return reading{}
}

// leaveAhead gives back what was read ahead, to be read again, and lets partitions come and go. Who calls it does not hold the work.
func (s *sink) leaveAhead() {
	defer s.client.AllowRebalance()
	a := s.ahead
	if a == nil {
		return
	}
	s.ahead = nil
	a.cancel()
	<-a.done
	if !s.lock() {
		return
	}
	defer s.unlock()
	to := map[string]map[int32]kgo.EpochOffset{}
	a.fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if s.parts[sdk.TopicPartition{Topic: p.Topic, Partition: p.Partition}] == nil || len(p.Records) == 0 {
			return
		}
		if to[p.Topic] == nil {
			to[p.Topic] = map[int32]kgo.EpochOffset{}
		}
		if first, was := to[p.Topic][p.Partition]; !was || p.Records[0].Offset < first.Offset {
			to[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: -1, Offset: p.Records[0].Offset}
		}
	})
	if len(to) > 0 {
		s.client.SetOffsets(to)
	}
}
