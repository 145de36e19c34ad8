package api

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/record"
)

// adminClientID is the only client id that may write to the platform's own topics.
const adminClientID = "__admin_client"

// produce answers Produce 3–13. Each batch goes to its partition at once; the answer goes out when all are committed (acks -1: most
// replicas have them on disk, and as many as min.insync.replicas asks for), when this node has them on disk (acks 1), or at once after
// checking (acks 0: no answer; an error closes the connection so that the client looks for the leader again).
func (b *Broker) produce(r *server.Request, req *kmsg.ProduceRequest) {
	p := newProducing(b, r, req)
	p.each(func(t, i int) (*partition.Partition, error) {
		name, err := b.producedTopic(r, req, &req.Topics[t])
		if err != nil {
			return nil, err
		}
		in := &req.Topics[t].Partitions[i]
		part, err := b.Partitions.Lookup(name, in.Partition)
		switch {
		case err != nil:
			return nil, err
		case req.Version < 7 && zstd(in.Records):
			return nil, kerr.UnsupportedCompressionType
		case req.Acks < -1 || req.Acks > 1:
			return nil, kerr.InvalidRequiredAcks
		case req.Acks == -1 && part.TooFewInSync():
			return nil, kerr.NotEnoughReplicas
		}
		return part, nil
	})
}

// zstd tells whether a batch is packed with the codec that clients of Produce below 7 cannot have (KIP-110).
func zstd(batch []byte) bool {
	h, err := record.ParseHeader(batch)
	return err == nil && h.Codec() == record.Zstd
}

// producedTopic gives the name of a topic that the client may write to.
func (b *Broker) producedTopic(r *server.Request, req *kmsg.ProduceRequest, t *kmsg.ProduceRequestTopic) (string, error) {
	name := t.Topic
	if req.Version >= 13 {
		topic := b.Controller.Image().TopicByID(t.TopicID)
		if topic == nil {
			return "", kerr.UnknownTopicID
		}
		name = topic.Name
	}
	if cluster.Internal(name) && (r.ClientID == nil || *r.ClientID != adminClientID) {
		return "", kerr.InvalidTopicException
	}
	return name, nil
}

// ownDiskWait is how long a request waits at least. The client's time-out is for replicas elsewhere; this node's own disk
// is waited for also by clients that want to wait for nobody.
const ownDiskWait = 5 * time.Second

// producing gathers the results of one request's batches.
type producing struct {
	b        *Broker
	r        *server.Request
	req      *kmsg.ProduceRequest
	resp     *kmsg.ProduceResponse
	left     atomic.Int32 // batches without a result, and one for the request itself
	answered atomic.Bool
	failed   atomic.Bool
	timer    *time.Timer
}

func newProducing(b *Broker, r *server.Request, req *kmsg.ProduceRequest) *producing {
	p := &producing{b: b, r: r, req: req, resp: req.ResponseKind().(*kmsg.ProduceResponse)}
	p.left.Store(1)
	p.resp.Topics = make([]kmsg.ProduceResponseTopic, len(req.Topics))
	for t := range req.Topics {
		out := &p.resp.Topics[t]
		out.Default()
		out.Topic, out.TopicID = req.Topics[t].Topic, req.Topics[t].TopicID
		out.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(req.Topics[t].Partitions))
		p.left.Add(int32(len(out.Partitions)))
	}
	return p
}

// each appends every batch to the partition that find gives.
func (p *producing) each(find func(t, i int) (*partition.Partition, error)) {
	for t := range p.req.Topics {
		for i := range p.req.Topics[t].Partitions {
			in := &p.req.Topics[t].Partitions[i]
			part, err := find(t, i)
			if err != nil {
				p.result(t, i, nil, partition.AppendResult{BaseOffset: -1, LogStart: -1, LogAppendTime: -1, Err: err})
				continue
			}
			add := part.Append
			if p.req.Acks == 1 {
				add = part.AppendHere
			}
			add(in.Records, func(res partition.AppendResult) { p.result(t, i, part, res) }, p.r)
		}
	}
	if p.req.Acks == 0 {
		p.acceptUnanswered()
		return
	}
	if p.left.Load() > 1 {
		p.timer = time.AfterFunc(max(time.Duration(p.req.TimeoutMillis)*time.Millisecond, ownDiskWait), p.timeout)
	}
	p.settle()
}

