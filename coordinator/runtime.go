package coordinator

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weir/weir/coordinator/machine"
	"github.com/weir/weir/internal/bugs"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/record"
)

var (
	// ErrNotLeader answers requests on a node that does not lead the partition.
	ErrNotLeader = errors.New("this node does not lead the coordinator's partition")
	// ErrLoading answers requests while the machine is being replayed.
	ErrLoading = errors.New("the coordinator is loading")
	// ErrLost answers requests that were under way when the leadership was lost. Whether they took effect is not known.
	ErrLost = errors.New("the leadership of the coordinator's partition was lost")
	// ErrUnavailable answers requests whose records could not be appended.
	ErrUnavailable = errors.New("the coordinator cannot write its log")
)

// damageWait is the time between attempts to read a log that is being repaired.
const damageWait = 200 * time.Millisecond

// readBytes is how much of the log is read at a time to load a machine.
const readBytes = 1 << 20

// Config describes what a Runtime runs.
type Config struct {
	Partition *partition.Partition
	// New makes an empty machine.
	New func() machine.Machine
	// Loaded, if set, is called when the log was replayed, before the first request.
	Loaded func(machine.Machine, time.Time) machine.Effects
	// Capture, if set, is called after records were replayed; Publish gets what it gave once they are committed, in order.
	// Publish is called from the partition's turn and must be quick.
	Capture func(machine.Machine) any
	Publish func(any)
	// Follow replays the log also while another node leads, for Capture and Publish.
	Follow bool
	// RewriteFloor is how many bytes the log may grow by, at least, before it is rewritten; 0: 1 MiB.
	RewriteFloor int64
	Now          func() time.Time
	Logger       *slog.Logger
	// Background runs what may take long, or must not happen where it comes up. nil: a goroutine each.
	Background func(func())
	// NewTimer makes a timer that is stopped, and calls f when it ends. nil: one of the clock.
	NewTimer func(f func()) Timer
}

// Timer is a *time.Timer, or does as one.
type Timer interface {
	Stop() bool
	Reset(d time.Duration) bool
}

func clockTimer(f func()) Timer {
	t := time.AfterFunc(time.Hour, f)
	t.Stop()
	return t
}

// Runtime runs a machine on a partition.
type Runtime struct {
	cfg Config

	mu         sync.Mutex
	machine    machine.Machine // nil unless this node leads and has replayed the log
	loading    bool
	leads      bool
	epoch      int32
	stopped    bool
	lastID     uint64
	waiting    map[uint64]func(any, error)
	effects    []*effect // the machine's own that are not committed, in order
	unknown    int       // batches that were proposed, by this machine or one before it, and not yet answered
	timer      Timer
	deadline   time.Time
	grown      int64         // bytes that the log has grown by since it was rewritten
	live       int64         // bytes of the last rewrite; 0: not known
	rewriting  *rewrite      // nil: none is under way
	broken     chan struct{} // closed when the log cannot be replayed
	brokenBy   error         // why; set before that
	brokenOnce sync.Once
	stopping   chan struct{}
}

// effect is what waits for a batch to be committed. Without a batch it waits for those before it.
type effect struct {
	settled  bool
	stale    bool // its machine was thrown away
	replies  []machine.Reply
	captured any
}

// Start hosts a machine on a partition.
func Start(cfg Config) *Runtime {
	if cfg.RewriteFloor == 0 {
		cfg.RewriteFloor = rewriteFloor
	}
	if cfg.Background == nil {
		cfg.Background = func(f func()) { go f() }
	}
	if cfg.NewTimer == nil {
		cfg.NewTimer = clockTimer
	}
	r := &Runtime{cfg: cfg, waiting: map[uint64]func(any, error){}, broken: make(chan struct{}), stopping: make(chan struct{})}
	r.timer = cfg.NewTimer(r.tick)
	cfg.Partition.OnLeadership(r.leadership)
	if cfg.Follow {
		go r.follow(cfg.Partition.LogEnd())
	}
	return r
}

