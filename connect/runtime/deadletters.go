package runtime

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// deadLetters is the topic for records that a sink passes over (errors.deadletterqueue.*, KIP-298).
type deadLetters struct {
	r       *run
	topic   string
	context bool // whether they get headers that say why they are there
	client  *kgo.Client
	end     func()      // closes the client
	lost    atomic.Bool // a record could not be kept

	mu sync.Mutex
	// read are the records of each partition, in order, that the task may yet report: those that are not kept as done.
	read map[sdk.TopicPartition][]*kgo.Record
}

// openDeadLetters sees that the topic of a sink's configuration is there; nil: it has none.
func openDeadLetters(r *run) (*deadLetters, error) {
	d := &deadLetters{r: r, topic: r.common.String("errors.deadletterqueue.topic.name"), context: r.common.Bool("errors.deadletterqueue.context.headers.enable"),
		read: map[sdk.TopicPartition][]*kgo.Record{}}
	if d.topic == "" {
		return nil, nil
	}
	var err error
	if d.client, d.end, err = r.producer(nil); err != nil {
		return nil, err
	}
	replicas := int16(-1) // Kafka's default of 3 would not do in a small cluster
	if r.common.Has("errors.deadletterqueue.topic.replication.factor") {
		replicas = int16(r.common.Int("errors.deadletterqueue.topic.replication.factor"))
	}
	admin, end, err := r.admin(d.client)
	if err == nil {
		defer end()
		err = d.create(r.ctx, admin, replicas)
	}
	if err != nil {
		d.end()
		return nil, err
	}
	return d, nil
}

// create creates the topic if it is not there.
func (d *deadLetters) create(ctx context.Context, admin *kadm.Client, replicas int16) error {
	there, err := admin.ListTopics(ctx, d.topic)
	if err == nil && there.Has(d.topic) {
		return nil
	}
	if err == nil {
		_, err = admin.CreateTopic(ctx, 1, replicas, nil, d.topic)
	}
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists):
		return nil
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return sdk.Misconfigured("The dead-letter topic %s cannot have %d replicas in this cluster: set errors.deadletterqueue.topic.replication.factor to less, or create the topic", d.topic, replicas)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return sdk.Misconfigured("The dead-letter topic %s cannot be created: %w; create it, or let the worker's user do so", d.topic, err)
	}
	return sdk.Retry(fmt.Errorf("the dead-letter topic %s cannot be created: %w", d.topic, err))
}

// remember keeps a record that was read until it is done.
func (d *deadLetters) remember(r *kgo.Record) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	tp := sdk.TopicPartition{Topic: r.Topic, Partition: r.Partition}
	if n := len(d.read[tp]); n > 0 && d.read[tp][n-1].Offset >= r.Offset {
		d.read[tp] = nil // the task went back
	}
	d.read[tp] = append(d.read[tp], r)
}

// forget lets go the records of a partition before an offset.
func (d *deadLetters) forget(tp sdk.TopicPartition, before int64) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.read[tp]
	left := all[sort.Search(len(all), func(i int) bool { return all[i].Offset >= before }):]
	if len(left) == 0 {
		delete(d.read, tp)
		return
	}
	d.read[tp] = append([]*kgo.Record(nil), left...)
}

// find gives a record as it was read; nil: it is not the task's any more.
func (d *deadLetters) find(r *sdk.Record) *kgo.Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.read[r.From]
	i := sort.Search(len(all), func(i int) bool { return all[i].Offset >= r.Offset })
	if i == len(all) || all[i].Offset != r.Offset {
		return nil
	}
	return all[i]
}

// send keeps a record in the topic. It does not wait; arrived does. If that fails, so does the run.
func (d *deadLetters) send(raw *kgo.Record, s *stageError) {
	headers := raw.Headers[:len(raw.Headers):len(raw.Headers)]
	if d.context {
		headers = append(headers, d.why(raw, s)...)
	}
	letter := &kgo.Record{Topic: d.topic, Key: raw.Key, Value: raw.Value, Headers: headers, Timestamp: raw.Timestamp, Partition: -1}
	d.client.Produce(d.r.soft, letter, func(_ *kgo.Record, err error) {
		if err != nil {
			d.lost.Store(true)
			if d.r.ctx.Err() != nil {
				return // the run ends before it arrived
			}
			d.r.fail(fmt.Errorf("the record of %s-%d offset %d cannot be kept in the dead-letter topic: %w", raw.Topic, raw.Partition, raw.Offset, produceError(d.topic, err)))
			return
		}
		d.r.t.meter.deadLetters.Add(1)
	})
}

// why gives the headers that say where a record comes from and what is wrong with it.
func (d *deadLetters) why(raw *kgo.Record, s *stageError) []kgo.RecordHeader {
	class := "org.apache.kafka.connect.errors.DataException"
	if s.stage == stagePut {
		class = "org.apache.kafka.connect.errors.ConnectException"
	}
	text := d.r.mask(s.err.Error())
	out := make([]kgo.RecordHeader, 0, 10)
	for _, h := range [...][2]string{
		{"topic", raw.Topic},
		{"partition", strconv.Itoa(int(raw.Partition))},
		{"offset", strconv.FormatInt(raw.Offset, 10)},
		{"connector.name", d.r.t.spec.Connector},
		{"task.id", strconv.Itoa(d.r.t.spec.Task)},
		{"stage", string(s.stage)},
		{"class.name", s.class},
		{"exception.class.name", class},
		{"exception.message", text},
		{"exception.stacktrace", class + ": " + text + "\n"},
	} {
		out = append(out, kgo.RecordHeader{Key: "__connect.errors." + h[0], Value: []byte(h[1])})
	}
	return out
}

// arrived waits until all that was sent is in the topic, and says whether it is.
func (d *deadLetters) arrived(ctx context.Context) error {
	if d == nil {
		return nil
	}
	if err := d.client.Flush(ctx); err != nil {
		return err
	}
	if d.lost.Load() {
		return fmt.Errorf("not all records that were passed over are kept in the dead-letter topic %s", d.topic)
	}
	return nil
}
