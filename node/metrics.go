package node

import "github.com/prometheus/client_golang/prometheus"

// kind is what a metric is to Prometheus.
type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// metric is a row of the table of what /metrics shows; docs/metrics.md is made from it.
type metric struct {
	kind   kind
	name   string
	labels []string
	help   string
	kafka  string // what means the same in Apache Kafka; "": nothing
	each   bool   // it is shown for every partition, if that is asked for
	desc   *prometheus.Desc
}

var metrics []*metric

func define(k kind, name, help, kafka string, labels ...string) *metric {
	m := &metric{kind: k, name: name, labels: labels, help: help, kafka: kafka, desc: prometheus.NewDesc(name, help, labels, nil)}
	metrics = append(metrics, m)
	return m
}

// defineEach defines a metric that there is for every partition.
func defineEach(name, help, kafka string, labels ...string) *metric {
	m := define(gauge, name, help, kafka, append(labels, "topic", "partition")...)
	m.each = true
	return m
}

const (
	network  = "kafka.network:type="
	requestM = network + "RequestMetrics,name="
	sockets  = "kafka.server:type=socket-server-metrics "
	topicM   = "kafka.server:type=BrokerTopicMetrics,name="
	replicas = "kafka.server:type=ReplicaManager,name="
	control  = "kafka.controller:type=KafkaController,name="
	groupM   = "kafka.server:type=group-coordinator-metrics "
	raftM    = "kafka.server:type=raft-metrics "
)

// The node.
var (
	buildInfo      = define(gauge, "weir_build_info", "1; the labels tell of the build.", "kafka.server:type=app-info version", "version", "go")
	nodeInfo       = define(gauge, "weir_node_info", "1; the labels tell which node of which cluster this is.", "kafka.server:type=app-info id", "node", "cluster")
	uptime         = define(gauge, "weir_uptime_seconds", "Time since the start of the node.", "")
	startTime      = define(gauge, "weir_start_seconds", "What the start of the node took, by step. Opening and recovering topics' logs is in partitions.", "", "step")
	recovered      = define(gauge, "weir_recovered_logs", "Logs of which more had to be read at the start than their checkpoint: the node was not stopped cleanly.", "")
	recoveredBytes = define(gauge, "weir_recovered_bytes", "Bytes that were read for it.", "")
	cutBytes       = define(gauge, "weir_recovered_cut_bytes", "Bytes that were cut off for it, because they were not completely written.", "")
	damagedNow     = define(gauge, "weir_damaged_segments", "Segments of logs on this node that are known to be damaged or missing, and are not repaired.", "")
	damagedBytes   = define(counter, "weir_damaged_bytes_total", "Bytes of segments that were found not to be what was written, and have to be written anew.", "")
	repaired       = define(counter, "weir_repaired_segments_total", "Damaged segments that were repaired from other nodes.", "")
	scrubbed       = define(counter, "weir_scrubbed_bytes_total", "Bytes of segments that were read to find damage before somebody needs them.", "")
	diskTotal      = define(gauge, "weir_disk_bytes", "Size of the file system that holds the data directory.", "")
	diskFree       = define(gauge, "weir_disk_free_bytes", "Free space of that file system.", "")
	diskFull       = define(counter, "weir_disk_full_total", "Writes that found the disk full; they are tried again.", "")
)

