package node

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/weir/weir/config"
)

const (
	// askEach is the time between attempts to learn from the others which cluster this is.
	askEach = 100 * time.Millisecond
	// askTime is how long one may take to answer.
	askTime = time.Second
	// patience is after how long a node that waits for others says so.
	patience = 3 * time.Second
)

// about is what a node tells others of the cluster that it belongs to.
type about struct {
	Cluster string `json:"cluster"` // "": it does not know yet
	// Started says that the cluster's metadata may have been written before, so that whoever has an empty directory may have
	// forgotten what it promised. Loaded says that the metadata is known.
	Started bool `json:"started"`
	Loaded  bool `json:"loaded"`
}

// answer answers another node's question which cluster this is.
func (n *Node) answer(int32, []byte) []byte {
	a := about{Cluster: n.ClusterID(), Started: !n.fresh}
	if m := n.following.Load(); m != nil && m.Image() != nil {
		a.Started, a.Loaded = true, true
	}
	b, err := json.Marshal(a)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return b
}

// form finds out which cluster a new data directory is for. A node that is alone begins a new one. Of several voters the first
// begins it, when most of them are there and none knows a cluster; the others ask until one does.
func (n *Node) form() error {
	if n.dir.clusterID != "" {
		return n.join(n.dir.clusterID)
	}
	n.fresh = true
	voters := n.cfg.Voters
	if len(voters) == 1 {
		return n.join(newClusterID())
	}
	tick := time.NewTicker(askEach)
	defer tick.Stop()
	for began, told := time.Now(), false; ; {
		answers, failures := n.askVoters()
		id, err := decide(n.cfg.NodeID, voters, answers)
		if err != nil {
			return err
		}
		if id != "" {
			return n.join(id)
		}
		if !told && time.Since(began) > patience {
			told = true
			n.opts.Logger.Info("waiting for most of the nodes in controller.quorum.voters, to form a cluster", "missing", failures)
		}
		select {
		case <-tick.C:
		case <-n.opts.Context.Done():
			return n.opts.Context.Err()
		}
	}
}

// decide tells which cluster a new node is of, by what the other voters say; "": that cannot be said yet.
func decide(self int32, voters []config.Voter, answers map[int32]about) (cluster string, err error) {
	lowest, heard := true, 1
	for _, v := range voters {
		if v.ID < self {
			lowest = false
		}
		a, ok := answers[v.ID]
		if !ok {
			continue
		}
		heard++
		if a.Cluster == "" || a.Started && !a.Loaded {
			continue
		}
		if cluster != "" && cluster != a.Cluster {
			return "", fmt.Errorf("the nodes in controller.quorum.voters belong to two clusters, %s and %s: name those of one", cluster, a.Cluster)
		}
		cluster = a.Cluster
	}
	for _, a := range answers {
		if a.Cluster != "" {
			return cluster, nil
		}
	}
	if lowest && heard > len(voters)/2 {
		return newClusterID(), nil
	}
	return "", nil
}

// askVoters asks all other voters what they know, and gives why those that do not answer do not.
func (n *Node) askVoters() (answers map[int32]about, failures string) {
	ctx, cancel := context.WithTimeout(n.opts.Context, askTime)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	answers = map[int32]about{}
	for _, v := range n.cfg.Voters {
		if v.ID == n.cfg.NodeID {
			continue
		}
		asking.Go(func() {
			var a about
			b, err := n.transport.Ask(ctx, v.Address, v.ID, nil)
			if err == nil {
				err = json.Unmarshal(b, &a)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures += fmt.Sprintf("node %d: %v; ", v.ID, err)
				return
			}
			answers[v.ID] = a
		})
	}
	asking.Wait()
	return answers, failures
}

// join makes this node one of a cluster.
func (n *Node) join(clusterID string) error {
	if n.dir.clusterID == "" {
		if err := n.dir.join(clusterID); err != nil {
			return err
		}
	}
	n.cluster.Store(&clusterID)
	return nil
}
