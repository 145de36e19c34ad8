package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/weir/weir/log"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/replication"
)

// told checks an acknowledgement that came to a producer: its batches lie in the order in which they were sent.
func (t *part) told(c *producer, b *batch, result partition.AppendResult) {
	if t.givenUp {
		return
	}
	for _, earlier := range c.open {
		if earlier == b {
			break
		}
		if earlier.done {
			continue
		}
		if at, ok := t.offsets[earlier.values[0]]; c.id > 0 && (!ok || at > result.BaseOffset) {
			t.sim.fail("producer %d: the batch of sequence %d is at offset %d, and an earlier one of sequence %d is not before it", c.id, b.seq, result.BaseOffset, earlier.seq)
		}
	}
}

// saw checks what a node that takes itself for the leader of an epoch answers a reader.
func (t *part) saw(r *replica, epoch int32, high int64, values []valueAt) {
	s, id := t.sim, r.proc.node.id
	for _, v := range values {
		if v.offset >= t.end() || t.values[v.offset] != v.value {
			s.fail("node %d gives out record %d at offset %d of %v, which is not committed", id, v.value, v.offset, r)
		}
	}
	if high > t.end() {
		s.fail("node %d answers with a high watermark of %d for %v, and records are committed up to %d", id, high, r, t.end())
	}
	for e, before := range t.seen.high {
		if e <= epoch && before > high {
			s.fail("node %d answers in epoch %d of %v with a high watermark of %d, and it was %d in epoch %d", id, epoch, r, high, before, e)
		}
	}
	t.seen.high[epoch] = high
}

// finish lets time pass until all is well, which it must be soon, and compares everything.
func (s *sim) finish() {
	const patience = 20 * time.Second
	end := s.elapsed() + patience
	for why := s.unsettled(); why != ""; why = s.unsettled() {
		if s.elapsed() >= end {
			s.fail("%v after all was mended, %s", patience, why)
		}
		s.until(s.elapsed() + 50*time.Millisecond)
	}
	for _, n := range s.nodes {
		for _, r := range n.proc.parts {
			switch {
			case r == nil:
			case r.part.givenUp:
				r.compareProducers()
			default:
				r.compareAll()
			}
		}
		n.checkFiles()
	}
	for _, t := range s.parts {
		for value, offset := range t.acked {
			if t.givenUp {
				break
			}
			if at, ok := t.offsets[value]; !ok || at != offset {
				s.fail("record %d was acknowledged at offset %d of partition %d, and is lost", value, offset, t.id.Partition)
			}
		}
	}
}

// unsettled tells what is not yet well; "": all is.
func (s *sim) unsettled() string {
	for _, n := range s.nodes {
		if n.proc == nil {
			return "a node does not run"
		}
	}
	for _, t := range s.parts {
		if why := t.unsettled(); why != "" {
			return why
		}
	}
	for _, c := range s.producers {
		if len(c.open) > 0 {
			return "a producer waits for an acknowledgement"
		}
	}
	for _, c := range s.committers {
		if c.fetched < c.acked && !c.part.givenUp {
			return fmt.Sprintf("group %s does not get its offset %d, but %d", c.group, c.acked, c.fetched)
		}
	}
	for _, c := range s.readers {
		if c.next < c.part.end() && !c.part.givenUp {
			return fmt.Sprintf("a reader of partition %d has read up to offset %d, and not up to %d", c.part.id.Partition, c.next, c.part.end())
		}
	}
	return ""
}

func (t *part) unsettled() string {
	if t.givenUp {
		return t.settledAnyhow()
	}
	leaders := 0
	for _, id := range t.replicas {
		r := t.sim.nodes[id-1].proc.parts[t.id.Partition]
		if _, leads := r.Leads(); leads {
			leaders++
		}
		if len(r.log) != len(t.committed) || r.applied != uint64(len(t.committed)) {
			return "a replica lags"
		}
	}
	if leaders != 1 {
		return "a partition has not one leader"
	}
	return ""
}

