package sim

import (
	"errors"
	"log/slog"
	"math"
	"syscall"
	"time"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/replication"
)

const (
	// tick is a tenth of the shortest time after which followers elect another leader.
	tick    = 50 * time.Millisecond
	dataDir = "data"
	topic   = "t"
)

// node is a machine: a disk, and most of the time a process.
type node struct {
	sim         *sim
	id          uint64
	disk        *disk
	proc        *process   // nil: down
	pausedUntil int64      // µs
	made        []promises // of its replicas
	witnessed   []promises // of its witnesses
	lost        []bool     // the replicas that may lack what they had acknowledged, being relaxed
	powerLost   bool       // since all replicas were opened
}

// process is one life of a node's process.
type process struct {
	node    *node
	host    *replication.Host
	set     *partition.Set
	parts   []*replica // nil: not on this node
	there   []presence // of the other nodes, by id - 1, as this one sees it
	turning bool       // a turn is scheduled
	syncing bool       // a round of syncs is under way
	failed  error      // the data directory can no longer be trusted
}

// presence is what a node knows of another one.
type presence struct {
	up   bool
	away int // ticks since it was last heard of
}

// silence is after how many ticks a node that falls silent counts as gone.
const silence = int(time.Second / tick)

// notice tells the host which nodes came and went. That a process ended is noticed at once, that one is not reached after a while.
func (p *process) notice() {
	for i, other := range p.node.sim.nodes {
		if other == p.node {
			continue
		}
		seen := &p.there[i]
		runs := other.proc != nil
		reached := runs && other.pausedUntil == 0 && !p.node.sim.net.cut[link{p.node.id, other.id}] && !p.node.sim.net.cut[link{other.id, p.node.id}]
		if seen.away++; reached {
			seen.away = 0
		}
		switch {
		case !seen.up && reached:
			seen.up = true
			p.host.NodeUp(replication.BrokerOf(other.id))
		case seen.up && (!runs || seen.away > silence):
			seen.up = false
			p.host.NodeDown(replication.BrokerOf(other.id))
		}
	}
}

// protected runs what the node does. A power failure in its midst ends the process.
func (n *node) protected(run func()) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case powerFailed:
			n.sim.trace.note("node %d: the power fails in the midst of an operation", n.id)
			n.sim.Faults++
			n.sim.forget()
			if p := n.proc; p != nil {
				for _, replica := range p.parts {
					if replica != nil {
						replica.promisedUpTo(replica.mayCut)
					}
				}
			}
			n.lose(r.left)
			n.restartLater()
		default:
			panic(r)
		}
	}()
	run()
}

// do runs an event of the node's process, looks at what it did, and sees to what is to be done next.
func (n *node) do(run func()) {
	n.protected(func() {
		run()
		p := n.proc
		p.look()
		n.sim.answer()
		if p.failed == nil {
			p.goOn()
		}
		if p.failed != nil {
			n.sim.trace.note("node %d ends: %v", n.id, p.failed)
			n.powerCut()
			n.restartLater()
		}
	})
}

// goOn schedules the next turn and the next round of syncs.
func (p *process) goOn() {
	s := p.node.sim
	turn, sync := p.host.Due()
	if turn && !p.turning {
		p.turning = true
		p.after(s.between(0, s.plan.busy), "turn", func() {
			p.turning = false
			p.host.Turn()
		})
	}
	if !sync || p.syncing {
		return
	}
	p.syncing = true
	end := func(finish func()) func() {
		return func() {
			p.syncing = false
			finish()
		}
	}
	took := p.node.disk.syncTime()
	if s.chance(0.5) { // what is written while it takes its time is not covered
		p.after(took, "sync ended", end(p.host.Sync()))
		return
	}
	p.after(took, "sync", func() { p.after(time.Microsecond, "sync ended", end(p.host.Sync())) })
}

// after schedules an event that ends with the process.
func (p *process) after(d time.Duration, what string, run func()) {
	s := p.node.sim
	s.schedule(&event{at: s.now + d.Microseconds(), what: what, node: p.node, proc: p, run: run})
}

