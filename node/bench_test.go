package node

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

// BenchmarkProduceOne sends one record a request over one connection, and waits for each answer. The disk is memory.
func BenchmarkProduceOne(b *testing.B) {
	n, _, err := start(b, vfs.NewMem())
	if err != nil {
		b.Fatal(err)
	}
	defer n.Stop()
	c, err := kgo.NewClient(kgo.SeedBrokers(n.Addresses()["PLAINTEXT"]), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if err := c.ProduceSync(b.Context(), kgo.StringRecord("first")).FirstErr(); err != nil {
		b.Fatal(err)
	}
	batch := record.NewBuilder(record.BuilderOptions{})
	batch.Append(time.Now().UnixMilli(), []byte("key"), make([]byte, 1000))
	req := kmsg.NewPtrProduceRequest()
	topic, part := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	part.Records = batch.Build()
	topic.Topic, topic.Partitions = "t", append(topic.Partitions, part)
	req.Version, req.Acks, req.TimeoutMillis, req.Topics = 9, -1, 30000, append(req.Topics, topic)
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 7)
	conn, err := net.Dial("tcp", n.Addresses()["PLAINTEXT"])
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(frame); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer[:4]); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer[:binary.BigEndian.Uint32(answer)]); err != nil {
			b.Fatal(err)
		}
	}
}