// Submit hands a request to the machine. done is called once, with the machine's reply or one of this package's errors.
func (r *Runtime) Submit(request any, done func(any, error)) {
	r.mu.Lock()
	if err := r.ready(); err != nil {
		r.mu.Unlock()
		done(nil, err)
		return
	}
	r.lastID++
	r.waiting[r.lastID] = done
	release := r.perform(r.machine.Handle(r.cfg.Now(), r.lastID, request))
	r.mu.Unlock()
	release()
}

// Inspect lets f look at the machine, if there is one. f must be quick and keep nothing of it.
func (r *Runtime) Inspect(f func(machine.Machine)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.machine != nil {
		f(r.machine)
	}
}

// Broken is closed when the machine's log cannot be replayed.
func (r *Runtime) Broken() <-chan struct{} { return r.broken }

// BrokenBy is why it cannot, once Broken is closed.
func (r *Runtime) BrokenBy() error { return r.brokenBy }

// Stop ends the runtime: what waits is answered, no time passes any more.
func (r *Runtime) Stop() {
	r.mu.Lock()
	if !r.stopped {
		close(r.stopping)
	}
	r.stopped, r.leads = true, false
	release := r.discard(ErrLost)
	r.mu.Unlock()
	release()
}

func (r *Runtime) ready() error {
	switch {
	case !r.leads:
		return ErrNotLeader
	case r.loading:
		return ErrLoading
	case r.machine == nil:
		return ErrUnavailable
	}
	return nil
}

// leadership is called from the partition's turn.
func (r *Runtime) leadership(l partition.Leadership) {
	_, leads := r.cfg.Partition.Leads()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || leads == r.leads && l.Epoch == r.epoch {
		return
	}
	r.leads, r.epoch, r.loading = leads, l.Epoch, false
	r.cfg.Background(r.discard(ErrLost))
	r.reload()
}

// reload starts loading the machine if this node leads, there is none, and the fate of all proposed batches is known.
// Under mu.
func (r *Runtime) reload() {
	if r.leads && r.machine == nil && !r.loading && r.unknown == 0 {
		r.loading = true
		epoch := r.epoch
		r.cfg.Background(func() { r.load(epoch) })
	}
}

func (r *Runtime) load(epoch int32) {
	start := time.Now()
	m, records, err := r.replayed()
	r.mu.Lock()
	if r.epoch != epoch || !r.leads {
		r.mu.Unlock()
		return
	}
	r.loading = false
	if errors.Is(err, partition.ErrDamaged) { // this node hands its leadership over if it can; else it goes on when it has been repaired
		r.mu.Unlock()
		time.AfterFunc(damageWait, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.epoch == epoch && !r.stopped {
				r.reload()
			}
		})
		return
	}
	if err != nil {
		r.leads = false // it stays that way until another node, or another version, leads
		r.mu.Unlock()
		r.breakDown(err)
		return
	}
	r.machine, r.grown, r.live = m, r.cfg.Partition.Size(), 0
	release := func() {}
	if r.cfg.Loaded != nil {
		release = r.perform(r.cfg.Loaded(m, r.cfg.Now()))
	}
	if r.cfg.Capture != nil {
		r.cfg.Publish(r.cfg.Capture(m))
	}
	r.schedule()
	r.mu.Unlock()
	release()
	r.cfg.Logger.Debug("coordinator loaded", "partition", r.cfg.Partition.String(), "records", records, "took", time.Since(start))
}

// breakDown tells that the log cannot be replayed.
func (r *Runtime) breakDown(err error) {
	r.brokenOnce.Do(func() {
		r.cfg.Logger.Error("a coordinator's log cannot be replayed", "partition", r.cfg.Partition.String(), "error", err)
		r.brokenBy = err
		close(r.broken)
	})
}

