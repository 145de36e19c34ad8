package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	atOnceDefault = 20
	lookEvery     = 500 * time.Millisecond
	// changedLooksMax is after how many looks in a row a move that ended otherwise counts as taken back: the brokers do not
	// learn at once what the controller has done.
	changedLooksMax = 20
	// failedLooksMax is after how many failed looks in a row, each of up to --timeout, the cluster is given up.
	failedLooksMax = 4
	tellEvery      = 30 * time.Second // where there is no terminal
)

// mover carries out what a planner wants, a few partitions at a time. What is left to do it learns from the cluster each time, so
// a mover that was stopped is gone on with by starting another.
type mover struct {
	o      *options
	cmd    *cobra.Command
	plan   func(*clusterView, replicaMap) ([]move, error) // what is left to do
	mine   func(reassignment) bool                        // reassignments of others that have to be waited for, too; nil: none
	atOnce int                                            // how many partitions may move at the same time
	every  time.Duration

	planned bool                        // once at least
	queue   []move                      // not begun
	begun   map[topicPartition]*oneMove // under way
	done    []move
	waiting []reassignment // what the last look saw under way and is waited for
	pace    pace
	report  report
}

// oneMove is a move under way.
type oneMove struct {
	move
	changedLooks int // looks in a row that found it neither under way nor done
}

func newMover(o *options, cmd *cobra.Command, plan func(*clusterView, replicaMap) ([]move, error)) *mover {
	return &mover{o: o, cmd: cmd, plan: plan, atOnce: atOnceDefault, every: lookEvery, begun: map[topicPartition]*oneMove{}}
}

// flags are those of commands that move partitions.
func (m *mover) flags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&m.atOnce, "at-once", m.atOnce, "how many `partitions` may move at the same time")
	cmd.Flags().DurationVar(&m.every, "interval", m.every, "how `long` to wait between two looks at what moves")
}

func (m *mover) check() error {
	switch {
	case m.atOnce < 1:
		return usagef("--at-once must be at least 1")
	case m.every <= 0:
		return usagef("--interval must be more than 0")
	}
	return nil
}

// run moves until the planner has nothing left. It gives what was moved also if it fails.
func (m *mover) run(ctx context.Context, c *client) ([]move, error) {
	m.report = newReport(m.cmd)
	defer m.report.clear()
	failedLooks := 0
	for first := true; ; first = false {
		finished, err := m.step(ctx, c)
		switch {
		case err == nil && finished:
			return m.done, nil
		case err == nil:
			failedLooks = 0
		case ctx.Err() != nil:
			return m.done, m.interrupted(ctx.Err())
		case first || !temporary(err):
			return m.done, m.interrupted(err)
		default:
			if failedLooks++; failedLooks == failedLooksMax {
				return m.done, m.interrupted(err)
			}
		}
		select {
		case <-ctx.Done():
			return m.done, m.interrupted(ctx.Err())
		case <-time.After(m.every):
		}
	}
}

// interrupted says what goes on without the command.
func (m *mover) interrupted(err error) error {
	m.report.clear()
	if n := len(m.waiting); n > 0 {
		m.cmd.PrintErrf("What is moving goes on by itself (%s); the same command goes on with the rest.\n", plural(int64(n), "partition"))
	}
	return err
}

// temporary tells whether an error may pass by itself, as when a broker is restarted.
func temporary(err error) bool {
	var refused *refusedError
	return !errors.As(err, &refused)
}

// refusedError is the cluster's or the planner's no.
type refusedError struct{ error }

func (e *refusedError) Unwrap() error { return e.error }

// step looks once, begins what may begin, and tells whether all is done.
func (m *mover) step(ctx context.Context, c *client) (finished bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.o.timeout)
	defer cancel()
	v, err := c.view(ctx)
	if err != nil {
		return false, err
	}
	if err := m.look(v); err != nil {
		return false, err
	}
	// A first plan goes round what moves already; whether anything is left when all of it has ended, another plan tells.
	if len(m.queue) == 0 && len(m.begun) == 0 && (!m.planned || len(m.waiting) == 0) {
		sizes := c.sizes(ctx)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if m.queue, err = m.plan(v, v.replicaMap(sizes)); err != nil {
			return false, &refusedError{err}
		}
		m.planned = true
		if len(m.queue) == 0 && len(m.waiting) == 0 {
			return true, nil
		}
		m.pace.more(copiesOf(m.queue))
	}
	if err := m.begin(ctx, c, v); err != nil {
		return false, err
	}
	c.measure(ctx, m.waiting)
	m.tell()
	return false, ctx.Err()
}