// Connections and requests.
var (
	connections        = define(gauge, "weir_connections", "Open connections of clients.", sockets+"connection-count")
	connectionsOpened  = define(counter, "weir_connections_opened_total", "Connections that were accepted.", sockets+"connection-creation-total")
	connectionsClosed  = define(counter, "weir_connections_closed_total", "Accepted connections that ended, by reason. client: the client closed it. idle: nothing came for connections.max.idle.ms. slow: the rest of a request did not come. refused: what came was not understood. stalled: the client did not take its answers. stop: the node stops.", sockets+"connection-close-total", "reason")
	connectionsRefused = define(counter, "weir_connections_refused_total", "Connections that were not accepted, by reason. address: it had as many as max.connections.per.ip allows. system: the system has no more to give, often open files.", sockets+"connection-close-total", "reason")
	requests           = define(counter, "weir_requests_total", "Requests that were answered.", requestM+"RequestsPerSec", "api", "version")
	requestErrors      = define(counter, "weir_request_errors_total", "Errors in answers, one for each place in an answer that has one. Success is not counted.", requestM+"ErrorsPerSec", "api", "error")
	requestTime        = define(histogram, "weir_request_seconds", "Time of requests by stage. request_queue: from the last byte to the handler. local: in the handler. remote: waiting for the disk, for data, for a group. response_queue: waiting for answers before it. response_send. total.", requestM+"RequestQueueTimeMs, LocalTimeMs, RemoteTimeMs, ResponseQueueTimeMs, ResponseSendTimeMs, TotalTimeMs", "api", "stage")
	requestBytes       = define(counter, "weir_request_bytes_total", "Bytes of requests.", requestM+"RequestBytes", "api")
	responseBytes      = define(counter, "weir_response_bytes_total", "Bytes of answers, with the records of fetches.", "", "api")
	memoryUsed         = define(gauge, "weir_request_memory_bytes", "Memory that the requests under way take.", network+"SocketServer,name=MemoryPoolUsed")
	memoryLimit        = define(gauge, "weir_request_memory_limit_bytes", "Memory that they may take (queued.max.request.bytes); beyond it, connections wait.", network+"SocketServer,name=MemoryPoolAvailable")
	memoryWaits        = define(counter, "weir_request_memory_waits_total", "Requests that waited for memory.", sockets+"MemoryPoolDepletedTimeTotal")
	fetchSessions      = define(gauge, "weir_fetch_sessions", "Fetch sessions that are remembered.", "kafka.server:type=FetchSessionCache,name=NumIncrementalFetchSessions")
)

// Topics. Those without the label count all topics, also deleted ones.
var (
	allBytesIn  = define(counter, "weir_bytes_in_total", "Bytes of batches that were appended.", topicM+"BytesInPerSec")
	allMessages = define(counter, "weir_messages_in_total", "Records that were appended.", topicM+"MessagesInPerSec")
	allBytesOut = define(counter, "weir_bytes_out_total", "Bytes of batches that consumers were sent.", topicM+"BytesOutPerSec")
	bytesIn     = define(counter, "weir_topic_bytes_in_total", "Bytes of batches that were appended.", topicM+"BytesInPerSec,topic=", "topic")
	messagesIn  = define(counter, "weir_topic_messages_in_total", "Records that were appended.", topicM+"MessagesInPerSec,topic=", "topic")
	bytesOut    = define(counter, "weir_topic_bytes_out_total", "Bytes of batches that consumers were sent.", topicM+"BytesOutPerSec,topic=", "topic")
	produces    = define(counter, "weir_topic_produce_total", "Batches that came: appended, repeated or refused.", topicM+"TotalProduceRequestsPerSec,topic=", "topic")
	produceFail = define(counter, "weir_topic_produce_failed_total", "Batches that were refused, also for the client's fault, which Kafka leaves out.", topicM+"FailedProduceRequestsPerSec,topic=", "topic")
	fetches     = define(counter, "weir_topic_fetch_total", "Partitions that fetches were answered for.", topicM+"TotalFetchRequestsPerSec,topic=", "topic")
	fetchFail   = define(counter, "weir_topic_fetch_failed_total", "Those that were answered with an error, also for the client's fault, which Kafka leaves out.", topicM+"FailedFetchRequestsPerSec,topic=", "topic")
	topicBytes  = define(gauge, "weir_topic_log_bytes", "Size of a topic's logs on disk.", "kafka.log:type=Log,name=Size,topic=", "topic")
	topicParts  = define(gauge, "weir_topic_partitions", "Partitions of a topic on this node.", "", "topic")
	producerIDs = define(gauge, "weir_producer_ids", "Idempotent producers that partitions remember; one counts in each partition that it wrote to.", replicas+"ProducerIdCount")

	retiredSegments = define(counter, "weir_retention_segments_total", "Segments that retention removed.", "")
	retiredBytes    = define(counter, "weir_retention_bytes_total", "Bytes that this freed.", "")

	topicCount      = define(gauge, "weir_topics", "Topics of the cluster.", control+"GlobalTopicCount")
	partitionCount  = define(gauge, "weir_partitions", "Partitions on this node.", replicas+"PartitionCount")
	leaderCount     = define(gauge, "weir_partition_leaders", "Partitions that this node leads.", replicas+"LeaderCount")
	offlineCount    = define(gauge, "weir_partitions_offline", "Partitions on this node that cannot be opened, or have no leader.", control+"OfflinePartitionsCount")
	underReplicated = define(gauge, "weir_partitions_under_replicated", "Partitions on this node with fewer replicas in sync than they have replicas: on a single node those that cannot be opened.", replicas+"UnderReplicatedPartitions")

	logStart = defineEach("weir_partition_start_offset", "Offset of the oldest record.", "kafka.log:type=Log,name=LogStartOffset")
	logEnd   = defineEach("weir_partition_end_offset", "Offset after the newest committed record.", "kafka.log:type=Log,name=LogEndOffset")
	logBytes = defineEach("weir_partition_log_bytes", "Size of the log on disk.", "kafka.log:type=Log,name=Size")
	logEpoch = defineEach("weir_partition_leader_epoch", "Leader epoch, which is the term of the partition's Raft group.", "")
)

