package node

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/coordinator"
	"github.com/weir/weir/coordinator/machine"
	"github.com/weir/weir/partition"
)

// openRetry is how long it takes until a partition is tried again whose files the full disk refused.
const openRetry = 200 * time.Millisecond

// metadata follows the metadata log: it hands requests to the controller, and every new image to this node's partitions
// and coordinators. It implements api.Controller.
type metadata struct {
	runtime *coordinator.Runtime
	set     *partition.Set
	groups  *coordinator.Groups
	image   atomic.Pointer[cluster.Image]
	// brokersChanged is told of the first image, and of each with other configurations of brokers.
	brokersChanged func(*cluster.Image)

	mu      sync.Mutex
	changed *sync.Cond
	queue   []update
	again   []string // topics that are to be brought to the image again
	answers []func() // to be given when the queue has been worked through
	stopped bool
	done    chan struct{}
	ready   chan struct{} // closed when the first image is in effect

	ids       sync.Mutex
	nextID    int64
	idsLeft   int64
	idWaiters []func(int64, error)
}

// update is an image and what is different in it.
type update struct {
	image   *cluster.Image
	changes cluster.Changes
}

func newMetadata(set *partition.Set, groups *coordinator.Groups, brokersChanged func(*cluster.Image)) *metadata {
	m := &metadata{set: set, groups: groups, brokersChanged: brokersChanged, done: make(chan struct{}), ready: make(chan struct{})}
	m.changed = sync.NewCond(&m.mu)
	go m.follow()
	return m
}

// capture and publish connect the controller's runtime to follow.
func (m *metadata) capture(c machine.Machine) any {
	ctl := c.(*cluster.Controller)
	return update{ctl.Image(), ctl.TakeChanges()}
}

func (m *metadata) publish(u any) {
	m.mu.Lock()
	m.queue = append(m.queue, u.(update))
	m.mu.Unlock()
	m.changed.Signal()
}

// follow brings the node to each image, in order.
func (m *metadata) follow() {
	defer close(m.done)
	for {
		updates, again, answers, more := m.take()
		if len(updates) > 0 {
			m.apply(joined(updates))
		}
		if len(again) > 0 {
			m.bring(m.Image(), again)
		}
		for _, answer := range answers {
			answer()
		}
		if !more {
			return
		}
	}
}

// take waits for updates, topics to be brought to the image again, or answers that wait for none of these. False: these are the
// last answers.
func (m *metadata) take() (updates []update, again []string, answers []func(), more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.queue) == 0 && len(m.again) == 0 && len(m.answers) == 0 && !m.stopped {
		m.changed.Wait()
	}
	updates, again, answers = m.queue, m.again, m.answers
	m.queue, m.again, m.answers = nil, nil, nil
	if m.stopped {
		return nil, nil, answers, false
	}
	return updates, again, answers, true
}

// joined makes one of several updates: the last image with all their changes.
func joined(updates []update) update {
	u := updates[len(updates)-1]
	for _, before := range updates[:len(updates)-1] {
		u.changes.Topics = append(u.changes.Topics, before.changes.Topics...)
		u.changes.Brokers = u.changes.Brokers || before.changes.Brokers
	}
	return u
}

// apply brings the node to an image.
func (m *metadata) apply(u update) {
	before := m.image.Load()
	gone := replaced(before, u)
	m.image.Store(u.image)
	first := before == nil
	switch {
	case first:
		m.bring(u.image, nil)
	case len(u.changes.Topics) > 0:
		m.bring(u.image, u.changes.Topics)
	}
	if u.changes.Brokers || first {
		m.brokersChanged(u.image)
	}
	if len(gone) > 0 {
		m.groups.TopicsDeleted(gone)
	}
	if first {
		close(m.ready)
	}
}

// bring brings partitions and coordinators to an image, and sees that those that a full disk refuses are tried again.
func (m *metadata) bring(img *cluster.Image, topics []string) {
	if again := m.set.Apply(img, topics); len(again) > 0 {
		time.AfterFunc(openRetry, func() {
			m.mu.Lock()
			m.again = append(m.again, again...)
			m.mu.Unlock()
			m.changed.Signal()
		})
	}
	m.groups.Follow(img, m.set)
}

// replaced gives the topics of an image that are gone in the next one, or others of the same name.
func replaced(before *cluster.Image, u update) []string {
	if before == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(u.changes.Topics), func(name string) bool {
		old, now := before.Topic(name), u.image.Topic(name)
		return old == nil || now != nil && now.ID == old.ID
	})
}

func (m *metadata) stop() {
	m.mu.Lock()
	m.stopped = true
	m.mu.Unlock()
	m.changed.Signal()
	<-m.done
}

// Image is the newest picture.
func (m *metadata) Image() *cluster.Image { return m.image.Load() }

// Submit hands a request to the controller. Its answer is given when what it changed is in effect on this node, so that
// whoever has it sees the change.
func (m *metadata) Submit(request any, done func(any, error)) {
	m.runtime.Submit(request, func(reply any, err error) {
		m.mu.Lock()
		if m.stopped {
			m.mu.Unlock()
			done(reply, err)
			return
		}
		m.answers = append(m.answers, func() { done(reply, err) })
		m.mu.Unlock()
		m.changed.Signal()
	})
}

// ProducerID gives an id from this node's block, and gets a new block when it is used up.
func (m *metadata) ProducerID(done func(int64, error)) {
	m.ids.Lock()
	if m.idsLeft > 0 {
		id := m.nextID
		m.nextID++
		m.idsLeft--
		m.ids.Unlock()
		done(id, nil)
		return
	}
	m.idWaiters = append(m.idWaiters, done)
	first := len(m.idWaiters) == 1
	m.ids.Unlock()
	if first {
		m.Submit(cluster.AllocateProducerIDs{}, m.newBlock)
	}
}

func (m *metadata) newBlock(reply any, err error) {
	m.ids.Lock()
	waiters := m.idWaiters
	m.idWaiters = nil
	if err == nil {
		block := reply.(cluster.ProducerIDs)
		m.nextID, m.idsLeft = block.First, block.Count
	}
	m.ids.Unlock()
	for _, done := range waiters {
		if err != nil {
			done(0, err)
		} else {
			m.ProducerID(done)
		}
	}
}
