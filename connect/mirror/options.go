package mirror

import (
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/runtime"
	"github.com/weir/weir/connect/sdk"
)

// options are those of a connector, read.
type options struct {
	sdk.Values
	policy  policy
	topics  filter
	groups  filter
	configs filter // of configurations
}

// read reads options, of which each by itself is right.
func read(v sdk.Values) *options {
	o := &options{Values: v, policy: policy{
		identity: v.String("replication.policy.class") == identityPolicy, separator: v.String("replication.policy.separator"), internal: ".",
		source: v.String("source.cluster.alias"), target: v.String("target.cluster.alias"),
	}}
	if v.Bool("replication.policy.internal.topic.separator.enabled") {
		o.policy.internal = o.policy.separator
	}
	o.topics = filter{patternOf(v, "topics"), patternOf(v, "topics.exclude", "topics.blacklist")}
	o.groups = filter{patternOf(v, "groups"), patternOf(v, "groups.exclude", "groups.blacklist")}
	all, _ := pattern([]string{".*"})
	o.configs = filter{all, patternOf(v, "config.properties.exclude", "config.properties.blacklist")}
	return o
}

// copies tells whether a topic of the source is to be copied.
func (o *options) copies(topic string) bool {
	wanted := o.topics.has(topic) || o.Bool("heartbeats.replication.enabled") && o.policy.isHeartbeats(topic)
	return wanted && !o.policy.isInternal(topic) && !o.policy.cycle(topic)
}

// seconds gives the value of an option that is a time in seconds.
func (o *options) seconds(name string) time.Duration { return time.Duration(o.Int(name)) * time.Second }

// syncs gives the topic of offset syncs, and the cluster that has it: source or target.
func (o *options) syncs() (topic, at string) {
	if at = strings.ToLower(o.String("offset-syncs.topic.location")); at == "target" {
		return o.policy.syncs(o.policy.source), at
	}
	return o.policy.syncs(o.policy.target), "source"
}

// client gives the options of a client of a cluster, source or target, for something: consumer, producer or admin. Of options that are
// there more than once, the more special ones count: source.consumer.x before consumer.x before source.cluster.x.
func (o *options) client(cluster, purpose string) ([]kgo.Opt, error) {
	props := map[string]string{}
	for _, prefix := range []string{cluster + ".cluster.", purpose + ".", cluster + "." + purpose + "."} {
		for name, value := range o.Map() {
			rest, ok := strings.CutPrefix(name, prefix)
			if !ok || strings.HasPrefix(rest, "override.") || name == cluster+".cluster.alias" || ownOption[name] {
				continue
			}
			props[rest] = value
		}
	}
	opts, err := runtime.ClientOptions(props)
	if err != nil {
		return nil, sdk.Misconfigured("Options of the %s of the %s cluster (%s.cluster.*, %s.*, %s.%s.*): %w", purpose, cluster, cluster, purpose, cluster, purpose, err)
	}
	return append([]kgo.Opt{kgo.DisableClientMetrics(), kgo.MetadataMinAge(metadataMinAge), kgo.ClientID("mirror-" + o.policy.source + "-" + o.policy.target)}, opts...), nil
}

// metadataMinAge is how soon a client asks again who leads a partition. Leaders that fail are replaced within milliseconds.
const metadataMinAge = 250 * time.Millisecond

// ownOption has the options that begin as those of clients do, and are none.
var ownOption = map[string]bool{"consumer.poll.timeout.ms": true, "admin.timeout.ms": true}

// connect makes a client.
func (o *options) connect(cluster, purpose string, more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := o.client(cluster, purpose)
	if err != nil {
		return nil, err
	}
	c, err := kgo.NewClient(append(more, opts...)...)
	if err != nil {
		return nil, sdk.Misconfigured("Options of the %s of the %s cluster do not go together: %w", purpose, cluster, err)
	}
	return c, nil
}
