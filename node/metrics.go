package node

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/coordinator/group"
	"github.com/weir/weir/internal/stats"
)

// metric is a row of the table of what /metrics shows; docs/metrics.md is made from it.
type metric struct {
	kind   string // counter, gauge, histogram
	name   string
	labels []string
	help   string
	kafka  string // the MBean of Apache Kafka that means the same; "": none
	desc   *prometheus.Desc
}

var metrics []*metric

func define(kind, name, help, kafka string, labels ...string) *metric {
	m := &metric{kind, name, labels, help, kafka, prometheus.NewDesc(name, help, labels, nil)}
	metrics = append(metrics, m)
	return m
}

var (
	connections        = define("gauge", "weir_connections", "Open connections of clients.", "kafka.server:type=socket-server-metrics connection-count")
	connectionsOpened  = define("counter", "weir_connections_opened_total", "Connections that were accepted.", "kafka.server:type=socket-server-metrics connection-creation-total")
	connectionsEnded   = define("counter", "weir_connections_closed_total", "Connections that ended, by reason: the client closed it, it was idle, what came was refused, the client did not take its answers, the node stops.", "kafka.server:type=socket-server-metrics connection-close-total", "reason")
	connectionsTooMany = define("counter", "weir_connections_rejected_total", "Connections that were closed because their address had as many as max.connections.per.ip allows.", "")
	requests           = define("counter", "weir_requests_total", "Requests that were answered.", "kafka.network:type=RequestMetrics,name=RequestsPerSec", "api", "version")
	requestErrors      = define("counter", "weir_request_errors_total", "Errors in answers: one for each part of an answer that has one.", "kafka.network:type=RequestMetrics,name=ErrorsPerSec", "api", "error")
	requestTime        = define("histogram", "weir_request_seconds", "Time of requests by stage: local (in the handler), remote (waiting for the disk, for data, for a group), response (waiting to be sent, being sent), total.", "kafka.network:type=RequestMetrics,name=LocalTimeMs, RemoteTimeMs, ResponseQueueTimeMs and ResponseSendTimeMs, TotalTimeMs", "api", "stage")
	requestBytes       = define("counter", "weir_request_bytes_total", "Bytes of requests.", "kafka.network:type=RequestMetrics,name=RequestBytes", "api")
	responseBytes      = define("counter", "weir_response_bytes_total", "Bytes of answers, without the records of fetches.", "", "api")
	memoryUsed         = define("gauge", "weir_request_memory_bytes", "Memory that requests under way take.", "kafka.network:type=RequestChannel,name=RequestQueueSize")
	memoryLimit        = define("gauge", "weir_request_memory_limit_bytes", "Memory that they may take (queued.max.request.bytes); beyond it, connections wait.", "")
	memoryWaits        = define("counter", "weir_request_memory_waits_total", "Requests that waited for memory.", "kafka.network:type=SocketServer,name=MemoryPoolAvgDepletedPercent")

	bytesIn     = define("counter", "weir_topic_bytes_in_total", "Bytes of batches that were appended.", "kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec,topic=…", "topic")
	messagesIn  = define("counter", "weir_topic_messages_in_total", "Records that were appended.", "kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec,topic=…", "topic")
	bytesOut    = define("counter", "weir_topic_bytes_out_total", "Bytes of records that consumers were sent.", "kafka.server:type=BrokerTopicMetrics,name=BytesOutPerSec,topic=…", "topic")
	produces    = define("counter", "weir_topic_produce_total", "Batches that were appended or refused.", "kafka.server:type=BrokerTopicMetrics,name=TotalProduceRequestsPerSec,topic=…", "topic")
	produceFail = define("counter", "weir_topic_produce_failed_total", "Batches that were refused.", "kafka.server:type=BrokerTopicMetrics,name=FailedProduceRequestsPerSec,topic=…", "topic")
	fetches     = define("counter", "weir_topic_fetch_total", "Answers for a partition to a fetch.", "kafka.server:type=BrokerTopicMetrics,name=TotalFetchRequestsPerSec,topic=…", "topic")
	fetchFail   = define("counter", "weir_topic_fetch_failed_total", "Of these, errors.", "kafka.server:type=BrokerTopicMetrics,name=FailedFetchRequestsPerSec,topic=…", "topic")
	topicBytes  = define("gauge", "weir_topic_log_bytes", "Size of a topic's logs on disk.", "kafka.log:type=Log,name=Size,topic=…", "topic")
	allBytesIn  = define("counter", "weir_bytes_in_total", "Bytes of batches that were appended, to all topics, also those that are deleted.", "kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec")
	allMessages = define("counter", "weir_messages_in_total", "Records that were appended, to all topics.", "kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec")
	allBytesOut = define("counter", "weir_bytes_out_total", "Bytes of records that consumers were sent, of all topics.", "kafka.server:type=BrokerTopicMetrics,name=BytesOutPerSec")

	logStart = define("gauge", "weir_partition_start_offset", "Offset of the oldest record.", "kafka.log:type=Log,name=LogStartOffset", "topic", "partition")
	logEnd   = define("gauge", "weir_partition_end_offset", "Offset after the newest committed record.", "kafka.log:type=Log,name=LogEndOffset", "topic", "partition")
	logBytes = define("gauge", "weir_partition_bytes", "Size of the log on disk.", "kafka.log:type=Log,name=Size", "topic", "partition")

	topicCount       = define("gauge", "weir_topics", "Topics of the cluster.", "kafka.controller:type=KafkaController,name=GlobalTopicCount")
	partitionCount   = define("gauge", "weir_partitions", "Partitions on this node.", "kafka.server:type=ReplicaManager,name=PartitionCount")
	leaderCount      = define("gauge", "weir_partition_leaders", "Partitions that this node leads.", "kafka.server:type=ReplicaManager,name=LeaderCount")
	offlineCount     = define("gauge", "weir_partitions_offline", "Partitions on this node that cannot be opened, or have no leader.", "kafka.controller:type=KafkaController,name=OfflinePartitionsCount")
	underReplicated  = define("gauge", "weir_partitions_under_replicated", "Partitions that this node leads and that have fewer replicas in sync than they should.", "kafka.server:type=ReplicaManager,name=UnderReplicatedPartitions")
	activeController = define("gauge", "weir_active_controller", "1 if this node is the controller.", "kafka.controller:type=KafkaController,name=ActiveControllerCount")
	producerIDs      = define("gauge", "weir_producer_ids", "Idempotent producers that partitions remember, each counted in every partition that it wrote to.", "kafka.server:type=ReplicaManager,name=ProducerIdCount")
	fetchSessions    = define("gauge", "weir_fetch_sessions", "Fetch sessions that are remembered.", "kafka.server:type=FetchSessionCache,name=NumIncrementalFetchSessions")

	groupCount      = define("gauge", "weir_groups", "Consumer groups that this node coordinates, by state.", "kafka.server:type=group-coordinator-metrics,name=group-count", "state")
	groupMembers    = define("gauge", "weir_group_members", "Members of a group.", "", "group")
	groupGeneration = define("gauge", "weir_group_generation", "Generation of a group: it grows with every rebalance.", "kafka.server:type=group-coordinator-metrics,name=group-completed-rebalance-count", "group")
	groupLag        = define("gauge", "weir_group_lag", "Records between a group's committed offset and the end of the partition.", "kafka.consumer:type=consumer-fetch-manager-metrics records-lag", "group", "topic", "partition")
	groupLagSeconds = define("gauge", "weir_group_lag_seconds", "Age of the first record that a group has not committed, by the time of its batch; 0 when there is none.", "", "group", "topic", "partition")

	syncTime      = define("histogram", "weir_sync_seconds", "Time of group commits: making durable what all partitions have appended.", "kafka.log:type=LogFlushStats,name=LogFlushRateAndTimeMs")
	syncBatch     = define("histogram", "weir_sync_appends", "Appends that one group commit made durable.", "")
	proposals     = define("counter", "weir_raft_proposals_total", "Batches that were proposed to Raft groups.", "")
	leaderChanges = define("counter", "weir_raft_leader_changes_total", "Changes of leaders that this node saw.", "kafka.controller:type=ControllerStats,name=LeaderElectionRateAndTimeMs")
	diskFull      = define("counter", "weir_disk_full_total", "Writes that found the disk full; they are tried again.", "")
	diskTotal     = define("gauge", "weir_disk_bytes", "Size of the file system that holds the data directory.", "")
	diskFree      = define("gauge", "weir_disk_free_bytes", "Free space of that file system.", "")
)

