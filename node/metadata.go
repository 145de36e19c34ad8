package node

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/coordinator"
	"github.com/weir/weir/coordinator/machine"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/peers"
)

// openRetry is how long it takes until a partition is tried again whose files the full disk refused.
const openRetry = 200 * time.Millisecond

// metadata follows the metadata log: it hands requests to the controller, and every new image to this node's partitions
// and coordinators. It implements api.Controller.
type metadata struct {
	self    int32
	log     *partition.Partition
	peers   *peers.Peers
	logger  *slog.Logger
	runtime *coordinator.Runtime
	set     *partition.Set
	groups  *coordinator.Groups
	image   atomic.Pointer[cluster.Image]
	from    machine.Machine // which the image is of
	// brokersChanged is told of the first image, and of each with other configurations of brokers, membersChanged of the first, and
	// of each with other brokers or voters.
	brokersChanged, membersChanged func(*cluster.Image)
	// opened is told when the partitions of an image were opened.
	opened func()

	mu        sync.Mutex
	changed   *sync.Cond
	queue     []update
	again     []string // topics that are to be brought to the image again
	answers   []answer // to be given when the queue has been worked through
	published int64    // version of the newest image in the queue, or taken from it
	stopped   bool
	done      chan struct{}
	ready     chan struct{} // closed when the first image is in effect

	ids       sync.Mutex
	nextID    int64
	idsLeft   int64
	idWaiters []func(int64, error)
}

// update is an image and what is different in it.
type update struct {
	image   *cluster.Image
	changes cluster.Changes
	from    machine.Machine // another one than before has changed everything
}

// answer is what somebody waits for until an image of a version is in effect here.
type answer struct {
	version int64
	give    func()
}

// prepare makes it ready for images.
func (m *metadata) prepare() *metadata {
	m.done, m.ready = make(chan struct{}), make(chan struct{})
	m.changed = sync.NewCond(&m.mu)
	return m
}

// capture and publish connect the controller's runtime to follow.
func (m *metadata) capture(c machine.Machine) any {
	ctl := c.(*cluster.Controller)
	return update{ctl.Image(), ctl.TakeChanges(), c}
}

func (m *metadata) publish(u any) {
	m.mu.Lock()
	m.queue = append(m.queue, u.(update))
	m.published = max(m.published, u.(update).image.Version())
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
		for _, a := range answers {
			a.give()
		}
		if !more {
			return
		}
	}
}

// take waits for updates, topics to be brought to the image again, or answers that wait for none of these. False: these are the
// last answers.
func (m *metadata) take() (updates []update, again []string, answers []answer, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		version := int64(0)
		if n := len(m.queue); n > 0 {
			version = m.queue[n-1].image.Version()
		} else if image := m.image.Load(); image != nil {
			version = image.Version()
		}
		var later []answer
		for _, a := range m.answers {
			if a.version <= version || m.stopped {
				answers = append(answers, a)
			} else {
				later = append(later, a)
			}
		}
		m.answers = later
		if len(m.queue) > 0 || len(m.again) > 0 || len(answers) > 0 || m.stopped {
			break
		}
		m.changed.Wait()
	}
	updates, again = m.queue, m.again
	m.queue, m.again = nil, nil
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
		u.changes.Members = u.changes.Members || before.changes.Members
	}
	return u
}

// apply brings the node to an image.
func (m *metadata) apply(u update) {
	before := m.image.Load()
	if before != nil && u.from != m.from { // topics that were deleted may be missing in what it has seen
		for t := range before.Topics() {
			u.changes.Topics = append(u.changes.Topics, t.Name)
		}
		u.changes.Brokers, u.changes.Members = true, true
	}
	m.from = u.from
	gone := replaced(before, u)
	m.image.Store(u.image)
	first := before == nil
	if u.changes.Members || first {
		m.membersChanged(u.image)
	}
	switch {
	case first || u.changes.Members: // other incarnations of brokers are other replicas
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
	m.opened()
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

// answer gives an answer when an image of a version is in effect here.
func (m *metadata) answer(version int64, give func()) {
	m.mu.Lock()
	if m.stopped {
		m.mu.Unlock()
		give()
		return
	}
	m.answers = append(m.answers, answer{version, give})
	m.mu.Unlock()
	m.changed.Signal()
}

func (m *metadata) isStopped() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopped
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
