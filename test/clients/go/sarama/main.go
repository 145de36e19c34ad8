// Command sarama tells the everyday story with sarama: sarama HOST:PORT,... RESTART. See ../../README.md.
package main

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/weir/weir/test/clients/go/story"
)

const topic = "sarama"

func config(change ...func(*sarama.Config)) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll // or what is acknowledged need not be there for readers yet
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Session.Timeout = 20 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond // with which a member learns of others
	for _, f := range change {
		f(c)
	}
	return c
}

func admin() sarama.ClusterAdmin {
	return story.Must(sarama.NewClusterAdmin(story.Servers(), config()))
}

func main() {
	topics()
	producing()
	reading()
	groups()
	crash()
	administration()
}

func topics() {
	fmt.Println("# topics")
	a := admin()
	defer a.Close()
	hour := "3600000"
	for range 2 {
		err := a.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: -1, ConfigEntries: map[string]*string{"retention.ms": &hour}}, false)
		fmt.Println("create", story.Outcome(err))
	}
	for _, name := range []string{"no spaces", "only looked at"} {
		fmt.Println("create", name, story.Outcome(a.CreateTopic(name, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: -1}, true)))
	}
	for range 2 {
		fmt.Println("partitions", story.Outcome(a.CreatePartitions(topic, 3, nil, false)))
	}
	described := story.Must(a.DescribeTopics([]string{topic, "absent"}))
	for _, t := range described {
		fmt.Println(t.Name, t.Err, len(t.Partitions))
		for _, p := range t.Partitions {
			fmt.Println("partition", p.ID, "leader", p.Leader, "replicas", p.Replicas, "in sync", p.Isr)
		}
	}
	detail := story.Must(a.ListTopics())[topic]
	fmt.Println("listed", detail.NumPartitions, detail.ReplicationFactor, *detail.ConfigEntries["retention.ms"])
}

func producing() {
	fmt.Println("# producing")
	for codec := sarama.CompressionNone; codec <= sarama.CompressionZSTD; codec++ {
		for _, idempotent := range []bool{false, true} {
			var messages []*sarama.ProducerMessage
			for n := range 3 {
				messages = append(messages, &sarama.ProducerMessage{Key: sarama.StringEncoder(fmt.Sprint(codec, idempotent, n)),
					Value: sarama.StringEncoder(strings.Repeat("value ", 50)), Headers: []sarama.RecordHeader{{Key: []byte("codec"), Value: []byte(codec.String())}}})
			}
			produce(messages, func(c *sarama.Config) {
				c.Producer.Compression = codec
				if idempotent {
					c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
				}
			})
		}
	}
	for _, acks := range []sarama.RequiredAcks{sarama.NoResponse, sarama.WaitForLocal, sarama.WaitForAll} {
		produce([]*sarama.ProducerMessage{{Key: sarama.StringEncoder("acks"), Value: sarama.StringEncoder("v")}}, func(c *sarama.Config) { c.Producer.RequiredAcks = acks })
	}
	produce([]*sarama.ProducerMessage{{Key: sarama.StringEncoder("null")}, {Value: sarama.StringEncoder("no key"), Partition: 1}},
		func(c *sarama.Config) { c.Producer.Partitioner = sarama.NewManualPartitioner })
	produce([]*sarama.ProducerMessage{{Key: sarama.StringEncoder("old"), Value: sarama.StringEncoder("of 2001"), Timestamp: time.UnixMilli(1e12)}})
	produce([]*sarama.ProducerMessage{{Key: sarama.StringEncoder("too large"), Value: sarama.ByteEncoder(make([]byte, 2_000_000))}}, func(c *sarama.Config) { c.Producer.MaxMessageBytes = 3_000_000 })
	produce([]*sarama.ProducerMessage{{Key: sarama.StringEncoder("large"), Value: sarama.ByteEncoder(make([]byte, 900_000))}})
	produce([]*sarama.ProducerMessage{{Topic: "no spaces", Value: sarama.StringEncoder("lost")}}, func(c *sarama.Config) { c.Metadata.Retry.Max = 0 })
}

