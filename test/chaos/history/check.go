package history

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// The names of anomalies. None of them is ever allowed; Unseen says that a record may only be late.
const (
	InconsistentOffset = "inconsistent-offset" // one offset, two values
	LostWrite          = "lost-write"          // acknowledged; the readers went past it without seeing it
	Unseen             = "unseen"              // acknowledged; no reader has come that far
	VanishedRead       = "vanished-read"       // someone read it, and at the end the log stops before it
	Duplicate          = "duplicate"           // one value at two offsets
	AbortedRead        = "aborted-read"        // a definite failure was read
	Phantom            = "phantom"             // read, or found committed, what nobody had sent there
	PollSkip           = "poll-skip"           // a reader jumped over a record
	NonmonotonicPoll   = "nonmonotonic-poll"   // a reader went back
	NonmonotonicSend   = "nonmonotonic-send"   // a producer's later record has a lower offset
	RealTimeOrder      = "real-time-order"     // sent after another was there, and yet has a lower offset
	CommitRegress      = "offset-commit-regress"
)

// Anomaly is something that must not be.
type Anomaly struct {
	Kind      string `json:"kind"`
	Partition int32  `json:"partition"`
	Detail    string `json:"detail"`
}

func (a Anomaly) String() string {
	return fmt.Sprintf("%s in partition %d: %s", a.Kind, a.Partition, a.Detail)
}

// Check judges a history. Its events may come in any order of clients, but each client's must be in the order in which they
// happened.
func Check(events []Event) []Anomaly {
	c := &checker{partitions: map[int32]*partition{}, sends: map[string]*send{}}
	c.gather(events)
	for _, id := range slices.Sorted(maps.Keys(c.partitions)) {
		p := c.partitions[id]
		c.now = id
		c.versions(p)
		c.seen(p)
		c.polls(p)
		c.sendOrder(p)
		c.realTime(p)
		c.commits(p)
	}
	return c.found
}

type checker struct {
	partitions map[int32]*partition
	sends      map[string]*send // by value
	now        int32            // the partition that is looked at
	found      []Anomaly
}

// partition is what happened to one partition, and what is concluded of it.
type partition struct {
	sends     []*send // in the order of their begin, for each client
	polls     []Event
	committed []*operation
	commits   []*operation

	value map[int64]string // by offset: acknowledged or read
	place map[string]int64 // by value
	read  map[int64]int64  // by offset: when it was first read
	known []int64          // the offsets of value, sorted
}

type operation struct {
	client       string
	begun, ended int64 // ended: math.MaxInt64 unless it is OK
	phase        Phase // Info until it ends otherwise
	offset       int64
	partition    int32
}

type send struct {
	operation
	value string
}

func (c *checker) report(kind, format string, args ...any) {
	c.found = append(c.found, Anomaly{Kind: kind, Partition: c.now, Detail: fmt.Sprintf(format, args...)})
}

func (c *checker) partition(id int32) *partition {
	p := c.partitions[id]
	if p == nil {
		p = &partition{value: map[int64]string{}, place: map[string]int64{}, read: map[int64]int64{}}
		c.partitions[id] = p
	}
	return p
}

// gather pairs the begins and ends of operations, and gives them to their partitions.
func (c *checker) gather(events []Event) {
	type key struct {
		client string
		op     int64
	}
	open := map[key]*operation{}
	for i, e := range events {
		p := c.partition(e.Partition)
		switch {
		case e.Kind == Poll:
			p.polls = append(p.polls, e)
		case e.Phase == Invoke:
			o := &operation{client: e.Client, begun: e.At, ended: math.MaxInt64, phase: Info, offset: e.Offset, partition: e.Partition}
			switch e.Kind {
			case Send:
				s := &send{operation: *o, value: e.Value}
				s.offset = -1
				o = &s.operation
				p.sends = append(p.sends, s)
				c.sends[s.value] = s
			case Commit:
				p.commits = append(p.commits, o)
			case Committed:
				p.committed = append(p.committed, o)
			}
			open[key{e.Client, e.Op}] = o
		default:
			o := open[key{e.Client, e.Op}]
			if o == nil {
				panic(fmt.Sprintf("BUG: event %d ends an operation that never began: %+v", i, e))
			}
			o.phase = e.Phase
			if e.Phase == OK {
				o.ended = e.At
				if e.Kind != Commit {
					o.offset = e.Offset
				}
			}
			delete(open, key{e.Client, e.Op})
		}
	}
}

// versions finds out which value is at which offset.
func (c *checker) versions(p *partition) {
	for _, s := range p.sends {
		if s.phase == OK && s.offset >= 0 {
			c.place(p, s.offset, s.value, "acknowledged to "+s.client)
		}
	}
	for _, e := range p.polls {
		for _, r := range e.Reads {
			c.place(p, r.Offset, r.Value, "read by "+e.Client)
			if at, ok := p.read[r.Offset]; !ok || e.At < at {
				p.read[r.Offset] = e.At
			}
		}
	}
	p.known = slices.Sorted(maps.Keys(p.value))
	for _, offset := range p.known {
		if _, ok := p.read[offset]; !ok {
			continue
		}
		switch s := c.sends[p.value[offset]]; {
		case s == nil:
			c.report(Phantom, "offset %d holds %q, which nobody sent", offset, p.value[offset])
		case s.partition != c.now:
			c.report(Phantom, "offset %d holds %q, which %s sent to partition %d", offset, s.value, s.client, s.partition)
		case s.phase == Fail:
			c.report(AbortedRead, "offset %d holds %q of %s, of which the answer was that it is not written", offset, s.value, s.client)
		}
	}
}

