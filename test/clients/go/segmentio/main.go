// Command segmentio tells the everyday story with segmentio/kafka-go: segmentio HOST:PORT,... RESTART. See ../../README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/weir/weir/test/clients/go/story"
)

const topic = "segmentio"

var (
	ctx, cancel = context.WithTimeout(context.Background(), 4*time.Minute)
	client      = &kafka.Client{Addr: kafka.TCP(story.Servers()...), Timeout: 10 * time.Second}
)

// asked asks until there is an answer: its client leaves it to its caller to ask again after it lost a broker.
func asked[Q, R any](ask func(context.Context, Q) (R, error), request Q) R {
	return story.Again(func() (R, error) { return ask(ctx, request) })
}

func main() {
	defer cancel()
	topics()
	producing()
	reading()
	groups()
	crash()
	administration()
}

func topics() {
	fmt.Println("# topics")
	for _, name := range []string{topic, topic, "no spaces"} {
		made := asked(client.CreateTopics, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: name, NumPartitions: 3, ReplicationFactor: -1,
			ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "3600000"}}}}})
		fmt.Println("create", name, story.Outcome(made.Errors[name]))
	}
	metadata := story.Again(func() (*kafka.MetadataResponse, error) {
		return client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic, "absent"}})
	})
	for _, t := range metadata.Topics {
		fmt.Println(t.Name, story.Outcome(t.Error), t.Internal)
		for _, p := range t.Partitions {
			fmt.Println("partition", p.ID, "leader", p.Leader.ID, "replicas", len(p.Replicas), "in sync", len(p.Isr))
		}
	}
}

func producing() {
	fmt.Println("# producing")
	for codec := kafka.Compression(0); codec <= kafka.Zstd; codec++ {
		for n := range 3 {
			produce(&kafka.Writer{RequiredAcks: kafka.RequireAll, Compression: codec}, kafka.Message{Key: fmt.Appendf(nil, "%v-%d", codec, n), Value: []byte(strings.Repeat("value ", 50)),
				Headers: []kafka.Header{{Key: "codec", Value: []byte(codec.String())}}})
		}
	}
	for _, acks := range []kafka.RequiredAcks{kafka.RequireNone, kafka.RequireOne} {
		produce(&kafka.Writer{RequiredAcks: acks}, kafka.Message{Key: []byte("acks"), Value: []byte("v")})
	}
	produce(&kafka.Writer{RequiredAcks: kafka.RequireAll}, kafka.Message{Key: []byte("null")})
	produce(&kafka.Writer{RequiredAcks: kafka.RequireAll}, kafka.Message{Key: []byte("old"), Value: []byte("of 2001"), Time: time.UnixMilli(1e12)})
	produce(&kafka.Writer{RequiredAcks: kafka.RequireAll, BatchBytes: 3_000_000}, kafka.Message{Key: []byte("too large"), Value: make([]byte, 2_000_000)})
	produce(&kafka.Writer{RequiredAcks: kafka.RequireAll}, kafka.Message{Key: []byte("large"), Value: make([]byte, 900_000)})
	produce(&kafka.Writer{RequiredAcks: kafka.RequireAll}, kafka.Message{Topic: "no spaces", Value: []byte("lost")})
}

func produce(w *kafka.Writer, m kafka.Message) {
	w.Addr, w.Balancer, w.BatchTimeout, w.MaxAttempts = kafka.TCP(story.Servers()...), kafka.Murmur2Balancer{}, time.Millisecond, 20
	if m.Topic == "" {
		m.Topic = topic
	}
	w.Completion = func(made []kafka.Message, err error) {
		if err == nil && w.RequiredAcks != kafka.RequireNone {
			fmt.Println("at", made[0].Partition, made[0].Offset)
		}
	}
	err := w.WriteMessages(ctx, m)
	if many := (kafka.WriteErrors)(nil); errors.As(err, &many) {
		err = many[0]
	}
	fmt.Printf("produced %s: %s\n", m.Key, story.Outcome(err))
	story.Check(w.Close())
}

func offsets(request func(int) kafka.OffsetRequest) (out []kafka.PartitionOffsets) {
	asked := &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {request(0), request(1), request(2)}}}
	out = story.Again(func() (*kafka.ListOffsetsResponse, error) { return client.ListOffsets(ctx, asked) }).Topics[topic]
	slices.SortFunc(out, func(a, b kafka.PartitionOffsets) int { return a.Partition - b.Partition })
	return out
}

func total() (sum int) {
	for _, p := range offsets(kafka.LastOffsetOf) {
		sum += int(p.LastOffset)
	}
	return sum
}

func reading() {
	fmt.Println("# reading")
	for _, at := range []int64{1e12 - 1, 1e12 + 1, 4e12} {
		for _, p := range offsets(func(p int) kafka.OffsetRequest { return kafka.TimeOffsetOf(p, time.UnixMilli(at)) }) {
			for offset := range p.Offsets {
				fmt.Println("at", at, p.Partition, offset, story.Outcome(p.Error))
			}
		}
	}
	for _, end := range offsets(kafka.LastOffsetOf) {
		for _, from := range []int64{kafka.FirstOffset, end.LastOffset - 1} {
			r := kafka.NewReader(kafka.ReaderConfig{Brokers: story.Servers(), Topic: topic, Partition: end.Partition, MaxWait: 100 * time.Millisecond})
			story.Check(r.SetOffset(from))
			for {
				m := story.Must(r.ReadMessage(ctx))
				fmt.Printf("%d@%d %q %d %t %s %d\n", m.Partition, m.Offset, m.Key, len(m.Value), m.Value == nil, m.Headers, m.HighWaterMark)
				if m.Offset == end.LastOffset-1 {
					break
				}
			}
			story.Check(r.Close())
		}
	}
}

