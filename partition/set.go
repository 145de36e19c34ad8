package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sync/errgroup"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/config"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
	"github.com/weir/weir/replication"
)

// openers is how many partitions are opened at once.
const openers = 8

// SetConfig describes a Set.
type SetConfig struct {
	FS      vfs.FS
	Dir     string
	Self    replication.NodeID
	Leaders *Leaders
	Host    *replication.Host
	Logger  *slog.Logger
	Now     func() time.Time
	// TopicConfig gives a topic's configuration in effect.
	TopicConfig func(*cluster.Image, *cluster.Topic) *config.TopicConfig
	// Background runs what may take long, as writing a checkpoint. nil: a goroutine each.
	Background func(func())
	// Relaxed, if set, is told before a partition acknowledges what is not on disk. nil: there are no other nodes, for which it would
	// matter.
	Relaxed func()
	// PowerLost says that the machine lost its power since the partitions that are there were written.
	PowerLost bool
	// Damaged, if set, is told when a partition's log is found to be damaged: see Repair. It must be quick.
	Damaged func(*Partition)
	// ProducerIdle is how long a silent producer is remembered (producer.id.expiration.ms).
	ProducerIdle func() time.Duration
}

// Set holds the partitions of this node.
type Set struct {
	cfg SetConfig

	all    Stats
	health Health
	mu     sync.RWMutex
	topics map[string]*hosted
}

// hosted are the partitions of one topic, by number; an error stands where one could not be opened.
type hosted struct {
	id         cluster.UUID
	partitions []*Partition
	errors     []error
	witnesses  map[int]*replication.Group // of partitions that this node is the witness of, by number
	compact    bool                       // the topic asks for compaction
	stats      TopicStats
}

// NewSet makes a set without partitions.
func NewSet(cfg SetConfig) *Set {
	if cfg.Background == nil {
		cfg.Background = func(f func()) { go f() }
	}
	return &Set{cfg: cfg, topics: map[string]*hosted{}}
}

// Open opens or creates one partition that is not a topic's: the metadata log. first are the voters that it was made with.
func (s *Set) Open(topic string, id cluster.UUID, number int32, first []replication.NodeID, cfg *config.TopicConfig) (*Partition, error) {
	return s.open(topic, id, number, first, 0, len(first), cfg, counted{&TopicStats{}, &Stats{}}, true)
}