// start begins a process on what is on the disk.
func (n *node) start() {
	s := n.sim
	p := &process{node: n, parts: make([]*replica, len(s.parts)), there: make([]presence, len(s.nodes))}
	err := n.boot(p)
	switch {
	case err == nil:
		n.proc, n.powerLost = p, false
		p.keptPromises()
		p.look()
		p.after(s.between(0, tick), "tick", p.tick)
		p.goOn()
		return
	case vfs.IsNoSpace(err) || errors.Is(err, syscall.EIO):
		s.trace.note("node %d cannot start: %v", n.id, err)
		n.powerCut()
		n.restartLater()
	default:
		s.fail("node %d cannot start: %v", n.id, err)
	}
}

func (n *node) boot(p *process) (err error) {
	s, fs := n.sim, n.disk.faults
	if err := errors.Join(fs.MkdirAll(dataDir), fs.SyncDir(".")); err != nil {
		return err
	}
	logger := slog.New(slog.DiscardHandler)
	p.host, err = replication.NewHost(replication.HostConfig{
		FS: fs, Dir: dataDir, Self: n.id, Logger: logger, ByHand: true, Send: p.send,
		Fatal: func(err error) { p.failed = err },
		After: func(d time.Duration, f func()) { p.after(d, "timer", f) },
	})
	if err != nil {
		return err
	}
	p.set = partition.NewSet(partition.SetConfig{
		FS: fs, Dir: dataDir, Self: n.id, Host: p.host, Logger: logger,
		Now:          s.clock,
		Relaxed:      func() {},
		PowerLost:    n.powerLost,
		Background:   func(f func()) { p.after(s.between(0, s.plan.background), "background", f) },
		ProducerIdle: func() time.Duration { return time.Hour },
	})
	for i, part := range s.parts {
		if part.witness == n.id {
			if _, err := p.set.OpenWitness(part.id, part.nodes()); err != nil {
				return err
			}
		}
		if !part.on(n.id) {
			continue
		}
		opened, err := p.set.Open(topic, part.id.Topic, part.id.Partition, part.nodes(), part.config())
		if err != nil {
			return err
		}
		p.parts[i] = &replica{part: part, proc: p, Partition: opened, mayCut: math.MaxUint64}
		if part.coordinates {
			p.parts[i].runtime = p.coordinate(opened, logger)
		}
	}
	return nil
}

// nodes gives the replicas, and the witness, as Raft numbers them.
func (p *part) nodes() (out []replication.NodeID) {
	for _, id := range p.replicas {
		out = append(out, replication.NodeID(id))
	}
	if p.witness != 0 {
		out = append(out, replication.WitnessOf(p.witness))
	}
	return out
}

func (p *process) tick() {
	p.notice()
	p.host.Tick()
	p.after(tick, "tick", p.tick)
}

// kill ends the process. What it wrote stays, if perhaps only in memory.
func (n *node) kill() {
	n.proc, n.pausedUntil = nil, 0
}

// powerCut ends the process, and what was not synced may be gone, unless that would be too much.
func (n *node) powerCut() {
	if n.mayLosePower() {
		n.lose(n.disk.mem.CrashClone(n.sim.rng))
		return
	}
	n.kill()
	n.disk = newDisk(n, n.disk.mem)
}

// lose makes what a power failure left of the disk all there is.
func (n *node) lose(left *vfs.Mem) {
	n.kill()
	n.disk = newDisk(n, left)
	n.powerLost = true
	for i, t := range n.sim.parts {
		if n.isNeededFor(t) {
			t.giveUp()
		}
		n.lost[i] = n.lost[i] || t.risky && t.on(n.id)
	}
}

func (n *node) restartLater() {
	down := n.sim.between(10*time.Millisecond, n.sim.plan.down)
	n.sim.after(down, "start", n.startIfDown)
}

// startIfDown starts the node's process, unless it runs. The power may fail while it starts.
func (n *node) startIfDown() {
	if n.proc == nil {
		n.sim.trace.note("node %d starts", n.id)
		n.protected(n.start)
	}
}
