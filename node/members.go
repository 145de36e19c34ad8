package node

import (
	"maps"
	"slices"
	"time"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/replication"
)

// membersChanged takes other brokers and voters into effect.
func (n *Node) membersChanged(img *cluster.Image) {
	addresses := map[int32]string{}
	for b := range img.Brokers() {
		if b.ID != n.cfg.NodeID && b.Peer != "" {
			n.transport.SetPeer(b.ID, b.Peer)
			addresses[b.ID] = b.Peer
		}
	}
	if n.several() && !maps.Equal(addresses, n.dir.peers()) {
		if err := n.dir.keepPeers(addresses); err != nil {
			n.opts.Logger.Error("where other nodes are could not be noted", "error", err)
		}
	}
	for _, id := range n.transport.Peers() {
		if img.Broker(id) == nil && !n.isVoter(id) {
			n.transport.RemovePeer(id)
		}
	}
	if voters := img.Voters(); len(voters) > 0 {
		var nodes, observers []replication.NodeID
		for _, v := range voters {
			nodes = append(nodes, v.Node())
		}
		for b := range img.Brokers() {
			if !slices.Contains(nodes, b.Node()) {
				observers = append(observers, b.Node())
			}
		}
		n.log.SetReplicas(nodes, observers)
	}
	n.forgetLost(img)
	n.settleVoters(img)
}

// votersFor is how many nodes vote on the metadata of a cluster of so many brokers: an odd number, so that the fewest
// have to be there for a decision.
func votersFor(brokers int) int {
	switch {
	case brokers < 3:
		return 1
	case brokers < 5:
		return 3
	}
	return 5
}

// promoted gives the voters with those that are added as a cluster grows. An even number of them is what somebody wants so, for now.
func (n *Node) promoted(img *cluster.Image, voters []cluster.Voter) []cluster.Voter {
	brokers := 0
	var candidates []cluster.Voter
	for b := range img.Brokers() {
		brokers++
		if n.peers.Alive(b.ID) && b.Peer != "" && !slices.ContainsFunc(voters, func(v cluster.Voter) bool { return v.ID == b.ID }) {
			candidates = append(candidates, cluster.Voter{ID: b.ID, Directory: b.Directory, Incarnation: b.Incarnation, Peer: b.Peer})
		}
	}
	more := votersFor(brokers) - len(voters)
	if len(voters)%2 == 0 || more <= 0 || more > len(candidates) {
		return voters
	}
	return append(slices.Clone(voters), candidates[:more]...)
}

func (n *Node) isVoter(id int32) bool {
	for _, v := range n.cfg.Voters {
		if v.ID == id {
			return true
		}
	}
	return false
}

// settleVoters says, on the controller, who the voters of the metadata are, if that was not said yet, if one came back in another
// incarnation, or if the cluster has grown.
func (n *Node) settleVoters(img *cluster.Image) {
	if _, leads := n.log.Leads(); !leads || !n.several() || n.following.Load() == nil { // it is looked at again
		return
	}
	were := img.Voters()
	now := slices.Clone(were)
	if were == nil {
		for _, v := range n.cfg.Voters {
			now = append(now, cluster.Voter{ID: v.ID, Peer: v.Address})
		}
	}
	for i, v := range now {
		if b := img.Broker(v.ID); b != nil && b.Incarnation > v.Incarnation {
			now[i] = cluster.Voter{ID: b.ID, Directory: b.Directory, Incarnation: b.Incarnation, Peer: b.Peer}
		}
	}
	if now = n.promoted(img, now); were != nil && slices.Equal(were, now) {
		return
	}
	n.metadata.Submit(cluster.SetVoters{Were: were, Voters: now}, func(reply any, err error) {
		if err != nil { // the next image, or the next controller, tries again
			n.opts.Logger.Debug("the voters could not be set", "error", err)
		}
	})
}

// tellAgain is the time between attempts to tell the controller that a partition has moved.
const tellAgain = 200 * time.Millisecond

// reached is told that a partition's replicas are those that were wanted. The controller is told, if it waits for that, until it has
// heard: the partition's leader tells of each target once.
func (n *Node) reached(id replication.GroupID, nodes []replication.NodeID) {
	select {
	case <-n.stop:
		return
	default:
	}
	m := n.following.Load()
	if m == nil || m.Image() == nil {
		return
	}
	img := m.Image()
	t := img.TopicByID(id.Topic)
	if t == nil || int(id.Partition) >= len(t.Partitions) {
		return
	}
	p := t.Partitions[id.Partition]
	if !p.Changing() || !slices.Equal(img.Members(p), nodes) {
		return
	}
	n.balance.noticed() // the preferred leader may be a new one
	go m.Submit(cluster.ReplicasReached{Topic: id.Topic, Partition: id.Partition, Epoch: p.Epoch, Replicas: p.Target()}, func(_ any, err error) {
		if err != nil {
			n.opts.Logger.Debug("the controller could not be told that a partition has moved", "partition", id.String(), "error", err)
			time.AfterFunc(tellAgain, func() { n.reached(id, nodes) })
		}
	})
}

// votersThere counts those who keep the metadata, and of these, who is there.
func (n *Node) votersThere() (voters, there int) {
	count := func(id int32) {
		if voters++; n.peers.Alive(id) {
			there++
		}
	}
	if m := n.following.Load(); m != nil && m.Image() != nil {
		for _, v := range m.Image().Voters() {
			count(v.ID)
		}
	}
	if voters == 0 {
		for _, v := range n.cfg.Voters {
			count(v.ID)
		}
	}
	return voters, there
}

// cutOff tells whether this node sees less than a majority of those who keep the metadata. Then it knows nothing of the others.
func (n *Node) cutOff() bool {
	voters, there := n.votersThere()
	return voters > 1 && 2*there <= voters
}

// seemsAlive tells whether clients may be sent to a broker. A node that is cut off sends them to everyone, or those who ask it would
// know of no other broker, and stay.
func (n *Node) seemsAlive(broker int32) bool { return n.peers.Alive(broker) || n.cutOff() }

// tellMajority tells the operator when the majority is lost, and when it is back.
func (n *Node) tellMajority() {
	n.noticing.Lock()
	defer n.noticing.Unlock()
	select {
	case <-n.stop: // it is this node that goes
		return
	default:
	}
	was := n.apart
	if n.apart = n.cutOff(); n.apart == was {
		return
	}
	if voters, there := n.votersThere(); n.apart {
		n.opts.Logger.Error("most of the nodes that keep the cluster's metadata are gone: until they are back, nothing can be created or changed, and what has most of its replicas there takes no records",
			"there", there, "of", voters)
	} else {
		n.opts.Logger.Info("most of the nodes that keep the cluster's metadata are there again", "there", there, "of", voters)
	}
}
