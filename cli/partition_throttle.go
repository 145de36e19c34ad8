package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// throttle bounds the copying of moves with Kafka's configurations: a rate of all brokers, and the topics that it applies to.
type throttle struct {
	c      *client
	rate   sizeValue // bytes per second; 0: no bound is asked for
	topics []configResource
}

func newThrottle(c *client, rate sizeValue, assignments []assignment) *throttle {
	topics := map[string]bool{}
	for _, a := range assignments {
		topics[a.Topic] = true
	}
	t := &throttle{c: c, rate: rate}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		t.topics = append(t.topics, configResource{kmsg.ConfigResourceTypeTopic, name})
	}
	return t
}

func (t *throttle) begin(ctx context.Context) error {
	rate, all := strconv.FormatInt(int64(t.rate), 10), "*"
	return t.alter(ctx, &rate, &all)
}

func (t *throttle) end(ctx context.Context) error {
	if err := t.alter(ctx, nil, nil); err != nil {
		return fmt.Errorf("the throttle could not be taken back: %w; `weir config unset leader.replication.throttled.rate follower.replication.throttled.rate` does it", err)
	}
	return nil
}

func (t *throttle) alter(ctx context.Context, rate, replicas *string) error {
	if t.rate == 0 {
		return nil
	}
	both := func(end string, value *string) []configEdit {
		return []configEdit{{"leader.replication.throttled." + end, value}, {"follower.replication.throttled." + end, value}}
	}
	if err := t.c.alterConfigs(ctx, []configResource{clusterResource}, both("rate", rate), false); err != nil {
		return err
	}
	return t.c.alterConfigs(ctx, t.topics, both("replicas", replicas), false)
}
