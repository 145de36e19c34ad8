package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/connect/sdk"
)

// clusters is both of them, to be asked.
type clusters struct {
	*options
	source, target *kadm.Client
}

// dial makes clients for what is asked of the clusters. It does not connect yet.
func dial(o *options) (*clusters, error) {
	c := &clusters{options: o}
	for name, admin := range map[string]**kadm.Client{"source": &c.source, "target": &c.target} {
		k, err := o.connect(name, "admin", kgo.RetryTimeout(adminPatience))
		if err != nil {
			c.close()
			return nil, err
		}
		*admin = kadm.NewClient(k)
	}
	return c, nil
}

func (c *clusters) close() {
	for _, admin := range []*kadm.Client{c.source, c.target} {
		if admin != nil {
			admin.Close()
		}
	}
}

func (c *clusters) of(name string) *kadm.Client {
	if name == "target" {
		return c.target
	}
	return c.source
}

// failed says what it means that a cluster does not do what it was asked for.
func (o *options) failed(cluster, what string, err error) error {
	alias := o.policy.source
	if cluster == "target" {
		alias = o.policy.target
	}
	for _, denied := range []error{kerr.SaslAuthenticationFailed, kerr.ClusterAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed,
		kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState} {
		if errors.Is(err, denied) {
			return sdk.Misconfigured("The %s cluster %s does not let the mirror %s: %w; see %s.cluster.sasl.* and the user's ACLs", cluster, alias, what, err, cluster)
		}
	}
	return sdk.Retry(fmt.Errorf("the %s cluster %s cannot be asked to %s: %w; is it up, and is %s.cluster.bootstrap.servers right?", cluster, alias, what, err, cluster))
}

// topic is one of the source.
type topic struct {
	partitions int
	id         string // another one if it was deleted and made again; "": the source's brokers are too old to tell
}

// find gives the topics of the source that are copied.
func (c *clusters) find(ctx context.Context) (map[string]topic, error) {
	all, err := c.source.ListTopics(ctx)
	if err != nil {
		return nil, c.failed("source", "list its topics", err)
	}
	out := map[string]topic{}
	for name, d := range all {
		if d.Err != nil || !c.copies(name) {
			continue
		}
		found := topic{partitions: len(d.Partitions)}
		if d.ID != (kadm.TopicID{}) {
			found.id = d.ID.String()
		}
		out[name] = found
	}
	return out, nil
}

// ensure sees that the copies of topics are in the target with as many partitions at least.
func (c *clusters) ensure(ctx context.Context, topics map[string]topic) error {
	if len(topics) == 0 {
		return nil
	}
	names := make([]string, 0, len(topics))
	for name := range topics {
		names = append(names, c.policy.remote(name))
	}
	there, err := c.target.ListTopics(ctx, names...)
	if err != nil {
		return c.failed("target", "list its topics", err)
	}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		remote, partitions := c.policy.remote(name), topics[name].partitions
		d, ok := there[remote]
		switch {
		case !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			missing = append(missing, name)
		case d.Err != nil:
			return c.failed("target", "describe the topic "+remote, d.Err)
		case len(d.Partitions) < partitions:
			grown, err := c.target.UpdatePartitions(ctx, partitions, remote)
			if err == nil {
				err = grown[remote].Err
			}
			if err != nil && !errors.Is(err, kerr.InvalidPartitions) { // that is: somebody else was faster
				return c.failed("target", "add partitions to the topic "+remote, err)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	configs, err := c.configsOf(ctx, missing)
	if err != nil {
		return err
	}
	for _, name := range missing {
		if err := c.create(ctx, "target", c.policy.remote(name), topics[name].partitions, c.Int("replication.factor"), configs[name]); err != nil {
			return err
		}
	}
	return nil
}

// compacted are the configurations of topics in which the mirror keeps what it knows.
var compacted = map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}

// create creates a topic if it is not there.
func (c *clusters) create(ctx context.Context, cluster, topic string, partitions int, replicas int64, configs map[string]*string) error {
	made, err := c.of(cluster).CreateTopic(ctx, int32(partitions), int16(replicas), configs, topic)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists):
		return nil
	case errors.Is(err, kerr.InvalidConfig), errors.Is(err, kerr.InvalidReplicationFactor), errors.Is(err, kerr.PolicyViolation), errors.Is(err, kerr.InvalidTopicException):
		if made.ErrMessage != "" {
			err = fmt.Errorf("%w: %s", err, made.ErrMessage)
		}
		return sdk.Misconfigured("The topic %s cannot be created in the %s cluster: %w; see replication.factor, config.properties.exclude and topics.exclude", topic, cluster, err)
	}
	return c.failed(cluster, "create the topic "+topic, err)
}

