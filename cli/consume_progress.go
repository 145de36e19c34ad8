package cli

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// span is what is to be read of a partition.
type span struct {
	topic     string
	partition int32
	from      int64 // where to begin, unless a group has committed something
	skip      int64 // records below it are not wanted
	until     int64
	mine      bool  // assigned to this reader
	next      int64 // offset to read next; -1: not yet known
	epoch     int32 // leader epoch of the record before next; -1: not known
	written   int64 // offset after what is printed; -1: not yet known
	saved     int64 // what the group committed; -1: nothing
}

func (s *span) done() bool { return !s.mine || s.next >= s.until }

// progress keeps how far every partition has been read. A group's assignments change it while records are read.
type progress struct {
	mu       sync.Mutex
	spans    map[string]map[int32]*span
	hasParts bool // an assignment, even an empty one, has been seen
}

func newProgress(all map[string]map[int32]bounds, follow bool, from position) *progress {
	p := &progress{spans: map[string]map[int32]*span{}}
	for topic, partitions := range all {
		p.spans[topic] = map[int32]*span{}
		for partition, b := range partitions {
			s := &span{topic: topic, partition: partition, from: b.from, until: b.until, next: -1, epoch: -1, written: -1, saved: -1}
			if follow {
				s.until = math.MaxInt64
				if from.kind == fromOffset {
					s.skip = from.n // may be beyond the end
				}
			}
			p.spans[topic][partition] = s
		}
	}
	return p
}

// each calls f for every span, in order.
func (p *progress) each(f func(*span)) {
	for _, topic := range slices.Sorted(maps.Keys(p.spans)) {
		for _, partition := range slices.Sorted(maps.Keys(p.spans[topic])) {
			f(p.spans[topic][partition])
		}
	}
}

// assignAll is for a reader without a group: all partitions are its own.
func (p *progress) assignAll() {
	p.hasParts = true
	p.each(func(s *span) { s.mine, s.next = true, s.from })
}

// positions gives where to begin in the partitions that are not read yet.
func (p *progress) positions() map[string]map[int32]kgo.Offset {
	all := map[string]map[int32]kgo.Offset{}
	p.each(func(s *span) {
		if s.done() {
			return
		}
		if all[s.topic] == nil {
			all[s.topic] = map[int32]kgo.Offset{}
		}
		all[s.topic][s.partition] = kgo.NewOffset().At(s.next)
	})
	return all
}

// find gives a partition's span. Partitions added after the start have none: they are not read.
func (p *progress) find(topic string, partition int32) *span {
	return p.spans[topic][partition]
}

// assigned takes note of the partitions that a group gave to this reader.
func (p *progress) assigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hasParts = true
	for topic, partitions := range added {
		for _, partition := range partitions {
			if s := p.find(topic, partition); s != nil {
				s.mine, s.next, s.epoch, s.written, s.saved = true, -1, -1, -1, -1
			}
		}
	}
}

// adjust takes note of where reading begins: at what the group committed, or else at --from.
func (p *progress) adjust(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, partitions := range offsets {
		for partition, offset := range partitions {
			s := p.find(topic, partition)
			if s == nil {
				continue
			}
			at := offset.EpochOffset()
			s.next, s.epoch, s.saved = at.Offset, at.Epoch, at.Offset
			if at.Offset < 0 {
				// Committing where it begins, too, lets the next run go on there even if nothing comes.
				s.next, s.epoch, s.saved = s.from, -1, -1
				partitions[partition] = kgo.NewOffset().At(s.from)
			}
			s.written = s.next
		}
	}
	return offsets, nil
}

// remove takes note of partitions that are no longer this reader's.
func (p *progress) remove(gone map[string][]int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, partitions := range gone {
		for _, partition := range partitions {
			if s := p.find(topic, partition); s != nil {
				s.mine = false
			}
		}
	}
}

// step moves on to after a record. It tells whether the record is one of those to read; beyond them it moves to the end.
func (p *progress) step(r *kgo.Record) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.find(r.Topic, r.Partition)
	if s == nil || !s.mine {
		return false
	}
	if r.Offset >= s.until {
		s.next = max(s.next, s.until)
		return false
	}
	s.next, s.epoch = r.Offset+1, r.LeaderEpoch
	return true
}

// wants tells whether a record is not one before --from.
func (p *progress) wants(r *kgo.Record) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return r.Offset >= p.find(r.Topic, r.Partition).skip
}

// printed takes note that everything read so far is written out.
func (p *progress) printed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.each(func(s *span) { s.written = s.next })
}

