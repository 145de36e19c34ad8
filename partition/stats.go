package partition

import "github.com/weir/weir/internal/stats"

// TopicStats is what is counted of a topic on this node since it started.
type TopicStats struct {
	BytesIn, MessagesIn   stats.Counter // that were appended
	BytesOut              stats.Counter // of records that were read
	Produces, ProduceFail stats.Counter // batches that came, and that were refused
	Fetches, FetchFail    stats.Counter // partitions that were asked for, and that answered with an error
}

// Stats is what is counted of all topics. It never shrinks, also when topics are deleted.
type Stats struct {
	TopicStats
	CommitTime      stats.Histogram // from append to commit, ns
	RetiredSegments stats.Counter   // that retention removed
	RetiredBytes    stats.Counter
	Recovered       stats.Counter // logs that were opened with more than their checkpoint said
	RecoveredBytes  stats.Counter // that had to be read for it
	CutBytes        stats.Counter // that were cut off, as they were not whole
}

// Health is what is counted of damage to the logs of this node, the metadata's among them.
type Health struct {
	CheckedBytes stats.Counter // that were read to see whether they are what was written
	DamagedBytes stats.Counter // that were found not to be
	Repaired     stats.Counter // segments
}

// counted is where a partition counts.
type counted struct {
	topic *TopicStats
	all   *Stats
}

func (c counted) each(f func(*TopicStats)) {
	f(c.topic)
	f(&c.all.TopicStats)
}

// appended counts a batch that is committed, or was refused. A repeat of one that was there has no bytes and no records.
func (c counted) appended(bytes, records int, err error) {
	c.each(func(t *TopicStats) {
		t.Produces.Add(1)
		if err != nil {
			t.ProduceFail.Add(1)
			return
		}
		t.BytesIn.Add(bytes)
		t.MessagesIn.Add(records)
	})
}

// Fetched counts an answer to a fetch.
func (p *Partition) Fetched(bytes int, err error) {
	p.stats.each(func(t *TopicStats) {
		t.Fetches.Add(1)
		t.BytesOut.Add(bytes)
		if err != nil {
			t.FetchFail.Add(1)
		}
	})
}

// Stats gives what is counted of all topics together.
func (s *Set) Stats() *Stats { return &s.all }

// Health gives what is counted of damage.
func (s *Set) Health() *Health { return &s.health }

// TopicView is a topic on this node.
type TopicView struct {
	Name       string
	Partitions []*Partition // nil where one is offline
	Offline    int
	Stats      *TopicStats
}

// Topics gives the topics that have partitions here.
func (s *Set) Topics() []TopicView {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]TopicView, 0, len(s.topics))
	for name, h := range s.topics {
		v := TopicView{Name: name, Partitions: append([]*Partition(nil), h.partitions...), Stats: &h.stats}
		for _, err := range h.errors {
			if err != nil {
				v.Offline++
			}
		}
		out = append(out, v)
	}
	return out
}
