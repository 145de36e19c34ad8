package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/connect/host"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

// several is a cluster of nodes within the test's process.
type several struct {
	t       *testing.T
	peers   []string // addresses for other nodes
	ports   []string // addresses for clients; "" until first started
	disks   []*vfs.Mem
	nodes   []*Node // nil: not running
	logs    []*said
	set     []string
	connect host.Make
	grows   bool         // nodes join the first one
	boots   []int        // how often each machine was started
	newer   map[int]bool // the nodes that have a newer version
}

// newerVersion is what a version supports that comes after this one.
var newerVersion = []cluster.Feature{{Name: cluster.MetadataVersion, Min: 33, Max: 33}, {Name: cluster.WeirVersion, Min: 1, Max: 2}}

// given are the ports that freeAddress gave.
var given = map[int]bool{}

// freeAddress gives an address that nobody listens on, that the system does not give out by itself, and that is given once.
func freeAddress(t *testing.T) string {
	for {
		port := 10_000 + rand.IntN(20_000)
		if given[port] {
			continue
		}
		given[port] = true
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", address); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return address
		}
	}
}

func newSeveral(t *testing.T, count int, set ...string) *several {
	c := &several{t: t, nodes: make([]*Node, count), logs: make([]*said, count), boots: make([]int, count), set: set}
	for range count {
		c.peers, c.ports, c.disks = append(c.peers, freeAddress(t)), append(c.ports, freeAddress(t)), append(c.disks, vfs.NewMem())
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i)
		}
		if t.Failed() {
			for i, log := range c.logs {
				t.Logf("node %d:\n%s", i+1, log)
			}
		}
	})
	return c
}

// begin starts a node, the first being 0 with the id 1.
func (c *several) begin(i int) error {
	voters := make([]string, len(c.peers))
	for j, p := range c.peers {
		voters[j] = fmt.Sprintf("%d@%s", j+1, p)
	}
	if c.logs[i] == nil {
		c.logs[i] = &said{}
	}
	formed := []string{fmt.Sprintf("node.id=%d", i+1), "controller.quorum.voters=" + strings.Join(voters, ",")}
	if c.grows {
		formed = []string{"controller.quorum.bootstrap.servers=" + c.peers[0]}
	}
	opts := Options{FS: c.disks[i], BootID: fmt.Sprint("boot ", c.boots[i]), Connect: c.connect, Logger: slog.New(slog.NewTextHandler(c.logs[i], nil))}
	if c.newer[i] {
		opts.features = newerVersion
	}
	n, err := startWith(c.t, opts, append(append(formed,
		fmt.Sprintf("broker.rack=rack%d", i+1),
		"listeners=PLAINTEXT://"+c.ports[i]+",CONTROLLER://"+c.peers[i],
		"default.replication.factor=3", "min.insync.replicas=2", "offsets.topic.replication.factor=3", "offsets.topic.num.partitions=3",
	), c.set...)...)
	c.nodes[i] = n
	return err
}

