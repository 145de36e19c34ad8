package cluster

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// identity tells the incarnations of a broker apart.
type identity struct {
	directory   UUID
	incarnation int32
}

// recordOf says all about a broker.
func recordOf(b *Broker) brokerRecord {
	return brokerRecord{
		ID: b.ID, Rack: b.Rack, Endpoints: b.Endpoints, Peer: b.Peer,
		Directory: b.Directory, Incarnation: b.Incarnation, Features: b.Features,
	}
}

// registerBroker makes a broker known, or changes what is known of it. The first one of a cluster also sets the levels of
// features to those of its version.
func (c *Controller) registerBroker(d *draft, b Broker) BrokerRegistered {
	first := c.image.levels == nil && c.image.brokers.Len() == 0
	if b.ID < 0 {
		b.ID = c.image.idFor(b.Directory)
	}
	if refused := c.checkRegistration(&b, first); refused != "" {
		return BrokerRegistered{Refused: refused}
	}
	b.identify(c.image.identity(b.ID))
	if first {
		d.put(kindFeatures, featuresRecord{Levels: newest(c.features())})
	}
	if known := c.image.Broker(b.ID); known == nil || !known.equal(&b) {
		d.put(kindBroker, recordOf(&b))
	}
	c.lendWitness(d, b.ID)
	if voters := c.image.votersWith(&b); voters != nil {
		d.put(kindVoters, votersRecord{Voters: voters})
	}
	return BrokerRegistered{ID: b.ID, Incarnation: b.Incarnation}
}

// idFor gives the id of the broker with a directory, or one above all that were ever used.
func (i *Image) idFor(directory UUID) int32 {
	next := int32(1)
	for b := range i.Brokers() {
		if b.Directory == directory && !directory.IsZero() {
			return b.ID
		}
		next = max(next, b.ID+1)
	}
	for it := i.gone.Iterator(); !it.Done(); {
		id, _, _ := it.Next()
		next = max(next, id+1)
	}
	for _, v := range i.voters {
		next = max(next, v.ID+1)
	}
	return next
}

// checkRegistration tells why a broker cannot be registered; "": it can.
func (c *Controller) checkRegistration(b *Broker, first bool) string {
	was := c.image.identity(b.ID)
	if other := b.Directory != was.directory && !b.Directory.IsZero() && !was.directory.IsZero(); other && c.cfg.Alive != nil && c.image.Broker(b.ID) != nil && c.cfg.Alive(b.ID) {
		return fmt.Sprintf("Another broker is registered with that broker id. Broker %d runs with another data directory: choose another node.id, or stop that broker first.", b.ID)
	}
	if first {
		return ""
	}
	for _, l := range c.image.Levels() {
		if f := b.feature(l.Name); l.Level < f.Min || l.Level > f.Max {
			return fmt.Sprintf("Unable to register because the broker does not support finalized version %d of %s. The broker wants a version between %d and %d, inclusive.", l.Level, l.Name, f.Min, f.Max)
		}
	}
	return ""
}

// identify gives a broker the incarnation that it has after another one. Versions that do not say their directory cannot have
// lost it.
func (b *Broker) identify(was identity) {
	switch b.Incarnation = was.incarnation; {
	case b.Directory.IsZero():
		b.Directory = was.directory
	case !was.directory.IsZero() && was.directory != b.Directory:
		b.Incarnation++
	}
}

func (b *Broker) equal(o *Broker) bool {
	return b.ID == o.ID && b.Rack == o.Rack && slices.Equal(b.Endpoints, o.Endpoints) && b.Peer == o.Peer &&
		b.Directory == o.Directory && b.Incarnation == o.Incarnation && slices.Equal(b.Features, o.Features)
}

// identity gives who a broker is or was when it was unregistered; zero: it was never registered.
func (i *Image) identity(id int32) identity {
	if b := i.Broker(id); b != nil {
		return identity{b.Directory, b.Incarnation}
	}
	was, _ := i.gone.Get(id)
	return was
}

// unregisterBroker makes a broker unknown. Kafka does that also while it holds replicas, which then belong to a broker that
// nobody can reach; here they have to be moved first.
func (c *Controller) unregisterBroker(d *draft, req *kmsg.UnregisterBrokerRequest) *kmsg.UnregisterBrokerResponse {
	resp := req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
	b := c.image.Broker(req.BrokerID)
	p := c.checkUnregistration(b, req.BrokerID)
	if p != nil {
		resp.ErrorCode, resp.ErrorMessage = p.code.Code, &p.message
		return resp
	}
	resp.ErrorMessage = new(string) // Kafka sends an empty one
	d.put(kindBrokerGone, brokerGoneRecord{ID: b.ID, Directory: b.Directory, Incarnation: b.Incarnation})
	c.replaceWitness(d, b.ID)
	return resp
}

func (c *Controller) checkUnregistration(b *Broker, id int32) *problem {
	if b == nil {
		return fail(kerr.BrokerIDNotRegistered, "Broker ID %d is not currently registered", id)
	}
	if slices.ContainsFunc(c.image.voters, func(v Voter) bool { return v.ID == id }) {
		return fail(kerr.InvalidRequest, "Broker %d is a voter of the metadata: remove it from the voters first.", id)
	}
	count, example := 0, ""
	for t := range c.image.Topics() {
		for number, p := range t.Partitions {
			if slices.Contains(p.Replicas, id) {
				count++
				example = fmt.Sprintf("%s-%d", t.Name, number)
			}
		}
	}
	if count > 0 {
		return fail(kerr.InvalidRequest, "Broker %d holds replicas of %d partition(s), for example of %s: reassign them to other brokers first.", id, count, example)
	}
	return nil
}
