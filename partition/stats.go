package partition

import "github.com/weir/weir/internal/stats"

// TopicStats is what is counted of a topic, or of all topics, on this node since it started.
type TopicStats struct {
	BytesIn, MessagesIn   stats.Counter // that were appended
	BytesOut              stats.Counter // of records that were read
	Produces, ProduceFail stats.Counter // batches that came, and that were refused
	Fetches, FetchFail    stats.Counter // partitions that were asked for, and that answered with an error
}

// counted is where a partition counts.
type counted struct{ topic, all *TopicStats }

func (c counted) each(f func(*TopicStats)) {
	f(c.topic)
	f(c.all)
}

func (c counted) produced(bytes, records int, err error) {
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

// Stats gives what is counted of all topics together. It never shrinks, also when topics are deleted.
func (s *Set) Stats() *TopicStats { return &s.all }

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
