package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/weir/weir/broker/api"
	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/cluster"
	"github.com/weir/weir/config"
	"github.com/weir/weir/connect/host"
	"github.com/weir/weir/coordinator"
	"github.com/weir/weir/coordinator/group"
	"github.com/weir/weir/coordinator/machine"
	"github.com/weir/weir/internal/stats"
	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/partition"
	"github.com/weir/weir/peers"
	"github.com/weir/weir/replication"
	"github.com/weir/weir/transport"
)

// stopTime is how long requests under way may take when the node stops.
const stopTime = 5 * time.Second

// Options are what a node is started with.
type Options struct {
	// Context ends a start that waits for other nodes; nil: it waits as long as it takes.
	Context context.Context
	Config  *config.Config
	Logger  *slog.Logger
	// LogLevel is what Logger goes by, so that clients can change it; nil: they cannot.
	LogLevel *slog.LevelVar
	FS       vfs.FS           // nil: the machine's
	BootID   string           // of the operating system; "": the machine's
	Now      func() time.Time // nil: the machine's clock
	// Connect makes a worker of Connect for the node; nil: it has none.
	Connect host.Make
	// Version is the build's, for metrics.
	Version string
	// Listen opens a listener, which is given by its name; nil: net.Listen. Its address must be a *net.TCPAddr.
	Listen func(name, address string) (net.Listener, error)
	// features is what another version supports; nil: what this one does.
	features []cluster.Feature
}

// Node is a running node.
type Node struct {
	opts      Options
	cfg       *config.Config
	dir       *dataDir
	fresh     atomic.Bool // the data directory was new
	relaxed   atomic.Bool // a partition acknowledges what is not on disk
	powerLost atomic.Bool // and partitions may not yet know it
	killed    bool
	cluster   atomic.Pointer[string]
	transport *transport.Transport
	peers     *peers.Peers
	leaders   *partition.Leaders
	balance   balance
	apart     bool                     // it was said that too few voters are there; under noticing
	following atomic.Pointer[metadata] // metadata, for other nodes' questions
	repairs   repairs
	host      *replication.Host
	receiving atomic.Pointer[replication.Host] // host, for the transport, which is there before
	noticing  sync.Mutex                       // held while who is there is told on, so that it is told in order
	set       *partition.Set
	log       *partition.Partition // the metadata log
	metadata  *metadata
	groups    *coordinator.Groups
	broker    *api.Broker
	server    *server.Server
	http      *httpServer
	connect   connecting
	bound     []bound
	peerPorts []bound
	failed    chan error
	serving   atomic.Bool
	stop      chan struct{}
	running   sync.WaitGroup

	begun      time.Time
	steps      []step        // of the start
	rebalances stats.Counter // that groups completed

	incarnations map[int32]int32 // of the brokers in the last image

	effective atomic.Pointer[config.Config] // cfg with what is set dynamically
	limits    sync.Mutex                    // held while the server gets its limits
}

// bound is a listener that is open.
type bound struct {
	config.Listener
	socket net.Listener
}

