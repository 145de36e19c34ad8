package mirror

import "strings"

// policy names topics: it says what the copy of a topic is called, and where one that has such a name comes from (KIP-382, KIP-690).
type policy struct {
	identity       bool
	separator      string
	internal       string // separator in names of internal topics
	source, target string // aliases
}

// The classes of policies.
const (
	defaultPolicy  = "org.apache.kafka.connect.mirror.DefaultReplicationPolicy"
	identityPolicy = "org.apache.kafka.connect.mirror.IdentityReplicationPolicy"
)

const heartbeats = "heartbeats"

// remote gives the name that the copy of a topic has in the target.
func (p *policy) remote(topic string) string {
	if p.identity && !p.isHeartbeats(topic) {
		return topic
	}
	return p.source + p.separator + topic
}

// origin gives the alias of the cluster that a topic was copied from, and its name there. false: by its name, it is no copy.
func (p *policy) origin(topic string) (alias, upstream string, ok bool) {
	if p.identity && !p.isHeartbeats(topic) {
		return "", "", false
	}
	return strings.Cut(topic, p.separator)
}

// isHeartbeats tells whether a topic is that of heartbeats, or a copy of such.
func (p *policy) isHeartbeats(topic string) bool {
	return topic == heartbeats || strings.HasSuffix(topic, p.separator+heartbeats)
}

// cycle tells whether a topic came from the target, over however many clusters: a copy of it there would be copied for ever.
func (p *policy) cycle(topic string) bool {
	for {
		alias, upstream, ok := p.origin(topic)
		if !ok {
			return false
		}
		if alias == p.target {
			return true
		}
		topic = upstream
	}
}

// downstream gives the name that a topic of the source has in the target, also if it came from there.
func (p *policy) downstream(topic string) string {
	alias, upstream, ok := p.origin(topic)
	if !ok || alias != p.target {
		return p.remote(topic)
	}
	for ok {
		topic = upstream
		_, upstream, ok = p.origin(topic)
	}
	return topic
}

// isInternal tells whether a topic is one that clusters, workers or mirrors have for themselves.
func (p *policy) isInternal(topic string) bool {
	return strings.HasPrefix(topic, "__") || strings.HasPrefix(topic, ".") || strings.HasSuffix(topic, ".internal") || strings.HasSuffix(topic, "-internal") ||
		strings.HasSuffix(topic, p.internal+"internal")
}

// syncs names the topic of offset syncs, in a cluster, about the cluster other.
func (p *policy) syncs(other string) string {
	return "mm2-offset-syncs" + p.internal + other + p.internal + "internal"
}

// checkpoints names the topic of checkpoints in the target.
func (p *policy) checkpoints() string {
	return p.source + p.internal + "checkpoints" + p.internal + "internal"
}
