package node

import (
	"runtime"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/coordinator/group"
	"github.com/weir/weir/internal/stats"
	"github.com/weir/weir/partition"
)

// collector gives the node's metrics to Prometheus. All work is done when they are asked for.
type collector struct {
	n    *Node
	lags *lags
}

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	e := emitter(out)
	c.node(e)
	c.connections(e)
	c.requests(e)
	c.topics(e)
	c.groups(e)
	c.raft(e)
}

// emitter sends values to Prometheus.
type emitter chan<- prometheus.Metric

func (e emitter) value(m *metric, v float64, labels ...string) {
	kind := prometheus.GaugeValue
	if m.kind == counter {
		kind = prometheus.CounterValue
	}
	e <- prometheus.MustNewConstMetric(m.desc, kind, v, labels...)
}

func (e emitter) counter(m *metric, c *stats.Counter, labels ...string) {
	e.value(m, float64(c.Value()), labels...)
}

func (e emitter) flag(m *metric, on bool) {
	if on {
		e.value(m, 1)
	} else {
		e.value(m, 0)
	}
}

// times shows a histogram of ns as seconds, with bounds from 33 µs to 17 s.
func (e emitter) times(m *metric, h *stats.Histogram, labels ...string) {
	e.histogram(m, h, 15, 34, 1e-9, labels...)
}

func (e emitter) histogram(m *metric, h *stats.Histogram, first, last int, scale float64, labels ...string) {
	count, sum, upTo := h.Snapshot(first, last, scale)
	e <- prometheus.MustNewConstHistogram(m.desc, count, sum, upTo, labels...)
}

// label makes a label's value of a text that a client gave, which may be any bytes.
func label(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return strconv.QuoteToASCII(text)
}

func (c collector) node(e emitter) {
	version := c.n.opts.Version
	if version == "" {
		version = "development"
	}
	e.value(buildInfo, 1, version, runtime.Version())
	e.value(nodeInfo, 1, strconv.Itoa(int(c.n.cfg.NodeID)), c.n.ClusterID())
	e.value(uptime, c.n.opts.Now().Sub(c.n.begun).Seconds())
	for _, s := range c.n.steps {
		e.value(startTime, s.took.Seconds(), s.name)
	}
	all := c.n.set.Stats()
	e.counter(recovered, &all.Recovered)
	e.counter(recoveredBytes, &all.RecoveredBytes)
	e.counter(cutBytes, &all.CutBytes)
	damaged := c.n.log.Damaged()
	c.n.set.Each(func(p *partition.Partition) { damaged += p.Damaged() })
	e.value(damagedNow, float64(damaged))
	health := c.n.set.Health()
	e.counter(damagedBytes, &health.DamagedBytes)
	e.counter(repaired, &health.Repaired)
	e.counter(scrubbed, &health.CheckedBytes)
	if total, free, err := c.n.set.Space(); err == nil {
		e.value(diskTotal, float64(total))
		e.value(diskFree, float64(free))
	}
	e.counter(diskFull, &c.n.host.Stats().Stalls)
}

func (c collector) connections(e emitter) {
	s := c.n.server.Stats()
	e.value(connections, float64(c.n.server.Connections()))
	e.counter(connectionsOpened, &s.Opened)
	for i, name := range server.EndNames {
		e.counter(connectionsClosed, &s.Ended[i], name)
	}
	e.counter(connectionsRefused, &s.TooMany, "address")
	e.counter(connectionsRefused, &s.Failed, "system")
	used, limit := c.n.server.Memory()
	e.value(memoryUsed, float64(used))
	e.value(memoryLimit, float64(limit))
	e.counter(memoryWaits, &s.Waits)
	e.value(fetchSessions, float64(c.n.broker.FetchSessions()))
}

func (c collector) requests(e emitter) {
	for key := range int16(kmsg.MaxKey + 1) {
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
		for code, n := range a.Errors() {
			e.value(requestErrors, float64(n), name, errorName(code))
		}
		for stage, label := range server.StageNames {
			e.times(requestTime, &a.Stages[stage], name, label)
		}
		e.counter(requestBytes, &a.Received, name)
		e.counter(responseBytes, &a.Sent, name)
	}
}

func errorName(code int16) string {
	if ke := kerr.TypedErrorForCode(code); ke != nil {
		return ke.Message
	}
	return strconv.Itoa(int(code))
}

