package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/partition"
)

// Timestamps that ask for a place instead of a time, and the version from which on each may be asked for.
const (
	latestOffset          = -1
	earliestOffset        = -2
	maxTimestampOffset    = -3 // 7 (KIP-734)
	earliestLocalOffset   = -4 // 8 (KIP-405)
	latestTieredOffset    = -5 // 9 (KIP-1005)
	earliestPendingUpload = -6 // 11 (KIP-1023)
)

// listOffsets answers ListOffsets 1–11: a time to the first record that is not older, or one of the special places.
func (b *Broker) listOffsets(r *server.Request, req *kmsg.ListOffsetsRequest) {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	type place struct {
		topic     string
		partition int32
	}
	const answered = -1 // in place of how often a partition is asked for
	count := map[place]int{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			count[place{t.Topic, p.Partition}]++
		}
	}
	for _, t := range req.Topics {
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			part := kmsg.NewListOffsetsResponseTopicPartition()
			part.Partition = p.Partition
			part.Offset, part.Timestamp, part.LeaderEpoch = -1, -1, -1
			found, err := b.findOffset(req, t.Topic, p)
			switch n := count[place{t.Topic, p.Partition}]; {
			case n == answered:
				continue
			case n > 1:
				count[place{t.Topic, p.Partition}] = answered
				err = kerr.InvalidRequest
			}
			if err != nil {
				part.ErrorCode = code(err)
			} else {
				part.Offset, part.Timestamp, part.LeaderEpoch = found.Offset, found.Timestamp, found.Epoch
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	r.Reply(resp)
}

func (b *Broker) findOffset(req *kmsg.ListOffsetsRequest, topic string, want kmsg.ListOffsetsRequestTopicPartition) (partition.TimedOffset, error) {
	none := partition.TimedOffset{Offset: -1, Timestamp: -1, Epoch: -1}
	if !speaksOf(want.Timestamp, req.Version) {
		return none, kerr.UnsupportedVersion
	}
	p, err := b.Partitions.Lookup(topic, want.Partition)
	if err != nil {
		return none, err
	}
	if err := p.CheckEpoch(want.CurrentLeaderEpoch); err != nil {
		return none, err
	}
	committed := req.IsolationLevel == 1
	switch ts := want.Timestamp; {
	case ts == latestOffset:
		end := p.HighWatermark()
		if committed {
			end = p.LastStable()
		}
		epoch, _ := p.Leads()
		return partition.TimedOffset{Offset: end, Timestamp: -1, Epoch: epoch}, nil
	case ts == earliestOffset, ts == earliestLocalOffset:
		start := p.LogStart()
		return partition.TimedOffset{Offset: start, Timestamp: -1, Epoch: p.EpochAt(start)}, nil
	case ts == maxTimestampOffset:
		return p.MaxTimestamp(committed)
	case ts == latestTieredOffset, ts == earliestPendingUpload:
		return none, nil // nothing is tiered
	}
	return p.OffsetForTime(want.Timestamp, committed)
}

// speaksOf tells whether a version of ListOffsets has a time, or special place.
func speaksOf(ts int64, version int16) bool {
	switch ts {
	case maxTimestampOffset:
		return version >= 7
	case earliestLocalOffset:
		return version >= 8
	case latestTieredOffset:
		return version >= 9
	case earliestPendingUpload:
		return version >= 11
	}
	return ts >= earliestOffset
}
