package partition

import (
	"fmt"
	"slices"

	"github.com/weir/weir/cluster"
)

// A partition whose only replica was on a disk that is lost has no leader, since the node that came back with an empty disk is another
// voter, and nobody is left who could make it a member. Nothing goes on by itself then: the records are lost, and somebody must say that
// it shall go on without them. An unclean election does; the controller then names this node as the one that the partition was made with.

// Stranger tells whether this replica waits for a leader that makes it a member, and has nothing.
func (p *Partition) Stranger() bool {
	stranger := false
	err := p.group.Do(func() error {
		stranger = p.group.Stranger()
		return nil
	})
	return err == nil && stranger
}

// tellLost tells of a partition that was opened, and is lost.
func (s *Set) tellLost(t *cluster.Topic, number int, p *Partition) {
	if part := t.Partitions[number]; len(part.Replicas) != 1 || part.Changing() || slices.Contains(part.First(), s.cfg.Self) || !p.Stranger() {
		return
	}
	s.cfg.Logger.Error(fmt.Sprintf("the only replica of a partition was on a disk that this node does not have any more: bring that disk back, or let the partition begin anew, empty, with `weir partition elect %s:%d --unclean`", t.Name, number),
		"partition", p.String())
}

// beginAnew opens those partitions again that shall begin with nothing.
func (s *Set) beginAnew(h *hosted, t *cluster.Topic) {
	for number, part := range t.Partitions {
		if part.After() == 0 || !slices.Contains(part.First(), s.cfg.Self) {
			continue
		}
		s.mu.Lock()
		p := h.at(number)
		s.mu.Unlock()
		if p == nil || !p.Stranger() {
			continue
		}
		s.cfg.Logger.Warn("a partition begins anew, with nothing in it, since an unclean election was asked for: its only replica was on a disk that is lost, and all its records with it", "partition", p.String())
		s.mu.Lock()
		h.partitions[number] = nil
		s.mu.Unlock()
		s.removeOne(t.Name, number, h.id, p)
	}
}

// at gives a partition by its number; nil: it is not open here.
func (h *hosted) at(number int) *Partition {
	if number >= len(h.partitions) {
		return nil
	}
	return h.partitions[number]
}
