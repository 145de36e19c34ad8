package partition

import (
	"fmt"
	"slices"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/replication"
)

// OpenWitness makes this node the witness of a partition that is no topic's. first are the voters that it was made with.
func (s *Set) OpenWitness(id replication.GroupID, first []replication.NodeID) (*replication.Group, error) {
	if !slices.Contains(first, replication.WitnessOf(s.cfg.Self)) {
		first = nil // it is to join
	}
	return s.cfg.Host.Open(replication.Config{ID: id, Witness: true, Voters: first})
}

// bearWitness makes this node the witness of those of a topic's partitions that it shall be the witness of, and of no others.
func (s *Set) bearWitness(h *hosted, t *cluster.Topic) {
	self := replication.BrokerOf(s.cfg.Self)
	for number, p := range t.Partitions {
		switch w, is := h.witnesses[number], slices.Contains(p.Witnesses, self); {
		case is && w == nil:
			w, err := s.OpenWitness(replication.GroupID{Topic: t.ID, Partition: int32(number)}, p.First())
			if err != nil {
				s.cfg.Logger.Error("the witness of a partition cannot be opened", "partition", fmt.Sprintf("%s-%d", t.Name, number), "error", err)
				continue
			}
			s.mu.Lock()
			if h.witnesses == nil {
				h.witnesses = map[int]*replication.Group{}
			}
			h.witnesses[number] = w
			s.mu.Unlock()
		case !is && w != nil:
			s.dismiss(h, number, w)
		}
	}
}

// dismiss ends this node's being the witness of a partition.
func (s *Set) dismiss(h *hosted, number int, w *replication.Group) {
	s.cfg.Host.Close(w)
	s.mu.Lock()
	delete(h.witnesses, number)
	s.mu.Unlock()
	if err := s.cfg.Host.ForgetWitness(replication.GroupID{Topic: h.id, Partition: int32(number)}); err != nil {
		s.cfg.Logger.Error("what a witness knew cannot be removed", "error", err)
	}
}