// result notes what became of a batch. It may come after the request timed out; then it only counts.
func (p *producing) result(t, i int, part *partition.Partition, res partition.AppendResult) {
	out := kmsg.NewProduceResponseTopicPartition()
	out.Partition = p.req.Topics[t].Partitions[i].Partition
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = res.BaseOffset, res.LogAppendTime, res.LogStart
	if res.Err != nil {
		p.failed.Store(true)
		p.describe(&out, t, part, res.Err)
	}
	p.resp.Topics[t].Partitions[i] = out
	p.settle()
}

func (p *producing) describe(out *kmsg.ProduceResponseTopicPartition, topic int, part *partition.Partition, err error) {
	out.ErrorCode = code(err)
	if out.ErrorCode == kerr.UnknownServerError.Code {
		p.b.Logger.Error("a batch was refused for an unexpected reason", "partition", part.String(), "error", err)
	}
	var invalid *record.Error
	if errors.As(err, &invalid) {
		out.ErrorMessage = kmsg.StringPtr(invalid.Message)
		for _, re := range invalid.Records {
			e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
			e.RelativeOffset, e.ErrorMessage = re.Index, kmsg.StringPtr(re.Message)
			out.ErrorRecords = append(out.ErrorRecords, e)
		}
	}
	if out.ErrorCode == kerr.NotLeaderForPartition.Code {
		t := p.b.Controller.Image().Topic(p.req.Topics[topic].Topic)
		if p.req.Version >= 13 {
			t = p.b.Controller.Image().TopicByID(p.req.Topics[topic].TopicID)
		}
		out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = p.b.leaderHint(t, out.Partition)
	}
}

// nameLeaders adds where the leaders are that the answer names (KIP-951).
func (p *producing) nameLeaders() {
	named := map[int32]bool{}
	for _, t := range p.resp.Topics {
		for _, part := range t.Partitions {
			id := part.CurrentLeader.LeaderID
			e, rack, ok := p.b.endpoint(id, p.r.Conn.Listener)
			if part.ErrorCode != kerr.NotLeaderForPartition.Code || named[id] || !ok {
				continue
			}
			named[id] = true
			out := kmsg.NewProduceResponseBroker()
			out.NodeID, out.Host, out.Port, out.Rack = id, e.Host, e.Port, rack
			p.resp.Brokers = append(p.resp.Brokers, out)
		}
	}
}

// settle counts a result; the last one answers.
func (p *producing) settle() {
	if p.left.Add(-1) > 0 {
		return
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.req.Acks != 0 && p.answered.CompareAndSwap(false, true) {
		if p.failed.Load() && p.req.Version >= 10 {
			p.nameLeaders()
		}
		p.r.Reply(p.resp)
	}
}

// acceptUnanswered ends a request with acks 0.
func (p *producing) acceptUnanswered() {
	if p.failed.Load() {
		p.r.Close()
	} else {
		p.r.NoReply()
	}
}

// timeout answers that the outcome is unknown. The batches may still be committed later.
func (p *producing) timeout() {
	if !p.answered.CompareAndSwap(false, true) {
		return
	}
	resp := p.req.ResponseKind().(*kmsg.ProduceResponse)
	for t := range p.req.Topics {
		out := kmsg.NewProduceResponseTopic()
		out.Topic, out.TopicID = p.req.Topics[t].Topic, p.req.Topics[t].TopicID
		for i := range p.req.Topics[t].Partitions {
			part := kmsg.NewProduceResponseTopicPartition()
			part.Partition = p.req.Topics[t].Partitions[i].Partition
			part.ErrorCode, part.BaseOffset, part.LogAppendTime, part.LogStartOffset = kerr.RequestTimedOut.Code, -1, -1, -1
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	p.r.Reply(resp)
}