func produce(messages []*sarama.ProducerMessage, change ...func(*sarama.Config)) {
	producer := story.Must(sarama.NewSyncProducer(story.Servers(), config(change...)))
	defer producer.Close()
	for _, m := range messages {
		if m.Topic == "" {
			m.Topic = topic
		}
		partition, offset, err := producer.SendMessage(m)
		fmt.Println("produced", m.Key, story.Outcome(err), "at", partition, offset)
	}
}

func ends(time int64) (out []int64) {
	client := story.Must(sarama.NewClient(story.Servers(), config()))
	defer client.Close()
	for p := range int32(3) {
		out = append(out, story.Must(client.GetOffset(topic, p, time)))
	}
	return out
}

func reading() {
	fmt.Println("# reading")
	for _, at := range []int64{sarama.OffsetOldest, sarama.OffsetNewest, 1e12 - 1, 1e12 + 1, 4e12} {
		fmt.Println("at", at, ends(at))
	}
	consumer := story.Must(sarama.NewConsumer(story.Servers(), config()))
	defer consumer.Close()
	for p, end := range ends(sarama.OffsetNewest) {
		for _, from := range []int64{sarama.OffsetOldest, end - 1} {
			reader := story.Must(consumer.ConsumePartition(topic, int32(p), from))
			for m := range reader.Messages() {
				show(m)
				if m.Offset == end-1 {
					break
				}
			}
			story.Check(reader.Close())
		}
	}
	_, err := consumer.ConsumePartition(topic, 0, 1000)
	fmt.Println("beyond the end:", story.Outcome(err))
}

func show(m *sarama.ConsumerMessage) {
	fmt.Printf("%d@%d %q %d %t", m.Partition, m.Offset, m.Key, len(m.Value), m.Value == nil)
	for _, h := range m.Headers {
		fmt.Printf(" %s=%s", h.Key, h.Value)
	}
	fmt.Println()
}

// member takes what it is given, marks and commits it until it is stopped.
type member struct {
	group  sarama.ConsumerGroup
	taken  chan *sarama.ConsumerMessage
	claims chan int
	cancel context.CancelFunc
	ended  chan error
}

func join(group string, change ...func(*sarama.Config)) *member {
	m := &member{group: story.Must(sarama.NewConsumerGroup(story.Servers(), group, config(change...))),
		taken: make(chan *sarama.ConsumerMessage, 10_000), claims: make(chan int, 100), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() {
		var err error
		for ctx.Err() == nil {
			if err = m.group.Consume(ctx, []string{topic}, m); err != nil {
				log.Println("consuming:", err) // goes on after the broker's crash
				time.Sleep(100 * time.Millisecond)
			}
		}
		m.ended <- nil
	}()
	return m
}

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	m.claims <- len(s.Claims()[topic])
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		s.MarkMessage(message, "seen")
		s.Commit()
		m.taken <- message
	}
	return nil
}

func (m *member) take(count int) (taken []*sarama.ConsumerMessage) {
	for len(taken) < count {
		select {
		case message := <-m.taken:
			taken = append(taken, message)
		case <-time.After(time.Minute):
			log.Panicf("only %d of %d records came", len(taken), count)
		}
	}
	return taken
}

func (m *member) leave() {
	m.cancel()
	<-m.ended
	_ = m.group.Close() // a coordinator that is just gone does not hear of it; then the member is there until its session ends
}

// shares waits until the members have so many partitions each.
func shares(members []*member, want ...int) {
	got := make([]int, len(members))
	story.Until(fmt.Sprint("shares ", want), func() bool {
		for i, m := range members {
			select {
			case got[i] = <-m.claims:
			default:
			}
		}
		return slices.Equal(slices.Sorted(slices.Values(got)), want)
	})
	fmt.Println("shares", want)
}

func total() (sum int) {
	for _, end := range ends(sarama.OffsetNewest) {
		sum += int(end)
	}
	return sum
}

