// Command franz tells the everyday story with franz-go: franz HOST:PORT,... RESTART. See ../../README.md.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/weir/weir/test/clients/go/story"
)

const topic = "franz"

var ctx, cancel = context.WithTimeout(context.Background(), 3*time.Minute)

func client(options ...kgo.Opt) *kgo.Client {
	return story.Must(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(story.Servers()...)}, options...)...))
}

// again asks about some names, or wants something of them, until there is an answer.
func again[R any](ask func(context.Context, ...string) (R, error), names ...string) R {
	return story.Again(func() (R, error) { return ask(ctx, names...) })
}

func fetched(admin *kadm.Client, group string) kadm.OffsetResponses {
	return story.Again(func() (kadm.OffsetResponses, error) { return admin.FetchOffsets(ctx, group) })
}

// outcome names a broker's error, without what the client adds to it.
func outcome(err error) string {
	if ke := (*kerr.Error)(nil); errors.As(err, &ke) {
		return ke.Message
	} else if err != nil {
		return err.Error()
	}
	return "done"
}

func main() {
	defer cancel()
	admin := kadm.NewClient(client())
	defer admin.Close()
	topics(admin)
	producing()
	reading(admin)
	groups(admin)
	crash()
	administration()
}

func topics(admin *kadm.Client) {
	fmt.Println("# topics")
	for range 2 {
		made, err := admin.CreateTopic(ctx, 2, -1, map[string]*string{"retention.ms": kadm.StringPtr("3600000")}, topic)
		if err == nil {
			brokers = int(made.ReplicationFactor)
		}
		fmt.Println("create", outcome(err), made.ErrMessage, made.NumPartitions, made.ReplicationFactor, len(made.Configs) > 20)
	}
	for _, name := range []string{"no spaces", ".", strings.Repeat("x", 250)} {
		made, err := admin.CreateTopic(ctx, 1, -1, nil, name)
		fmt.Println("create", name, outcome(err), made.ErrMessage)
	}
	for range 2 {
		grown := story.Must(admin.UpdatePartitions(ctx, 3, topic))
		fmt.Println("partitions", outcome(grown[topic].Err), grown[topic].ErrMessage)
	}
	story.Until("all brokers show three partitions", func() bool { return shown(client(), brokers) })
	for _, p := range again(admin.ListTopics, topic)[topic].Partitions.Sorted() {
		fmt.Println("partition", p.Partition, "leader", p.Leader, "replicas", p.Replicas, "in sync", p.ISR)
	}
}

// shown asks each broker: others than who was asked may show a change a moment later.
func shown(c *kgo.Client, brokers int) bool {
	defer c.Close()
	for id := range int32(brokers) {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(topic)}}
		resp, err := c.Broker(int(id+1)).RetriableRequest(ctx, req)
		if err != nil || len(resp.(*kmsg.MetadataResponse).Topics[0].Partitions) != 3 {
			return false
		}
	}
	return true
}