// Start starts a node. When it returns, clients are served.
func Start(opts Options) (*Node, error) {
	if opts.FS == nil {
		opts.FS = vfs.NewOS()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.BootID == "" {
		opts.BootID = bootID()
	}
	if opts.Context == nil {
		opts.Context = context.Background()
	}
	if opts.Listen == nil {
		opts.Listen = func(_, address string) (net.Listener, error) { return net.Listen("tcp", address) }
	}
	n := &Node{opts: opts, cfg: opts.Config, failed: make(chan error, 1), stop: make(chan struct{}), repairs: newRepairs()}
	n.effective.Store(n.cfg)
	if err := n.run(); err != nil {
		n.abandon()
		if vfs.IsNoSpace(err) {
			err = fmt.Errorf("the disk that holds %s is full: free some space, then start again (%w)", n.cfg.LogDirs[0], err)
		}
		return nil, err
	}
	return n, nil
}

func (n *Node) openDir() (err error) {
	if len(n.cfg.Join) > 0 && !n.cfg.IsSet("node.id") && !n.cfg.IsSet("broker.id") {
		n.number(unnumbered)
	}
	n.dir, err = openDataDir(n.opts.FS, n.cfg.LogDirs[0], n.cfg.NodeID)
	return err
}

// listen opens all ports, so that one that is taken is noticed before anything else is done.
func (n *Node) listen() error {
	for _, l := range n.cfg.Listeners {
		nl, err := n.opts.Listen(l.Name, l.Address())
		if err != nil {
			return fmt.Errorf("listener %s cannot listen on %s: %w; is another broker running there? Choose another address with --set listeners=%s://host:port", l.Name, l.Address(), err, l.Name)
		}
		n.bound = append(n.bound, bound{l, nl})
	}
	if n.several() {
		for _, l := range n.cfg.PeerListeners {
			nl, err := n.opts.Listen(l.Name, l.Address())
			if err != nil {
				return fmt.Errorf("listener %s, which is for other nodes, cannot listen on %s: %w; choose another address, here and in controller.quorum.voters of all nodes", l.Name, l.Address(), err)
			}
			n.peerPorts = append(n.peerPorts, bound{l, nl})
		}
	}
	if n.cfg.HTTPListener != "" {
		nl, err := n.opts.Listen("http.listener", n.cfg.HTTPListener)
		if err != nil && n.several() && !n.cfg.IsSet("http.listener") { // several nodes on one machine, with configurations of Kafka's
			n.opts.Logger.Info("http.listener is not set, and its port is taken: a free one is used", "taken", n.cfg.HTTPListener)
			host, _, _ := net.SplitHostPort(n.cfg.HTTPListener)
			nl, err = n.opts.Listen("http.listener", net.JoinHostPort(host, "0"))
		}
		if err != nil {
			return fmt.Errorf("http.listener cannot listen on %s: %w; choose another with --set http.listener=host:port, or turn it off with --set http.listener=", n.cfg.HTTPListener, err)
		}
		n.http = newHTTPServer(n, nl)
	}
	return n.listenConnect()
}

// several tells whether there may be other nodes.
func (n *Node) several() bool { return len(n.cfg.Voters) > 1 || len(n.cfg.PeerListeners) > 0 }

// self names this node to raft.
func (n *Node) self() replication.NodeID { return replication.NodeOf(n.cfg.NodeID, n.dir.incarnation) }

// What waits for another node keeps the memory of requests at most up to keepMax bytes, and to this part of what there is for all
// requests: a slow node must not hold up clients.
const (
	keepMax  = 16 << 20
	keepPart = 16
)

// startTransport lets other nodes in, and finds out which cluster this is.
func (n *Node) startTransport() error {
	n.leaders = partition.NewLeaders(n.cfg.NodeID)
	n.transport = transport.New(transport.Config{
		ClusterID: n.ClusterID, Self: n.cfg.NodeID, Address: n.asBroker().Peer, Logger: n.opts.Logger, Answer: n.answer,
		Deliver: func(arrived []replication.Arrived) {
			if host := n.receiving.Load(); host != nil {
				host.DeliverHere(arrived)
			}
		},
		Note: func(from int32, note []byte) { n.peers.Note(from, note) },
		Keep: int(min(keepMax, n.cfg.QueuedMaxRequestBytes/keepPart)),
		Up: func(broker int32) {
			n.opts.Logger.Info("another node is there", "node", broker)
			n.noticed(broker, true)
			n.balance.noticed()
			n.tellMajority()
		},
		Down: func(broker int32) {
			n.opts.Logger.Warn("another node is gone", "node", broker)
			n.noticed(broker, false)
			n.tellMajority()
		},
	})
	n.peers = peers.New(peers.Config{
		Self: n.cfg.NodeID, Leaders: n.leaders, Logger: n.opts.Logger, Note: n.transport.Note,
		Handle: n.handle,
	})
	for _, l := range n.peerPorts {
		n.running.Go(func() {
			if err := n.transport.Serve(l.socket); err != nil {
				n.fail(fmt.Errorf("listener %s: %w", l.Name, err))
			}
		})
	}
	return nil
}

// noticed takes note of another node that came or went. One may come before there is a host of the groups to be told.
func (n *Node) noticed(broker int32, up bool) {
	n.noticing.Lock()
	defer n.noticing.Unlock()
	host := n.receiving.Load()
	if up {
		n.peers.Up(broker)
		if host != nil {
			host.NodeUp(broker)
		}
		return
	}
	n.peers.Down(broker)
	if host != nil {
		host.NodeDown(broker)
	}
}

// receive lets the messages of other nodes reach the host of the groups, which hears first who is there.
func (n *Node) receive() {
	n.noticing.Lock()
	defer n.noticing.Unlock()
	n.receiving.Store(n.host)
	for _, broker := range n.transport.Peers() {
		if n.peers.Alive(broker) {
			n.host.NodeUp(broker)
		}
	}
}

func (n *Node) startReplication() (err error) {
	n.host, err = replication.NewHost(replication.HostConfig{
		FS: n.opts.FS, Dir: n.dir.path, Self: n.self(), Logger: n.opts.Logger, Fatal: n.fail, Reached: n.reached,
		Send: func(id replication.GroupID, m *raftpb.Message, held replication.Held) bool {
			return n.transport.Send(replication.BrokerOf(m.GetTo()), id, m, held)
		},
		Flush: n.transport.Flush,
		Stalled: func(err error) {
			if !n.serving.Load() { // a node that serves waits for space, but one that starts says so and ends
				n.fail(err)
			}
		},
	})
	if err != nil {
		return err
	}
	n.receive()
	if n.several() {
		n.running.Go(n.tick)
	}
	var damaged func(*partition.Partition)
	var relaxes func()
	powerLost := false
	if n.several() {
		damaged, relaxes, powerLost = n.repairs.add, n.relaxes, n.losesPower()
		n.running.Go(n.repair)
	}
	n.set = partition.NewSet(partition.SetConfig{
		FS: n.opts.FS, Dir: n.dir.path, Self: n.self(), Leaders: n.leaders,
		Host: n.host, Logger: n.opts.Logger, Now: n.opts.Now,
		TopicConfig: n.topicConfig, Relaxed: relaxes, PowerLost: powerLost, Damaged: damaged,
		ProducerIdle: func() time.Duration {
			return time.Duration(n.effective.Load().ProducerIDExpirationMs) * time.Millisecond
		},
	})
	return nil
}

// tickEach is a tenth of the time that a follower waits at least for its leader, if that falls silent and its node does not.
const tickEach = 100 * time.Millisecond

// tick lets time pass for the groups that are not asleep.
func (n *Node) tick() {
	ticker := time.NewTicker(tickEach)
	defer ticker.Stop()
	for {
		if !n.host.Tick() {
			ticker.Stop()
			select {
			case <-n.host.Stirred():
			case <-n.stop:
				return
			}
			ticker.Reset(tickEach)
		}
		select {
		case <-ticker.C:
		case <-n.stop:
			return
		}
	}
}

// fail is told that the data directory can no longer be trusted.
func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default:
	}
}