// compareAll compares all that a replica holds with what is true.
func (r *replica) compareAll() {
	t, s, id := r.part, r.part.sim, r.proc.node.id
	v, _ := r.proc.host.View(t.id)
	r.log = r.log[:0]
	r.compareLog(v)
	for i, e := range t.committed {
		if r.log[i].hash != e.hash {
			s.fail("node %d: entry %d of %v is not what was committed", id, i+1, r)
		}
	}
	r.compareProducers()
	r.compareMaps(v.Log)
	if r.HighWatermark() != t.end() || r.LogEnd() != t.end() {
		s.fail("node %d: %v ends at offset %d, with a high watermark of %d; records are committed up to %d", id, r, r.LogEnd(), r.HighWatermark(), t.end())
	}
}

// compareMaps compares what a log tells of its entries without reading them, and what readers get of it, with what is true.
func (r *replica) compareMaps(l *log.Log) {
	t, s, id := r.part, r.part.sim, r.proc.node.id
	term, begins := uint64(0), int64(0)
	for i, e := range r.log {
		index := uint64(i + 1)
		if found, err := l.Term(index); err != nil || found != e.term {
			s.fail("node %d: %v says that entry %d is of term %d, and it is of term %d (%v)", id, r, index, found, e.term, err)
		}
		if own, ok := l.Own(index); ok != (e.kind != log.Batch) || ok && own.Term != e.term {
			s.fail("node %d: %v says of entry %d whether it is raft's own: %v, of term %d; it is of kind %d and term %d", id, r, index, ok, own.Term, e.kind, e.term)
		}
		if end, err := l.EndOffsetAt(index); err != nil || end != e.next {
			s.fail("node %d: %v says that entry %d ends at offset %d, and it ends at %d (%v)", id, r, index, end, e.next, err)
		}
		if e.term != term {
			for asked := max(term, 1); term > 0 && asked < e.term; asked++ {
				if epoch, end := l.EpochEnd(int32(asked)); epoch != int32(term) || end != e.base {
					s.fail("node %d: asked for epoch %d, %v says that epoch %d ends at offset %d, and epoch %d ends at %d", id, asked, r, epoch, end, term, e.base)
				}
			}
			term, begins = e.term, e.base
		}
	}
	if epoch := l.EpochAt(t.end()); t.end() > begins && epoch != int32(term) {
		s.fail("node %d: %v ends in epoch %d, and says %d", id, r, term, epoch)
	}
	for at := l.StartOffset(); at < l.EndOffset(); {
		data, err := l.Read(at, 1<<20, l.EndOffset(), true)
		if err != nil {
			s.fail("node %d cannot read %v from offset %d on: %v", id, r, at, err)
		}
		b, err := data.Bytes()
		data.Release()
		if err != nil {
			s.fail("node %d cannot read %v from offset %d on: %v", id, r, at, err)
		}
		values := t.valuesOf(b)
		for _, v := range values {
			if v.offset != at || t.values[at] != v.value {
				s.fail("node %d has record %d at offset %d of %v, and offset %d should have record %d", id, v.value, v.offset, r, at, t.values[at])
			}
			at++
		}
		if len(values) == 0 {
			s.fail("node %d reads nothing of %v from offset %d on", id, r, at)
		}
	}
}

// checkFiles checks the files of a node.
func (n *node) checkFiles() {
	c := log.Checker{FS: n.disk.mem, Read: func(int64) error { return nil }, Found: func(f log.Finding) {
		if f.Damage && !strings.HasSuffix(f.File, ".index") { // which is made anew when it is needed
			n.sim.fail("node %d: %s is damaged at %d: %s", n.id, f.File, f.Pos, f.Reason)
		}
	}}
	for _, r := range n.proc.parts {
		if r == nil {
			continue
		}
		if _, err := c.Folder(dataDir + "/" + r.String()); err != nil {
			n.sim.fail("node %d: the files of %v cannot be checked: %v", n.id, r, err)
		}
	}
	if _, _, err := replication.CheckJournal(n.disk.mem, dataDir); err != nil {
		n.sim.fail("node %d: %v", n.id, err)
	}
}
