package partition

import (
	"errors"
	"fmt"
	"slices"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
	"github.com/weir/weir/replication"
)

// ErrDamaged is part of what answers a read of records that are damaged on this node, and that other replicas may have: they are
// being repaired.
var ErrDamaged = errors.New("the records are damaged on this node")

// errUnrepaired says that no other replica gave what is missing.
var errUnrepaired = errors.New("no other replica has given what was there")

// Source is another replica, from which damage is repaired.
type Source struct {
	Broker int32
	// Entries gives the first of the entries [lo, hi), at least one.
	Entries func(lo, hi uint64) ([]log.Entry, error)
}

func (p *Partition) repairable() bool { return p.replicas.Load() > 1 }

// Entries gives the first of this replica's entries [lo, hi), at least one, of about maxBytes.
func (p *Partition) Entries(lo, hi, maxBytes uint64) ([]log.Entry, error) {
	return p.log.Entries(lo, hi, maxBytes)
}

// Damaged gives how many segments are known to be damaged.
func (p *Partition) Damaged() int { return len(p.log.Damaged()) }

// Check reads all segments that are not written to any more from the disk, and sees whether they are what was written. read is told of
// bytes that were read; its error ends the check.
func (p *Partition) Check(read func(bytes int64) error) error {
	for _, base := range p.log.Sealed() {
		if p.closed.Load() {
			return nil
		}
		if slices.Contains(p.log.Damaged(), base) {
			continue // it is known
		}
		found, err := p.log.Check(base, func(n int64) error {
			p.health.CheckedBytes.Add(int(n))
			return read(n)
		})
		if err != nil {
			return fmt.Errorf("checking %s: %w", p, err)
		}
		p.damage.Lock()
		p.tell(base, found)
		p.damage.Unlock()
	}
	return nil
}

// tell tells of damage that was not told of before, and is not yet repaired. Under damage.
func (p *Partition) tell(base int64, found []log.Damage) {
	if len(found) == 0 || p.told[base] || p.closed.Load() || !slices.Contains(p.log.Damaged(), base) {
		return
	}
	if p.told == nil {
		p.told = map[int64]bool{}
	}
	p.told[base] = true
	for _, d := range found {
		p.health.DamagedBytes.Add(int(d.Size()))
		p.logger.Error("a segment is damaged", "partition", p.String(), "file", d.File, "byte", d.Pos, "to", d.End,
			"entry", d.First, "last", d.Last, "why", d.Reason)
	}
}

// Repair writes what is damaged anew, with what other replicas have. Nothing is served from the damaged places until then. nil: nothing
// is damaged any more.
func (p *Partition) Repair(sources []Source) error {
	p.damage.Lock()
	defer p.damage.Unlock()
	for _, base := range p.log.Damaged() {
		if p.closed.Load() {
			return nil
		}
		if !slices.Contains(p.log.Sealed(), base) { // it is written to: what is damaged has to be apart from that
			if err := p.Roll(); err != nil {
				return err
			}
		}
		if err := p.repairSegment(base, sources); err != nil {
			return fmt.Errorf("segment %d of %s: %w", base, p, err)
		}
	}
	if p.Damaged() > 0 {
		return errUnrepaired // the last segment has no records, and so does not end
	}
	return nil
}

func (p *Partition) repairSegment(base int64, sources []Source) error {
	found, err := p.log.Check(base, func(int64) error { return nil })
	if err != nil {
		return err
	}
	p.tell(base, found)
	var from []int32
	for _, d := range found {
		broker, err := p.repairPlace(d, sources)
		if err != nil {
			return err
		}
		if !slices.Contains(from, broker) {
			from = append(from, broker)
		}
	}
	if len(found) == 0 {
		delete(p.told, base)
		return nil
	}
	if found, err = p.log.Check(base, func(int64) error { return nil }); err != nil || len(found) > 0 {
		return errors.Join(errUnrepaired, err)
	}
	delete(p.told, base)
	p.health.Repaired.Add(1)
	p.logger.Info("a damaged segment is repaired", "partition", p.String(), "segment", base, "from", from)
	return nil
}

// repairPlace repairs a damaged place with what the first source that can do so has, and tells which one that is.
func (p *Partition) repairPlace(d log.Damage, sources []Source) (int32, error) {
	var failed error
	for _, s := range sources {
		err := p.refill(d, s)
		if err == nil {
			return s.Broker, nil
		}
		failed = errors.Join(failed, fmt.Errorf("from node %d: %w", s.Broker, err))
	}
	return -1, errors.Join(errUnrepaired, failed)
}

func (p *Partition) refill(d log.Damage, s Source) error {
	r, err := p.log.BeginRepair(d)
	if err != nil {
		return p.stored(err)
	}
	defer r.Close()
	for lo, hi := r.Wants(); lo < hi; lo, hi = r.Wants() {
		if p.closed.Load() {
			return replication.ErrClosed
		}
		entries, err := s.Entries(lo, hi)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return log.ErrUnavailable
		}
		if err := r.Write(entries); err != nil {
			return p.stored(err)
		}
	}
	return p.stored(r.Finish())
}

// stored takes what the disk says to a repair. What could not be written ends the node's acknowledging, as elsewhere.
func (p *Partition) stored(err error) error {
	for _, harmless := range []error{log.ErrUnfit, log.ErrRemoved, log.ErrCompacted} {
		if errors.Is(err, harmless) {
			return err
		}
	}
	if err != nil && !vfs.IsNoSpace(err) && !p.closed.Load() {
		p.group.Fail(fmt.Errorf("repairing %s: %w", p, err))
	}
	return err
}
