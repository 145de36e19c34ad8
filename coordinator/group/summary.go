package group

import "time"

// Summary is what metrics and tools want to know of a group. It includes what is not committed yet.
type Summary struct {
	Group        string
	State        State
	ProtocolType string // "" of a group that never had members
	Generation   int32
	Members      int
	Offsets      []Committed // by topic and partition
}

// Committed is a group's place in a partition.
type Committed struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time // of the commit
}

// Groups describes all groups, by id.
func (m *Machine) Groups() []Summary {
	out := make([]Summary, 0, len(m.groups))
	for _, g := range m.sorted() {
		s := Summary{Group: g.id, State: g.state, ProtocolType: g.protocolType, Generation: g.generation, Members: len(g.members)}
		for _, tp := range g.sortedOffsets() {
			o := g.offsets[tp]
			s.Offsets = append(s.Offsets, Committed{tp.topic, tp.partition, o.at, time.UnixMilli(o.committed)})
		}
		out = append(out, s)
	}
	return out
}