// follow replays what is committed while another node leads. What was committed before a restart is known anew only little by little,
// and not published before all up to where the log was is there, or cut off. Else the past would be acted upon: a replica that was moved
// away and came back would be removed.
func (r *Runtime) follow(was int64) {
	p := r.cfg.Partition
	w := partition.NewWaiter()
	p.Watch(w)
	defer p.Unwatch(w)
	var m machine.Machine // nil: to be made anew
	var next int64
	known := false // something that is not published
	for {
		r.mu.Lock()
		leads := r.leads
		r.mu.Unlock()
		if leads {
			m = nil
		} else {
			start := p.LogStart()
			if m == nil || next < start { // or what was between is only in what the log begins with
				m, next = r.cfg.New(), start
			}
			end, records, err := r.replay(m, next)
			switch {
			case err != nil && p.LogStart() > start:
				continue
			case errors.Is(err, partition.ErrDamaged):
				m = nil
				select {
				case <-time.After(damageWait):
					continue
				case <-r.stopping:
					return
				}
			case err != nil:
				r.breakDown(err)
				return
			}
			next = end
			r.mu.Lock()
			if known = known || records > 0; known && next >= min(was, p.LogEnd()) && !r.leads && !r.stopped {
				known, was = false, 0
				r.cfg.Publish(r.cfg.Capture(m))
			}
			r.mu.Unlock()
		}
		select {
		case <-w.C:
		case <-r.stopping:
			return
		}
	}
}

// replayed gives a machine that knows what the committed log says. A rewrite from before may still move the log's start; then
// it begins again.
func (r *Runtime) replayed() (m machine.Machine, records int, err error) {
	for {
		start := r.cfg.Partition.LogStart()
		m = r.cfg.New()
		_, records, err = r.replay(m, start)
		if err == nil || r.cfg.Partition.LogStart() == start {
			return m, records, err
		}
	}
}

// replay feeds the committed log from an offset on to a machine, and gives where it ended.
func (r *Runtime) replay(m machine.Machine, offset int64) (next int64, records int, err error) {
	p := r.cfg.Partition
	for end := p.HighWatermark(); offset < end; {
		res, err := p.Read(partition.ReadRequest{Offset: offset, MaxBytes: readBytes, MinOne: true, LeaderEpoch: -1, LastFetchedEpoch: -1, AnyReplica: true})
		if err != nil {
			return offset, records, fmt.Errorf("reading at offset %d: %w", offset, err)
		}
		run, err := res.Data.Bytes()
		res.Data.Release()
		if err != nil {
			return offset, records, fmt.Errorf("reading at offset %d: %w", offset, err)
		}
		from := offset
		for batch := range record.Batches(run) {
			h, _ := record.ParseHeader(batch)
			for rec, err := range record.Records(batch) {
				if err != nil {
					return offset, records, fmt.Errorf("batch at offset %d: %w", h.BaseOffset, err)
				}
				err = m.Replay(machine.Record{Key: rec.Key, Value: rec.Value, Offset: rec.Offset, Timestamp: rec.Timestamp})
				if err != nil {
					return offset, records, fmt.Errorf("record at offset %d: %w", rec.Offset, err)
				}
				records++
			}
			offset = h.NextOffset()
		}
		if offset == from {
			return offset, records, fmt.Errorf("no batch at offset %d below the high watermark %d", offset, end)
		}
	}
	return offset, records, nil
}

func (r *Runtime) tick() {
	r.mu.Lock()
	release := func() {}
	r.deadline = time.Time{}
	if r.machine != nil {
		release = r.perform(r.machine.Tick(r.cfg.Now()))
	}
	r.mu.Unlock()
	release()
}

// schedule sets the timer to the machine's deadline. Under mu.
func (r *Runtime) schedule() {
	if r.machine == nil {
		return
	}
	at := r.machine.Deadline()
	if at.Equal(r.deadline) {
		return
	}
	r.deadline = at
	if at.IsZero() {
		r.timer.Stop()
		return
	}
	r.timer.Reset(max(at.Sub(r.cfg.Now()), 0))
}

