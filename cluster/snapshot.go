package cluster

import "github.com/weir/weir/coordinator/machine"

// Snapshot implements machine.Machine.
func (c *Controller) Snapshot() ([]machine.Record, bool) {
	d := &draft{}
	i := c.image
	d.put(kindVersion, versionRecord{Version: i.version})
	for b := range i.Brokers() {
		d.put(kindBroker, brokerRecord{ID: b.ID, Rack: b.Rack, Endpoints: b.Endpoints})
	}
	for t := range i.Topics() {
		r := topicRecord{Name: t.Name, ID: t.ID, Replicas: make([][]int32, len(t.Partitions))}
		for number := range t.Partitions {
			r.Replicas[number] = t.Partitions[number].Replicas
		}
		d.put(kindTopic, r)
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
