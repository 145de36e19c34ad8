package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// client talks to the cluster.
type client struct {
	*kgo.Client
	admin *kadm.Client
}

// connect makes a client; it dials when it is first asked something.
func (o *options) connect(extra ...kgo.Opt) (*client, error) {
	base := []kgo.Opt{
		kgo.SeedBrokers(o.seeds()...),
		kgo.ClientID("weir-cli"),
		kgo.DialTimeout(min(o.timeout, 10*time.Second)),
		// Giving up before a command does tells why it has to: which broker it cannot reach, for one.
		kgo.RetryTimeout(o.timeout * 2 / 3),
		kgo.RequestTimeoutOverhead(min(max(o.timeout, 100*time.Millisecond), 10*time.Second)),
		kgo.DisableClientMetrics(),
	}
	kafka, err := kgo.NewClient(append(base, extra...)...)
	if err != nil {
		return nil, &usageError{err.Error()}
	}
	admin := kadm.NewClient(kafka)
	admin.SetTimeoutMillis(int32(min(o.timeout.Milliseconds(), 1<<31-1)))
	return &client{kafka, admin}, nil
}

// ask runs f with a client and a context that ends after --timeout.
func (o *options) ask(ctx context.Context, f func(context.Context, *client) error) error {
	return o.connected(ctx, func(c *client) error {
		return o.within(ctx, func(ctx context.Context) error {
			defer context.AfterFunc(ctx, c.Close)() // the client's metadata requests heed no context
			return f(ctx, c)
		})
	})
}

// connected runs f with a client, for work that may take longer than --timeout: each of its steps asks within that.
func (o *options) connected(ctx context.Context, f func(*client) error) error {
	c, err := o.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	if err := f(c); !errors.Is(err, kgo.ErrClientClosed) || ctx.Err() == nil {
		return err
	}
	return ctx.Err() // it was closed for that
}

// within runs f with a context that ends after --timeout.
func (o *options) within(ctx context.Context, f func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	err := f(within)
	if err != nil { // of ctx first: within may not have ended yet when what ends with ctx shows
		return cmp.Or(ctx.Err(), within.Err(), err)
	}
	return nil
}

// topicNames lists the names of all topics, in order.
func (c *client) topicNames(ctx context.Context) ([]string, error) {
	details, err := c.admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(details)), nil
}

// topics gives what the cluster knows about topics, all of which must exist.
func (c *client) topics(ctx context.Context, names []string) (kadm.TopicDetails, error) {
	details, err := c.admin.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := c.topicError(ctx, name, details[name].Err); err != nil {
			return nil, err
		}
	}
	return details, nil
}

// topicError names the topic that an error is about and, if there is no such topic, one with a similar name.
func (c *client) topicError(ctx context.Context, name string, err error) error {
	switch err {
	case nil:
		return nil
	case kerr.UnknownTopicOrPartition:
		names, listErr := c.topicNames(ctx)
		if listErr != nil {
			return listErr
		}
		return unknown("topic", name, names)
	}
	return fmt.Errorf("topic %q: %w", name, err)
}

// extents lists the first offsets of partitions, and those after their last records. A partition that does not answer, or does
// not exist, is missing there: what is known of the others is still worth having.
func (c *client) extents(ctx context.Context, topics []string) (starts, ends kadm.ListedOffsets, err error) {
	if len(topics) == 0 {
		return nil, nil, nil
	}
	starts, _ = c.admin.ListStartOffsets(ctx, topics...)
	ends, _ = c.admin.ListEndOffsets(ctx, topics...)
	return starts, ends, ctx.Err()
}

// offsetOf gives a partition's listed offset, if it answered.
func offsetOf(offsets kadm.ListedOffsets, topic string, partition int32) *int64 {
	listed, ok := offsets.Lookup(topic, partition)
	if !ok || listed.Err != nil {
		return nil
	}
	return &listed.Offset
}