// start starts nodes, all at once.
func (c *several) start(which ...int) {
	c.t.Helper()
	var starting sync.WaitGroup
	errs := make([]error, len(c.nodes))
	for _, i := range which {
		starting.Go(func() { errs[i] = c.begin(i) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		c.t.Fatal(err)
	}
}

func (c *several) stop(i int) {
	if n := c.nodes[i]; n != nil {
		c.nodes[i] = nil
		if err := n.Stop(); err != nil {
			c.t.Errorf("node %d: %v", i+1, err)
		}
	}
}

// kill gives a node up as kill -9 does; its disk stays as it is.
func (c *several) kill(i int) {
	n := c.nodes[i]
	c.nodes[i] = nil
	if err := n.Kill(); err != nil {
		c.t.Error(err)
	}
	n.Wait()
}

func (c *several) client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	k, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.ports...), kgo.DefaultProduceTopic("t"), kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
		kgo.MetadataMinAge(10 * time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(k.Close)
	return k
}

// eventually waits until something is so.
func (c *several) eventually(what string, ok func() bool) {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// meet waits until all nodes see one another.
func (c *several) meet() {
	c.t.Helper()
	c.eventually("nodes that see one another", func() bool {
		for _, n := range c.nodes {
			for id := range c.nodes {
				if !n.peers.Alive(int32(id + 1)) {
					return false
				}
			}
		}
		return true
	})
}

// topic describes a topic, as a running node tells it.
func (c *several) topic(k *kgo.Client, name string) kadm.TopicDetail {
	c.t.Helper()
	topics, err := kadm.NewClient(k).ListTopicsWithInternal(timeout(c.t), name)
	if err != nil {
		c.t.Fatal(err)
	}
	return topics[name]
}

func (c *several) create(k *kgo.Client, name string, partitions int32) {
	c.t.Helper()
	if _, err := kadm.NewClient(k).CreateTopic(timeout(c.t), partitions, 3, nil, name); err != nil {
		c.t.Fatal(err)
	}
}

// inSync waits until all nodes know from the leaders of t that three replicas are in sync. A node that has not yet heard tells clients so of all
// replicas.
func (c *several) inSync(k *kgo.Client) {
	c.t.Helper()
	c.countInSync(k, 3)
}

// countInSync is inSync for another number of replicas.
func (c *several) countInSync(k *kgo.Client, count int) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("%d in sync", count), func() bool {
		t := c.topic(k, "t")
		for _, n := range c.nodes {
			for number, p := range t.Partitions {
				if n == nil {
					continue
				}
				inSync := slices.Sorted(slices.Values(n.leaders.Of(cluster.UUID(t.ID), number).InSync))
				if len(inSync) != count || !slices.Equal(inSync, slices.Sorted(slices.Values(p.Replicas))) {
					return false
				}
			}
		}
		return true
	})
}

func TestThreeNodesFormACluster(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	for _, n := range c.nodes {
		if n.ClusterID() != c.nodes[0].ClusterID() || n.ClusterID() == "" {
			t.Fatalf("node %d is of cluster %q, and the first of %q", n.cfg.NodeID, n.ClusterID(), c.nodes[0].ClusterID())
		}
	}
	c.meet() // or some would not be made leaders
	k := c.client()
	c.create(k, "t", 6)
	leaders := map[int32]int{}
	for _, p := range c.topic(k, "t").Partitions {
		if len(p.Replicas) != 3 || !slices.Equal(p.Replicas, p.ISR) || p.Leader != p.Replicas[0] || len(p.OfflineReplicas) > 0 {
			t.Errorf("%+v", p)
		}
		leaders[p.Leader]++
	}
	if leaders[1] != 2 || leaders[2] != 2 || leaders[3] != 2 {
		t.Errorf("leaders are %v", leaders)
	}
}

// stream sends records one after the other to every partition of t, until it is told to stop.
type stream struct {
	stop  chan struct{}
	work  sync.WaitGroup
	mu    sync.Mutex
	acked [][]string      // by partition
	gaps  []time.Duration // the longest time without an ack, by partition, since reset
	last  []time.Time
}

func (c *several) stream(k *kgo.Client, partitions int) *stream {
	s := &stream{stop: make(chan struct{}), acked: make([][]string, partitions), gaps: make([]time.Duration, partitions), last: make([]time.Time, partitions)}
	for p := range partitions {
		s.work.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-s.stop:
					return
				default:
				}
				value := fmt.Sprintf("%d.%d", p, i)
				err := k.ProduceSync(context.Background(), &kgo.Record{Partition: int32(p), Value: []byte(value)}).FirstErr()
				if err != nil {
					c.t.Errorf("sending %s: %v", value, err)
					return
				}
				s.mu.Lock()
				now := time.Now()
				if !s.last[p].IsZero() {
					s.gaps[p] = max(s.gaps[p], now.Sub(s.last[p]))
				}
				s.last[p] = now
				s.acked[p] = append(s.acked[p], value)
				s.mu.Unlock()
			}
		})
	}
	return s
}

func (s *stream) count() (sum int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.acked {
		sum += len(a)
	}
	return sum
}

// longest gives the longest times without an ack of the partitions, and forgets them.
func (s *stream) longest() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.gaps)
	clear(s.gaps)
	return out
}

// moves waits until every partition takes records.
func (c *several) moves(s *stream) {
	c.t.Helper()
	s.mu.Lock()
	before := make([]int, len(s.acked))
	for p, a := range s.acked {
		before[p] = len(a)
	}
	s.mu.Unlock()
	c.eventually("acknowledgements of all partitions", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for p, a := range s.acked {
			if len(a) < before[p]+5 {
				return false
			}
		}
		return true
	})
}

