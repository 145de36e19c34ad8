package replication

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/confchange"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

func (s step) String() string {
	switch {
	case s.leave:
		return "leave"
	case s.reached:
		return "reached"
	case s.handTo != 0:
		return fmt.Sprint("hand to ", s.handTo)
	}
	var out []string
	for _, c := range s.changes {
		kind := map[raftpb.ConfChangeType]string{
			raftpb.ConfChangeAddNode: "voter", raftpb.ConfChangeAddLearnerNode: "learner", raftpb.ConfChangeRemoveNode: "no",
		}[c.GetType()]
		out = append(out, fmt.Sprint(kind, " ", c.GetNodeId()))
	}
	return strings.Join(out, ", ")
}

func TestPlan(t *testing.T) {
	type ids = []NodeID
	w2, w3 := WitnessOf(2), WitnessOf(3)
	for name, c := range map[string]struct {
		self                              NodeID
		voters, learners, leaving, target ids
		synced                            ids
		want                              string
	}{
		"as wanted":                    {1, ids{1, 2, 3}, nil, nil, ids{3, 1, 2}, nil, "reached"},
		"in the midst of a change":     {1, ids{1, 2}, nil, ids{1}, ids{1, 2}, ids{1, 2}, "leave"},
		"a new one":                    {1, ids{1}, nil, nil, ids{1, 2, 3}, ids{1}, "learner 2, learner 3"},
		"another is wanted meanwhile":  {1, ids{1}, ids{2}, nil, ids{1, 3}, ids{1, 2}, "learner 3, no 2"},
		"not yet there":                {1, ids{1}, ids{2, 3}, nil, ids{1, 2, 3}, ids{1, 2}, ""},
		"all there":                    {1, ids{1}, ids{2, 3}, nil, ids{1, 2, 3}, ids{1, 2, 3}, "voter 2, voter 3"},
		"replaced":                     {1, ids{1, 2, 3}, ids{4}, nil, ids{1, 2, 4}, ids{1, 2, 4}, "voter 4, no 3"},
		"a wanted voter is down":       {1, ids{1, 2, 3}, ids{4}, nil, ids{1, 2, 4}, ids{1, 4}, "voter 4, no 3"},
		"without a majority after it":  {1, ids{1, 2, 3}, nil, nil, ids{1, 3}, ids{1, 2}, ""},
		"fewer":                        {1, ids{1, 2, 3}, nil, nil, ids{1}, ids{1}, "no 2, no 3"},
		"a leader that is not wanted":  {1, ids{1, 2, 3}, nil, nil, ids{3, 2}, ids{1, 2, 3}, "hand to 3"},
		"the preferred one is down":    {1, ids{1, 2, 3}, ids{4}, nil, ids{3, 2, 4}, ids{1, 2, 4}, "hand to 2"},
		"nobody to hand over to":       {1, ids{1, 2}, nil, nil, ids{2}, ids{1}, ""},
		"nobody stays":                 {1, ids{1, 2}, ids{3, 4}, nil, ids{3, 4}, ids{1, 2, 3, 4}, "voter 3, voter 4, no 2"},
		"nobody stays, not yet there":  {1, ids{1, 2}, ids{3, 4}, nil, ids{3, 4}, ids{1, 2, 3}, ""},
		"nobody stays, the last round": {3, ids{1, 3, 4}, nil, nil, ids{3, 4}, ids{3, 4}, "no 1"},
		"a new witness is not there":   {1, ids{1, 2, w3}, ids{3, w2}, nil, ids{1, 3, w2}, ids{1, 3}, fmt.Sprint("voter 3, voter ", w2, ", no 2, no ", w3)},
		"nor is the other replica":     {1, ids{1, 2, w3}, ids{3, w2}, nil, ids{1, 3, w2}, ids{1}, ""},
		"a witness takes the other's":  {1, ids{1, 2, w3}, ids{w2}, nil, ids{1, 2, w2}, ids{1, w2}, fmt.Sprint("voter ", w2, ", no ", w3)},
		"too few without the witness":  {1, ids{1, 2, w3}, ids{w2}, nil, ids{1, 2, w2}, ids{1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			now := &raftpb.ConfState{Voters: c.voters, Learners: c.learners, VotersOutgoing: c.leaving}
			if got := plan(c.self, now, c.target, nil, func(id NodeID) bool { return slices.Contains(c.synced, id) }).String(); got != c.want {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
}

// TestPlanArrives takes steps from anywhere to anywhere: raft accepts each, the leader is never taken out by itself, and a few are
// enough.
func TestPlanArrives(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	some := func() []NodeID {
		ids := []NodeID{1, 2, 3, 4, 5, 6, 7}
		rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		return ids[:1+rng.IntN(5)]
	}
	for range 2000 {
		voters, target := some(), some()
		now := raftpb.EnsureConfState(&raftpb.ConfState{Voters: voters})
		for _, id := range some() {
			if !slices.Contains(voters, id) && rng.IntN(3) == 0 {
				now.Learners = append(now.Learners, id)
			}
		}
		self, steps := voters[0], 0
		slices.Sort(voters)
		for {
			s := plan(self, now, target, nil, func(NodeID) bool { return true })
			if s.reached {
				break
			}
			if steps++; steps > 9 {
				t.Fatalf("from %v to %v is not reached", voters, target)
			}
			if s.handTo != 0 {
				self = s.handTo
				continue
			}
			cfg, trk, err := confchange.Restore(confchange.Changer{Tracker: tracker.MakeProgressTracker(1, 0)}, now)
			if err != nil {
				t.Fatal(err)
			}
			changer := confchange.Changer{Tracker: tracker.ProgressTracker{Config: cfg, Progress: trk}}
			cc := &raftpb.ConfChangeV2{Changes: s.changes}
			if s.leave {
				cfg, _, err = changer.LeaveJoint()
			} else if auto, joint := cc.EnterJoint(); joint {
				cfg, _, err = changer.EnterJoint(auto, s.changes...)
			} else {
				cfg, _, err = changer.Simple(s.changes...)
			}
			if err != nil {
				t.Fatalf("from %v: %v: %v", now, s, err)
			}
			changed := tracker.ProgressTracker{Config: cfg}
			if now = changed.ConfState(); !slices.Contains(now.Voters, self) {
				t.Fatalf("%v takes the leader %d out", s, self)
			}
		}
		if !slices.Equal(now.Voters, slices.Sorted(slices.Values(target))) || len(now.Learners) > 0 {
			t.Fatalf("%v is reached instead of %v", now, target)
		}
	}
}
