package mirror

import (
	"context"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// beats is the connector that writes heartbeats.
type beats struct{ common }

func (beats) Info() sdk.Info {
	return sdk.Info{Class: classes + "MirrorHeartbeatConnector", Version: version,
		Doc: "Writes heartbeats to the target. Mirrors copy them, and so tell of which clusters a cluster has copies, and how late they are."}
}

func (beats) NewTask() sdk.SourceTask { return &beatTask{} }

type beatTask struct {
	*options
	beat time.Time
}

// Start implements sdk.SourceTask.
func (t *beatTask) Start(ctx context.Context, _ sdk.SourceContext, v sdk.Values) error {
	t.options = read(v)
	c, err := dial(t.options)
	if err != nil {
		return err
	}
	defer c.close()
	return c.create(ctx, "target", heartbeats, 1, t.Int("heartbeats.topic.replication.factor"), compacted)
}

// Poll implements sdk.SourceTask.
func (t *beatTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	if (!t.beat.IsZero() || !t.Bool("emit.heartbeats.enabled")) && !t.rest(ctx, t.beat, "emit.heartbeats.enabled", "emit.heartbeats.interval.seconds") {
		return nil, ctx.Err()
	}
	now := time.Now()
	t.beat = now
	h := heartbeat{t.policy.source, t.policy.target, now.UnixMilli()}
	return []*sdk.Record{{Topic: heartbeats, Partition: 0, KeySchema: sdk.BytesSchema, Key: h.key(), ValueSchema: sdk.BytesSchema, Value: h.value(), Timestamp: now}}, nil
}

// Stop implements sdk.SourceTask.
func (t *beatTask) Stop() error { return nil }