func (s *Set) open(topic string, id cluster.UUID, number int32, first []replication.NodeID, after uint64, replicas int, cfg *config.TopicConfig, stats counted, prompt bool) (*Partition, error) {
	p := &Partition{
		Topic: topic, ID: replication.GroupID{Topic: id, Partition: number},
		self: s.cfg.Self, logger: s.cfg.Logger,
		now: func() int64 { return s.cfg.Now().UnixMilli() }, stats: stats, health: &s.health, background: s.cfg.Background,
	}
	p.producers = newProducers(p.now)
	p.leadership.Store(&Leadership{Broker: -1, Epoch: -1})
	p.leaders = s.cfg.Leaders
	p.config.Store(cfg)
	dir := path.Join(s.cfg.Dir, fmt.Sprintf("%s-%d", topic, number))
	p.replicas.Store(int32(replicas))
	l, recovery, err := log.Open(s.cfg.FS, dir, log.Identity{TopicID: id, Partition: number}, p.logConfig(cfg), p.producers)
	if err != nil {
		return nil, err
	}
	if s.cfg.Damaged != nil {
		l.OnDamage = func() {
			if p.opened.Load() {
				s.cfg.Damaged(p)
			}
		}
	}
	if recovery.Scanned > 0 {
		stats.all.Recovered.Add(1)
		stats.all.RecoveredBytes.Add(int(recovery.Scanned))
		stats.all.CutBytes.Add(int(recovery.Cut))
	}
	if text := recovery.String(); text != "" {
		s.cfg.Logger.Info("recovered a log", "partition", p.String(), "what", text)
	}
	if (recovery.Records > 0 || l.Relaxed()) && !cfg.Relaxed() { // it counts as committed below, so it must be on disk and not only in memory
		if err := l.Sync(); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	p.log = l
	lost := s.cfg.PowerLost && l.Relaxed()
	if !slices.Contains(first, s.cfg.Self) {
		first = nil // it is to join
	}
	if cfg.Relaxed() && s.cfg.Relaxed != nil {
		s.cfg.Relaxed()
		if err := l.Relax(); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	p.wanted = first
	p.high.Store(l.StartOffset())
	p.group, err = s.cfg.Host.Open(replication.Config{
		ID: p.ID, Log: l, Voters: first, After: after, Replica: p, Relaxed: cfg.Relaxed(), PowerLost: lost, Throttled: p.throttled, Prompt: prompt,
	})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := p.resume(); err != nil {
		s.cfg.Host.Close(p.group)
		return nil, errors.Join(err, l.Close())
	}
	if p.opened.Store(true); s.cfg.Damaged != nil && p.Damaged() > 0 {
		s.cfg.Damaged(p)
	}
	return p, nil
}

// Apply brings the set to an image of the cluster. topics names those that changed since the image before; nil: all. It gives
// the topics that it has to be called with again, since a full disk was in the way.
func (s *Set) Apply(img *cluster.Image, topics []string) (again []string) {
	starting := topics == nil
	if starting {
		for t := range img.Topics() {
			topics = append(topics, t.Name)
		}
		s.sweep(img)
	}
	topics = slices.Compact(slices.Sorted(slices.Values(topics))) // or a partition that is named twice is opened twice
	var group errgroup.Group
	group.SetLimit(openers)
	for _, name := range topics {
		t := img.Topic(name)
		s.mu.RLock()
		h := s.topics[name]
		s.mu.RUnlock()
		if h != nil && (t == nil || h.id != t.ID) {
			s.remove(name, h)
			h = nil
		}
		if t == nil {
			continue
		}
		cfg := s.cfg.TopicConfig(img, t)
		if cfg.CleanupCompact() && !t.Internal() && !starting && (h == nil || !h.compact) {
			s.cfg.Logger.Warn("a topic asks for compaction, which this version does not do: it keeps all records", "topic", name)
		}
		if h == nil {
			h = &hosted{id: t.ID}
			s.mu.Lock()
			s.topics[name] = h
			s.mu.Unlock()
		}
		h.compact = cfg.CleanupCompact()
		s.reconfigure(h, cfg)
		s.leave(h, t)
		s.beginAnew(h, t)
		s.bearWitness(h, t)
		for _, number := range s.missing(h, t) {
			group.Go(func() error {
				s.openHosted(t, number, cfg, h)
				return nil
			})
		}
	}
	_ = group.Wait()
	for _, name := range topics {
		if t := img.Topic(name); t != nil {
			s.direct(img, t)
		}
	}
	return s.refused(topics)
}

// direct tells the replicas here which ones their partitions shall have.
func (s *Set) direct(img *cluster.Image, t *cluster.Topic) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h := s.topics[t.Name]
	for number, p := range t.Partitions {
		if number < len(h.partitions) && h.partitions[number] != nil {
			h.partitions[number].SetReplicas(img.Members(p), nil)
		}
	}
}

// leave removes the replicas that this node shall not have any more.
func (s *Set) leave(h *hosted, t *cluster.Topic) {
	self := replication.BrokerOf(s.cfg.Self)
	s.mu.Lock()
	gone := map[int]*Partition{}
	for number, p := range h.partitions {
		if p != nil && number < len(t.Partitions) && !slices.Contains(t.Partitions[number].Replicas, self) {
			gone[number], h.partitions[number] = p, nil
		}
	}
	s.mu.Unlock()
	for number, p := range gone {
		s.cfg.Logger.Info("a replica moved away from this node; its files are removed", "partition", p.String())
		s.removeOne(t.Name, number, h.id, p)
	}
}

// missing makes room for a topic's partitions, and gives those that are to be opened on this node: new ones, and those that a full
// disk refused.
func (s *Set) missing(h *hosted, t *cluster.Topic) (numbers []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	self := replication.BrokerOf(s.cfg.Self)
	for number := range t.Partitions {
		if number == len(h.partitions) {
			h.partitions, h.errors = append(h.partitions, nil), append(h.errors, nil)
		}
		if slices.Contains(t.Partitions[number].Replicas, self) && h.partitions[number] == nil && (h.errors[number] == nil || vfs.IsNoSpace(h.errors[number])) {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// refused gives those topics of which a full disk refused partitions.
func (s *Set) refused(topics []string) (out []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, name := range topics {
		if h := s.topics[name]; h != nil && slices.ContainsFunc(h.errors, vfs.IsNoSpace) {
			out = append(out, name)
		}
	}
	return out
}

// Complete tells whether all partitions could be opened that are to be here.
func (s *Set) Complete() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, h := range s.topics {
		if slices.ContainsFunc(h.errors, func(err error) bool { return err != nil }) {
			return false
		}
	}
	return true
}

// Reconfigure takes every topic's configuration into effect again: a default of the broker changed.
func (s *Set) Reconfigure(img *cluster.Image) {
	for t := range img.Topics() {
		s.mu.RLock()
		h := s.topics[t.Name]
		s.mu.RUnlock()
		if h != nil {
			s.reconfigure(h, s.cfg.TopicConfig(img, t))
		}
	}
}

func (s *Set) reconfigure(h *hosted, cfg *config.TopicConfig) {
	s.mu.RLock()
	partitions := append([]*Partition(nil), h.partitions...)
	s.mu.RUnlock()
	for _, p := range partitions {
		if p != nil && *p.Config() != *cfg {
			if cfg.Relaxed() && s.cfg.Relaxed != nil {
				s.cfg.Relaxed()
			}
			p.SetConfig(cfg)
		}
	}
}

func (s *Set) openHosted(t *cluster.Topic, number int, cfg *config.TopicConfig, h *hosted) {
	open := func() (*Partition, error) {
		part := t.Partitions[number]
		return s.open(t.Name, t.ID, int32(number), part.First(), part.After(), len(part.Replicas), cfg, counted{&h.stats, &s.all}, false)
	}
	p, err := open()
	if err == nil {
		s.tellLost(t, number, p)
	}
	var other *log.IdentityError
	if errors.As(err, &other) {
		// A topic of the same name was deleted, and the process ended before its folder was out of the way.
		dir := path.Join(s.cfg.Dir, fmt.Sprintf("%s-%d", t.Name, number))
		if err = s.cfg.FS.Rename(dir, path.Join(s.cfg.Dir, replacedName(t.Name, number, other.Found.TopicID))); err == nil {
			p, err = open()
		}
	}
	if err != nil && !(vfs.IsNoSpace(err) && h.errors[number] != nil) { // or it was said before
		s.cfg.Logger.Error("a partition is offline: it cannot be opened", "partition", fmt.Sprintf("%s-%d", t.Name, number), "error", err)
	}
	if err != nil {
		s.cfg.Leaders.Heard(replication.GroupID{Topic: t.ID, Partition: int32(number)}, Leader{Broker: -1, Epoch: -1, Unopened: true})
	}
	s.mu.Lock()
	h.partitions[number], h.errors[number] = p, err
	s.mu.Unlock()
}

// Unsettled tells whether appends wait for Settle.
func (s *Set) Unsettled() bool { return s.cfg.Host.Unsettled() }

// Settle sees that what was appended becomes durable: here, by the caller, who waits for the disk, or by another goroutine.
func (s *Set) Settle(here bool) { s.cfg.Host.Settle(here) }

// Dir is the data directory.
func (s *Set) Dir() string { return s.cfg.Dir }

// Space tells the total and the free bytes of the file system that holds the data directory.
func (s *Set) Space() (total, free int64, err error) { return s.cfg.FS.Space(s.cfg.Dir) }

// Lookup finds a partition of this node. Errors are Kafka's.
func (s *Set) Lookup(topic string, number int32) (*Partition, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h := s.topics[topic]
	switch {
	case h == nil || number < 0 || int(number) >= len(h.partitions):
		return nil, kerr.UnknownTopicOrPartition
	case h.errors[number] != nil:
		return nil, kerr.KafkaStorageError
	case h.partitions[number] == nil:
		return nil, kerr.NotLeaderForPartition
	}
	return h.partitions[number], nil
}

// Each calls f for every open partition.
func (s *Set) Each(f func(*Partition)) {
	s.mu.RLock()
	var all []*Partition
	for _, h := range s.topics {
		for _, p := range h.partitions {
			if p != nil {
				all = append(all, p)
			}
		}
	}
	s.mu.RUnlock()
	for _, p := range all {
		f(p)
	}
}

// AwaitLed waits until every partition that is open here has a leader.
func (s *Set) AwaitLed(ctx context.Context) error {
	for _, t := range s.Topics() {
		for _, p := range t.Partitions {
			if p == nil {
				continue
			}
			if err := s.cfg.Leaders.awaitOne(ctx, p.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Maintain does the rounds of all partitions: retention, checkpoints, expiry.
func (s *Set) Maintain() {
	s.Each(func(p *Partition) {
		if err := p.maintain(s.cfg.Now(), s.cfg.ProducerIdle()); err != nil && !errors.Is(err, replication.ErrClosed) {
			s.cfg.Logger.Error("maintenance failed", "partition", p.String(), "error", err)
		}
	})
}

// Close closes all partitions, with a checkpoint, so that the next start reads nothing.
func (s *Set) Close() error {
	var group errgroup.Group
	group.SetLimit(openers)
	s.Each(func(p *Partition) {
		group.Go(func() error { return s.ClosePartition(p) })
	})
	s.mu.RLock()
	for _, h := range s.topics {
		for _, w := range h.witnesses {
			s.cfg.Host.Close(w)
		}
	}
	s.mu.RUnlock()
	return group.Wait()
}

// ClosePartition closes a partition with a checkpoint.
func (s *Set) ClosePartition(p *Partition) error {
	p.closed.Store(true)
	s.cfg.Host.Close(p.group)
	if p.log.Relaxed() { // what a checkpoint does not cover, too
		if err := p.log.Sync(); err != nil {
			return errors.Join(fmt.Errorf("syncing %s: %w", p, err), p.log.Close())
		}
	}
	if !p.log.CheckpointWorthwhile() {
		return p.log.Close()
	}
	if err := p.log.Checkpoint(); err != nil {
		return errors.Join(fmt.Errorf("checkpoint of %s: %w", p, err), p.log.Close())
	}
	return p.log.Close()
}

// remove closes and deletes the partitions of a deleted topic.
func (s *Set) remove(name string, h *hosted) {
	s.mu.Lock()
	delete(s.topics, name)
	s.mu.Unlock()
	for number, p := range h.partitions {
		if p != nil {
			s.removeOne(name, number, h.id, p)
		}
	}
	for number, w := range h.witnesses {
		s.dismiss(h, number, w)
	}
	s.cfg.Leaders.Forget(h.id)
}

// removeOne closes and deletes a partition.
func (s *Set) removeOne(name string, number int, id cluster.UUID, p *Partition) {
	p.closed.Store(true)
	s.cfg.Host.Close(p.group)
	dir := path.Join(s.cfg.Dir, p.String())
	gone := path.Join(s.cfg.Dir, deletedName(name, number, id))
	err := errors.Join(s.cfg.Host.Forget(p.ID), s.cfg.FS.Rename(dir, gone), p.log.Close(), s.cfg.FS.RemoveAll(gone))
	if err != nil {
		s.cfg.Logger.Error("a deleted partition's files cannot be removed", "partition", p.String(), "error", err)
	}
}