// Failed gives the error that ends the node: nothing is acknowledged any more, and the process should end.
func (n *Node) Failed() <-chan error { return n.failed }

func (n *Node) topicConfig(img *cluster.Image, t *cluster.Topic) *config.TopicConfig {
	return n.cfg.Topic(n.layers(img, img.Config(cluster.Resource{Kind: cluster.TopicResource, Name: t.Name})))
}

// layers gives the dynamic configurations that apply to something on this node.
func (n *Node) layers(img *cluster.Image, resource map[string]string) config.Layers {
	l := brokerLayers(img, n.cfg.NodeID)
	l.Resource = resource
	return l
}

// brokerLayers gives the dynamic configurations of a broker.
func brokerLayers(img *cluster.Image, id int32) config.Layers {
	return config.Layers{
		Broker:  img.Config(cluster.Resource{Kind: cluster.BrokerResource, Name: strconv.Itoa(int(id))}),
		Default: img.Config(cluster.Resource{Kind: cluster.BrokerResource}),
	}
}

// brokersChanged takes the broker's dynamic configuration into effect.
func (n *Node) brokersChanged(img *cluster.Image) {
	n.effective.Store(n.cfg.With(n.layers(img, nil)))
	n.set.Reconfigure(img)
	n.setLimits()
	n.setRates(img)
}

