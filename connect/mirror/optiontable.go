package mirror

import (
	"fmt"
	"slices"
	"sync"

	"github.com/weir/weir/connect/sdk"
)

// The groups of options.
const (
	clusterGroup = "CLUSTERS"
	topicGroup   = "TOPICS"
	groupGroup   = "GROUPS"
	beatGroup    = "HEARTBEATS"
	otherGroup   = "OTHER"
)

// optionTable has the options of all three connectors: people write one configuration for the three.
var optionTable = sync.OnceValue(func() []sdk.Option {
	return numbered(slices.Concat([]sdk.Option{
		{Name: "source.cluster.alias", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Group: clusterGroup,
			Doc: "Alias of the source cluster. With the default policy it is the begin of the names of copies: alias.topic."},
		{Name: "target.cluster.alias", Kind: sdk.StringOption, Default: "target", Importance: sdk.High, Group: clusterGroup,
			Doc: "Alias of the target cluster. Topics that came from there are not copied back."},
		{Name: "source.cluster.bootstrap.servers", Kind: sdk.ListOption, Required: true, Importance: sdk.High, Group: clusterGroup,
			Doc: "Brokers of the source cluster to ask first. Other options of clients, such as security.protocol, follow source.cluster. as well; source.consumer., source.producer. and source.admin. go before."},
		{Name: "target.cluster.bootstrap.servers", Kind: sdk.ListOption, Required: true, Importance: sdk.High, Group: clusterGroup,
			Doc: "Brokers of the target cluster, which is the worker's: there topics are created and offsets of groups kept. Other options of clients follow target.cluster. as well."},
		{Name: "replication.policy.class", Kind: sdk.ClassOption, Default: defaultPolicy, Importance: sdk.Low, Group: topicGroup,
			Doc:         "What copies are called: alias.topic with DefaultReplicationPolicy, the same with IdentityReplicationPolicy.",
			Unsupported: "classes of Java cannot be loaded; choose " + defaultPolicy + " or " + identityPolicy, Accepts: []string{identityPolicy}},
		{Name: "replication.policy.separator", Kind: sdk.StringOption, Default: ".", Importance: sdk.Low, Group: topicGroup, Check: notEmpty,
			Doc: "What is between alias and topic."},
		{Name: "replication.policy.internal.topic.separator.enabled", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: topicGroup,
			Doc: "Whether names of internal topics have that separator too, or a dot."},
		{Name: "topics", Kind: sdk.ListOption, Default: ".*", Importance: sdk.High, Group: topicGroup, Check: checkPatterns,
			Doc: "Topics to copy: names and regular expressions."},
		{Name: "topics.exclude", Kind: sdk.ListOption, Default: `mm2.*\.internal,.*\.replica,__.*`, Importance: sdk.High, Group: topicGroup, Check: checkPatterns,
			Doc: "Topics not to copy, though topics has them."},
		{Name: "topics.blacklist", Kind: sdk.ListOption, NoDefault: true, Importance: sdk.Low, Group: topicGroup, Check: checkPatterns,
			Doc: "The old name of topics.exclude."},
		{Name: "replication.factor", Kind: sdk.IntOption, Default: "-1", Importance: sdk.Low, Group: topicGroup, Check: factor,
			Doc: "Replication factor of copies, when they are created; -1: the target's default. MirrorMaker's default is 2."},
		{Name: "refresh.topics.enabled", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: topicGroup,
			Doc: "Whether to look for new topics and partitions."},
		{Name: "refresh.topics.interval.seconds", Kind: sdk.LongOption, Default: "10", Importance: sdk.Low, Group: topicGroup, Check: sdk.AtLeast(1),
			Doc: "How often, in seconds. MirrorMaker's default is 600."},
		{Name: "sync.topic.configs.enabled", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: topicGroup,
			Doc: "Whether copies get the configurations that their topics get later. When they are created they get them in any case."},
		{Name: "sync.topic.configs.interval.seconds", Kind: sdk.LongOption, Default: "60", Importance: sdk.Low, Group: topicGroup, Check: sdk.AtLeast(1),
			Doc: "How often, in seconds. MirrorMaker's default is 600."},
		{Name: "config.properties.exclude", Kind: sdk.ListOption, Importance: sdk.High, Group: topicGroup, Check: checkPatterns,
			Default: `follower\.replication\.throttled\.replicas,leader\.replication\.throttled\.replicas,message\.timestamp\.difference\.max\.ms,log\.message\.timestamp\.before\.max\.ms,` +
				`log\.message\.timestamp\.after\.max\.ms,message\.timestamp\.type,unclean\.leader\.election\.enable,min\.insync\.replicas`,
			Doc: "Configurations that are not copied: names and regular expressions."},
		{Name: "config.properties.blacklist", Kind: sdk.ListOption, NoDefault: true, Importance: sdk.Low, Group: topicGroup, Check: checkPatterns,
			Doc: "The old name of config.properties.exclude."},
		{Name: "sync.topic.acls.enabled", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Group: topicGroup,
			Doc: "ACLs are not copied.", Unsupported: "ACLs are not copied; set it to false and create them in the target"},
		{Name: "sync.topic.acls.interval.seconds", Kind: sdk.LongOption, Default: "600", Importance: sdk.Low, Group: topicGroup,
			Doc:      "Has no effect here: ACLs are not copied.",
			NoEffect: "ACLs are not copied"},
		{Name: "emit.offset-syncs.enabled", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: topicGroup,
			Doc: "Whether it is kept which offsets in source and target belong together. Without it offsets of groups cannot be translated."},
		{Name: "offset-syncs.topic.location", Kind: sdk.StringOption, Default: "source", Importance: sdk.Low, Group: topicGroup, Check: sdk.OneOf("source", "target"),
			Doc: "The cluster that has the topic for that: source or target.", Recommended: func(sdk.Values) []string { return []string{"source", "target"} }},
		{Name: "offset-syncs.topic.replication.factor", Kind: sdk.ShortOption, Default: "-1", Importance: sdk.Low, Group: topicGroup, Check: factor,
			Doc: "Its replication factor, when it is created; -1: the cluster's default. MirrorMaker's default is 3."},
		{Name: "offset.lag.max", Kind: sdk.LongOption, Default: "100", Importance: sdk.Low, Group: topicGroup, Check: sdk.AtLeast(0),
			Doc: "How many records of a partition may come before another pair of offsets is kept. One is kept each second in any case."},
		{Name: "heartbeats.replication.enabled", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: topicGroup,
			Doc: "Whether the source's heartbeats are copied, whatever topics says."},
		{Name: "task.assigned.partitions", Kind: sdk.ListOption, NoDefault: true, Internal: true, Doc: "The partitions of a task."},
		{Name: "task.assigned.topics", Kind: sdk.ListOption, NoDefault: true, Internal: true, Doc: "The ids of their topics, as topic:id."},
		{Name: "groups", Kind: sdk.ListOption, Default: ".*", Importance: sdk.High, Group: groupGroup, Check: checkPatterns,
			Doc: "Consumer groups whose offsets are translated: names and regular expressions."},
		{Name: "groups.exclude", Kind: sdk.ListOption, Default: `console-consumer-.*,connect-.*,__.*`, Importance: sdk.High, Group: groupGroup, Check: checkPatterns,
			Doc: "Groups to leave out, though groups has them."},
		{Name: "groups.blacklist", Kind: sdk.ListOption, NoDefault: true, Importance: sdk.Low, Group: groupGroup, Check: checkPatterns,
			Doc: "The old name of groups.exclude."},
		{Name: "refresh.groups.enabled", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: groupGroup,
			Doc: "Whether to look for new groups."},
		{Name: "refresh.groups.interval.seconds", Kind: sdk.LongOption, Default: "10", Importance: sdk.Low, Group: groupGroup, Check: sdk.AtLeast(1),
			Doc: "How often, in seconds. MirrorMaker's default is 600."},
		{Name: "emit.checkpoints.enabled", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: groupGroup,
			Doc: "Whether translated offsets are written to the topic of checkpoints."},
		{Name: "emit.checkpoints.interval.seconds", Kind: sdk.LongOption, Default: "5", Importance: sdk.Low, Group: groupGroup, Check: sdk.AtLeast(1),
			Doc: "How often, in seconds. MirrorMaker's default is 60."},
		{Name: "checkpoints.topic.replication.factor", Kind: sdk.ShortOption, Default: "-1", Importance: sdk.Low, Group: groupGroup, Check: factor,
			Doc: "Replication factor of that topic, when it is created; -1: the target's default. MirrorMaker's default is 3."},
		{Name: "sync.group.offsets.enabled", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Group: groupGroup,
			Doc: "Whether groups of the target that have no members get the translated offsets, so that their consumers can move there."},
		{Name: "sync.group.offsets.interval.seconds", Kind: sdk.LongOption, Default: "5", Importance: sdk.Low, Group: groupGroup, Check: sdk.AtLeast(1),
			Doc: "How often, in seconds. MirrorMaker's default is 60."},
		{Name: "task.assigned.groups", Kind: sdk.ListOption, NoDefault: true, Internal: true, Doc: "Of MirrorMaker's tasks; here one task has all groups."},
		{Name: "emit.heartbeats.enabled", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: beatGroup,
			Doc: "Whether heartbeats are written."},
		{Name: "emit.heartbeats.interval.seconds", Kind: sdk.LongOption, Default: "1", Importance: sdk.Low, Group: beatGroup, Check: sdk.AtLeast(1),
			Doc: "How often, in seconds."},
		{Name: "heartbeats.topic.replication.factor", Kind: sdk.ShortOption, Default: "-1", Importance: sdk.Low, Group: beatGroup, Check: factor,
			Doc: "Replication factor of their topic, when it is created; -1: the target's default. MirrorMaker's default is 3."},
		{Name: "enabled", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: otherGroup,
			Doc: "Of connect-mirror-maker.", Unsupported: "delete the connector, or stop it"},
		{Name: "admin.timeout.ms", Kind: sdk.LongOption, Default: "60000", Importance: sdk.Low, Group: otherGroup,
			Doc:      "Has no effect here: requests that the clusters do not answer are sent again.",
			NoEffect: "requests that the clusters do not answer are sent again"},
		{Name: "consumer.poll.timeout.ms", Kind: sdk.LongOption, Default: "1000", Importance: sdk.Low, Group: otherGroup,
			Doc:      "Has no effect here: records come when they are there.",
			NoEffect: "records come when they are there"},
		{Name: "add.source.alias.to.metrics", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Group: otherGroup,
			Doc:      "Has no effect here: see the metrics of tasks.",
			NoEffect: "see the metrics of tasks"},
		{Name: "metric.reporters", Kind: sdk.ListOption, Default: "", Importance: sdk.Low, Group: otherGroup,
			Doc:      "Has no effect here: see the metrics of tasks.",
			NoEffect: "see the metrics of tasks"},
		{Name: "metric.names.formats", Kind: sdk.ListOption, Default: "legacy", Importance: sdk.Low, Group: otherGroup,
			Doc:      "Has no effect here: see the metrics of tasks.",
			NoEffect: "see the metrics of tasks"},
		{Name: "use.incremental.alter.configs", Kind: sdk.StringOption, Default: "requested", Importance: sdk.Low, Group: otherGroup,
			Doc: "Configurations are altered one by one.", Unsupported: "configurations are altered one by one", Accepts: []string{"required"}},
		javaClass("topic.filter.class", "org.apache.kafka.connect.mirror.DefaultTopicFilter", "use topics and topics.exclude"),
		javaClass("group.filter.class", "org.apache.kafka.connect.mirror.DefaultGroupFilter", "use groups and groups.exclude"),
		javaClass("config.property.filter.class", "org.apache.kafka.connect.mirror.DefaultConfigPropertyFilter", "use config.properties.exclude"),
		javaClass("forwarding.admin.class", "org.apache.kafka.clients.admin.ForwardingAdmin", "remove it"),
	}, secretOptions()))
})