func (c collector) topics(e emitter) {
	all := c.n.set.Stats()
	e.counter(allBytesIn, &all.BytesIn)
	e.counter(allMessages, &all.MessagesIn)
	e.counter(allBytesOut, &all.BytesOut)
	e.counter(retiredSegments, &all.RetiredSegments)
	e.counter(retiredBytes, &all.RetiredBytes)
	e.times(commitTime, &all.CommitTime)
	var here, leads, closed, leaderless, producers int
	for _, t := range c.n.set.Topics() {
		e.counter(bytesIn, &t.Stats.BytesIn, t.Name)
		e.counter(messagesIn, &t.Stats.MessagesIn, t.Name)
		e.counter(bytesOut, &t.Stats.BytesOut, t.Name)
		e.counter(produces, &t.Stats.Produces, t.Name)
		e.counter(produceFail, &t.Stats.ProduceFail, t.Name)
		e.counter(fetches, &t.Stats.Fetches, t.Name)
		e.counter(fetchFail, &t.Stats.FetchFail, t.Name)
		e.value(topicParts, float64(len(t.Partitions)), t.Name)
		here += len(t.Partitions)
		closed += t.Offline
		bytes := int64(0)
		for _, p := range t.Partitions {
			if p == nil {
				continue
			}
			size := p.Size()
			bytes += size
			producers += p.RememberedProducers()
			leadership := p.Leadership()
			if _, ok := p.Leads(); ok {
				leads++
			} else if leadership.Broker < 0 {
				leaderless++
			}
			if c.n.cfg.HTTPMetricsPartitions {
				number := strconv.Itoa(int(p.ID.Partition))
				e.value(logStart, float64(p.LogStart()), t.Name, number)
				e.value(logEnd, float64(p.HighWatermark()), t.Name, number)
				e.value(logBytes, float64(size), t.Name, number)
				e.value(logEpoch, float64(leadership.Epoch), t.Name, number)
			}
		}
		e.value(topicBytes, float64(bytes), t.Name)
	}
	e.value(topicCount, float64(c.n.metadata.Image().TopicCount()))
	e.value(partitionCount, float64(here))
	e.value(leaderCount, float64(leads))
	e.value(offlineCount, float64(closed+leaderless))
	e.value(underReplicated, float64(closed))
	e.value(producerIDs, float64(producers))
}

func (c collector) groups(e emitter) {
	states := map[group.State]int{}
	summaries := c.n.groups.Summaries()
	for _, g := range summaries {
		states[g.State]++
		e.value(groupMembers, float64(g.Members), label(g.Group))
		e.value(groupGeneration, float64(g.Generation), label(g.Group))
	}
	for _, s := range []group.State{group.Empty, group.PreparingRebalance, group.CompletingRebalance, group.Stable} {
		e.value(groupCount, float64(states[s]), s.String())
	}
	e.counter(groupRebalances, &c.n.rebalances)
	for i, topics := range c.lags.of(c.n, summaries) {
		id := label(summaries[i].Group)
		for _, t := range topics {
			e.lag(groupLag, groupLagSeconds, t.sum(), id, t.topic)
			if c.n.cfg.HTTPMetricsPartitions {
				for _, p := range t.partitions {
					e.lag(eachLag, eachLagSeconds, p, id, t.topic, strconv.Itoa(int(p.number)))
				}
			}
		}
	}
}

func (e emitter) lag(records, seconds *metric, l partitionLag, labels ...string) {
	e.value(records, float64(l.records), labels...)
	if l.timed {
		e.value(seconds, l.age.Seconds(), labels...)
	}
}

func (c collector) raft(e emitter) {
	s := c.n.host.Stats()
	e.times(syncTime, &s.SyncTime)
	e.histogram(syncBatches, &s.SyncBatches, 0, 12, 1)
	e.histogram(syncBytes, &s.SyncBytes, 8, 26, 1)
	e.counter(syncCalls, &s.FileSyncs, "file")
	e.counter(syncCalls, &s.FolderSyncs, "folder")
	e.counter(syncCalls, &s.SystemSyncs, "filesystem")
	e.counter(syncCalls, &s.JournalSyncs, "journal")
	e.counter(proposals, &s.Proposals)
	e.counter(leaderChanges, &s.LeaderChanges)
	_, leads := c.n.log.Leads()
	e.flag(controller, leads)
	leadership := c.n.log.Leadership()
	e.value(metadataTerm, float64(leadership.Epoch))
	e.value(metadataLeader, float64(leadership.Broker))
	e.value(metadataEnd, float64(c.n.log.HighWatermark()))
}