func producing() {
	fmt.Println("# producing")
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for i, codec := range codecs {
		var records []*kgo.Record
		for n := range 3 {
			records = append(records, &kgo.Record{Key: fmt.Appendf(nil, "%d-%d", i, n), Value: []byte(strings.Repeat("value ", 50)),
				Headers: []kgo.RecordHeader{{Key: "n", Value: []byte{byte(n)}}, {Key: "nothing"}}})
		}
		produce(records, kgo.ProducerBatchCompression(codec))
	}
	for _, acks := range []kgo.Acks{kgo.NoAck(), kgo.LeaderAck(), kgo.AllISRAcks()} {
		produce([]*kgo.Record{{Key: []byte("acks"), Value: []byte("v")}}, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
	}
	produce([]*kgo.Record{{Key: []byte("null")}, {Key: []byte("empty"), Value: []byte{}}, {Key: []byte("old"), Value: []byte("of 2001"), Timestamp: time.UnixMilli(1e12)}})
	produce([]*kgo.Record{{Key: []byte("too large"), Value: make([]byte, 2_000_000)}}, kgo.ProducerBatchMaxBytes(3_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	produce([]*kgo.Record{{Key: []byte("large"), Value: make([]byte, 900_000)}}, kgo.ProducerBatchCompression(kgo.NoCompression()))
	produce([]*kgo.Record{{Topic: "no spaces", Value: []byte("lost")}}, kgo.UnknownTopicRetries(0))
}

func produce(records []*kgo.Record, options ...kgo.Opt) {
	producer := client(append(options, kgo.DefaultProduceTopic(topic))...)
	defer producer.Close()
	for _, r := range records {
		made, err := producer.ProduceSync(ctx, r).First()
		fmt.Printf("produced %s: %s", r.Key, outcome(err))
		if err == nil {
			fmt.Printf(" at %d@%d", made.Partition, made.Offset)
		}
		fmt.Println()
	}
}

func reading(admin *kadm.Client) {
	fmt.Println("# reading")
	ends := again(admin.ListEndOffsets, topic)
	ends.Each(func(o kadm.ListedOffset) { total += int(o.Offset) })
	fmt.Println("ends", offsets(ends))
	read := func(from kgo.Offset, count int) {
		reader := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: from, 1: from, 2: from}}))
		defer reader.Close()
		show(take(reader, count))
	}
	read(kgo.NewOffset().AtStart(), total)
	read(kgo.NewOffset().AtEnd().Relative(-1), 3)
	for _, at := range []int64{1e12 - 1, 1e12 + 1, 4e12} {
		fmt.Println("at", at, offsets(story.Again(func() (kadm.ListedOffsets, error) { return admin.ListOffsetsAfterMilli(ctx, at, topic) })))
	}
	fmt.Println("starts", offsets(again(admin.ListStartOffsets, topic)))
}

var (
	brokers int // the topic has a replica on each
	total   int // records that are in the topic before the crash
)

func offsets(listed kadm.ListedOffsets) (out []int64) {
	for p := range int32(3) {
		out = append(out, listed[topic][p].Offset)
	}
	return out
}

