package mirror

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir/weir/connect/sdk"
)

// checkpoints is the connector that translates the offsets of groups. One task does it for all of them.
type checkpoints struct{ common }

func (checkpoints) Info() sdk.Info {
	return sdk.Info{Class: classes + "MirrorCheckpointConnector", Version: version,
		Doc: "Translates the committed offsets of consumer groups to those in the copies, and keeps groups of the target that have no members at them."}
}

func (checkpoints) NewTask() sdk.SourceTask { return &checkpointTask{} }

// Validate implements sdk.Validator.
func (c checkpoints) Validate(ctx context.Context, v sdk.Values) []sdk.OptionError {
	if !v.Bool("emit.checkpoints.enabled") && !v.Bool("sync.group.offsets.enabled") {
		return []sdk.OptionError{{Option: "emit.checkpoints.enabled", Err: fmt.Errorf("The connector has nothing to do: set emit.checkpoints.enabled or sync.group.offsets.enabled to true")}}
	}
	if !v.Bool("emit.offset-syncs.enabled") {
		return []sdk.OptionError{{Option: "emit.offset-syncs.enabled", Err: fmt.Errorf("Offsets cannot be translated without offset syncs: set emit.offset-syncs.enabled to true, here and for the MirrorSourceConnector")}}
	}
	return c.common.Validate(ctx, v)
}

type checkpointTask struct {
	*options
	logger   *slog.Logger
	clusters *clusters
	syncs    *follower
	pairs    translation
	known    map[groupPartition]checkpoint // newest
	groups   []string
	listed   time.Time // when groups were
	synced   time.Time // when groups of the target got offsets
	looked   time.Time
}

// Start implements sdk.SourceTask.
func (t *checkpointTask) Start(ctx context.Context, c sdk.SourceContext, v sdk.Values) (err error) {
	t.options, t.logger, t.pairs, t.known = read(v), c.Logger(), translation{}, map[groupPartition]checkpoint{}
	if t.clusters, err = dial(t.options); err != nil {
		return err
	}
	topic := t.policy.checkpoints()
	if err := t.clusters.create(ctx, "target", topic, 1, t.Int("checkpoints.topic.replication.factor"), compacted); err != nil {
		return err
	}
	old, err := newFollower(t.clusters, topic, "target")
	if err != nil {
		return err
	}
	defer old.close()
	err = old.follow(ctx, func(key, value []byte) error {
		p, err := readCheckpoint(key, value)
		if err == nil {
			t.known[p.groupPartition] = p
		}
		return err
	})
	if err != nil {
		return err
	}
	syncs, at := t.options.syncs()
	t.syncs, err = newFollower(t.clusters, syncs, at)
	return err
}

// Poll implements sdk.SourceTask.
func (t *checkpointTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	if !t.looked.IsZero() && !t.rest(ctx, t.looked, "emit.checkpoints.enabled", "emit.checkpoints.interval.seconds", "sync.group.offsets.enabled", "sync.group.offsets.interval.seconds") {
		return nil, ctx.Err()
	}
	t.looked = time.Now()
	news, err := t.look(ctx)
	if err != nil {
		return nil, err
	}
	if t.Bool("sync.group.offsets.enabled") && time.Since(t.synced) >= t.seconds("sync.group.offsets.interval.seconds") {
		if err := t.sync(ctx); err != nil {
			return nil, err
		}
		t.synced = time.Now()
	}
	if !t.Bool("emit.checkpoints.enabled") {
		return nil, nil
	}
	now := time.Now()
	out := make([]*sdk.Record, len(news))
	for i := range news {
		out[i] = &sdk.Record{Topic: t.policy.checkpoints(), Partition: 0, KeySchema: sdk.BytesSchema, Key: news[i].key(), ValueSchema: sdk.BytesSchema, Value: news[i].value(), Timestamp: now}
	}
	return out, nil
}

