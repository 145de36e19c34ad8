package weirtest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience is how long this package waits for what should come at once.
const patience = 30 * time.Second

// retryPause is how long its clients wait before they try again: no other client suffers from their haste.
const retryPause = 10 * time.Millisecond

// CreateTopic makes a topic, with configurations as name=value. -1 partitions are as many as num.partitions says. This, Produce
// and Consume are clients like others: the node must be up, and what happens to requests happens to theirs.
func (n *Node) CreateTopic(name string, partitions int, configs ...string) {
	n.t.Helper()
	if err := n.createTopic(topic{name, partitions, configs}); err != nil {
		n.t.Fatalf("%v", err)
	}
}

func (n *Node) createTopic(t topic) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = t.name, int32(t.partitions), -1
	for _, text := range t.configs {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("topic %s: the configuration %q is not of the form name=value", t.name, text)
		}
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, &value
		in.Configs = append(in.Configs, c)
	}
	req.Topics = append(req.Topics, in)
	return n.asClient(func(ctx context.Context, c *kgo.Client) error {
		resp, err := req.RequestWith(ctx, c)
		if err != nil {
			return fmt.Errorf("topic %s cannot be made: %w", t.name, err)
		}
		for _, out := range resp.Topics {
			if err := kerr.ErrorForCode(out.ErrorCode); err != nil {
				why := ""
				if out.ErrorMessage != nil {
					why = ": " + *out.ErrorMessage
				}
				return fmt.Errorf("topic %s cannot be made: %w%s", t.name, err, why)
			}
		}
		return nil
	})
}

// Produce adds records with these values to a topic, in order, and waits until they are acknowledged.
func (n *Node) Produce(topic string, values ...string) {
	n.t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = kgo.StringRecord(v)
	}
	err := n.asClient(func(ctx context.Context, c *kgo.Client) error {
		return c.ProduceSync(ctx, records...).FirstErr()
	}, kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		n.t.Fatalf("topic %s cannot be written: %v", topic, err)
	}
}

// Consume gives the values of the first records of a topic, and waits until there are so many. Those of a partition are in
// order.
func (n *Node) Consume(topic string, count int) []string {
	n.t.Helper()
	var values []string
	err := n.asClient(func(ctx context.Context, c *kgo.Client) error {
		for len(values) < count {
			fetches := c.PollRecords(ctx, count-len(values))
			if err := fetches.Err(); err != nil {
				return err
			}
			for _, r := range fetches.Records() {
				values = append(values, string(r.Value))
			}
		}
		return nil
	}, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		n.t.Fatalf("topic %s gave %d records of %d: %v", topic, len(values), count, err)
	}
	return values
}

// asClient does something with a client of the node.
func (n *Node) asClient(do func(context.Context, *kgo.Client) error, opts ...kgo.Opt) error {
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(n.Addrs()...), kgo.ClientID("weirtest"),
		kgo.RetryBackoffFn(func(int) time.Duration { return retryPause }), kgo.MetadataMinAge(retryPause))...)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return do(ctx, c)
}