func groups() {
	fmt.Println("# groups")
	for _, strategy := range []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange(), sarama.NewBalanceStrategySticky()} {
		balance := func(c *sarama.Config) {
			c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
		}
		group := strategy.Name()
		first := join(group, balance)
		shares([]*member{first}, 3)
		fmt.Println("came", len(first.take(total())))
		second := join(group, balance)
		shares([]*member{first, second}, 1, 2)
		first.leave()
		shares([]*member{second}, 3)
		second.leave()
	}
	for range 2 {
		static := join("static", func(c *sarama.Config) { c.Consumer.Group.InstanceId = "one" })
		shares([]*member{static}, 3)
		static.leave()
	}
	a := admin()
	defer a.Close()
	described := story.Must(a.DescribeConsumerGroups([]string{"range", "static", "absent"}))
	slices.SortFunc(described, func(a, b *sarama.GroupDescription) int { return strings.Compare(a.GroupId, b.GroupId) })
	for _, d := range described {
		fmt.Println(d.GroupId, d.State, d.Protocol, d.ProtocolType, d.Err, len(d.Members))
		for _, m := range d.Members {
			fmt.Println("member", *m.GroupInstanceId, m.ClientHost)
		}
	}
	removed := story.Must(a.RemoveMemberFromConsumerGroup("static", []string{"one"}))
	fmt.Println("removed", removed.Err, removed.Members[0].Err)
	offsets := story.Must(a.ListConsumerGroupOffsets("range", map[string][]int32{topic: {0, 1, 2}}))
	for p := range int32(3) {
		fmt.Println("committed", offsets.GetBlock(topic, p).Offset, offsets.GetBlock(topic, p).Metadata)
	}
}

func crash() {
	fmt.Println("# a crash of the broker")
	survivor := join("survivor")
	producer := story.Must(sarama.NewSyncProducer(story.Servers(), config(func(c *sarama.Config) {
		c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
		c.Producer.Retry.Max, c.Metadata.Retry.Max = 300, 300
	})))
	places, different := map[string]bool{}, map[string]bool{}
	came := survivor.take(total())
	for half := range 2 {
		if half == 1 {
			story.Crash()
		}
		for i := range 100 {
			partition, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(fmt.Sprint(i)), Value: sarama.StringEncoder("v")})
			story.Check(err)
			places[fmt.Sprint(partition, offset)] = true
		}
		came = append(came, survivor.take(100)...)
		for _, m := range came {
			different[fmt.Sprint(m.Partition, m.Offset)] = true
		}
		fmt.Println("acknowledged", len(places), "different", len(different))
	}
	story.Check(producer.Close())
	survivor.leave()
}

func administration() {
	fmt.Println("# administration")
	a := admin()
	defer a.Close()
	var brokers []*sarama.Broker
	var controller int32
	story.Until("all brokers are there", func() (there bool) {
		var err error
		brokers, controller, err = a.DescribeCluster()
		return err == nil && len(brokers) == len(story.Servers())
	})
	fmt.Println("cluster", len(brokers), controller)
	for _, value := range []string{"7200000", "x"} {
		entries := map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}
		fmt.Println("configure", story.Outcome(a.IncrementalAlterConfig(sarama.TopicResource, topic, entries, false)))
	}
	limit := "2000000"
	fmt.Println("configure", story.Outcome(a.AlterConfig(sarama.TopicResource, topic, map[string]*string{"max.message.bytes": &limit}, false)))
	var entries []sarama.ConfigEntry
	story.Until("the limit is shown", func() bool { // another broker may show it a moment later
		entries = story.Must(a.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms", "max.message.bytes"}}))
		return slices.ContainsFunc(entries, func(e sarama.ConfigEntry) bool { return e.Value == limit })
	})
	slices.SortFunc(entries, func(a, b sarama.ConfigEntry) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range entries {
		fmt.Println(e.Name, e.Value, e.Source, len(e.Synonyms))
	}
	fmt.Println("delete records", story.Outcome(a.DeleteRecords(topic, map[int32]int64{0: 1})), ends(sarama.OffsetOldest))
	for _, group := range []string{"range", "sticky", "survivor", "absent"} {
		fmt.Println("delete group", group, story.Outcome(a.DeleteConsumerGroup(group)))
	}
	for _, name := range []string{topic, "absent"} {
		fmt.Println("delete", name, story.Outcome(a.DeleteTopic(name)))
	}
}