func member(group string) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{Brokers: story.Servers(), GroupID: group, Topic: topic, StartOffset: kafka.FirstOffset, MaxWait: 100 * time.Millisecond,
		HeartbeatInterval: 300 * time.Millisecond, SessionTimeout: 20 * time.Second, GroupBalancers: []kafka.GroupBalancer{kafka.RangeGroupBalancer{}}})
}

func take(r *kafka.Reader, count int) (taken []kafka.Message) {
	for len(taken) < count {
		taken = append(taken, story.Again(func() (kafka.Message, error) { return r.FetchMessage(ctx) }))
	}
	return taken
}

// shares waits until a group's members have so many partitions each.
func shares(group string, want ...int) {
	story.Until(fmt.Sprint("shares ", want), func() bool {
		described := story.Again(func() (*kafka.DescribeGroupsResponse, error) {
			return client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
		}).Groups[0]
		var got []int
		for _, m := range described.Members {
			for _, t := range m.MemberAssignments.Topics {
				got = append(got, len(t.Partitions))
			}
		}
		slices.Sort(got)
		settled := (described.GroupState == "Stable" || described.GroupState == "Empty") && slices.Equal(got, want)
		if settled {
			fmt.Println("shares", described.GroupID, described.GroupState, got)
		}
		return settled
	})
}

func groups() {
	fmt.Println("# groups")
	first := member(topic)
	seen := take(first, total())
	story.Check(first.CommitMessages(ctx, seen...))
	shares(topic, 3)
	second := member(topic)
	shares(topic, 1, 2)
	story.Check(first.Close())
	shares(topic, 3)
	story.Check(second.Close())
	shares(topic)
	committed()
}

func committed() {
	got := story.Again(func() (*kafka.OffsetFetchResponse, error) {
		return client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: topic, Topics: map[string][]int{topic: {0, 1, 2}}})
	})
	for _, p := range got.Topics[topic] {
		fmt.Println("committed", p.Partition, p.CommittedOffset, story.Outcome(p.Error))
	}
}

func crash() {
	fmt.Println("# a crash of the broker")
	// Its writer gives up and leaves it to its caller to write again; so a record may come twice, on Kafka as well.
	w := &kafka.Writer{Addr: kafka.TCP(story.Servers()...), Topic: topic, RequiredAcks: kafka.RequireAll, BatchTimeout: time.Millisecond, MaxAttempts: 100, WriteBackoffMax: 200 * time.Millisecond}
	survivor := member(topic)
	for half := range 2 {
		if half == 1 {
			story.Crash()
		}
		var batch []kafka.Message
		for i := range 100 {
			batch = append(batch, kafka.Message{Key: fmt.Append(nil, i), Value: fmt.Append(nil, half)})
		}
		story.Check(w.WriteMessages(ctx, batch...))
		places := map[string]bool{}
		came := take(survivor, 100)
		for _, m := range came {
			places[fmt.Sprint(m.Partition, m.Offset)] = true
		}
		story.Until("a commit", func() bool { return survivor.CommitMessages(ctx, came...) == nil }) // one fails for every connection that was cut
		fmt.Println("came", len(came), "different", len(places))
	}
	story.Check(w.Close())
	story.Check(survivor.Close())
	shares(topic)
}

func administration() {
	fmt.Println("# administration")
	for _, value := range []string{"7200000", "x"} {
		altered := asked(client.IncrementalAlterConfigs, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: value}}}}})
		fmt.Println("configure", story.Outcome(altered.Resources[0].Error))
	}
	described := asked(client.DescribeConfigs, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"}}}})
	for _, e := range described.Resources[0].ConfigEntries {
		fmt.Println(e.ConfigName, e.ConfigValue, e.ConfigSource)
	}
	for _, g := range asked(client.ListGroups, &kafka.ListGroupsRequest{}).Groups {
		if g.GroupID == topic {
			fmt.Println("listed", g.GroupID, g.Coordinator)
		}
	}
	for range 2 {
		grown := asked(client.CreatePartitions, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}}})
		fmt.Println("partitions", story.Outcome(grown.Errors[topic]))
	}
	forgotten := asked(client.OffsetDelete, &kafka.OffsetDeleteRequest{GroupID: topic, Topics: map[string][]int{topic: {0}}})
	fmt.Println("forgotten", story.Outcome(forgotten.Error), story.Outcome(forgotten.Topics[topic][0].Error))
	for _, group := range []string{topic, "absent"} {
		fmt.Println("delete group", group, story.Outcome(asked(client.DeleteGroups, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}}).Errors[group]))
	}
	for _, name := range []string{topic, "absent"} {
		fmt.Println("delete", name, story.Outcome(asked(client.DeleteTopics, &kafka.DeleteTopicsRequest{Topics: []string{name}}).Errors[name]))
	}
}
