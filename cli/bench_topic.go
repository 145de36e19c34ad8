package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// prepare looks at the topic that was given, or makes one; undo deletes that one.
func (b *bench) prepare(ctx context.Context, o *options, cmd *cobra.Command, given bool) (undo func() error, err error) {
	nothing := func() error { return nil }
	if given {
		return nothing, o.ask(ctx, func(ctx context.Context, c *client) error {
			details, err := c.topics(ctx, []string{b.topic})
			b.partitions = int32(len(details[b.topic].Partitions))
			return err
		})
	}
	configs, err := configMap(b.configs)
	if err != nil {
		return nil, err
	}
	err = o.ask(ctx, func(ctx context.Context, c *client) error {
		made, err := c.admin.CreateTopic(ctx, b.partitions, b.replication, configs, b.topic)
		if err != nil {
			return fmt.Errorf("making topic %s: %w", b.topic, brokerError(err, made.ErrMessage))
		}
		return c.untilLed(ctx, b.topic, b.partitions)
	})
	if err != nil {
		return nil, err
	}
	if b.keep {
		cmd.PrintErrf("Topic %s is kept.\n", b.topic)
		return nothing, nil
	}
	return func() error {
		return o.ask(context.WithoutCancel(ctx), func(ctx context.Context, c *client) error {
			if _, err := c.admin.DeleteTopic(ctx, b.topic); err != nil {
				return fmt.Errorf("topic %s was not deleted: %w", b.topic, err)
			}
			return nil
		})
	}, nil
}

// ledPause is how long to wait before asking again for leaders.
const ledPause = 10 * time.Millisecond

// untilLed waits until all partitions of a new topic have leaders.
func (c *client) untilLed(ctx context.Context, topic string, partitions int32) error {
	for {
		details, err := c.admin.ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		led := int32(0)
		details.EachPartition(func(p kadm.PartitionDetail) {
			if p.Leader >= 0 && p.Err == nil {
				led++
			}
		})
		if led >= partitions {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(ledPause):
		}
	}
}
