package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// peeksMax is how many partitions are looked into at the same time.
const peeksMax = 16

// groupPartition is where a group stands in a partition. Its JSON names are documented in the help.
type groupPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed_offset"`
	End       *int64 `json:"end_offset"`
	Lag       *int64 `json:"lag"`
	LagMs     *int64 `json:"lag_ms"`
	Member    string `json:"member_id"`
	start     int64
}

func newGroupPartition(topic string, partition int32, committed kadm.OffsetResponses, starts, ends kadm.ListedOffsets) groupPartition {
	p := groupPartition{Topic: topic, Partition: partition, End: offsetOf(ends, topic, partition)}
	if r, ok := committed.Lookup(topic, partition); ok && r.Err == nil && r.At >= 0 {
		p.Committed = &r.At
	}
	if start := offsetOf(starts, topic, partition); start != nil {
		p.start = *start
	}
	if p.Committed != nil && p.End != nil {
		lag := max(*p.End-*p.Committed, 0)
		p.Lag = &lag
	}
	return p
}

// measureTime fills in how long the oldest record that a group has not consumed has been waiting: how far the group is behind in
// time. Where that cannot be found out, it stays unknown.
func (c *client) measureTime(ctx context.Context, partitions []*groupPartition) error {
	var behind []*groupPartition
	topics := kadm.TopicsSet{}
	for _, p := range partitions {
		switch {
		case p.Lag == nil:
		case *p.Lag == 0:
			p.LagMs = p.Lag
		default:
			behind = append(behind, p)
			topics.Add(p.Topic, p.Partition)
		}
	}
	if len(behind) == 0 {
		return nil
	}
	details, err := c.admin.ListTopicsWithInternal(ctx, topics.Topics()...)
	if err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	var peeks errgroup.Group
	peeks.SetLimit(peeksMax)
	for _, p := range behind {
		detail := details[p.Topic]
		peeks.Go(func() error {
			// An error means that the time is not known, which is what the result says then.
			if at, err := c.firstTimestamp(ctx, detail, p.Partition, max(*p.Committed, p.start), *p.End); err == nil {
				waiting := int64(0)
				if at != nil {
					waiting = max(now-*at, 0)
				}
				p.LagMs = &waiting
			}
			return nil
		})
	}
	return peeks.Wait()
}

// firstTimestamp gives the time of the first record in [offset, end) of a partition, in ms. nil: there is none, only what
// Kafka keeps there for itself.
func (c *client) firstTimestamp(ctx context.Context, topic kadm.TopicDetail, partition int32, offset, end int64) (*int64, error) {
	for offset < end {
		answer, err := c.peek(ctx, topic, partition, offset)
		if err != nil {
			return nil, err
		}
		fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: offset, Topic: topic.Topic, Partition: partition},
			answer, kgo.DefaultDecompressor(), nil)
		if fetched.Err != nil {
			return nil, fetched.Err
		}
		if len(fetched.Records) > 0 {
			ms := fetched.Records[0].Timestamp.UnixMilli()
			return &ms, nil
		}
		if next <= offset {
			return nil, errors.New("the broker gave no records")
		}
		offset = next
	}
	return nil, nil
}

// peek fetches the batch with an offset, and no more if the broker can help it: it gives at least one batch, however small
// the limit is.
func (c *client) peek(ctx context.Context, topic kadm.TopicDetail, partition int32, offset int64) (*kmsg.FetchResponseTopicPartition, error) {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID, t.Partitions = topic.Topic, topic.ID, []kmsg.FetchRequestTopicPartition{p}
	request := kmsg.NewPtrFetchRequest()
	request.MaxBytes, request.Topics = 1, []kmsg.FetchRequestTopic{t}
	response, err := c.Broker(int(topic.Partitions[partition].Leader)).RetriableRequest(ctx, request)
	if err != nil {
		return nil, err
	}
	answer := response.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return nil, err
	}
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return nil, errors.New("the broker did not answer for the partition")
	}
	return &answer.Topics[0].Partitions[0], nil
}

// sumLags adds up how far a group is behind in all partitions where it has committed offsets: records in all, and the longest
// time. nil: not known, because it is not known of a partition or there is none.
func sumLags(partitions []*groupPartition) (records, ms *int64) {
	for _, p := range partitions {
		if p.Lag == nil {
			return nil, nil
		}
	}
	if len(partitions) == 0 {
		return nil, nil
	}
	records, ms = new(int64), new(int64)
	for _, p := range partitions {
		*records += *p.Lag
		if p.LagMs == nil {
			ms = nil
		} else if ms != nil {
			*ms = max(*ms, *p.LagMs)
		}
	}
	return records, ms
}

// ageText shows a time span as precisely as it matters. nil: not known.
func ageText(ms *int64) string {
	if ms == nil {
		return ""
	}
	d := time.Duration(*ms) * time.Millisecond
	switch {
	case d < 10*time.Second:
		return d.String()
	case d < 48*time.Hour:
		return d.Truncate(time.Second).String()
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