// unsaved gives what a group has to commit of this reader's partitions.
func (p *progress) unsaved() map[string]map[int32]kgo.EpochOffset {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]map[int32]kgo.EpochOffset{}
	p.each(func(s *span) {
		if !s.mine || s.written < 0 || s.written == s.saved {
			return
		}
		if all[s.topic] == nil {
			all[s.topic] = map[int32]kgo.EpochOffset{}
		}
		all[s.topic][s.partition] = kgo.EpochOffset{Epoch: s.epoch, Offset: s.written}
	})
	return all
}

// saved takes note of what was committed.
func (p *progress) saved(offsets map[string]map[int32]kgo.EpochOffset) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, partitions := range offsets {
		for partition, offset := range partitions {
			p.find(topic, partition).saved = offset.Offset
		}
	}
}

// joined tells whether partitions have been assigned, be they none.
func (p *progress) joined() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hasParts
}

// done tells whether all assigned partitions have been read.
func (p *progress) done() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hasParts && len(p.undone()) == 0
}

// undone gives the spans that are not read to their end. It is called under mu.
func (p *progress) undone() (left []span) {
	p.each(func(s *span) {
		if !s.done() {
			left = append(left, *s)
		}
	})
	return left
}

// unread names a partition that is not read to its end.
func (p *progress) unread() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.undone()
	if len(left) == 0 {
		return "the last partition"
	}
	return fmt.Sprintf("partition %d of topic %q (at offset %d of %d)", left[0].partition, left[0].topic, left[0].next, left[0].until)
}

// skipGaps asks the leaders of unread partitions whether anything is left in them. The last offsets of a partition may have no
// records: compaction removes them, and transaction markers and what was aborted are not given out. The client then waits
// for the next record, which is beyond the end.
func (r *reading) skipGaps(ctx context.Context) (moved bool, trouble error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	r.progress.mu.Lock()
	left := r.progress.undone()
	r.progress.mu.Unlock()
	for _, s := range left {
		if s.next < 0 || ctx.Err() != nil {
			continue
		}
		next, err := r.nextRecord(ctx, s)
		if err != nil {
			trouble = err
			continue
		}
		if next >= s.until && r.progress.skipTo(s, next) {
			moved = true
		}
	}
	return moved, trouble
}

// skipTo moves a partition on, unless something else did since s was looked at.
func (p *progress) skipTo(was span, next int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.find(was.topic, was.partition)
	if s.next != was.next || !s.mine {
		return false
	}
	s.next = next
	return true
}

// nextRecord gives the offset of a partition's first record from s.next on, or if there is none below s.until, s.until.
func (r *reading) nextRecord(ctx context.Context, s span) (int64, error) {
	details, err := r.client.admin.ListTopicsWithInternal(ctx, s.topic)
	if err != nil {
		return 0, err
	}
	topic := details[s.topic]
	p := topic.Partitions[s.partition]
	if err := p.Err; err != nil {
		return 0, err
	}
	at := s.next
	for at < s.until {
		response, err := r.fetchOne(ctx, topic.ID, s, p.Leader, at)
		if err != nil {
			return 0, err
		}
		found, next := kgo.ProcessFetchPartition(r.fetchOptions(s, at), response, kgo.DefaultDecompressor(), nil)
		switch {
		case found.Err != nil:
			return 0, found.Err
		case len(found.Records) > 0:
			return found.Records[0].Offset, nil
		case next <= at && r.stable(found) >= s.until:
			return s.until, nil // the broker has nothing there, and knows of the end
		case next <= at:
			return at, nil
		}
		at = next
	}
	return at, nil
}

func (r *reading) fetchOptions(s span, at int64) kgo.ProcessFetchPartitionOpts {
	opts := kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, Offset: at, Topic: s.topic, Partition: s.partition}
	if r.committed {
		opts.IsolationLevel = kgo.ReadCommitted()
	}
	return opts
}

// stable gives the end of what a fetch may give out.
func (r *reading) stable(p kgo.FetchPartition) int64 {
	if r.committed {
		return p.LastStableOffset
	}
	return p.HighWatermark
}

// fetchOne fetches from one partition's leader, outside of the client's own reading.
func (r *reading) fetchOne(ctx context.Context, topicID [16]byte, s span, leader int32, at int64) (*kmsg.FetchResponseTopicPartition, error) {
	request := kmsg.NewPtrFetchRequest()
	request.MaxBytes = 1 << 20
	if r.committed {
		request.IsolationLevel = 1
	}
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.Partition, partition.FetchOffset, partition.PartitionMaxBytes = s.partition, at, 64<<10
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = s.topic, topicID
	topic.Partitions = append(topic.Partitions, partition)
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, r.client.Broker(int(leader)))
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return nil, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("broker %d answered for other partitions than it was asked for", leader)
	}
	return &response.Topics[0].Partitions[0], nil
}