// look gives the checkpoints that are new.
func (t *checkpointTask) look(ctx context.Context) ([]checkpoint, error) {
	err := t.syncs.follow(ctx, func(key, value []byte) error {
		s, err := readSync(key, value)
		if err == nil {
			t.pairs.learn(s)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if t.listed.IsZero() || t.Bool("refresh.groups.enabled") && time.Since(t.listed) >= t.seconds("refresh.groups.interval.seconds") {
		all, err := t.clusters.source.ListGroups(ctx)
		if err != nil {
			return nil, t.failed("source", "list its groups", err)
		}
		t.groups = slices.DeleteFunc(all.Groups(), func(g string) bool { return !t.options.groups.has(g) })
		t.listed = time.Now()
	}
	if len(t.groups) == 0 {
		return nil, nil
	}
	var news []checkpoint
	fetched := t.clusters.source.FetchManyOffsets(ctx, t.groups...)
	if fetched.AllFailed() {
		return nil, t.failed("source", "give the offsets of groups", fetched.Error())
	}
	for _, group := range slices.Sorted(maps.Keys(fetched)) {
		if err := fetched[group].Err; err != nil {
			t.logger.Debug("the offsets of a group cannot be read", "group", group, "error", err)
			continue
		}
		for _, r := range fetched[group].Fetched.Sorted() {
			if c, ok := t.checkpoint(group, r); ok && t.isNews(c) {
				t.known[c.groupPartition] = c
				news = append(news, c)
			}
		}
	}
	return news, nil
}

// checkpoint translates how far a group is. false: that is not possible, or not wanted.
func (t *checkpointTask) checkpoint(group string, r kadm.OffsetResponse) (checkpoint, bool) {
	if r.Err != nil || r.At < 0 || !t.topics.has(r.Topic) {
		return checkpoint{}, false
	}
	at, ok := t.pairs.translate(sdk.TopicPartition{Topic: r.Topic, Partition: r.Partition}, r.At)
	to := sdk.TopicPartition{Topic: t.policy.downstream(r.Topic), Partition: r.Partition}
	return checkpoint{groupPartition{group, to}, r.At, at, r.Metadata}, ok
}

// isNews tells whether a checkpoint says more than the last. What is translated does not go back, unless the group did.
func (t *checkpointTask) isNews(c checkpoint) bool {
	last, known := t.known[c.groupPartition]
	return !known || c.upstream < last.upstream || c.downstream > last.downstream
}

// sync commits translated offsets for groups of the target that have no members, if they are not as far.
func (t *checkpointTask) sync(ctx context.Context) error {
	want := map[string]kadm.Offsets{}
	for at, c := range t.known {
		if !slices.Contains(t.groups, at.group) {
			continue
		}
		offsets := want[at.group]
		offsets.Add(kadm.Offset{Topic: at.Topic, Partition: at.Partition, At: c.downstream, LeaderEpoch: -1, Metadata: c.metadata})
		want[at.group] = offsets
	}
	if len(want) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(want))
	described, err := t.clusters.target.DescribeGroups(ctx, names...)
	if err != nil {
		return t.failed("target", "describe groups", err)
	}
	fetched := t.clusters.target.FetchManyOffsets(ctx, names...)
	for _, group := range names {
		if state := described[group].State; state != "Empty" && state != "Dead" || fetched[group].Err != nil {
			continue
		}
		t.move(ctx, group, want[group], fetched[group].Fetched)
	}
	return nil
}

// move commits offsets of a group that are further than those it has. A group that got members meanwhile refuses.
func (t *checkpointTask) move(ctx context.Context, group string, want kadm.Offsets, have kadm.OffsetResponses) {
	want.DeleteFunc(func(o kadm.Offset) bool {
		has, ok := have.Lookup(o.Topic, o.Partition)
		return ok && has.Err == nil && has.At >= o.At
	})
	if len(want) == 0 {
		return
	}
	done, err := t.clusters.target.CommitOffsets(ctx, group, want)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		t.logger.Info("offsets of a group cannot be set in the target now; it is tried again", "group", group, "error", err)
	}
}

// Stop implements sdk.SourceTask.
func (t *checkpointTask) Stop() error {
	if t.syncs != nil {
		t.syncs.close()
	}
	if t.clusters != nil {
		t.clusters.close()
	}
	return nil
}
