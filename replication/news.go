package replication

import (
	"sync"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// How far a log is committed is news to the followers, which raft tells each of them at once, in a message of its own that each
// answers. The next append tells it too, and under load that follows soon. So the news is held back for a moment, and only told
// when no append came, in a heartbeat that is not answered. Nothing waits for it but who reads from a follower.

// newsEach is how often is looked for news that no append told. It is told when it was there the last time already.
const newsEach = 5 * time.Millisecond

// onlyNews is the context of the heartbeat that tells news.
var onlyNews = []byte("commit")

// What a group has to tell.
const (
	newsNone  int32 = iota
	newsFresh       // since the last look
	newsOld
)

// news are the groups of a host that may have something to tell.
type news struct {
	sync.Mutex
	groups []*Group
}

// heldBack tells whether a message to a follower is no more than news that can wait. Those to a follower that may lack entries, or
// that answer a heartbeat's answer, bring out what it lacks.
func (g *Group) heldBack(m *raftpb.Message) bool {
	if m.GetType() != raftpb.MsgApp || len(m.Entries) > 0 || g.prompt || g.probing {
		return false
	}
	replicates := false
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		replicates = replicates || id == m.GetTo() && pr.State == tracker.StateReplicate
	})
	return replicates
}

// acknowledged notes that a replica has more than before: more may be committed, or that replica may be told of more.
func (g *Group) acknowledged() {
	if g.prompt || !g.news.CompareAndSwap(newsNone, newsFresh) {
		return
	}
	h := g.host
	h.news.Lock()
	defer h.news.Unlock()
	if !g.listed {
		g.listed = true
		if h.news.groups = append(h.news.groups, g); len(h.news.groups) == 1 {
			h.cfg.After(newsEach, h.lookForNews)
		}
	}
}

// lookForNews has old news told.
func (h *Host) lookForNews() {
	var due []*Group
	h.news.Lock()
	left := h.news.groups[:0]
	for _, g := range h.news.groups {
		switch {
		case g.news.CompareAndSwap(newsFresh, newsOld):
			left = append(left, g)
			continue
		case g.news.Load() == newsOld:
			due = append(due, g)
		}
		g.listed = false
	}
	clear(h.news.groups[len(left):])
	h.news.groups = left
	if len(left) > 0 {
		h.cfg.After(newsEach, h.lookForNews)
	}
	h.news.Unlock()
	for _, g := range due {
		g.put(func(in *inbox) { in.news = true })
	}
}

// tellNews tells the followers how far the log is committed, if no append told it meanwhile.
func (g *Group) tellNews() {
	now := g.rn.BasicStatus()
	if g.news.Swap(newsNone) == newsNone || now.RaftState != raft.StateLeader {
		return
	}
	g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id != g.self && !IsWitness(id) && pr.State == tracker.StateReplicate {
			g.post(&raftpb.Message{
				Type: raftpb.MsgHeartbeat.Enum(), From: new(g.host.cfg.Self), To: new(id), Term: new(now.GetTerm()),
				Commit: new(min(now.GetCommit(), pr.Match)), Context: onlyNews,
			})
		}
	})
}

// unanswered tells whether a message answers a heartbeat that wants no answer.
func unanswered(m *raftpb.Message) bool {
	return m.GetType() == raftpb.MsgHeartbeatResp && len(m.GetContext()) > 0
}
