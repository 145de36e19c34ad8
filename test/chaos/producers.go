package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/record"
	"github.com/weir/weir/test/chaos/history"
)

// inFlightMost bounds the records of one producer that are on their way, so that a broken cluster does not eat the memory.
const inFlightMost = 9_000

// produce is an idempotent producer with acks=all that sends a record every so often, in turn to all partitions, however long
// the ones before take. It ends when ctx does, and then waits up to drain for what is on its way.
func (w *workload) produce(ctx context.Context, name string, every, drain time.Duration) error {
	client, err := kgo.NewClient(append(clientOptions(w.cluster), kgo.ClientID(name), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.ProduceRequestTimeout(answerMost))...)
	if err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.Background(), drain)
			defer cancel()
			_ = client.Flush(ctx) // what is left ends as unknown when the client closes
			client.Close()
			return nil
		case <-tick.C:
		}
		if client.BufferedProduceRecords() >= inFlightMost {
			continue
		}
		partition, value := int32(i%w.partitions), fmt.Sprintf("%s-%d", name, i)
		end := w.recorder.begin(history.Event{Client: name, Kind: history.Send, Partition: partition, Value: value})
		client.Produce(context.Background(), &kgo.Record{Topic: topic, Partition: partition, Key: []byte(value), Value: payload(value)}, func(r *kgo.Record, err error) {
			if err != nil {
				end(history.Info, 0, err)
				return
			}
			end(history.OK, max(r.Offset, -1), nil)
		})
	}
}

// notWritten are the answers to a single request that leave no doubt: the record is not there, and will not be.
var notWritten = []*kerr.Error{kerr.NotEnoughReplicas, kerr.MessageTooLarge, kerr.CorruptMessage, kerr.InvalidRecord, kerr.UnknownTopicOrPartition,
	kerr.UnknownTopicID, kerr.ThrottlingQuotaExceeded}

// produceOnce sends one request for each record, and never again: it takes the cluster at its word where that says no.
func (w *workload) produceOnce(ctx context.Context, name string, every time.Duration) error {
	client, err := kgo.NewClient(append(clientOptions(w.cluster), kgo.ClientID(name))...)
	if err != nil {
		return err
	}
	defer client.Close()
	for i := 0; sleep(ctx, every) == nil; i++ {
		partition := int32(i % w.partitions)
		leader, ok := w.leader(partition)
		if !ok {
			continue
		}
		value := fmt.Sprintf("%s-%d", name, i)
		b := record.NewBuilder(record.BuilderOptions{})
		b.Append(time.Now().UnixMilli(), []byte(value), payload(value))
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 5000
		t := kmsg.NewProduceRequestTopic()
		t.Topic, t.TopicID = topic, w.topicID
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = partition, b.Build()
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)

		end := w.recorder.begin(history.Event{Client: name, Kind: history.Send, Partition: partition, Value: value})
		phase, offset, err := outcome(client.Broker(int(leader)).Request(ctx, req))
		end(phase, offset, err)
	}
	return nil
}

// outcome judges the answer to a request with one record.
func outcome(answer kmsg.Response, err error) (history.Phase, int64, error) {
	if err != nil {
		return history.Info, 0, err
	}
	resp, ok := answer.(*kmsg.ProduceResponse)
	if !ok || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return history.Info, 0, errors.New("the answer is not about the one partition that was asked")
	}
	p := resp.Topics[0].Partitions[0]
	err = kerr.ErrorForCode(p.ErrorCode)
	switch {
	case err == nil:
		return history.OK, p.BaseOffset, nil
	case slices.ContainsFunc(notWritten, func(e *kerr.Error) bool { return errors.Is(err, e) }):
		return history.Fail, 0, err
	}
	return history.Info, 0, err
}