func (c *checker) place(p *partition, offset int64, value, how string) {
	if other, ok := p.value[offset]; ok && other != value {
		c.report(InconsistentOffset, "offset %d holds %q and, %s, %q", offset, other, how, value)
		return
	}
	p.value[offset] = value
	if other, ok := p.place[value]; ok && other != offset {
		c.report(Duplicate, "%q is at %d and, %s, at %d", value, other, how, offset)
		return
	}
	p.place[value] = offset
}

// seen looks for acknowledged records that are not there, and for read ones that are gone at the end. What counts is what the
// final readers saw; if there are none, what anyone saw.
func (c *checker) seen(p *partition) {
	last, ends := int64(-1), map[string]int64{}
	final := slices.ContainsFunc(p.polls, func(e Event) bool { return e.Mode == Final })
	reached, values := int64(-1), map[string]bool{}
	for _, e := range p.polls {
		for _, r := range e.Reads {
			last = max(last, r.Offset)
			if e.Mode == Final {
				ends[e.Client] = r.Offset
			}
			if e.Mode == Final || !final {
				reached, values[r.Value] = max(reached, r.Offset), true
			}
		}
	}
	for _, s := range p.sends {
		if s.phase != OK || values[s.value] {
			continue
		}
		if s.offset >= 0 && s.offset < reached {
			c.report(LostWrite, "%q was acknowledged to %s at %d; readers came to %d", s.value, s.client, s.offset, reached)
		} else {
			c.report(Unseen, "%q was acknowledged to %s at %d; readers came to %d only", s.value, s.client, s.offset, reached)
		}
	}
	for _, client := range slices.Sorted(maps.Keys(ends)) {
		if end := ends[client]; end < last {
			c.report(VanishedRead, "offsets up to %d were read; for %s the log ends with %d", last, client, end)
		}
	}
}

// polls follows every reader through the log.
func (c *checker) polls(p *partition) {
	at := map[string]int64{} // the offset a client read last
	for _, e := range p.polls {
		last, ok := at[e.Client]
		if !ok {
			last = -1
		}
		for i, r := range e.Reads {
			if e.Mode != Subscribe || i > 0 {
				c.step(p, e.Client, last, r.Offset)
			}
			last = r.Offset
		}
		at[e.Client] = last
	}
}

func (c *checker) step(p *partition, client string, from, to int64) {
	if to <= from {
		c.report(NonmonotonicPoll, "%s read offset %d after %d", client, to, from)
		return
	}
	if i, _ := slices.BinarySearch(p.known, from+1); p.known[i] < to {
		c.report(PollSkip, "%s read offset %d after %d, and so not %d, which holds %q", client, to, from, p.known[i], p.value[p.known[i]])
	}
}

// offset gives where a send's record is; -1: it is not known to be anywhere.
func (p *partition) offset(s *send) int64 {
	if o, ok := p.place[s.value]; ok {
		return o
	}
	return -1
}

// sendOrder checks that a client's records are in the order in which it sent them.
func (c *checker) sendOrder(p *partition) {
	before := map[string]*send{}
	for _, s := range p.sends {
		if p.offset(s) < 0 {
			continue
		}
		if b := before[s.client]; b != nil && p.offset(b) > p.offset(s) {
			c.report(NonmonotonicSend, "%s sent %q, now at %d, before %q, now at %d", s.client, b.value, p.offset(b), s.value, p.offset(s))
			continue
		}
		before[s.client] = s
	}
}

// realTime checks that what was sent when another record was known to be there, comes after that.
func (c *checker) realTime(p *partition) {
	type fact struct{ at, offset int64 }
	var facts []fact // offset was there at that time
	for offset, at := range p.read {
		facts = append(facts, fact{at, offset})
	}
	for _, s := range p.sends {
		if s.phase == OK && s.offset >= 0 {
			facts = append(facts, fact{s.ended, s.offset})
		}
	}
	slices.SortFunc(facts, func(a, b fact) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.offset, b.offset)) })
	sends := slices.SortedStableFunc(slices.Values(p.sends), func(a, b *send) int { return cmp.Compare(a.begun, b.begun) })
	there := int64(-1)
	for _, s := range sends {
		for ; len(facts) > 0 && facts[0].at < s.begun; facts = facts[1:] {
			there = max(there, facts[0].offset)
		}
		if o := p.offset(s); o >= 0 && o <= there {
			c.report(RealTimeOrder, "%q of %s is at %d, though offset %d was there before it was sent", s.value, s.client, o, there)
		}
	}
}
