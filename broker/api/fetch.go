package api

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/broker/wire"
	"github.com/weir/weir/log"
	"github.com/weir/weir/partition"
)

// fetch answers Fetch 4–18. It reads at once; when there is less than the client wants, the request is parked until a
// partition has more, or the wait is over.
func (b *Broker) fetch(r *server.Request, req *kmsg.FetchRequest) {
	s, err := b.sessions.open(req)
	if err != nil {
		r.ReplyFetch(&wire.FetchResponse{ErrorCode: code(err)}, nil)
		return
	}
	f := &fetching{b: b, r: r, req: req, session: s}
	deadline := b.Now().Add(time.Duration(max(req.MaxWaitMillis, 0)) * time.Millisecond)
	if f.read(); f.enough() || req.MaxWaitMillis <= 0 {
		f.answer()
		return
	}
	go f.park(deadline)
}

// fetching is one fetch on its way.
type fetching struct {
	b       *Broker
	r       *server.Request
	req     *kmsg.FetchRequest
	session *session

	results []fetched
	bytes   int
	urgent  bool // an error, or a reader that must cut back: answer at once
}

// fetched is what a partition gave.
type fetched struct {
	want   *wanted
	part   *partition.Partition
	result partition.ReadResult
	nearer int32 // the broker that the client shall read from; -1: this one
	err    error
}

const (
	// anyReplicaSince is the first version of Fetch that followers answer, and in which clients say their rack (KIP-392).
	anyReplicaSince = 11
	rackAware       = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
)

// nearer gives a replica in the client's rack that is in sync and has what is asked for, if replica.selector.class wants it and this
// leader is not there itself. Then nothing is read here.
func (f *fetching) nearer(got *fetched) int32 {
	rack := f.req.Rack
	if rack == "" || f.b.Config.ReplicaSelector != rackAware || f.b.Config.BrokerRack == rack {
		return -1
	}
	if _, leads := got.part.Leads(); !leads || got.want.offset >= got.result.HighWatermark {
		return -1
	}
	for _, id := range f.b.Leaders.Of(got.part.ID.Topic, got.part.ID.Partition).InSync {
		if broker := f.b.Controller.Image().Broker(id); broker != nil && broker.Rack == rack && f.b.Alive(id) {
			got.result.Data.Release()
			got.result.Data = log.Data{}
			return id
		}
	}
	return -1
}

// read reads every partition of the session, in turn, until the request's bytes are used up.
func (f *fetching) read() {
	f.drop()
	left := int(min(f.req.MaxBytes, f.b.Config.FetchMaxBytes))
	for w := range f.session.each() {
		got := fetched{want: w, nearer: -1}
		got.part, got.err = f.b.fetchedPartition(f.session, w)
		if got.err == nil && f.follower() {
			got.err = kerr.NotLeaderForPartition // not this follower's: no replica of it is elsewhere
		}
		if got.err == nil {
			got.result, got.err = got.part.Read(partition.ReadRequest{
				Offset:           w.offset,
				MaxBytes:         max(min(int(w.maxBytes), left), 0),
				MinOne:           f.bytes == 0,
				LeaderEpoch:      w.leaderEpoch,
				LastFetchedEpoch: w.lastFetchedEpoch,
				Committed:        f.req.IsolationLevel == 1,
				AnyReplica:       f.req.Version >= anyReplicaSince,
			})
			if got.err == nil {
				got.nearer = f.nearer(&got)
			}
		}
		size := got.result.Data.Size()
		f.bytes += size
		left -= size
		f.urgent = f.urgent || got.err != nil || got.result.Diverging != nil || got.nearer >= 0
		f.results = append(f.results, got)
	}
}

// follower tells whether another broker asks, in order to replicate.
func (f *fetching) follower() bool { return f.req.ReplicaID >= 0 || f.req.ReplicaState.ID >= 0 }

// fetchedPartition finds a partition by its name or, in newer versions, by its topic's id.
func (b *Broker) fetchedPartition(s *session, w *wanted) (*partition.Partition, error) {
	name := w.topic
	if s.byID {
		t := b.Controller.Image().TopicByID(w.id)
		if t == nil {
			return nil, kerr.UnknownTopicID
		}
		name = t.Name
	}
	return b.Partitions.Lookup(name, w.partition)
}