// setRates bounds what is sent to new replicas. A broker's rate for what it gets is kept by each that sends.
func (n *Node) setRates(img *cluster.Image) {
	perTick := func(rate int64) int64 {
		if rate < 0 {
			return 0
		}
		return max(rate/int64(time.Second/tickEach), 1)
	}
	sending, _ := n.layers(img, nil).ThrottledRates()
	receiving := map[int32]int64{}
	for b := range img.Brokers() {
		_, rate := brokerLayers(img, b.ID).ThrottledRates()
		receiving[b.ID] = perTick(rate)
	}
	n.host.SetCatchUpRates(perTick(sending), receiving)
}

// setLimits gives the server its limits, once there is one.
func (n *Node) setLimits() {
	n.limits.Lock()
	defer n.limits.Unlock()
	if n.server == nil {
		return
	}
	cfg := n.effective.Load()
	perIP, err := config.PerAddress(cfg.MaxConnectionsPerIPOthers)
	if err != nil {
		panic("BUG: a configuration was let through: " + err.Error())
	}
	n.server.SetLimits(server.Limits{
		Connections: int(cfg.MaxConnections), ConnectionsPerIP: int(cfg.MaxConnectionsPerIP),
		PerIP: resolved(perIP), PerSecond: int(cfg.MaxConnectionCreationRate),
	})
}

// resolved adds the addresses of limits that are given by name.
func resolved(limits map[string]int) map[string]int {
	out := maps.Clone(limits)
	for name, limit := range limits {
		addresses, err := net.LookupHost(name)
		if err != nil {
			continue // then nobody comes from there either
		}
		for _, a := range addresses {
			out[a] = limit
		}
	}
	return out
}

// startMetadata opens the metadata log and follows it.
func (n *Node) startMetadata() error {
	never := "-1"
	cfg := n.cfg.Topic(config.Layers{Resource: map[string]string{
		"retention.ms": never, "retention.bytes": never, "cleanup.policy": "delete", "durability": "fsync",
		"min.insync.replicas": "1", // a majority has what is committed, and what is asked for topics must not keep a voter from coming back
	}})
	var err error
	for id, address := range n.dir.peers() {
		n.transport.SetPeer(id, address)
	}
	voters := make([]replication.NodeID, len(n.cfg.Voters))
	for i, v := range n.cfg.Voters {
		voters[i] = replication.NodeOf(v.ID, 0)
		if v.ID != n.cfg.NodeID {
			n.transport.SetPeer(v.ID, v.Address)
		}
	}
	n.log, err = n.set.Open(cluster.MetadataTopic, cluster.UUID{}, 0, voters, cfg)
	if err != nil {
		return fmt.Errorf("the metadata log cannot be opened: %w", err)
	}
	base := coordinator.Config{Now: n.opts.Now, Logger: n.opts.Logger}
	n.groups = coordinator.NewGroups(base, n.groupLimits())
	n.metadata = (&metadata{
		self: n.cfg.NodeID, log: n.log, peers: n.peers, logger: n.opts.Logger, set: n.set, groups: n.groups,
		brokersChanged: n.brokersChanged, membersChanged: n.membersChanged, opened: n.opened,
	}).prepare()
	base.Partition, base.Follow = n.log, n.several()
	base.New = func() machine.Machine { return cluster.NewController(n.controllerConfig()) }
	base.Capture, base.Publish = n.metadata.capture, n.metadata.publish
	n.metadata.runtime = coordinator.Start(base)
	go n.metadata.follow() // not before, since an image may be answered with a request
	n.following.Store(n.metadata)
	late := time.AfterFunc(patience, func() {
		n.opts.Logger.Info("waiting for most of the nodes in controller.quorum.voters, which keep the cluster's metadata")
	})
	defer late.Stop()
	select {
	case <-n.metadata.ready:
		return nil
	case <-n.opts.Context.Done():
		return n.opts.Context.Err()
	case err := <-n.failed:
		return err
	case <-n.metadata.runtime.Broken():
		return fmt.Errorf("the metadata log cannot be read, and the node cannot start without it: %w", n.metadata.runtime.BrokenBy())
	}
}

