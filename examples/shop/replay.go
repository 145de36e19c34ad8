package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// endsAt gives for each partition of the topics the offset at which reading ends: after the last event that had happened at
// that time, or, for the zero time, after the last event.
func endsAt(ctx context.Context, seeds string, at time.Time, topics []string) (kadm.ListedOffsets, error) {
	c, err := kgo.NewClient(seedBrokers(seeds))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var ends kadm.ListedOffsets
	if at.IsZero() {
		ends, err = kadm.NewClient(c).ListEndOffsets(ctx, topics...)
	} else {
		// The broker finds the first record of that millisecond or later.
		ends, err = kadm.NewClient(c).ListOffsetsAfterMilli(ctx, at.UnixMilli()+1, topics...)
	}
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("where topics end: %w", err)
	}
	return ends, nil
}

// replay reads partitions from their start up to their ends, without a group: it is nobody's business how far it is, and
// it disturbs nobody.
func replay(ctx context.Context, seeds string, ends kadm.ListedOffsets, each func(*kgo.Record, Event)) error {
	starts := map[string]map[int32]kgo.Offset{}
	open := 0 // partitions that are not at their end
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset == 0 {
			return
		}
		if starts[o.Topic] == nil {
			starts[o.Topic] = map[int32]kgo.Offset{}
		}
		starts[o.Topic][o.Partition] = kgo.NewOffset().AtStart()
		open++
	})
	c, err := kgo.NewClient(seedBrokers(seeds), kgo.ConsumePartitions(starts))
	if err != nil {
		return err
	}
	defer c.Close()
	for open > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("replay, with %d partitions not at their end: %w", open, err)
		}
		for r := range fetches.RecordsAll() {
			end := ends[r.Topic][r.Partition].Offset
			if r.Offset >= end {
				continue
			}
			if r.Offset == end-1 {
				open--
			}
			e, err := decode(r)
			if err != nil {
				return err
			}
			each(r, e)
		}
	}
	return nil
}

// replays rebuilds the table from the topics alone: from the start, and as it was in the middle.
func (s *shop) replays(ctx context.Context) error {
	ends, err := endsAt(ctx, s.seeds, time.Time{}, allTopics)
	if err != nil {
		return err
	}
	all, order := Table{}, history{}
	if err := replay(ctx, s.seeds, ends, func(r *kgo.Record, e Event) {
		all.apply(e)
		order.add(r.Topic, r.Partition, string(r.Key), r.Timestamp, e)
	}); err != nil {
		return err
	}
	s.check("the table rebuilt by replay from the start is the same", diff(all, straight(s.events, s.last())))
	s.check("each key's events are in one partition, in the order in which they happened", order.diff(s.events))

	middle := s.events[len(s.events)/2].Time
	if ends, err = endsAt(ctx, s.seeds, middle, productTopics); err != nil {
		return err
	}
	then, late := Table{}, ""
	if err := replay(ctx, s.seeds, ends, func(r *kgo.Record, e Event) {
		then.apply(e)
		if r.Timestamp.After(middle) {
			late += fmt.Sprintf("%s-%d at offset %d is of %s\n", r.Topic, r.Partition, r.Offset, r.Timestamp.UTC())
		}
	}); err != nil {
		return err
	}
	s.printf("\nAs of %s:\n", middle.Format("2 January 2006, 15:04:05"))
	then.print(s.out)
	s.check("the table as of that time is right", diff(then, straight(s.events, middle)))
	s.check("the lookup by time found only events up to that time", late)
	return nil
}