// perform replays and appends an effect's records and gives what answers the replies that need not wait. Under mu.
func (r *Runtime) perform(e machine.Effects) (release func()) {
	defer r.schedule()
	if bugs.ReplyEarly {
		replies := e.Replies
		defer func() { release = r.answer(replies) }()
	}
	if len(e.Records) == 0 {
		if len(r.effects) == 0 {
			return r.answer(e.Replies)
		}
		if len(e.Replies) > 0 {
			r.effects = append(r.effects, &effect{settled: true, replies: e.Replies})
		}
		return func() {}
	}
	for records := e.Records; len(records) > 0; {
		count := len(records)
		if e.Apart {
			count = fitting(records)
		}
		batch := r.build(records[:count])
		records = records[count:]
		eff := &effect{}
		if len(records) == 0 {
			eff.replies = e.Replies
		}
		if r.cfg.Capture != nil {
			eff.captured = r.cfg.Capture(r.machine)
		}
		r.append(batch, eff, nil)
		r.grew(int64(len(batch)))
	}
	return func() {}
}

// append appends a batch; eff takes effect, and then is called under mu, when it is committed. Under mu.
func (r *Runtime) append(batch []byte, eff *effect, then func(partition.AppendResult)) {
	r.effects = append(r.effects, eff)
	r.unknown++
	r.cfg.Partition.AppendOwn(batch, func(res partition.AppendResult) {
		if res.Err != nil {
			r.cfg.Background(func() { r.lost(eff, res.Err) }) // the partition may answer before AppendOwn returns, and mu is held then
			return
		}
		r.committed(eff, res, then)
	})
}

// committed settles an effect and answers all that are settled from the oldest on.
func (r *Runtime) committed(eff *effect, res partition.AppendResult, then func(partition.AppendResult)) {
	r.mu.Lock()
	r.unknown--
	eff.settled = true
	if then != nil {
		then(res)
	}
	if eff.stale {
		r.reload()
		r.mu.Unlock()
		return
	}
	var replies []machine.Reply
	for len(r.effects) > 0 && r.effects[0].settled {
		replies = append(replies, r.effects[0].replies...)
		if c := r.effects[0].captured; c != nil {
			r.cfg.Publish(c)
		}
		r.effects = r.effects[1:]
	}
	release := r.answer(replies)
	r.mu.Unlock()
	release()
}

// lost throws the machine away: it has replayed a record that is not in the log.
func (r *Runtime) lost(eff *effect, err error) {
	r.mu.Lock()
	r.unknown--
	release := func() {}
	if !eff.stale {
		r.cfg.Logger.Warn("a coordinator could not write its log and loads it again", "partition", r.cfg.Partition.String(), "error", err)
		release = r.discard(ErrUnavailable)
	}
	r.reload()
	r.mu.Unlock()
	release()
}

// discard drops the machine and gives what answers everyone who waits. Under mu.
func (r *Runtime) discard(err error) (release func()) {
	r.machine, r.rewriting = nil, nil
	r.timer.Stop()
	r.deadline = time.Time{}
	for _, e := range r.effects {
		e.stale = true
	}
	r.effects = nil
	waiting := r.waiting
	r.waiting = map[uint64]func(any, error){}
	return func() {
		for _, id := range slices.Sorted(maps.Keys(waiting)) {
			waiting[id](nil, err)
		}
	}
}

// answer takes the waiting of some replies and gives what calls them. Under mu.
func (r *Runtime) answer(replies []machine.Reply) (release func()) {
	if len(replies) == 0 {
		return func() {}
	}
	calls := make([]func(), 0, len(replies))
	for _, rep := range replies {
		done, ok := r.waiting[rep.ID]
		if !ok {
			continue // it was answered when the machine was thrown away
		}
		delete(r.waiting, rep.ID)
		calls = append(calls, func() { done(rep.Value, nil) })
	}
	return func() {
		for _, call := range calls {
			call()
		}
	}
}