// Groups.
var (
	groupCount      = define(gauge, "weir_groups", "Consumer groups that this node coordinates, by state.", groupM+"group-count", "state")
	groupMembers    = define(gauge, "weir_group_members", "Members of a group.", "", "group")
	groupGeneration = define(gauge, "weir_group_generation", "Generation of a group: it grows with every rebalance.", "", "group")
	groupRebalances = define(counter, "weir_group_rebalances_total", "Rebalances that groups completed.", groupM+"group-completed-rebalance-count")
	groupLag        = define(gauge, "weir_group_lag_records", "Records between a group's committed offsets and the ends of a topic's partitions, in all. Partitions that it has committed nothing of do not count.", "", "group", "topic")
	groupLagSeconds = define(gauge, "weir_group_lag_seconds", "Age of the oldest record of a topic that a group has not committed; 0: there is none.", "", "group", "topic")
	eachLag         = defineEach("weir_group_partition_lag_records", "Records between a group's committed offset and the partition's end.", "kafka.consumer:type=consumer-fetch-manager-metrics records-lag", "group")
	eachLagSeconds  = defineEach("weir_group_partition_lag_seconds", "Age of the first record that a group has not committed; 0: there is none.", "", "group")
)

// Group commits and Raft.
var (
	syncTime       = define(histogram, "weir_sync_seconds", "Time of group commits: making durable what all partitions have appended meanwhile.", "kafka.log:type=LogFlushStats,name=LogFlushRateAndTimeMs")
	syncBatches    = define(histogram, "weir_sync_batches", "Batches that one group commit made durable.", "")
	syncBytes      = define(histogram, "weir_sync_bytes", "Bytes of batches that one group commit made durable.", "")
	syncCalls      = define(counter, "weir_sync_calls_total", "What group commits asked the operating system for, by kind: sync of a file, of a folder, of the whole file system, of the voter journal.", "", "kind")
	commitTime     = define(histogram, "weir_raft_commit_seconds", "Time from the append of a batch until it is committed.", raftM+"commit-latency-avg")
	proposals      = define(counter, "weir_raft_proposals_total", "Batches that were proposed to Raft groups.", "")
	leaderChanges  = define(counter, "weir_raft_leader_changes_total", "Changes of leaders that this node saw.", "")
	controller     = define(gauge, "weir_active_controller", "1 if this node is the active controller.", control+"ActiveControllerCount")
	metadataTerm   = define(gauge, "weir_metadata_term", "Term of the metadata log.", raftM+"current-epoch")
	metadataLeader = define(gauge, "weir_metadata_leader", "Node that leads the metadata log; 0: none is known.", raftM+"current-leader")
	metadataEnd    = define(gauge, "weir_metadata_end_offset", "Offset after the newest committed record of the metadata log.", raftM+"high-watermark")
)