// nodeCollector gives the node's own metrics.
type nodeCollector struct {
	n    *Node
	lags *lags
}

// Describe implements prometheus.Collector.
func (c nodeCollector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range metrics {
		out <- m.desc
	}
}

// emitter sends values to Prometheus.
type emitter chan<- prometheus.Metric

func (e emitter) value(m *metric, v float64, labels ...string) {
	kind := prometheus.GaugeValue
	if m.kind == "counter" {
		kind = prometheus.CounterValue
	}
	e <- prometheus.MustNewConstMetric(m.desc, kind, v, labels...)
}

func (e emitter) counter(m *metric, c *stats.Counter, labels ...string) {
	e.value(m, float64(c.Value()), labels...)
}

// times shows a histogram of microseconds as seconds, from 16 µs to 16 s.
func (e emitter) times(m *metric, h *stats.Histogram, labels ...string) {
	count, sum, below := h.Snapshot(4, 24, 1e-6)
	e <- prometheus.MustNewConstHistogram(m.desc, count, sum, below, labels...)
}

// Collect implements prometheus.Collector.
func (c nodeCollector) Collect(out chan<- prometheus.Metric) {
	e := emitter(out)
	c.network(e)
	c.apis(e)
	c.topics(e)
	c.groups(e)
	s := c.n.host.Stats()
	e.times(syncTime, &s.SyncTime)
	count, sum, below := s.SyncBatch.Snapshot(0, 12, 1)
	e <- prometheus.MustNewConstHistogram(syncBatch.desc, count, sum, below)
	e.counter(proposals, &s.Proposals)
	e.counter(leaderChanges, &s.LeaderChanges)
	e.counter(diskFull, &s.Stalls)
	if total, free, err := c.n.set.Space(); err == nil {
		e.value(diskTotal, float64(total))
		e.value(diskFree, float64(free))
	}
}