// check reads everything: what was acknowledged is there, once and in order, and nothing else.
func (c *several) check(s *stream) {
	c.t.Helper()
	close(s.stop)
	s.work.Wait()
	k := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx := timeout(c.t)
	got := make([][]string, len(s.acked))
	for left := s.count(); left > 0; {
		fetches := k.PollFetches(ctx)
		if ctx.Err() != nil {
			c.t.Fatalf("%d records are missing", left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got[r.Partition] = append(got[r.Partition], string(r.Value))
			left--
		})
	}
	for p := range got {
		if !slices.Equal(got[p], s.acked[p]) {
			c.t.Errorf("partition %d has %d records, and %d were acknowledged; or they are not in order", p, len(got[p]), len(s.acked[p]))
		}
	}
}

// TestNodesAreKilled: whichever node is killed, the others go on with all that was acknowledged, and it comes back.
func TestNodesAreKilled(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	k := c.client()
	c.create(k, "t", 3)
	s := c.stream(k, 3)
	for i := range 3 {
		c.moves(s)
		s.longest()
		c.kill(i)
		c.moves(s)
		t.Logf("node %d was killed: the longest times without an ack: %v", i+1, s.longest())
		c.start(i)
		c.inSync(k)
	}
	c.check(s)
}

// TestAllNodesAreKilled: nothing that was acknowledged is lost, and the metadata is what it was.
func TestAllNodesAreKilled(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	k := c.client()
	c.create(k, "t", 3)
	s := c.stream(k, 3)
	c.moves(s)
	before := c.topic(k, "t").ID
	for i := range 3 {
		c.kill(i)
	}
	c.start(0, 1, 2)
	c.moves(s)
	if now := c.topic(k, "t").ID; now != before {
		t.Errorf("the topic was %v and is %v", before, now)
	}
	c.check(s)
}

// TestNodesAreStopped: a node hands over what it leads before it stops.
func TestNodesAreStopped(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	k := c.client()
	c.create(k, "t", 3)
	s := c.stream(k, 3)
	for i := range 3 {
		c.moves(s)
		s.longest()
		c.stop(i)
		c.moves(s)
		t.Logf("node %d was stopped: the longest times without an ack: %v", i+1, s.longest())
		c.start(i)
	}
	c.check(s)
}

// sendRaw sends one record to a topic's first partition, once, and gives Kafka's answer.
func (c *several) sendRaw(k *kgo.Client, topic, value string) error {
	c.t.Helper()
	b := record.NewBuilder(record.BuilderOptions{})
	b.Append(time.Now().UnixMilli(), nil, []byte(value))
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 20_000
	rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	rp.Records = b.Build()
	rt.Topic, rt.TopicID, rt.Partitions = topic, c.topic(k, topic).ID, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(timeout(c.t), k.Broker(int(c.topic(k, topic).Partitions[0].Leader)))
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

// TestTooFewReplicas: below min.insync.replicas a write is refused, and nothing of it is there.
func TestTooFewReplicas(t *testing.T) {
	c := newSeveral(t, 3, "min.insync.replicas=3")
	c.start(0, 1, 2)
	c.meet() // or there would be too few for three replicas
	k := c.client(kgo.RecordRetries(0), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.AllISRAcks()))
	c.create(k, "t", 1)
	send := func(value string) error {
		return k.ProduceSync(timeout(t), &kgo.Record{Value: []byte(value)}).FirstErr()
	}
	c.inSync(k)
	if err := send("all"); err != nil {
		t.Fatal(err)
	}
	last := int(c.topic(k, "t").Partitions[0].Replicas[2]) - 1
	c.nodes[last].transport.RemovePeer(c.topic(k, "t").Partitions[0].Leader) // it answers nothing any more
	if err := c.sendRaw(k, "t", "cut off"); !errors.Is(err, kerr.NotEnoughReplicasAfterAppend) {
		t.Errorf("with one that does not answer any more: %v", err)
	}
	c.kill(last)
	c.eventually("two in sync", func() bool { return len(c.topic(k, "t").Partitions[0].ISR) == 2 })
	if err := send("two"); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Errorf("with two of three in sync: %v", err)
	}
	if _, err := kadm.NewClient(k).CreateTopic(timeout(t), 1, 1, nil, "other"); err != nil {
		t.Errorf("a topic is made on two of three nodes: %v", err)
	}
}