// configsOf gives the configurations of topics of the source that are not defaults, as far as they are copied.
func (c *clusters) configsOf(ctx context.Context, topics []string) (map[string]map[string]*string, error) {
	described, err := c.source.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return nil, c.failed("source", "describe its topics", err)
	}
	out := map[string]map[string]*string{}
	for _, d := range described {
		if d.Err != nil {
			return nil, c.failed("source", "describe the topic "+d.Name, d.Err)
		}
		set := map[string]*string{}
		for _, k := range d.Configs {
			if k.Source != kmsg.ConfigSourceDefaultConfig && !k.Sensitive && k.Value != nil && c.configs.has(k.Key) {
				set[k.Key] = k.Value
			}
		}
		out[d.Name] = set
	}
	return out, nil
}

// limits gives how large batches may be that the copies of partitions take.
func (c *clusters) limits(ctx context.Context, of []sdk.TopicPartition) (map[string]int32, error) {
	out := map[string]int32{}
	if len(of) == 0 {
		return out, nil
	}
	for _, tp := range of {
		out[c.policy.remote(tp.Topic)] = 0
	}
	described, err := c.target.DescribeTopicConfigs(ctx, slices.Collect(maps.Keys(out))...)
	if err != nil {
		return nil, c.failed("target", "describe its topics", err)
	}
	clear(out)
	for _, d := range described {
		for _, k := range d.Configs {
			if n, err := strconv.ParseInt(k.MaybeValue(), 10, 32); k.Key == "max.message.bytes" && err == nil && d.Err == nil {
				out[d.Name] = int32(n)
			}
		}
	}
	return out, nil
}

// sync gives copies the configurations that their topics have.
func (c *clusters) sync(ctx context.Context, topics []string) error {
	if len(topics) == 0 {
		return nil
	}
	want, err := c.configsOf(ctx, topics)
	if err != nil {
		return err
	}
	remotes := make([]string, len(topics))
	of := map[string]string{}
	for i, topic := range topics {
		remotes[i] = c.policy.remote(topic)
		of[remotes[i]] = topic
	}
	described, err := c.target.DescribeTopicConfigs(ctx, remotes...)
	if err != nil {
		return c.failed("target", "describe its topics", err)
	}
	var failed error
	for _, d := range described {
		alter := c.changes(want[of[d.Name]], d.Configs)
		if d.Err != nil || len(alter) == 0 {
			continue // a copy that is not there yet is created with its configurations
		}
		done, err := c.target.AlterTopicConfigs(ctx, alter, d.Name)
		if err == nil {
			for _, r := range done {
				err = errors.Join(err, r.Err)
			}
		}
		if err != nil {
			failed = errors.Join(failed, c.failed("target", "configure the topic "+d.Name, err))
		}
	}
	return failed
}

// changes gives what makes configurations of a copy what they should be. Those that are the source's defaults become the target's.
func (c *clusters) changes(want map[string]*string, have []kadm.Config) []kadm.AlterConfig {
	var out []kadm.AlterConfig
	has := map[string]string{}
	for _, k := range have {
		has[k.Key] = k.MaybeValue()
		_, wanted := want[k.Key]
		if k.Source == kmsg.ConfigSourceDynamicTopicConfig && !wanted && c.configs.has(k.Key) {
			out = append(out, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: k.Key})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if value, known := has[name]; !known || value != *want[name] {
			out = append(out, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: want[name]})
		}
	}
	return out
}
