package main

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// gambler asks at random. What it made it remembers, so that most of what it asks about is there.
type gambler struct {
	*world
	rng    *rand.Rand
	seed   uint64
	made   int
	topics []gambled
	next   map[string]int32 // sequence of a producer in a partition
}

// gambled is a topic that it made.
type gambled struct {
	name       string
	id         [16]byte // Kafka's
	partitions int32
	compacted  bool
}

func playRandom(w *world, seed uint64, steps int) {
	g := &gambler{world: w, rng: rand.New(rand.NewPCG(seed, 0)), seed: seed, next: map[string]int32{}}
	moves := []struct {
		weight int
		move   func()
	}{
		{2, g.create}, {1, g.destroy}, {1, g.grow}, {2, g.configure}, {1, g.truncate},
		{20, g.write}, {12, g.read}, {6, g.find}, {5, g.look}, {6, g.commit}, {4, g.recall}, {3, g.administer},
	}
	sum := 0
	for _, m := range moves {
		sum += m.weight
	}
	g.create()
	for range steps {
		at := g.rng.IntN(sum)
		for _, m := range moves {
			if at -= m.weight; at < 0 {
				m.move()
				break
			}
		}
	}
	for _, t := range g.topics {
		for p := range t.partitions {
			w.readBack(t.name, t.id, p)
		}
	}
	w.settle()
}

// version is one of those that both speak.
func (g *gambler) version(key kmsg.Key) int16 {
	v := g.versions(key)
	return v[g.rng.IntN(len(v))]
}

func (g *gambler) put(req kmsg.Request) kmsg.Response {
	return g.ask(req, g.version(kmsg.Key(req.Key())))
}

func pick[T any](g *gambler, from ...T) T { return from[g.rng.IntN(len(from))] }

// some is one that is there, or now and then one that is not.
func (g *gambler) some() gambled {
	if len(g.topics) == 0 || g.rng.IntN(20) == 0 {
		return gambled{name: pick(g, "nowhere", "a b", "gone"), id: [16]byte{byte(1 + g.rng.IntN(20))}, partitions: 1}
	}
	return g.topics[g.rng.IntN(len(g.topics))]
}

// partition is one of a topic, or now and then beyond.
func (g *gambler) partition(t gambled) int32 {
	return g.rng.Int32N(t.partitions + g.rng.Int32N(2)*g.rng.Int32N(2))
}

func (g *gambler) create() {
	g.made++
	t := gambled{name: fmt.Sprintf("random-%d-%d", g.seed, g.made), partitions: 1 + g.rng.Int32N(3)}
	configs := []string{"retention.ms=-1"} // the times of records here are from all ages
	switch g.rng.IntN(6) {
	case 0:
		configs = append(configs, "compression.type="+pick(g, "gzip", "snappy", "lz4", "zstd", "uncompressed"))
	case 1:
		configs = append(configs, "max.message.bytes="+pick(g, "50", "200", "1000"))
	case 2:
		configs = append(configs, "cleanup.policy=compact", "min.compaction.lag.ms=9000000000000000")
		t.compacted = true
	}
	t.id = g.world.topic(t.name, t.partitions, configs...)
	g.topics = append(g.topics, t)
}

func (g *gambler) destroy() {
	if len(g.topics) < 3 {
		return
	}
	at := g.rng.IntN(len(g.topics))
	g.ask(deleteTopics([]string{g.topics[at].name}), int16(1+g.rng.IntN(5)))
	g.topics = slices.Delete(g.topics, at, at+1)
	g.settle()
}

func (g *gambler) grow() {
	at := g.rng.IntN(len(g.topics))
	t := &g.topics[at]
	to := t.partitions + g.rng.Int32N(3) - 1
	g.put(createPartitions(t.name, to))
	t.partitions = max(t.partitions, to)
	g.settle()
}

func (g *gambler) configure() {
	t := g.some()
	s := pick(g, set("retention.bytes", "-1"), set("retention.ms", pick(g, "-1", "x")), set("no.such", "1"), set("segment.bytes", "2000000"),
		setting{"segment.bytes", 1, nil}, setting{"cleanup.policy", 2, ptr("delete")})
	if s.key == "cleanup.policy" && t.compacted {
		return // deleting would have to begin
	}
	g.put(alter(topicResource, t.name, s))
	g.settleConfigs(topicResource, t.name, "retention.bytes", "retention.ms", "segment.bytes", "cleanup.policy")
	g.put(describeConfigs(topicResource, t.name, "retention.bytes", "retention.ms", "segment.bytes", "cleanup.policy"))
}