// TestMajorityIsLost: who is left does not tell clients that there are no other brokers, says what is wrong, and goes on when the others
// are back.
func TestMajorityIsLost(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	k := c.client()
	c.create(k, "t", 3)
	s := c.stream(k, 3)
	c.moves(s)
	before := c.topic(k, "t").Partitions
	c.kill(0)
	c.kill(1)
	left, err := kgo.NewClient(kgo.SeedBrokers(c.ports[2]))
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("t")
	req.Topics = append(req.Topics, topic)
	c.eventually("the truth of who is left", func() bool {
		answer, err := left.SeedBrokers()[0].Request(timeout(t), req)
		if err != nil {
			t.Fatal(err)
		}
		m := answer.(*kmsg.MetadataResponse)
		if len(m.Brokers) != 3 {
			return false
		}
		for _, p := range m.Topics[0].Partitions {
			switch led := before[p.Partition].Leader; {
			case led == 2 && p.Leader != 2, led == 3 && p.Leader != -1: // the first's found another leader before the second was killed
				return false
			}
		}
		return strings.Contains(c.logs[2].String(), "most of the nodes that keep the cluster's metadata are gone")
	})
	c.start(0, 1)
	c.moves(s)
	c.check(s)
}

// TestGroupsSurviveTheirCoordinator: a consumer goes on after the node that coordinates its group was killed, and nothing that it
// committed is lost.
func TestGroupsSurviveTheirCoordinator(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	k := c.client()
	c.create(k, "t", 3)
	s := c.stream(k, 3)
	var lost atomic.Bool // what is read again says whether the client had given its partitions up
	g := c.client(kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(100*time.Millisecond),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) { lost.Store(true) }))
	read := map[string]int{}
	poll := func(until int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); len(read) < until; {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			g.PollFetches(ctx).EachRecord(func(r *kgo.Record) { read[string(r.Value)]++ })
			cancel()
			if time.Now().After(end) {
				t.Fatalf("%d records were read, and %d are there", len(read), s.count())
			}
		}
	}
	poll(50)
	adm := kadm.NewClient(k)
	for range 2 {
		described, err := adm.DescribeGroups(timeout(t), "g")
		if err != nil || described["g"].Err != nil || described["g"].State != "Stable" {
			t.Fatalf("%+v, %v", described["g"], err)
		}
		member := described["g"].Members[0].MemberID
		victim := int(described["g"].Coordinator.NodeID) - 1
		c.kill(victim)
		poll(len(read) + 50)
		c.start(victim)
		described, err = adm.DescribeGroups(timeout(t), "g")
		if err != nil || len(described["g"].Members) != 1 || described["g"].Members[0].MemberID != member {
			t.Errorf("the member was %s, and now there is %+v, %v", member, described["g"], err)
		}
	}
	close(s.stop)
	s.work.Wait()
	poll(s.count())
	for value, times := range read {
		if times > 1 {
			t.Errorf("%s was read %d times by one consumer; it had given its partitions up: %v", value, times, lost.Load())
		}
	}
}

// TestDiskIsLost: a node whose disk is lost comes back with an empty one, as another voter, and is filled from the others; also the
// one that leads the metadata.
func TestDiskIsLost(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	k := c.client()
	c.create(k, "t", 3)
	s := c.stream(k, 3)
	for i := range 3 {
		c.moves(s)
		c.kill(i)
		c.disks[i] = vfs.NewMem()
		c.moves(s)
		c.start(i)
		c.inSync(k)
		if got := c.nodes[i].dir.incarnation; got != 1 {
			t.Errorf("node %d came back in incarnation %d", i+1, got)
		}
		c.eventually("a voter of the metadata", func() bool {
			voters := c.nodes[i].metadata.Image().Voters()
			return len(voters) == 3 && voters[i].Incarnation == 1 && c.nodes[i].log.LogEnd() == c.nodes[(i+1)%3].log.LogEnd()
		})
	}
	c.check(s)
}

