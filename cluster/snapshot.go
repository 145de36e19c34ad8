package cluster

import (
	"slices"

	"github.com/weir/weir/coordinator/machine"
)

// Snapshot implements machine.Machine.
func (c *Controller) Snapshot() ([]machine.Record, bool) {
	d := &draft{}
	i := c.image
	d.put(kindVersion, versionRecord{Version: i.version})
	if i.levels != nil {
		d.put(kindFeatures, featuresRecord{Levels: i.levels})
	}
	for b := range i.Brokers() {
		d.put(kindBroker, recordOf(b))
	}
	for it := i.gone.Iterator(); !it.Done(); {
		id, was, _ := it.Next()
		d.put(kindBrokerGone, brokerGoneRecord{ID: id, Directory: was.directory, Incarnation: was.incarnation})
	}
	if i.voters != nil {
		d.put(kindVoters, votersRecord{Voters: i.voters})
	}
	for t := range i.Topics() {
		d.putTopic(t)
	}
	for it := i.configs.Iterator(); !it.Done(); {
		res, set, _ := it.Next()
		for entries := set.Iterator(); !entries.Done(); {
			key, value, _ := entries.Next()
			d.put(kindConfig, configRecord{Kind: res.Kind, Name: res.Name, Key: key, Value: &value})
		}
	}
	d.put(kindProducerIDs, producerIDsRecord{Next: i.nextProducerID})
	return d.records, true
}

// putTopic says all about a topic but its configuration.
func (d *draft) putTopic(t *Topic) {
	r := topicRecord{Name: t.Name, ID: t.ID, Replicas: make([][]int32, len(t.Partitions))}
	changed := replicasRecord{Topic: t.Name}
	for number, p := range t.Partitions {
		r.Replicas[number] = p.Replicas
		if p.nodes != nil {
			if r.Nodes == nil {
				r.Nodes = make([][]uint64, len(t.Partitions))
			}
			r.Nodes[number] = p.nodes
		}
		if p.Epoch == 0 && p.Witness() >= 0 {
			if r.Witnesses == nil {
				r.Witnesses = slices.Repeat([]int32{-1}, len(t.Partitions))
			}
			r.Witnesses[number] = p.Witness()
		}
		if p.Changing() || p.Epoch != 0 {
			changed.Partitions = append(changed.Partitions, p.record(int32(number)))
		}
	}
	d.put(kindTopic, r)
	if changed.Partitions != nil {
		d.put(kindReplicas, changed)
	}
}
