package mirror

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// follower reads a topic of one partition from its start, a bit further each time.
type follower struct {
	clusters       *clusters
	topic, cluster string
	consumer       *kgo.Client
	next           int64
}

func newFollower(c *clusters, topic, cluster string) (*follower, error) {
	k, err := c.connect(cluster, "consumer", kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}), kgo.FetchMaxWait(100*time.Millisecond), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	return &follower{c, topic, cluster, k, 0}, nil
}

// follow reads to the end. What each cannot read is passed over.
func (f *follower) follow(ctx context.Context, each func(key, value []byte) error) error {
	end, err := f.clusters.of(f.cluster).ListEndOffsets(ctx, f.topic)
	if err != nil {
		return f.clusters.failed(f.cluster, "tell the end of the topic "+f.topic, err)
	}
	at, ok := end.Lookup(f.topic, 0)
	if !ok || at.Err != nil {
		return nil // it is not there yet
	}
	if at.Offset < f.next {
		f.next = 0 // it is another one
	}
	for f.next < at.Offset {
		wait, cancel := context.WithTimeout(ctx, adminPatience)
		fetches := f.consumer.PollFetches(wait)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if fetches.NumRecords() == 0 {
			if err := fetches.Err0(); err != nil {
				return f.clusters.failed(f.cluster, "give the records of the topic "+f.topic, err)
			}
			continue
		}
		fetches.EachRecord(func(r *kgo.Record) {
			f.next = r.Offset + 1
			if !r.Attrs.IsControl() && r.Value != nil {
				_ = each(r.Key, r.Value)
			}
		})
	}
	return nil
}

func (f *follower) close() { f.consumer.Close() }