// look sorts out what became of the moves that were begun.
func (m *mover) look(v *clusterView) error {
	m.waiting = slices.DeleteFunc(slices.Clone(v.moving), func(r reassignment) bool {
		_, ours := m.begun[r.at()]
		return !ours && (m.mine == nil || !m.mine(r))
	})
	for at, one := range m.begun {
		p := v.partition(at)
		switch {
		case v.reassignment(at) != nil:
			one.changedLooks = 0
		case p == nil: // the topic was deleted
			delete(m.begun, at)
		case slices.Equal(p.replicas, one.to):
			m.done = append(m.done, one.move)
			m.pace.copied += one.copies()
			delete(m.begun, at)
		default:
			if one.changedLooks++; one.changedLooks == changedLooksMax {
				return &refusedError{fmt.Errorf("somebody else has moved partition %s to %s meanwhile: run the command again to go on from there", at, numbers(p.replicas))}
			}
		}
	}
	return nil
}

// begin starts as many moves as may be under way.
func (m *mover) begin(ctx context.Context, c *client, v *clusterView) error {
	m.queue = slices.DeleteFunc(m.queue, func(one move) bool { // what has changed meanwhile is for the next plan
		p := v.partition(one.topicPartition)
		return p == nil || !slices.Equal(v.planned(*p), one.from)
	})
	n := min(len(m.queue), m.atOnce-len(m.waiting))
	if n <= 0 {
		return nil
	}
	accepted, err := c.reassign(ctx, m.queue[:n])
	m.queue = m.queue[n:]
	for _, one := range accepted {
		m.begun[one.topicPartition] = &oneMove{move: one}
		r := one.reassignment()
		if i, known := slices.BinarySearchFunc(m.waiting, r, func(a, b reassignment) int { return a.at().compare(b.at()) }); !known {
			m.waiting = slices.Insert(m.waiting, i, r)
		}
	}
	return err
}

// reassignment is what the cluster will say of a move.
func (m move) reassignment() reassignment {
	return reassignment{Topic: m.topic, Partition: m.partition, Replicas: append(slices.Clone(m.to), m.removed()...), Adding: orEmpty(m.added()), Removing: orEmpty(m.removed())}
}

// reassign asks the cluster to move partitions, and gives the moves that it accepted. A move to no replicas takes a reassignment
// back.
func (c *client) reassign(ctx context.Context, moves []move) (accepted []move, err error) {
	var request kadm.AlterPartitionAssignmentsReq
	for _, m := range moves {
		request.Assign(m.topic, m.partition, m.to)
	}
	responses, err := c.admin.AlterPartitionAssignments(ctx, request)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, m := range moves {
		r, answered := responses[m.topic][m.partition]
		err := brokerError(r.Err, r.ErrMessage)
		switch {
		case !answered:
			err = errNoAnswer
		case m.to == nil && errors.Is(r.Err, kerr.NoReassignmentInProgress):
			err = errors.New("it is not being moved")
		case err == nil:
			accepted = append(accepted, m)
			continue
		}
		failed = append(failed, fmt.Errorf("partition %d of topic %q: %w", m.partition, m.topic, err))
	}
	if len(failed) > 0 {
		return accepted, &refusedError{someOf(failed)}
	}
	return accepted, nil
}

// tell shows how far the work is.
func (m *mover) tell() {
	now := time.Now()
	copied := m.pace.copied
	for _, r := range m.waiting {
		if _, ours := m.begun[r.at()]; ours && r.Copied != nil {
			copied += *r.Copied
		}
	}
	m.pace.at(now, copied)
	m.report.show(now, func() string {
		return progressText(len(m.done), len(m.done)+len(m.queue)+len(m.begun), m.waiting, m.pace)
	})
}