func (g *gambler) truncate() {
	t := g.some()
	g.put(deleteRecords(t.name, g.partition(t), g.rng.Int64N(6)-1))
}

// records are what a producer may send.
func (g *gambler) records() []rec {
	records := make([]rec, 1+g.rng.IntN(5))
	for i := range records {
		records[i] = rec{key: pick(g, []byte("a"), []byte("b"), []byte{}), value: string(make([]byte, g.rng.IntN(60))), at: g.now - g.rng.Int64N(1_000_000)}
		if g.rng.IntN(15) == 0 {
			records[i].key = nil
		}
	}
	return records
}

func (g *gambler) write() {
	t := g.some()
	number := g.partition(t)
	var change []func(*kmsg.RecordBatch)
	if g.rng.IntN(2) == 0 { // an idempotent producer, that now and then loses count
		id := 7_000_000 + int64(g.seed)*10 + g.rng.Int64N(3)
		key := fmt.Sprint(t.name, number, id)
		sequence := g.next[key]
		if g.rng.IntN(8) == 0 {
			sequence += g.rng.Int32N(5) - 2
		}
		change = append(change, by(id, int16(g.rng.IntN(20)/19), sequence))
		defer func() { g.next[key] = max(sequence, -1) + 1 }()
	}
	change = append(change, packed(g.rng.IntN(5)))
	b := batch(g.records(), change...)
	if g.rng.IntN(12) == 0 {
		b = flip(b, batchRecords+g.rng.IntN(len(b)-batchRecords)) // which the checksum tells
	}
	req := produce(t.name, t.id, pick[int16](g, -1, -1, 1, 5), b)
	req.Topics[0].Partitions[0].Partition = number
	v := g.version(kmsg.Produce)
	g.ask(req, v)
}

func (g *gambler) read() {
	t := g.some()
	req := fetch(t.name, t.id, g.rng.Int64N(12)-1, g.partition(t))
	req.MaxBytes = pick[int32](g, 0, 1, 200, 1<<20)
	req.Topics[0].Partitions[0].PartitionMaxBytes = pick[int32](g, 0, 1, 150, 1<<20)
	req.IsolationLevel = int8(g.rng.IntN(2))
	g.put(req)
}

func (g *gambler) find() {
	t := g.some()
	v := g.version(kmsg.ListOffsets)
	at := pick(g, -1, -2, g.now, g.now-500_000, 0)
	if v >= 7 && g.rng.IntN(4) == 0 {
		at = -3
	}
	g.ask(listOffsets(listOffset(t.name, g.partition(t), at)), v)
}

func (g *gambler) look() {
	t := g.some()
	if t.name == "nowhere" || t.name == "gone" { // Metadata would make it
		return
	}
	g.put(metadata(t.name))
}

func (g *gambler) commit() {
	t := g.some()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = fmt.Sprintf("random-%d-%d", g.seed, g.rng.IntN(3)), pick[int32](g, -1, -1, -1, 3)
	part := kmsg.NewOffsetCommitRequestTopicPartition()
	part.Partition, part.Offset, part.Metadata = g.partition(t), g.rng.Int64N(50), ptr(string(make([]byte, pick(g, 0, 3, 4097))))
	req.Topics = append(req.Topics, kmsg.OffsetCommitRequestTopic{Topic: t.name, TopicID: t.id, Partitions: []kmsg.OffsetCommitRequestTopicPartition{part}})
	g.put(req)
}

func (g *gambler) recall() {
	t := g.some()
	req := kmsg.NewPtrOffsetFetchRequest()
	group := fmt.Sprintf("random-%d-%d", g.seed, g.rng.IntN(4))
	req.Group = group
	req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: t.name, Partitions: []int32{0, 1}}}
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group, one.Topics = group, []kmsg.OffsetFetchRequestGroupTopic{{Topic: t.name, TopicID: t.id, Partitions: []int32{0, 1}}}
	req.Groups = append(req.Groups, one)
	g.put(req)
}

func (g *gambler) administer() {
	group := fmt.Sprintf("random-%d-%d", g.seed, g.rng.IntN(4))
	describe, remove := kmsg.NewPtrDescribeGroupsRequest(), kmsg.NewPtrDeleteGroupsRequest()
	describe.Groups, remove.Groups = []string{group}, []string{group}
	g.put(describe)
	if g.rng.IntN(4) == 0 {
		g.put(remove)
	}
}
