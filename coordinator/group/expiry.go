package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
)

// consumerProtocol is the protocol type of consumers; only of theirs is it known what is in their metadata.
const consumerProtocol = "consumer"

// connectProtocol is the protocol type of the workers of Kafka Connect.
const connectProtocol = "connect"

// subscriptions are the topics that the members of a generation are subscribed to, if that can be told.
type subscriptions struct {
	known  bool
	topics map[string]bool
}

// subscriptions reads the members' topics.
func (g *group) subscriptions() subscriptions {
	if g.protocolType != consumerProtocol {
		return subscriptions{}
	}
	out := subscriptions{known: true, topics: map[string]bool{}}
	for _, m := range g.members {
		topics, ok := subscriptionTopics(m.metadata(g.protocol))
		if !ok {
			return subscriptions{}
		}
		for _, topic := range topics {
			out.topics[topic] = true
		}
	}
	return out
}

// subscriptionTopics reads the topics off a consumer's metadata: version int16, then an array of strings; later versions
// only add to that.
func subscriptionTopics(b []byte) (topics []string, ok bool) {
	r := kbin.Reader{Src: b}
	if version := r.Int16(); version < 0 {
		return nil, false
	}
	n := r.ArrayLen()
	if n < 0 {
		return nil, false
	}
	for ; n > 0 && r.Ok(); n-- {
		topics = append(topics, r.String())
	}
	r.NullableBytes() // of the user
	return topics, r.Ok()
}

// uses tells whether a group's offsets of a topic are in use: its members are subscribed to it, or might be.
func (g *group) uses(topic string) bool {
	if g.subscribed.known {
		return g.subscribed.topics[topic]
	}
	return g.protocolType == consumerProtocol
}

// expireOffsets removes offsets that nobody has used for the retention time, and groups that have nothing left.
func (t *turn) expireOffsets() {
	for _, g := range t.sorted() {
		left := len(g.offsets)
		for _, tp := range g.sortedOffsets() {
			if t.expired(g, tp) {
				t.effects.Records = append(t.effects.Records, offsetTombstone(g.id, tp))
				left--
			}
		}
		if g.state == Empty && left == 0 && len(g.pending) == 0 {
			t.effects.Records = append(t.effects.Records, groupTombstone(g.id))
		}
	}
}

// expired tells whether an offset's time is over. That of a group with members never is while it rebalances, nor if it is
// of a kind whose topics are not known. When the members are gone, the time runs from then on; Kafka would even remove an
// offset that was committed since, as a tool does that resets a group.
func (t *turn) expired(g *group, tp topicPartition) bool {
	o := g.offsets[tp]
	from := time.UnixMilli(o.committed)
	switch {
	case g.uses(tp.topic):
		return false
	case g.protocolType == "": // it never had members
	case g.state == Empty: // they left
		if g.since.After(from) {
			from = g.since
		}
	case g.state == Stable && g.subscribed.known:
	default:
		return false
	}
	if o.expires != noTimestamp {
		return t.now.UnixMilli() >= o.expires
	}
	return t.now.Sub(from) >= t.cfg.OffsetsRetention
}