func javaClass(name, class, instead string) sdk.Option {
	return sdk.Option{Name: name, Kind: sdk.ClassOption, Default: class, Importance: sdk.Low, Group: otherGroup, Doc: "Classes of Java cannot be loaded.",
		Unsupported: "classes of Java cannot be loaded; " + instead}
}

// clientPrefixes begin options of clients.
var clientPrefixes = []string{
	"source.cluster.", "source.consumer.", "source.producer.", "source.admin.", "target.cluster.", "target.consumer.", "target.producer.", "target.admin.",
	"consumer.", "producer.", "admin.",
}

// secretOptions are options of clients that nobody may see.
func secretOptions() []sdk.Option {
	var out []sdk.Option
	for _, prefix := range clientPrefixes {
		for _, name := range []string{"sasl.jaas.config", "ssl.key.password", "ssl.keystore.key", "ssl.keystore.password", "ssl.truststore.password"} {
			out = append(out, sdk.Option{Name: prefix + name, Kind: sdk.PasswordOption, NoDefault: true, Importance: sdk.Medium, Group: clusterGroup, Internal: true, Doc: "An option of clients."})
		}
	}
	return out
}

func numbered(options []sdk.Option) []sdk.Option {
	next := map[string]int{}
	for i := range options {
		o := &options[i]
		next[o.Group]++
		o.Order = next[o.Group]
	}
	return options
}

func notEmpty(_ sdk.Values, value any) error {
	if value == "" {
		return fmt.Errorf("Invalid value for configuration replication.policy.separator: it must not be empty")
	}
	return nil
}

func factor(_ sdk.Values, value any) error {
	if n, _ := value.(int64); n < 1 && n != -1 {
		return fmt.Errorf("Invalid value %d: Value must be at least 1, or -1 for the cluster's default", n)
	}
	return nil
}
