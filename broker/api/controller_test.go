package api

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/cluster"
)

// directController answers at once, without a log. It fails with err when that is set.
type directController struct {
	t   *testing.T
	c   *cluster.Controller
	ids byte
	err error
}

func newDirectController(t *testing.T, brokers int32) *directController {
	d := &directController{t: t}
	d.c = cluster.NewController(cluster.Config{
		NewID:               func() cluster.UUID { d.ids++; return cluster.UUID{d.ids} },
		Pick:                func(int) int { return 0 },
		ValidateTopicSet:    func(map[string]string) error { return nil },
		ValidateTopicConfig: func(string, string) error { return nil },
	})
	for id := range brokers {
		d.Submit(cluster.RegisterBroker{Broker: cluster.Broker{
			ID: id + 1, Directory: cluster.UUID{15: byte(id + 1)}, Endpoints: []cluster.Endpoint{{Listener: "PLAINTEXT", Host: "h", Port: 9092 + id}},
		}}, func(any, error) {})
	}
	return d
}

func (d *directController) Image() *cluster.Image { return d.c.Image() }

func (d *directController) ProducerID(done func(int64, error)) { done(0, d.err) }

func (d *directController) Submit(request any, done func(any, error)) {
	if d.err != nil {
		done(nil, d.err)
		return
	}
	e := d.c.Handle(time.Time{}, 1, request)
	for _, r := range e.Records {
		if err := d.c.Replay(r); err != nil {
			d.t.Error(err)
		}
	}
	done(e.Replies[0].Value, nil)
}

// topic makes a topic whose partitions have these replicas.
func (d *directController) topic(name string, replicas ...[]int32) {
	d.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	for number, r := range replicas {
		t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(number), Replicas: r})
	}
	req.Topics = append(req.Topics, t)
	d.Submit(cluster.Request{Body: req}, func(reply any, _ error) {
		if got := reply.(*kmsg.CreateTopicsResponse).Topics[0]; got.ErrorCode != 0 {
			d.t.Fatalf("%+v", got)
		}
	})
}
