package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/config"
	"github.com/weir/weir/transport"
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
	// Registered answers a broker that asks to be registered, once it was.
	Registered *cluster.BrokerRegistered `json:"registered,omitempty"`
}

// answer answers another node's question which cluster this is. The question is the node as a broker, to be registered.
func (n *Node) answer(from int32, question []byte) []byte {
	a := about{Cluster: n.ClusterID(), Started: !n.fresh.Load()}
	if m := n.following.Load(); m != nil && m.Image() != nil {
		a.Started, a.Loaded = true, true
		a.Registered = n.registerOther(m, from, question)
	}
	b, err := json.Marshal(a)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return b
}

// registerOther registers a broker that cannot do so itself yet. nil: it could not be done now.
func (n *Node) registerOther(m *metadata, from int32, question []byte) *cluster.BrokerRegistered {
	var b cluster.Broker
	if err := json.Unmarshal(question, &b); err != nil || b.ID != from && from != transport.Anybody {
		return nil
	}
	done := make(chan *cluster.BrokerRegistered, 1)
	m.submit(cluster.RegisterBroker{Broker: b}, time.Now().Add(askTime/2), func(reply any, err error) {
		if r, ok := reply.(cluster.BrokerRegistered); ok && err == nil {
			done <- &r
		} else {
			done <- nil
		}
	})
	return <-done
}

// unnumbered stands for the number of a node that is to be given one.
const unnumbered = -1

// whoBegins tells nodes that all want to join what to do. They do not begin by themselves: each may name others, and nobody knows which
// of them has lost its disk.
const whoBegins = "start one node with controller.quorum.bootstrap.servers naming only itself, or all with the same controller.quorum.voters"

// identify finds out, for a node that is to join a cluster, which one that is, and which number it has there.
func (n *Node) identify() error {
	if n.dir.clusterID != "" || len(n.cfg.Join) == 0 {
		n.number(n.dir.nodeID)
		return nil
	}
	question, err := json.Marshal(n.asBroker())
	if err != nil {
		panic("BUG: " + err.Error())
	}
	tick := time.NewTicker(askEach)
	defer tick.Stop()
	for began, told := time.Now(), false; ; {
		var failures string
		for _, address := range n.cfg.Join {
			a, err := n.askToJoin(address, question)
			switch {
			case err != nil:
				failures += fmt.Sprintf("%s: %v; ", address, err)
			case a.Registered == nil:
				failures += address + ": it has no cluster yet, or no controller; "
			case a.Registered.Refused != "":
				return errors.New(a.Registered.Refused)
			default:
				n.number(a.Registered.ID)
				n.dir.nodeID = a.Registered.ID
				return n.dir.join(a.Cluster, a.Registered.Incarnation)
			}
		}
		if !told && time.Since(began) > patience {
			told = true
			n.opts.Logger.Info("waiting for a node of the cluster that this one is to join; if there is none yet, one has to begin it: "+whoBegins, "missing", failures)
		}
		select {
		case <-tick.C:
		case <-n.opts.Context.Done():
			return n.opts.Context.Err()
		}
	}
}

func (n *Node) askToJoin(address string, question []byte) (a about, err error) {
	ctx, cancel := context.WithTimeout(n.opts.Context, askTime)
	defer cancel()
	b, err := transport.Ask(ctx, address, question)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(b, &a)
}

// number gives this node its number, if the configuration does not.
func (n *Node) number(id int32) {
	numbered := *n.cfg
	numbered.NodeID = id
	n.cfg = &numbered
	n.effective.Store(n.cfg)
}

// form finds out which cluster a new data directory is for. A node that is alone begins a new one. Of several voters the first
// begins it, when most of them are there and none knows a cluster; the others ask until one does.
//
// A cluster that has begun may know this node with another directory, which is lost. What it promised there it does not know, so it
// comes back as another incarnation, which votes on nothing until it was made a replica anew.
func (n *Node) form() error {
	if n.dir.clusterID != "" {
		n.cluster.Store(&n.dir.clusterID)
		return nil
	}
	n.fresh.Store(true)
	if len(n.cfg.Voters) == 1 {
		return n.join(newClusterID(), 0)
	}
	tick := time.NewTicker(askEach)
	defer tick.Stop()
	for began, told := time.Now(), false; ; {
		answers, failures := n.askVoters()
		id, incarnation, err := decide(n.cfg.NodeID, n.cfg.Voters, answers)
		if err != nil {
			return err
		}
		if id != "" {
			return n.join(id, incarnation)
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

// decide tells which cluster a new node is of, and as which incarnation, by what the other voters say; "": that cannot be said yet.
func decide(self int32, voters []config.Voter, answers map[int32]about) (id string, incarnation int32, err error) {
	lowest, heard, known := true, 1, false
	for _, v := range voters {
		if v.ID < self {
			lowest = false
		}
		a, ok := answers[v.ID]
		if !ok {
			continue
		}
		heard++
		known = known || a.Cluster != ""
		switch {
		case a.Cluster == "" || a.Started && a.Registered == nil:
			continue
		case a.Registered != nil && a.Registered.Refused != "":
			return "", 0, errors.New(a.Registered.Refused)
		case id != "" && id != a.Cluster:
			return "", 0, fmt.Errorf("the nodes in controller.quorum.voters belong to two clusters, %s and %s: name those of one", id, a.Cluster)
		}
		id = a.Cluster
		if a.Registered != nil {
			incarnation = a.Registered.Incarnation
		}
	}
	if !known && lowest && heard > len(voters)/2 {
		id = newClusterID()
	}
	return id, incarnation, nil
}

// askVoters asks all other voters what they know, and gives why those that do not answer do not.
func (n *Node) askVoters() (answers map[int32]about, failures string) {
	ctx, cancel := context.WithTimeout(n.opts.Context, askTime)
	defer cancel()
	question, err := json.Marshal(n.asBroker())
	if err != nil {
		panic("BUG: " + err.Error())
	}
	var mu sync.Mutex
	var asking sync.WaitGroup
	answers = map[int32]about{}
	for _, v := range n.cfg.Voters {
		if v.ID == n.cfg.NodeID {
			continue
		}
		asking.Go(func() {
			var a about
			b, err := n.transport.Ask(ctx, v.Address, v.ID, question)
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
func (n *Node) join(clusterID string, incarnation int32) error {
	if err := n.dir.join(clusterID, incarnation); err != nil {
		return err
	}
	n.cluster.Store(&clusterID)
	return nil
}