func (n *Node) groupLimits() group.Config {
	ms := func(v int32) time.Duration { return time.Duration(v) * time.Millisecond }
	return group.Config{
		InitialRebalanceDelay:     ms(n.cfg.GroupInitialRebalanceDelay),
		MinSession:                ms(n.cfg.GroupMinSessionTimeoutMs),
		MaxSession:                ms(n.cfg.GroupMaxSessionTimeoutMs),
		MaxSize:                   int(n.cfg.GroupMaxSize),
		OffsetMetadataMax:         int(n.cfg.OffsetMetadataMaxBytes),
		OffsetsRetention:          time.Duration(n.cfg.OffsetsRetentionMinutes) * time.Minute,
		OffsetsRetentionCheckEach: time.Duration(n.cfg.OffsetsRetentionCheckMs) * time.Millisecond,
		Rebalanced:                func() { n.rebalances.Add(1) },
		NewMemberID: func(prefix string) string {
			id := randomID()
			return fmt.Sprintf("%s-%x-%x-%x-%x-%x", prefix, id[:4], id[4:6], id[6:8], id[8:10], id[10:])
		},
	}
}

func (n *Node) controllerConfig() cluster.Config {
	return cluster.Config{
		NewID:                func() cluster.UUID { return randomID() },
		Pick:                 rand.IntN,
		Self:                 n.cfg.NodeID,
		Features:             n.features(),
		Alive:                n.peers.Alive,
		Partitions:           n.cfg.NumPartitions,
		ReplicationFactor:    n.cfg.DefaultReplicationFactor,
		DeleteTopics:         n.cfg.DeleteTopicEnable,
		ValidateTopicConfig:  config.ValidateTopic,
		ValidateTopicSet:     config.ValidateTopicSet,
		ValidateBrokerConfig: func(name, value string, _ bool) error { return config.ValidateBroker(name, value) },
		ValidateGroupConfig:  config.ValidateGroup,
		ApplyConfig: func(kind cluster.ResourceKind, name string, op kmsg.IncrementalAlterConfigOp, current, value *string) (*string, error) {
			table := config.TopicOptions()
			switch kind {
			case cluster.BrokerResource:
				table = config.BrokerOptions()
			case cluster.GroupResource:
				table = config.GroupOptions()
			}
			return table.Apply(name, config.Op(op), current, value)
		},
	}
}

func (n *Node) features() []cluster.Feature {
	if n.opts.features != nil {
		return n.opts.features
	}
	return cluster.Features()
}

// asBroker describes this node as a broker.
func (n *Node) asBroker() cluster.Broker {
	b := cluster.Broker{ID: n.cfg.NodeID, Rack: n.cfg.BrokerRack, Directory: n.dir.id, Features: n.features()}
	for _, l := range n.bound {
		e := l.endpoint()
		b.Endpoints = append(b.Endpoints, e)
	}
	for _, l := range n.peerPorts {
		e := l.endpoint()
		b.Peer = net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
	}
	for _, v := range n.cfg.Voters {
		if v.ID == n.cfg.NodeID && v.Address != "" {
			b.Peer = v.Address
		}
	}
	return b
}