func (f *fetching) enough() bool {
	return f.urgent || f.bytes >= int(f.req.MinBytes) || len(f.results) == 0
}

// park waits until there is enough, the wait is over, or the client is gone.
func (f *fetching) park(deadline time.Time) {
	w := partition.NewWaiter()
	for _, got := range f.results {
		got.part.Watch(w)
		defer got.part.Unwatch(w)
	}
	timer := time.NewTimer(deadline.Sub(f.b.Now()))
	defer timer.Stop()
	for {
		f.read() // what came between the first look and Watch
		if f.enough() {
			break
		}
		select {
		case <-w.C:
			continue
		case <-timer.C:
			f.read()
		case <-f.r.Done():
		}
		break
	}
	f.answer()
}

// drop lets go of what was read.
func (f *fetching) drop() {
	for i := range f.results {
		f.results[i].result.Data.Release()
	}
	f.results, f.bytes, f.urgent = f.results[:0], 0, false
}

// answer sends what was read. An incremental session leaves out partitions that have nothing new to tell (KIP-227).
func (f *fetching) answer() {
	resp := &wire.FetchResponse{SessionID: f.session.id}
	var data []log.Data
	for i := range f.results {
		got := &f.results[i]
		out := f.describe(got)
		if got.part != nil {
			got.part.Fetched(out.RecordsLen, got.err)
		}
		if !f.session.report(got.want, &out) {
			got.result.Data.Release()
			continue
		}
		addFetched(resp, got.want, out)
		if out.ErrorCode == kerr.NotLeaderForPartition.Code && f.req.Version >= 16 {
			f.nameLeader(resp, out.CurrentLeader.LeaderID)
		}
		data = append(data, got.result.Data)
	}
	f.results = nil
	f.session.close()
	f.r.ReplyFetch(resp, data)
}

// nameLeader adds where a leader is that the answer names (KIP-951).
func (f *fetching) nameLeader(resp *wire.FetchResponse, id int32) {
	e, rack, ok := f.b.endpoint(id, f.r.Conn.Listener)
	if ok && !slices.ContainsFunc(resp.Brokers, func(b wire.FetchBroker) bool { return b.ID == id }) {
		resp.Brokers = append(resp.Brokers, wire.FetchBroker{ID: id, Host: e.Host, Port: e.Port, Rack: rack})
	}
}

func (f *fetching) describe(got *fetched) wire.FetchPartition {
	out := wire.FetchPartition{
		Partition: got.want.partition, HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1, PreferredReadReplica: -1,
		DivergingEpoch: wire.EpochEndOffset{Epoch: -1, EndOffset: -1},
		CurrentLeader:  wire.LeaderIDAndEpoch{LeaderID: -1, LeaderEpoch: -1},
	}
	if got.err != nil {
		out.ErrorCode = code(got.err)
		if out.ErrorCode == kerr.NotLeaderForPartition.Code && !f.follower() {
			t := f.b.Controller.Image().Topic(got.want.topic)
			if f.session.byID {
				t = f.b.Controller.Image().TopicByID(got.want.id)
			}
			leader, epoch := f.b.leaderHint(t, got.want.partition)
			out.CurrentLeader = wire.LeaderIDAndEpoch{LeaderID: leader, LeaderEpoch: epoch}
		}
		return out
	}
	res := &got.result
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = res.HighWatermark, res.LastStable, res.LogStart
	out.RecordsLen, out.PreferredReadReplica = res.Data.Size(), got.nearer
	if res.Diverging != nil {
		out.DivergingEpoch = wire.EpochEndOffset{Epoch: res.Diverging.Epoch, EndOffset: res.Diverging.Offset}
	}
	return out
}

func addFetched(resp *wire.FetchResponse, w *wanted, p wire.FetchPartition) {
	if n := len(resp.Topics); n > 0 && resp.Topics[n-1].Topic == w.topic && resp.Topics[n-1].TopicID == w.id {
		resp.Topics[n-1].Partitions = append(resp.Topics[n-1].Partitions, p)
		return
	}
	resp.Topics = append(resp.Topics, wire.FetchTopic{Topic: w.topic, TopicID: w.id, Partitions: []wire.FetchPartition{p}})
}
