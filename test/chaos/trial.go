package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir/weir/test/chaos/history"
)

const recoverMost = 60 * time.Second

// trial is one run of the harness.
type trial struct {
	*options
	kinds    []*kind
	cluster  *cluster
	workload *workload
	recorder *recorder
	begun    time.Time
	done     []fault
	wrong    []string // what is against the promises, but for anomalies
}

// failed notes what must not be.
func (t *trial) failed(what string, err error) {
	if err != nil {
		t.wrong = append(t.wrong, fmt.Sprintf("%s: %v", what, err))
		t.say("%s: %v", what, err)
	}
}

// say tells what happens, with the seconds since the run began.
func (t *trial) say(format string, args ...any) {
	fmt.Printf("%7.2f  %s\n", time.Since(t.begun).Seconds(), fmt.Sprintf(format, args...))
}

// do does everything, and gives the verdict. An error means that there is none.
func (t *trial) do(ctx context.Context) (*verdict, error) {
	t.begun = time.Now()
	client, err := findLibrdkafka(t.root, t.dir)
	if err != nil {
		t.say("without librdkafka: %v", err)
	}
	if t.cluster, err = newCluster(t.options); err != nil {
		return nil, err
	}
	if err := t.cluster.create(ctx, t.partitions); err != nil {
		return nil, err
	}
	if t.recorder, err = newRecorder(filepath.Join(t.dir, "history.jsonl")); err != nil {
		return nil, err
	}
	if t.workload, err = newWorkload(ctx, t.options, t.cluster, t.recorder, client); err != nil {
		return nil, err
	}
	senders, readers := t.workload.send(ctx, t.options), t.workload.follow(ctx, t.options)

	t.say("%d nodes are up", t.nodes)
	t.failed("before any fault", t.recovered(ctx, 0))
	for planner := newPlanner(t.seed, t.kinds, t.nodes, t.partitions); len(t.wrong) == 0 && ctx.Err() == nil && (time.Since(t.begun) < t.duration || len(t.done) < t.faults); {
		t.step(ctx, planner.next())
	}

	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}

	t.say("draining")
	t.failed("a sender", senders.stop())
	ends, err := t.workload.finish(ctx)
	t.failed("at the end", err)
	t.failed("a reader", readers.stop())
	t.failed("stopping", t.cluster.stop())
	for _, n := range t.cluster.nodes {
		t.wrong = append(t.wrong, n.wrong()...)
	}
	if t.files {
		t.wrong = append(t.wrong, compareReplicas(t.cluster.nodes, ends)...)
	}
	events, err := t.recorder.close()
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	t.say("judging %d events", len(events))
	v := &verdict{trial: t, events: events, anomalies: history.Check(events)}
	return v, t.keep(v)
}

// recovered waits until everything goes on.
func (t *trial) recovered(ctx context.Context, at int64) error {
	ctx, cancel := context.WithTimeout(ctx, recoverMost)
	defer cancel()
	return t.workload.recovered(ctx, at)
}

// aim finds out which node a step hits, and which partitions that node leads.
func (t *trial) aim(ctx context.Context, k *kind, s step) (step, []int32) {
	partitions, _ := t.cluster.state(ctx) // without an answer, no one leads
	for i, n := range t.cluster.nodes {
		if s.Leader >= 0 && partitions[s.Leader].Leader == int32(n.id) {
			s.Node = i
		}
	}
	var hit []int32
	for p := range int32(t.partitions) {
		if k.all || partitions[p].Leader == int32(t.cluster.nodes[s.Node].id) {
			hit = append(hit, p)
		}
	}
	return s, hit
}

// step does one fault, from the pause before it to the recovery after it.
func (t *trial) step(ctx context.Context, s step) {
	k := kindOf(s.Kind)
	if sleep(ctx, s.Pause) != nil {
		return
	}
	s, hit := t.aim(ctx, k, s)
	f := fault{step: s, Hit: hit}
	limited, cancel := context.WithTimeout(ctx, faultMost)
	defer cancel()
	f.Begun = now()
	t.say("%s of node %d, which leads %v, for %v", s.Kind, s.Node+1, f.Hit, s.Lasts)
	err := k.inject(limited, t.cluster, s)
	if err == nil {
		_ = sleep(ctx, s.Lasts)
		err = k.heal(limited, t.cluster, s)
	}
	f.Healed = now()
	if err == nil {
		err = t.recovered(ctx, f.Healed)
	}
	if err == nil {
		f.Recovered = now()
	}
	t.done = append(t.done, f)
	if ctx.Err() == nil {
		t.failed(s.Kind, err)
	}
}

// keep writes what a failure is understood from.
func (t *trial) keep(v *verdict) error {
	var report strings.Builder
	v.write(&report)
	return errors.Join(
		os.WriteFile(filepath.Join(t.dir, "report.txt"), []byte(report.String()), 0o644),
		writeJSON(filepath.Join(t.dir, "faults.json"), t.done),
		writeJSON(filepath.Join(t.dir, "anomalies.json"), v.anomalies))
}

func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}