// endpoint is where others reach a listener.
func (l bound) endpoint() cluster.Endpoint {
	port := l.AdvertisedPort
	if port == 0 {
		port = l.socket.Addr().(*net.TCPAddr).Port
	}
	host := l.AdvertisedHost
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = hostName()
	}
	return cluster.Endpoint{Listener: l.Name, Host: host, Port: int32(port)}
}

// register makes this broker and its addresses known.
func (n *Node) register() error {
	type result struct {
		reply any
		err   error
	}
	for {
		done := make(chan result, 1)
		n.metadata.Submit(cluster.RegisterBroker{Broker: n.asBroker()}, func(reply any, err error) { done <- result{reply, err} })
		select {
		case r := <-done:
			switch registered, ok := r.reply.(cluster.BrokerRegistered); {
			case r.err == nil && ok && registered.Refused != "":
				return errors.New(registered.Refused)
			case r.err == nil && ok && registered.Incarnation != n.dir.incarnation:
				return fmt.Errorf("the data directory %s is not the one that node %d had last, but an older one: what it promised since is not known there. Empty the directory, and it is filled from the other nodes", n.dir.path, n.cfg.NodeID)
			case r.err == nil || !n.several():
				return r.err
			}
			n.opts.Logger.Warn("this node could not be registered yet; it is tried on", "error", r.err)
		case err := <-n.failed:
			return err
		case <-n.opts.Context.Done():
			return n.opts.Context.Err()
		}
	}
}

// leadersWait bounds how long a node that is one of several waits for the leaders of its partitions. There may be none as long as
// other nodes are away.
const leadersWait = 5 * time.Second

// awaitLeaders waits until all partitions of this node are led, so that the first request finds them.
func (n *Node) awaitLeaders() error {
	ctx, cancel := context.WithCancel(n.opts.Context)
	if n.several() {
		ctx, cancel = context.WithTimeout(n.opts.Context, leadersWait)
	}
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- n.set.AwaitLed(ctx) }()
	select {
	case err := <-done:
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	case err := <-n.failed:
		return err
	}
}

// hostName is what clients are told when a listener listens on all interfaces: the name of the machine, if it can be
// resolved, else localhost.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	if _, err := net.LookupHost(name); err != nil {
		return "localhost"
	}
	return name
}

func (n *Node) serve() error {
	n.broker = &api.Broker{
		ClusterID: n.ClusterID(), Self: n.cfg.NodeID, Leaders: n.leaders, Alive: n.seemsAlive, CutOff: n.cutOff, Config: n.cfg, Controller: n.metadata, MetadataLog: n.log, Partitions: n.set,
		Groups: n.groups, Logger: n.opts.Logger, LogLevel: n.opts.LogLevel, Now: n.opts.Now,
	}
	if n.several() {
		n.broker.Elections, n.broker.Quorum = elections{n}, quorum{n}
		n.running.Go(n.giveBack)
	}
	n.broker.Start()
	n.limits.Lock()
	n.server = server.New(server.Config{
		MaxRequestBytes: int(n.cfg.SocketRequestMaxBytes),
		IdleTimeout:     time.Duration(n.cfg.ConnectionsMaxIdleMs) * time.Millisecond,
		MemoryBytes:     n.cfg.QueuedMaxRequestBytes,
		Logger:          n.opts.Logger,
	}, n.broker)
	n.limits.Unlock()
	n.setLimits()
	for _, l := range n.bound {
		n.running.Go(func() {
			if err := n.server.Serve(l.socket, l.Name); err != nil {
				n.fail(fmt.Errorf("listener %s: %w", l.Name, err))
			}
		})
	}
	if n.http != nil {
		n.running.Go(n.http.serve)
	}
	if err := n.startConnect(); err != nil {
		return err
	}
	n.running.Go(n.maintain)
	n.running.Go(n.scrub)
	n.serving.Store(true)
	select {
	case err := <-n.failed: // it failed on the way
		return err
	default:
		return nil
	}
}