func (c nodeCollector) network(e emitter) {
	s := c.n.server.Stats()
	e.value(connections, float64(c.n.server.Connections()))
	e.counter(connectionsOpened, &s.Opened)
	for i, name := range server.EndNames {
		e.counter(connectionsEnded, &s.Ended[i], name)
	}
	e.counter(connectionsTooMany, &s.TooMany)
	used, limit := c.n.server.Memory()
	e.value(memoryUsed, float64(used))
	e.value(memoryLimit, float64(limit))
	e.counter(memoryWaits, &s.Waits)
}

func (c nodeCollector) apis(e emitter) {
	for key := range int16(128) {
		a := c.n.server.Stats().API(key)
		if a == nil {
			continue
		}
		name := kmsg.NameForKey(key)
		for version := range a.Requests {
			if n := a.Requests[version].Value(); n > 0 {
				e.value(requests, float64(n), name, strconv.Itoa(version))
			}
		}
		for stage, label := range server.StageNames {
			e.times(requestTime, &a.Stages[stage], name, label)
		}
		for code, n := range a.Errors() {
			text := strconv.Itoa(int(code))
			if ke := kerr.TypedErrorForCode(code); ke != nil {
				text = ke.Message
			}
			e.value(requestErrors, float64(n), name, text)
		}
		e.counter(requestBytes, &a.Received, name)
		e.counter(responseBytes, &a.Sent, name)
	}
}