// progressText says how far moving is.
func progressText(done, all int, waiting []reassignment, p pace) string {
	text := fmt.Sprintf("Moved %d of %s", done, plural(int64(all), "partition"))
	if all == 0 {
		text = "Waiting for what is moving already"
	}
	if p.all > 0 {
		text += fmt.Sprintf(", %s of %s", bytesText(float64(min(p.now, p.all))), bytesText(float64(p.all)))
		if rate := p.rate(); rate > 0 {
			text += fmt.Sprintf(", %s/s", bytesText(rate))
		}
		if left, known := p.left(); known {
			text += fmt.Sprintf(", about %s left", left)
		}
	}
	const most = 3
	var names []string
	for _, r := range waiting[:min(most, len(waiting))] {
		name := escape(r.at().String())
		if r.Copied != nil && *r.Bytes > 0 {
			name += fmt.Sprintf(" %d%%", 100**r.Copied / *r.Bytes)
		}
		names = append(names, name)
	}
	if len(waiting) > most {
		names = append(names, fmt.Sprintf("%d more", len(waiting)-most))
	}
	if len(names) > 0 {
		text += "; moving now: " + strings.Join(names, ", ")
	}
	return text
}

// pace is how fast bytes are copied.
type pace struct {
	all    int64 // that there are to copy
	copied int64 // by moves that are done
	now    int64 // by all moves, at the last look

	began, seen time.Time // the first look, and the last one
	first       int64     // what was copied at the first look
}

// more adds bytes to copy.
func (p *pace) more(bytes int64) { p.all += bytes }

// at takes note of how many bytes are copied at a time.
func (p *pace) at(now time.Time, copied int64) {
	if p.began.IsZero() {
		p.began, p.first = now, copied
	}
	p.seen, p.now = now, max(copied, p.now) // retention may make a log smaller while it is copied
}

// rate gives bytes per second; 0: not known.
func (p *pace) rate() float64 {
	took := p.seen.Sub(p.began).Seconds()
	if took <= 0 {
		return 0
	}
	return float64(p.now-p.first) / took
}

// left gives the time that the rest will take, in whole seconds.
func (p *pace) left() (time.Duration, bool) {
	rate := p.rate()
	if rate <= 0 || p.now >= p.all {
		return 0, false
	}
	return time.Duration(float64(p.all-p.now)/rate+1) * time.Second, true
}

// report tells of progress: on a terminal in one line that changes, elsewhere with a line now and then.
type report struct {
	line *progressLine
	w    io.Writer
	last time.Time
}

func newReport(cmd *cobra.Command) report {
	return report{line: newProgressLine(cmd), w: cmd.ErrOrStderr(), last: time.Now()}
}

func (r *report) show(now time.Time, text func() string) {
	r.line.show(now, text)
	if r.line.w == nil && now.Sub(r.last) >= tellEvery {
		r.last = now
		fmt.Fprintln(r.w, text()+".")
	}
}

func (r *report) clear() { r.line.clear() }

// all moves everything and shows what was moved.
func (m *mover) all(ctx context.Context, c *client) error {
	done, err := m.run(ctx, c)
	slices.SortFunc(done, func(a, b move) int { return a.compare(b.topicPartition) })
	return m.print(done, err, "There is nothing to move.")
}

// only plans, and then asks for everything without waiting for it; a dry run does not ask.
func (m *mover) only(ctx context.Context, c *client, dryRun bool) error {
	var moves []move
	err := m.o.within(ctx, func(ctx context.Context) error {
		v, err := c.view(ctx)
		if err != nil {
			return err
		}
		if moves, err = m.plan(v, v.replicaMap(c.sizes(ctx))); err != nil || len(moves) == 0 || dryRun {
			return err
		}
		moves, err = c.reassign(ctx, moves)
		return err
	})
	if dryRun && err == nil && len(moves) > 0 {
		m.cmd.PrintErrln(dryRunHint("the command without --dry-run"))
	}
	return m.print(moves, err, "There is nothing to move.")
}

func (m *mover) print(moves []move, failed error, nothing string) error {
	p := m.o.printer(m.cmd)
	if failed == nil && len(moves) == 0 && !p.json {
		return p.line("%s", nothing)
	}
	return printDone(p, moves, failed, printMoves)
}