// TestReassignment moves a topic from node to node while records come in.
func TestReassignment(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	k := c.client()
	adm := kadm.NewClient(k)
	if _, err := adm.CreateTopic(timeout(t), 2, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	s := c.stream(k, 2)
	for _, target := range [][]int32{{2, 3}, {1}, {3, 2, 1}, {3}, {2}} {
		c.moves(s)
		var req kadm.AlterPartitionAssignmentsReq
		for p := range int32(2) {
			req.Assign("t", p, target)
		}
		began, before := time.Now(), s.count()
		resp, err := adm.AlterPartitionAssignments(timeout(t), req)
		if err != nil || resp.Error() != nil {
			t.Fatal(err, resp.Error())
		}
		c.eventually(fmt.Sprint("the target ", target), func() bool {
			for _, p := range c.topic(k, "t").Partitions {
				if !slices.Equal(p.Replicas, target) || !slices.Equal(p.ISR, target) || !slices.Contains(target, p.Leader) {
					return false
				}
			}
			left, err := adm.ListPartitionReassignments(timeout(t), kadm.TopicsSet{})
			return err == nil && len(left) == 0
		})
		t.Logf("to %v in %v; %d records were there, and %d came", target, time.Since(began).Round(time.Millisecond), before, s.count()-before)
		for i, n := range c.nodes {
			c.eventually("the files to be where they belong", func() bool {
				names, err := c.disks[i].List("/data")
				return err == nil && slices.Contains(names, "t-0") == slices.Contains(target, n.cfg.NodeID)
			})
		}
	}
	c.check(s)
}

// TestReassignmentIsThrottled: what a new replica gets is bounded by the rate of who sends, or of who gets it, and records are taken all
// the time. At a byte a second, one message is all that comes.
func TestReassignmentIsThrottled(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	k := c.client(kgo.ProducerBatchCompression(kgo.NoCompression()))
	adm := kadm.NewClient(k)
	topics := func(name, value string) {
		t.Helper()
		if _, err := adm.AlterTopicConfigs(timeout(t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, "t"); err != nil {
			t.Fatal(err)
		}
	}
	brokers := func(op kadm.IncrementalOp, name string, value *string, of ...int32) {
		t.Helper()
		if resp, err := adm.AlterBrokerConfigs(timeout(t), []kadm.AlterConfig{{Op: op, Name: name, Value: value}}, of...); err != nil || resp[0].Err != nil {
			t.Fatal(resp, err)
		}
	}
	one := "1"
	if _, err := adm.CreateTopic(timeout(t), 1, 1, map[string]*string{"min.insync.replicas": &one}, "t"); err != nil {
		t.Fatal(err)
	}
	first := c.topic(k, "t").Partitions[0].Leader
	other := first%3 + 1
	value := make([]byte, 500_000)
	for range 8 {
		if err := k.ProduceSync(timeout(t), &kgo.Record{Topic: "t", Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, throttled := range []struct {
		rate, replicas string
		of             []int32 // none: of all
	}{
		{"leader.replication.throttled.rate", "leader.replication.throttled.replicas", []int32{first}},
		{"follower.replication.throttled.rate", "follower.replication.throttled.replicas", nil},
	} {
		topics(throttled.replicas, "*")
		brokers(kadm.SetConfig, throttled.rate, &one, throttled.of...)
		var req kadm.AlterPartitionAssignmentsReq
		req.Assign("t", 0, []int32{first, other})
		if resp, err := adm.AlterPartitionAssignments(timeout(t), req); err != nil || resp.Error() != nil {
			t.Fatal(err, resp.Error())
		}
		c.eventually("the new replica to be there", func() bool {
			_, err := c.nodes[other-1].set.Lookup("t", 0)
			return err == nil
		})
		for range 30 {
			if err := k.ProduceSync(timeout(t), &kgo.Record{Topic: "t", Value: []byte("more")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if end := c.replica(int(other) - 1).LogEnd(); end > 3 {
			t.Errorf("%s: the new replica has %d records", throttled.rate, end)
		}
		brokers(kadm.DeleteConfig, throttled.rate, nil, throttled.of...)
		c.eventually("the new replica to be in sync", func() bool { return len(c.topic(k, "t").Partitions[0].ISR) == 2 })
		var back kadm.AlterPartitionAssignmentsReq
		back.Assign("t", 0, []int32{first})
		if resp, err := adm.AlterPartitionAssignments(timeout(t), back); err != nil || resp.Error() != nil {
			t.Fatal(err, resp.Error())
		}
		c.eventually("the new replica to be gone", func() bool {
			_, err := c.nodes[other-1].set.Lookup("t", 0)
			return err != nil
		})
	}
}

// TestLeadershipIsGivenBack: a node that comes back becomes the leader of what it is preferred for, by itself and when it is asked for.
func TestLeadershipIsGivenBack(t *testing.T) {
	for _, auto := range []string{"true", "false"} {
		c := newSeveral(t, 3, "auto.leader.rebalance.enable="+auto)
		c.start(0, 1, 2)
		k := c.client()
		c.create(k, "t", 3)
		c.stop(0)
		c.start(0)
		preferred := func() bool {
			for _, p := range c.topic(k, "t").Partitions {
				if p.Leader != p.Replicas[0] {
					return false
				}
			}
			return true
		}
		c.eventually("preferred leaders", func() bool {
			if auto == "false" {
				_, err := kadm.NewClient(k).ElectLeaders(timeout(t), kadm.ElectPreferredReplica, kadm.TopicsSet{"t": {0: {}, 1: {}, 2: {}}})
				if err != nil {
					t.Fatal(err)
				}
			}
			return preferred()
		})
	}
}

// TestQuorumIsDescribed: every node tells the same.
func TestQuorumIsDescribed(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	for i := range 3 {
		k, err := kgo.NewClient(kgo.SeedBrokers(c.ports[i]))
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		c.eventually("three voters that have all", func() bool {
			q := kmsg.NewDescribeQuorumRequest()
			topic, part := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
			topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, part)
			q.Topics = append(q.Topics, topic)
			resp, err := q.RequestWith(timeout(t), k)
			if err != nil {
				t.Fatal(err)
			}
			p := resp.Topics[0].Partitions[0]
			ok := p.ErrorCode == 0 && p.LeaderID > 0 && len(p.CurrentVoters) == 3 && len(resp.Nodes) == 3
			for _, v := range p.CurrentVoters {
				ok = ok && v.LogEndOffset == p.HighWatermark && v.LastCaughtUpTimestamp > 0 && v.ReplicaDirectoryID != [16]byte{}
			}
			return ok
		})
	}
}

// TestConsumersReadInTheirRack: a consumer that says its rack reads from the replica there, if the option says so.
func TestConsumersReadInTheirRack(t *testing.T) {
	c := newSeveral(t, 3, "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector")
	c.start(0, 1, 2)
	k := c.client()
	c.create(k, "t", 3)
	s := c.stream(k, 3)
	c.moves(s)
	close(s.stop)
	s.work.Wait()
	c.inSync(k)
	reader := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Rack("rack2"))
	for left := s.count(); left > 0; {
		fetches := reader.PollFetches(timeout(t))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		left -= fetches.NumRecords()
	}
	for i, n := range c.nodes {
		for _, topic := range n.set.Topics() {
			if read := topic.Stats.BytesOut.Value() > 0; topic.Name == "t" && read != (i == 1) {
				t.Errorf("node %d was read from: %v", i+1, read)
			}
		}
	}
}

// TestClusterGrows: nodes join one that began alone, get numbers, and become voters of the metadata as it grows; all of them may be
// killed, and each comes back as who it was.
func TestClusterGrows(t *testing.T) {
	c := newSeveral(t, 5)
	c.grows = true
	for i, voters := range []int{1, 1, 3, 3, 5} {
		c.start(i)
		if id := c.nodes[i].ID(); id != int32(i+1) {
			t.Fatalf("node %d got the number %d", i+1, id)
		}
		c.eventually(fmt.Sprint(voters, " voters"), func() bool {
			for _, n := range c.nodes[:i+1] {
				img := n.metadata.Image()
				if len(img.Voters()) != voters || n.log.LogEnd() != c.nodes[0].log.LogEnd() || len(n.transport.Peers()) != i {
					return false
				}
			}
			return true
		})
	}
	k := c.client()
	c.create(k, "t", 5)
	s := c.stream(k, 5)
	for i := range 5 {
		c.moves(s)
		c.kill(i)
		c.moves(s)
		c.start(i)
		c.inSync(k)
	}
	for i := range 5 {
		c.kill(i)
	}
	c.start(0, 1, 2, 3, 4)
	for i, n := range c.nodes {
		if n.ID() != int32(i+1) {
			t.Errorf("node %d came back as %d", i+1, n.ID())
		}
	}
	c.moves(s)
	c.check(s)
}

// TestNodesThatOnlyJoin: nodes that name one another and have no cluster wait, and say what to do.
func TestNodesThatOnlyJoin(t *testing.T) {
	c := newSeveral(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for i := range c.nodes {
		c.logs[i] = &said{}
		waiting.Go(func() {
			n, err := startWith(t, Options{Context: ctx, FS: c.disks[i], Logger: slog.New(slog.NewTextHandler(c.logs[i], nil))},
				"controller.quorum.bootstrap.servers="+strings.Join(c.peers, ","), "listeners=PLAINTEXT://"+c.ports[i]+",CONTROLLER://"+c.peers[i])
			if n != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("node %d: %v", i+1, err)
			}
		})
	}
	c.eventually("what to do", func() bool {
		return strings.Contains(c.logs[0].String(), whoBegins) && strings.Contains(c.logs[1].String(), whoBegins)
	})
	cancel()
	waiting.Wait()
}

// losesPower has the machine of a node lose its power: what was not synced may be gone.
func (c *several) losesPower(i int) {
	left := c.disks[i].CrashClone(rand.New(rand.NewPCG(uint64(i), uint64(c.boots[i]))))
	c.kill(i)
	c.disks[i] = left
	c.boots[i]++
}

// isWho checks that a node came back as who it was, with the replicas that it had.
func (c *several) isWho(i int) {
	c.t.Helper()
	if got := c.nodes[i].dir.incarnation; got != 0 {
		c.t.Errorf("node %d came back in incarnation %d", i+1, got)
	}
}

// TestPowerIsLostWithRelaxedTopics: a machine that loses its power has forgotten records that others count on. It has them again before
// it votes, and nothing is lost. A process that is killed has forgotten nothing.
func TestPowerIsLostWithRelaxedTopics(t *testing.T) {
	c := newSeveral(t, 3, "log.durability=relaxed")
	c.start(0, 1, 2)
	c.meet()
	k := c.client()
	c.create(k, "t", 3)
	s := c.stream(k, 3)
	for i := range 3 {
		c.moves(s)
		c.kill(i)
		c.start(i)
		c.inSync(k)
		c.isWho(i)
		c.moves(s)
		c.losesPower(i)
		c.moves(s)
		c.start(i)
		c.inSync(k)
		c.isWho(i)
	}
	c.check(s)
	if log := c.logs[0].String(); strings.Count(log, "lost its power") != 1 {
		t.Error("it is not said once that the machine lost its power")
	}
}

// TestLostPowerIsKnownUntilAllAreOpen: a partition that cannot be opened after the power was lost does not yet know it. It does when it is
// opened after a further start.
func TestLostPowerIsKnownUntilAllAreOpen(t *testing.T) {
	c := newSeveral(t, 3, "log.durability=relaxed")
	c.start(0, 1, 2)
	c.meet()
	k := c.client()
	c.create(k, "t", 2)
	s := c.stream(k, 2)
	c.moves(s)
	c.losesPower(0)
	newer := []byte("WCKP\x09")
	newer = binary.BigEndian.AppendUint32(newer, crc32.Checksum(newer, crc32.MakeTable(crc32.Castagnoli)))
	name := "/data/t-0/00000000000000999999.checkpoint"
	if err := vfs.WriteFileAtomic(c.disks[0], name, newer); err != nil {
		t.Fatal(err)
	}
	knows := func(times int) {
		t.Helper()
		if got := strings.Count(c.logs[0].String(), "lost its power"); got != times {
			t.Errorf("it was said %d times that the power was lost, and not %d times", got, times)
		}
	}
	c.start(0)
	knows(1)
	if log := c.logs[0].String(); !strings.Contains(log, "a partition is offline") {
		t.Fatal("the partition could be opened")
	}
	c.kill(0)
	if err := c.disks[0].Remove(name); err != nil {
		t.Fatal(err)
	}
	c.start(0)
	knows(2)
	c.inSync(k)
	c.kill(0)
	c.start(0)
	knows(2)
	c.inSync(k)
	c.check(s)
}

// TestPowerIsLostWithTheOnlyReplica: what nobody else has goes on with what is on the disk. Of two replicas, one is enough.
func TestPowerIsLostWithTheOnlyReplica(t *testing.T) {
	for _, factor := range []int16{1, 2} {
		t.Run(fmt.Sprintf("replication factor %d", factor), func(t *testing.T) {
			c := newSeveral(t, 3, "log.durability=relaxed")
			c.start(0, 1, 2)
			c.meet()
			k := c.client(kgo.RequiredAcks(kgo.AllISRAcks()))
			if _, err := kadm.NewClient(k).CreateTopic(timeout(t), 3, factor, map[string]*string{"min.insync.replicas": kadm.StringPtr("1")}, "t"); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				for p := range int32(3) {
					if err := k.ProduceSync(timeout(t), &kgo.Record{Partition: p, Value: fmt.Append(nil, i, p)}).FirstErr(); err != nil {
						t.Fatalf("before node %d loses its power, to partition %d: %v", i+1, p, err)
					}
				}
				c.losesPower(i)
				c.start(i)
				if factor > 1 { // or the only one that has all would be next
					c.countInSync(k, 2)
				}
			}
			for p := range int32(3) {
				if err := k.ProduceSync(timeout(t), &kgo.Record{Partition: p, Value: []byte("after")}).FirstErr(); err != nil {
					t.Errorf("after all, to partition %d: %v", p, err)
				}
			}
		})
	}
}

// TestTwoOfFiveLosePower: two of a partition's three replicas forget at once what they acknowledged, while the cluster goes on. The third
// has it.
func TestTwoOfFiveLosePower(t *testing.T) {
	c := newSeveral(t, 5, "log.durability=relaxed")
	c.start(0, 1, 2, 3, 4)
	c.meet()
	k := c.client()
	c.create(k, "t", 5)
	s := c.stream(k, 5)
	c.moves(s)
	for i := range 2 {
		c.losesPower(i)
	}
	c.start(0, 1)
	c.inSync(k)
	c.moves(s)
	for i := range 2 {
		c.isWho(i)
	}
	c.check(s)
}

// TestAllLosePower: after the wait all partitions are led again, and at most the newest records are lost. What is not relaxed has lost
// nothing.
func TestAllLosePower(t *testing.T) {
	c := newSeveral(t, 3)
	c.start(0, 1, 2)
	c.meet()
	k := c.client()
	c.create(k, "t", 2)
	relaxed := map[string]*string{"durability": kadm.StringPtr("relaxed")}
	if _, err := kadm.NewClient(k).CreateTopic(timeout(t), 2, 3, relaxed, "r"); err != nil {
		t.Fatal(err)
	}
	produce := func(topic, value string) {
		t.Helper()
		for p := range int32(2) {
			if err := k.ProduceSync(timeout(t), &kgo.Record{Topic: topic, Partition: p, Value: []byte(value)}).FirstErr(); err != nil {
				t.Fatalf("%s to partition %d of %s: %v", value, p, topic, err)
			}
		}
	}
	for i := range 20 {
		produce("t", fmt.Sprint(i))
		produce("r", fmt.Sprint(i))
	}
	for i := range 3 {
		c.losesPower(i)
	}
	c.start(0, 1, 2)
	produce("t", "20")
	produce("r", "after")
	reader := c.client(kgo.ConsumeTopics("t", "r"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	got := map[string][]string{}
	for ctx, ends := timeout(t), 0; ends < 4; {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			name := fmt.Sprint(r.Topic, r.Partition)
			if got[name] = append(got[name], string(r.Value)); string(r.Value) == "after" || string(r.Value) == "20" {
				ends++
			}
		})
		if ctx.Err() != nil {
			t.Fatalf("there is only %v", got)
		}
	}
	for name, values := range got {
		if name[0] == 't' && len(values) != 21 {
			t.Errorf("%s was synced, and has only %v", name, values)
		}
		for i, v := range values[:len(values)-1] {
			if v != fmt.Sprint(i) {
				t.Errorf("%s has lost more than the newest records: %v", name, values)
			}
		}
	}
}