func (c nodeCollector) topics(e emitter) {
	all := c.n.set.Stats()
	e.counter(allBytesIn, &all.BytesIn)
	e.counter(allMessages, &all.MessagesIn)
	e.counter(allBytesOut, &all.BytesOut)
	var here, leads, offline, producers int
	for _, t := range c.n.set.Topics() {
		e.counter(bytesIn, &t.Stats.BytesIn, t.Name)
		e.counter(messagesIn, &t.Stats.MessagesIn, t.Name)
		e.counter(bytesOut, &t.Stats.BytesOut, t.Name)
		e.counter(produces, &t.Stats.Produces, t.Name)
		e.counter(produceFail, &t.Stats.ProduceFail, t.Name)
		e.counter(fetches, &t.Stats.Fetches, t.Name)
		e.counter(fetchFail, &t.Stats.FetchFail, t.Name)
		here += len(t.Partitions)
		offline += t.Offline
		size := int64(0)
		for _, p := range t.Partitions {
			if p == nil {
				continue
			}
			size += p.Size()
			producers += p.RememberedProducers()
			if _, ok := p.Leads(); ok {
				leads++
			} else if p.Leadership().Leader == 0 {
				offline++
			}
			if c.n.cfg.HTTPMetricsPartitions {
				number := strconv.Itoa(int(p.ID.Partition))
				e.value(logStart, float64(p.LogStart()), t.Name, number)
				e.value(logEnd, float64(p.HighWatermark()), t.Name, number)
				e.value(logBytes, float64(p.Size()), t.Name, number)
			}
		}
		e.value(topicBytes, float64(size), t.Name)
	}
	e.value(topicCount, float64(c.n.metadata.Image().TopicCount()))
	e.value(partitionCount, float64(here))
	e.value(leaderCount, float64(leads))
	e.value(offlineCount, float64(offline))
	e.value(underReplicated, 0) // a lone replica is always in sync
	controller := 0.0
	if _, ok := c.n.log.Leads(); ok {
		controller = 1
	}
	e.value(activeController, controller)
	e.value(producerIDs, float64(producers))
	e.value(fetchSessions, float64(c.n.broker.FetchSessions()))
}

func (c nodeCollector) groups(e emitter) {
	states := map[string]int{}
	summaries := c.n.groups.Summaries()
	for _, g := range summaries {
		states[g.State.String()]++
		e.value(groupMembers, float64(g.Members), g.Group)
		e.value(groupGeneration, float64(g.Generation), g.Group)
	}
	for _, s := range []group.State{group.Empty, group.PreparingRebalance, group.CompletingRebalance, group.Stable} {
		e.value(groupCount, float64(states[s.String()]), s.String())
	}
	for _, l := range c.lags.of(c.n, summaries) {
		number := strconv.Itoa(int(l.partition))
		e.value(groupLag, float64(l.records), l.group, l.topic, number)
		if l.timed {
			e.value(groupLagSeconds, l.seconds, l.group, l.topic, number)
		}
	}
}

// lags works out how far groups are behind. The times need a look at the log, so they are kept for a while, and no more than
// lagReads are looked up for one answer.
type lags struct {
	mu    sync.Mutex
	times map[lagPlace]lagTime
}

const (
	lagKept  = 10 * time.Second
	lagReads = 2000
)

type lagPlace struct {
	topic     string
	partition int32
	offset    int64
}

type lagTime struct {
	at   int64 // ms, of the first record that is not committed
	read time.Time
}

type lag struct {
	group, topic string
	partition    int32
	records      int64
	seconds      float64
	timed        bool
}

func (l *lags) of(n *Node, groups []group.Summary) []lag {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, reads := n.opts.Now(), 0
	kept := map[lagPlace]lagTime{}
	var out []lag
	for _, g := range groups {
		for _, o := range g.Offsets {
			p, err := n.set.Lookup(o.Topic, o.Partition)
			if err != nil {
				continue // the topic is gone, or elsewhere
			}
			behind := lag{group: g.Group, topic: o.Topic, partition: o.Partition, records: max(p.HighWatermark()-max(o.Offset, p.LogStart()), 0)}
			place := lagPlace{o.Topic, o.Partition, o.Offset}
			t, known := l.times[place]
			switch {
			case behind.records == 0:
				behind.timed = true
			case known && now.Sub(t.read) < lagKept:
			case reads < lagReads:
				reads++
				t.read = now
				t.at, known = p.TimeAt(o.Offset)
			}
			if known && behind.records > 0 {
				kept[place] = t
				behind.timed, behind.seconds = true, max(now.Sub(time.UnixMilli(t.at)).Seconds(), 0)
			}
			out = append(out, behind)
		}
	}
	l.times = kept
	return out
}

