package mirror

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Connectors gives the package's connectors.
func Connectors() []sdk.Connector { return []sdk.Connector{source{}, checkpoints{}, beats{}} }

const (
	classes = "org.apache.kafka.connect.mirror."
	version = "4.3.1" // of the MirrorMaker whose options these are

	// adminPatience is how long a cluster may take to answer what it is asked.
	adminPatience = 5 * time.Second
)

// common is what the three connectors share.
type common struct{}

func (common) Options() []sdk.Option { return optionTable() }

// HasOption tells of options of clients.
func (common) HasOption(name string) bool {
	return slices.ContainsFunc(clientPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// Defaults lets bytes be what they are.
func (common) Defaults() map[string]string {
	const bytes = "org.apache.kafka.connect.converters.ByteArrayConverter"
	return map[string]string{"key.converter": bytes, "value.converter": bytes, "header.converter": bytes}
}

// Validate checks the options together and, if they are right, whether both clusters answer.
func (common) Validate(ctx context.Context, v sdk.Values) []sdk.OptionError {
	o := read(v)
	if o.policy.source == o.policy.target {
		return []sdk.OptionError{{Option: "target.cluster.alias", Err: fmt.Errorf("Both clusters have the alias %s: give each its own, by which topics that came from the other are known", o.policy.source)}}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*adminPatience)
	defer cancel()
	for _, cluster := range []string{"source", "target"} {
		for _, purpose := range []string{"consumer", "producer", "admin"} {
			if _, err := o.client(cluster, purpose); err != nil {
				return []sdk.OptionError{{Option: cluster + ".cluster.bootstrap.servers", Err: err}}
			}
		}
		k, err := o.connect(cluster, "admin")
		if err == nil {
			if err = k.Ping(ctx); err != nil {
				err = o.failed(cluster, "answer", err)
			}
			k.Close()
		}
		if err != nil {
			return []sdk.OptionError{{Option: cluster + ".cluster.bootstrap.servers", Err: err}}
		}
	}
	return nil
}

// source is the connector that copies topics.
type source struct{ common }

func (source) Info() sdk.Info {
	return sdk.Info{Class: classes + "MirrorSourceConnector", Version: version,
		Doc: "Copies topics of another Kafka cluster, with their partitions and configurations, and keeps which offsets belong together."}
}

func (source) NewTask() sdk.SourceTask { return &sourceTask{} }

// CheckPositions refuses offsets that are none of this connector's.
func (source) CheckPositions(v sdk.Values, positions []sdk.Position) error {
	for _, p := range positions {
		topic, _ := p.Partition["topic"].(string)
		n, whole := sdk.Int64Of(p.Partition, "partition")
		if len(p.Partition) != 3 || p.Partition["cluster"] != v.String("source.cluster.alias") || topic == "" || !whole || n < 0 {
			return fmt.Errorf(`the partition must be {"cluster": %q, "topic": ..., "partition": ...}, with the topic's name in the source`, v.String("source.cluster.alias"))
		}
		if at, ok := sdk.Int64Of(p.Offset, "offset"); p.Offset != nil && (!ok || at < 0) {
			return fmt.Errorf("the offset must have offset, that of the last record that was copied: a whole number, 0 or more")
		}
	}
	return nil
}

// Split creates the copies that are missing, and divides the partitions among the tasks.
func (source) Split(ctx context.Context, v sdk.Values, most int) ([]map[string]string, error) {
	c, err := dial(read(v))
	if err != nil {
		return nil, err
	}
	defer c.close()
	found, err := c.find(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.ensure(ctx, found); err != nil {
		return nil, err
	}
	return divide(found, most), nil
}

// divide deals partitions out to tasks: those of a topic to one after the other. With them go the ids of their topics, so that tasks begin
// anew when a topic was made again.
func divide(topics map[string]topic, most int) []map[string]string {
	var all []sdk.TopicPartition
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		for p := range topics[name].partitions {
			all = append(all, sdk.TopicPartition{Topic: name, Partition: int32(p)})
		}
	}
	lists, ids := make([][]string, min(most, len(all))), make([][]string, min(most, len(all)))
	for i, tp := range all {
		to := i % len(lists)
		lists[to] = append(lists[to], tp.Topic+"-"+strconv.Itoa(int(tp.Partition)))
		if id := tp.Topic + ":" + topics[tp.Topic].id; topics[tp.Topic].id != "" && !slices.Contains(ids[to], id) {
			ids[to] = append(ids[to], id)
		}
	}
	out := make([]map[string]string, len(lists))
	for i, list := range lists {
		out[i] = map[string]string{"task.assigned.partitions": strings.Join(list, ","), "task.assigned.topics": strings.Join(ids[i], ",")}
	}
	return out
}

// assigned reads what divide gave to a task.
func assigned(list []string) ([]sdk.TopicPartition, error) {
	var out []sdk.TopicPartition
	for _, name := range list {
		i := strings.LastIndexByte(name, '-')
		n, err := strconv.ParseInt(name[i+1:], 10, 32)
		if i < 1 || err != nil {
			return nil, sdk.Misconfigured("task.assigned.partitions: %s is no topic with a partition, as in orders-0", name)
		}
		out = append(out, sdk.TopicPartition{Topic: name[:i], Partition: int32(n)})
	}
	return out, nil
}

// Watch looks for topics and partitions that come and go, and copies configurations that change. What fails is tried again the next time;
// the tasks tell of a source that is down.
func (source) Watch(ctx context.Context, v sdk.Values, changed func()) error {
	o := read(v)
	c, err := dial(o)
	if err != nil {
		return err
	}
	defer c.close()
	logger := slog.Default().With("mirror", o.policy.source+"->"+o.policy.target)
	var known map[string]topic
	var synced time.Time
	for o.sleep(ctx, "refresh.topics.enabled", "refresh.topics.interval.seconds", "sync.topic.configs.enabled", "sync.topic.configs.interval.seconds") {
		found, err := c.find(ctx)
		if err != nil {
			logger.Debug("the topics of the source cannot be listed now", "error", err)
			continue
		}
		if !maps.Equal(found, known) && o.Bool("refresh.topics.enabled") {
			changed() // also the first time: something may have changed since the work was divided
			known = found
		}
		if o.Bool("sync.topic.configs.enabled") && time.Since(synced) >= o.seconds("sync.topic.configs.interval.seconds") {
			if err := c.sync(ctx, slices.Sorted(maps.Keys(found))); ctx.Err() != nil {
				return nil
			} else if err != nil {
				logger.Warn("configurations of topics cannot be copied now; it is tried again", "error", err)
				continue
			}
			synced = time.Now()
		}
	}
	return nil
}

// sleep waits for the shortest of intervals, of which each is named after the option that enables it; if none is enabled, for the end of ctx.
// false: ctx has ended.
func (o *options) sleep(ctx context.Context, names ...string) bool {
	return pause(ctx, cmp.Or(o.shortest(names...), never))
}

// rest waits as sleep does, since a time, but no longer than Poll may. false: there is nothing to do yet, or ctx has ended.
func (o *options) rest(ctx context.Context, since time.Time, names ...string) bool {
	wait := never
	if every := o.shortest(names...); every > 0 {
		wait = every - time.Since(since)
	}
	return pause(ctx, min(wait, sdk.PollWithin)) && wait <= sdk.PollWithin
}

const never = time.Duration(1 << 62)

// pause waits. false: ctx has ended.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// shortest gives the shortest interval that is enabled; 0: none is.
func (o *options) shortest(names ...string) (least time.Duration) {
	for i := 0; i < len(names); i += 2 {
		if every := o.seconds(names[i+1]); o.Bool(names[i]) && (least == 0 || every < least) {
			least = every
		}
	}
	return least
}
