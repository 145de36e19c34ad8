package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// meaningful gives a request that asks for something that is there, for each API.
func meaningful(key int16, topic string, id [16]byte) kmsg.Request {
	switch req := kmsg.RequestForKey(key).(type) {
	case *kmsg.ProduceRequest:
		req.Acks, req.TimeoutMillis = -1, 1000
		t := kmsg.NewProduceRequestTopic()
		t.Topic, t.TopicID = topic, id
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = batch("hello")
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	case *kmsg.FetchRequest:
		req.MaxBytes, req.MinBytes, req.MaxWaitMillis = 1<<20, 1, 5000
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.TopicID = topic, id
		p := kmsg.NewFetchRequestTopicPartition()
		p.PartitionMaxBytes = 1 << 20
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	case *kmsg.ListOffsetsRequest:
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = -1
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	case *kmsg.MetadataRequest:
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &topic
		req.Topics = append(req.Topics, t)
		return req
	case *kmsg.OffsetCommitRequest:
		req.Group = "versions"
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, id
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Offset = 3
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	case *kmsg.OffsetFetchRequest:
		req.Group = "versions"
		req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: []int32{0}}}
		req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "versions", MemberEpoch: -1, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, TopicID: id, Partitions: []int32{0}}}}}
		return req
	case *kmsg.FindCoordinatorRequest:
		req.CoordinatorKey, req.CoordinatorKeys = "versions", []string{"versions"}
		return req
	case *kmsg.ApiVersionsRequest:
		req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1.0"
		return req
	default:
		return req
	}
}

// TestEveryVersionIsAnswered asks for something real in every version of every API that ApiVersions names, and checks the
// answers of those that carry data.
func TestEveryVersionIsAnswered(t *testing.T) {
	n := start(t, "offsets.topic.num.partitions=1")
	n.createTopic("versions", 1)
	n.newGroup() // makes the coordinator
	listed, err := n.ask(meaningful(18, "", [16]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	meta, err := kadm.NewClient(n.client()).ListTopics(ctx(t), "versions")
	if err != nil {
		t.Fatal(err)
	}
	id := [16]byte(meta["versions"].ID)
	asked, produced := 0, int64(0)
	for _, k := range listed.(*kmsg.ApiVersionsResponse).ApiKeys {
		for version := k.MinVersion; version <= k.MaxVersion; version++ {
			req := meaningful(k.ApiKey, "versions", id)
			req.SetVersion(version)
			resp, err := n.ask(req)
			if k.ApiKey == 0 && version < 3 {
				if err == nil {
					t.Errorf("B008 Produce %d is answered", version)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s %d: %v", kmsg.NameForKey(k.ApiKey), version, err)
				continue
			}
			asked++
			switch r := resp.(type) {
			case *kmsg.ProduceResponse:
				if p := r.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != produced {
					t.Errorf("Produce %d: %+v", version, p)
				}
				produced++
			case *kmsg.FetchResponse:
				if len(r.Topics) != 1 || r.Topics[0].Partitions[0].ErrorCode != 0 || !bytes.Contains(r.Topics[0].Partitions[0].RecordBatches, []byte("hello")) {
					t.Errorf("Fetch %d: %+v", version, r)
				}
			case *kmsg.ListOffsetsResponse:
				if p := r.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.Offset != produced {
					t.Errorf("ListOffsets %d: %+v", version, p)
				}
			case *kmsg.MetadataResponse:
				if len(r.Brokers) != nodes || r.Topics[0].ErrorCode != 0 || r.Topics[0].Partitions[0].Leader != 1 {
					t.Errorf("Metadata %d: %+v", version, r)
				}
			case *kmsg.OffsetCommitResponse:
				if code := r.Topics[0].Partitions[0].ErrorCode; code != 0 {
					t.Errorf("OffsetCommit %d: %+v", version, r)
				}
			case *kmsg.OffsetFetchResponse:
				got := int64(-9)
				if version < 8 {
					got = r.Topics[0].Partitions[0].Offset
				} else if r.Groups[0].ErrorCode == 0 {
					got = r.Groups[0].Topics[0].Partitions[0].Offset
				}
				if got != 3 {
					t.Errorf("OffsetFetch %d: %+v", version, r)
				}
			}
		}
	}
	t.Logf("%d versions of requests", asked)
}

// TestKRaftFileStartsANode starts a node with the server.properties that Kafka ships for one node, other ports aside.
func TestKRaftFileStartsANode(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	file := filepath.Join(dir, "server.properties")
	text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:9093
listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://127.0.0.1:%d
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=%s
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
`, port, port, filepath.Join(dir, "data"))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, address: fmt.Sprintf("127.0.0.1:%d", port), out: &output{}}
	n.cmd = exec.Command(weirBinary, "serve", "--config", file, "--set", "http.listener=")
	n.cmd.Stdout, n.cmd.Stderr = n.out, n.out
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer n.kill()
	c := n.client(kgo.DefaultProduceTopic("t"))
	if err := c.ProduceSync(ctx(t), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatalf("%v\n%s", err, n.out)
	}
	if said := n.out.String(); !strings.Contains(said, "have no effect here") || !strings.Contains(said, "num.io.threads") {
		t.Fatalf("options without effect are not named:\n%s", said)
	}
}