func take(c *kgo.Client, count int) (taken []*kgo.Record) {
	for len(taken) < count {
		fetched := c.PollFetches(ctx)
		if ctx.Err() != nil {
			log.Panicf("only %d of %d records came", len(taken), count)
		}
		taken = append(taken, fetched.Records()...)
	}
	slices.SortFunc(taken, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return taken
}

func show(records []*kgo.Record) {
	for _, r := range records {
		fmt.Printf("%d@%d %q %d %t %v\n", r.Partition, r.Offset, r.Key, len(r.Value), r.Value == nil, r.Headers)
	}
}

func groups(admin *kadm.Client) {
	fmt.Println("# groups")
	member := func(group string, options ...kgo.Opt) *kgo.Client {
		return client(append(options, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit())...)
	}
	first := member(topic)
	seen := take(first, total)
	story.Check(first.CommitRecords(ctx, seen[:total/2]...))
	first.Close()
	committed := fetched(admin, topic)
	left := total
	for _, o := range committed.Sorted() {
		fmt.Println("committed", o.Partition, o.At)
		left -= int(o.At)
	}
	second := member(topic)
	show(take(second, left))
	story.Check(second.CommitUncommittedOffsets(ctx))
	second.Close()

	for _, balancer := range []kgo.GroupBalancer{kgo.RangeBalancer(), kgo.CooperativeStickyBalancer()} {
		group := balancer.ProtocolName()
		one := member(group, kgo.Balancers(balancer))
		shares(admin, group, 3)
		two := member(group, kgo.Balancers(balancer))
		shares(admin, group, 1, 2)
		one.Close()
		shares(admin, group, 3)
		two.Close()
		shares(admin, group)
	}
	for range 2 {
		static := member("static", kgo.InstanceID("one"))
		shares(admin, "static", 3)
		static.Close()
	}
	gone := story.Must(admin.LeaveGroup(ctx, kadm.LeaveGroup("static").InstanceIDs("one", "two")))
	for _, l := range gone.Sorted() {
		fmt.Println("leave", l.InstanceID, outcome(l.Err))
	}
}

// shares waits until a group is settled and its members have so many partitions each.
func shares(admin *kadm.Client, group string, want ...int) {
	story.Until(fmt.Sprint("shares of ", group, want), func() bool {
		described := again(admin.DescribeGroups, group)[group]
		var got []int
		for _, m := range described.Members {
			assigned := 0
			if a, ok := m.Assigned.AsConsumer(); ok && len(a.Topics) > 0 {
				assigned = len(a.Topics[0].Partitions)
			}
			got = append(got, assigned)
		}
		slices.Sort(got)
		settled := (described.State == "Stable" || described.State == "Empty") && slices.Equal(got, want)
		if settled {
			fmt.Println("shares", group, described.State, described.Protocol, got)
		}
		return settled
	})
}

func crash() {
	fmt.Println("# a crash of the broker")
	producer := client(kgo.DefaultProduceTopic(topic))
	defer producer.Close()
	consumer := client(kgo.ConsumerGroup("survivor"), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit())
	defer consumer.Close()
	come := take(consumer, total)
	places := map[string]bool{}
	for half := range 2 {
		if half == 1 {
			story.Crash()
		}
		for i := range 100 {
			producer.Produce(ctx, kgo.KeySliceRecord(fmt.Append(nil, i), fmt.Append(nil, half)), func(r *kgo.Record, err error) {
				story.Must(r, err)
				places[fmt.Sprint(r.Partition, r.Offset)] = true
			})
		}
		story.Check(producer.Flush(ctx))
		come = append(come, take(consumer, 100)...)
		story.Check(consumer.CommitUncommittedOffsets(ctx))
		different := map[string]bool{}
		for _, r := range come {
			different[fmt.Sprint(r.Partition, r.Offset)] = true
		}
		fmt.Println("acknowledged", len(places), "came", len(come), "different", len(different))
	}
}

func administration() {
	admin := kadm.NewClient(client()) // what it asks with over a connection that has just been cut fails
	defer admin.Close()
	fmt.Println("# administration")
	lag := again(admin.Lag, "survivor")["survivor"]
	fmt.Println("lag", lag.State, lag.Lag.Total())
	for _, c := range []struct {
		alter kadm.AlterConfig
		then  string
	}{
		{kadm.AlterConfig{Name: "retention.ms", Value: kadm.StringPtr("7200000")}, "7200000 DYNAMIC_TOPIC_CONFIG"},
		{kadm.AlterConfig{Name: "retention.ms", Value: kadm.StringPtr("x")}, "7200000 DYNAMIC_TOPIC_CONFIG"},
		{kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "retention.ms"}, "604800000 DEFAULT_CONFIG"},
	} {
		for _, altered := range story.Must(admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{c.alter}, topic)) {
			fmt.Println("configure", outcome(altered.Err), altered.ErrMessage)
		}
		story.Until("retention.ms "+c.then, func() bool { return retention(admin) == c.then }) // another broker may show it a moment later
		fmt.Println("retention.ms", c.then)
	}
	var metadata kadm.Metadata
	story.Until("all brokers are there", func() bool {
		fresh := kadm.NewClient(client()) // one remembers for minutes which brokers there were
		defer fresh.Close()
		metadata = again(fresh.Metadata)
		return len(metadata.Brokers) == brokers
	})
	fmt.Println("brokers", metadata.Brokers.NodeIDs(), metadata.Controller)
	deleted := story.Must(admin.DeleteRecords(ctx, kadm.Offsets{topic: {0: {Topic: topic, Partition: 0, At: 1}}}))
	fmt.Println("deleted before", deleted[topic][0].LowWatermark, outcome(deleted[topic][0].Err))
	forgotten := story.Must(admin.DeleteOffsets(ctx, "survivor", kadm.TopicsSet{topic: {0: {}}}))
	fmt.Println("forgotten", outcome(forgotten[topic][0]), len(fetched(admin, "survivor")[topic]))
	for _, d := range again(admin.DeleteGroups, topic, "range", "cooperative-sticky", "static", "absent").Sorted() {
		fmt.Println("delete group", d.Group, outcome(d.Err))
	}
	for _, d := range story.Must(admin.DeleteTopics(ctx, topic, "absent")).Sorted() {
		fmt.Println("delete", d.Topic, outcome(d.Err))
	}
}

func retention(admin *kadm.Client) string {
	for _, c := range again(admin.DescribeTopicConfigs, topic)[0].Configs {
		if c.Key == "retention.ms" {
			return fmt.Sprint(c.MaybeValue(), " ", c.Source)
		}
	}
	return ""
}