// maintain does the rounds of retention until the node stops.
func (n *Node) maintain() {
	tick := time.NewTicker(time.Duration(n.cfg.LogRetentionCheckIntervalMs) * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.set.Maintain()
		case <-n.stop:
			return
		}
	}
}

// Stop stops the node: what is under way is answered, then everything is closed.
func (n *Node) Stop() error {
	n.stopConnect()
	n.handOver()
	close(n.stop)
	n.groups.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	n.server.Shutdown(ctx)
	if n.http != nil {
		n.http.stop()
	}
	n.transport.Stop()
	n.running.Wait()
	return n.closeStorage()
}

// handOverTime is how long other nodes may take to become leaders of what this one led.
const handOverTime = 2 * time.Second

// handOver hands all leaderships to replicas elsewhere that are in sync.
func (n *Node) handOver() {
	if !n.several() {
		return
	}
	for end := time.Now().Add(handOverTime); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		led := 0
		resign := func(p *partition.Partition) {
			if _, leads := p.Leads(); leads && p.InSync() > 1 {
				led++
				p.Resign()
			}
		}
		n.set.Each(resign)
		if resign(n.log); led == 0 {
			return
		}
	}
}

// Kill gives the node up, as far as that can be done within a process: nothing that is under way is answered. It comes back
// when the data directory is closed; the goroutines of requests may take until Wait.
func (n *Node) Kill() error {
	n.killed = true
	close(n.stop)
	n.running.Go(n.stopConnect)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	n.running.Go(func() { n.server.Shutdown(ended) }) // its requests end when the partitions are closed
	n.groups.Stop()
	if n.http != nil {
		_ = n.http.server.Close()
	}
	return n.closeStorage()
}

// Wait waits until everything of a node that was stopped or killed has ended.
func (n *Node) Wait() { n.running.Wait() }

// closeStorage closes what holds data, in the reverse order of starting.
func (n *Node) closeStorage() error {
	n.metadata.runtime.Stop()
	n.metadata.stop()
	n.transport.Stop()
	err := errors.Join(n.set.Close(), n.set.ClosePartition(n.log), n.host.Stop())
	if err == nil && !n.killed {
		err = n.settled()
	}
	return errors.Join(err, n.dir.lock.Close())
}

// abandon gives up a start.
func (n *Node) abandon() {
	if n.server != nil {
		_ = n.Stop()
		return
	}
	close(n.stop)
	for _, l := range append(n.bound, n.peerPorts...) {
		_ = l.socket.Close()
	}
	if n.http != nil {
		_ = n.http.listener.Close()
	}
	n.stopConnect()
	if n.metadata != nil && n.metadata.runtime != nil && n.log != nil {
		_ = n.closeStorage()
		return
	}
	if n.transport != nil {
		n.transport.Stop()
	}
	if n.dir != nil {
		_ = n.dir.lock.Close()
	}
}

// Addresses gives where clients connect: the listeners' names and what they listen on.
func (n *Node) Addresses() map[string]string {
	out := map[string]string{}
	for _, l := range n.bound {
		out[l.Name] = l.socket.Addr().String()
	}
	return out
}

// HTTPAddress is where health and metrics are; "": nowhere.
func (n *Node) HTTPAddress() string {
	if n.http == nil {
		return ""
	}
	return n.http.listener.Addr().String()
}

// ID is the node's number.
func (n *Node) ID() int32 { return n.cfg.NodeID }

// ClusterID is the id of the cluster; "": it is not known yet.
func (n *Node) ClusterID() string {
	if id := n.cluster.Load(); id != nil {
		return *id
	}
	return ""
}
