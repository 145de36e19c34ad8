package test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// external is the address of a broker to test in place of Weir, as host:port: Apache Kafka, to prove that a test is right.
// Tests that need a node to themselves are then left out. The broker must be on this machine, have the sharedOptions, and to
// be as quick: log.initial.task.delay.ms, log.segment.delete.delay.ms and producer.id.expiration.check.interval.ms of 100.
var external = os.Getenv("WEIR_TEST_BOOTSTRAP")

// sharedOptions are those of the node that most tests share.
var sharedOptions = []string{
	"group.initial.rebalance.delay.ms=0",
	"group.max.size=4",
	"log.retention.check.interval.ms=100",
	"offsets.topic.num.partitions=4",
}

// orKafka gives the code that is expected where Weir answers other than Apache Kafka does, on purpose.
func orKafka(weir, kafka int16) int16 {
	if external != "" {
		return kafka
	}
	return weir
}

// theShared is the node that tests share; it runs from the first one that wants it to the end.
var theShared struct {
	once sync.Once
	node *node
}

// shared gives a node that other tests use, too: what a test makes there must have names of its own (see unique), and the
// test must leave the node's configuration as it was.
func shared(t *testing.T) *node {
	t.Helper()
	if external != "" {
		return &node{t: t, address: external}
	}
	theShared.once.Do(func() {
		n := &node{t: t, dir: filepath.Join(filepath.Dir(weirBinary), "shared"), address: fmt.Sprintf("127.0.0.1:%d", freePort(t)), options: sharedOptions}
		n.begin()
		theShared.node = n
	})
	if theShared.node == nil {
		t.Fatal("the shared node did not start")
	}
	t.Cleanup(func() {
		if lines := strings.Split(theShared.node.out.String(), "\n"); t.Failed() {
			t.Logf("the shared node said:\n%s", strings.Join(lines[max(0, len(lines)-10):], "\n"))
		}
	})
	return &node{t: t, dir: theShared.node.dir, address: theShared.node.address, beside: theShared.node.beside}
}

// stopShared ends the shared node, if it was started.
func stopShared() {
	if theShared.node != nil {
		for _, m := range theShared.node.cluster() {
			m.kill()
		}
	}
}

var (
	run   = strconv.FormatInt(time.Now().Unix()%1_000_000, 36)
	named atomic.Int64
)

// unique gives a name that nothing has, now or in another run.
func unique(prefix string) string { return fmt.Sprintf("%s-%s-%d", prefix, run, named.Add(1)) }

// until waits for something that must come true soon.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// topic is a topic that a test made for itself.
type topic struct {
	n    *node
	name string
	id   [16]byte
}

// newTopic makes a topic under a new name, whose partitions are led when it returns.
func (n *node) newTopic(partitions int32, configs ...string) topic {
	n.t.Helper()
	return n.namedTopic(unique("topic"), partitions, configs...)
}

func (n *node) namedTopic(name string, partitions int32, configs ...string) topic {
	n.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 10_000
	req.Topics = append(req.Topics, wantTopic(name, partitions, configs...))
	made := mustAsk[*kmsg.CreateTopicsResponse](n, req, 7).Topics[0]
	if made.ErrorCode != 0 {
		n.t.Fatalf("creating %s: %s", name, describe(made.ErrorCode, made.ErrorMessage))
	}
	to := topic{n: n, name: name, id: made.TopicID}
	for p := range partitions {
		until(n.t, fmt.Sprintf("%s-%d is led", name, p), func() bool { return to.listOffset(p, -1).ErrorCode == 0 })
	}
	return to
}

// wantTopic asks for a topic that the first node leads.
func wantTopic(name string, partitions int32, configs ...string) kmsg.CreateTopicsRequestTopic {
	want := plainTopic(name, partitions, configs...)
	if nodes > 1 {
		want.NumPartitions, want.ReplicationFactor, want.ReplicaAssignment = -1, -1, placed(partitions)
	}
	return want
}

// plainTopic asks for a topic with one replica of each partition.
func plainTopic(name string, partitions int32, configs ...string) kmsg.CreateTopicsRequestTopic {
	want := kmsg.NewCreateTopicsRequestTopic()
	want.Topic, want.NumPartitions, want.ReplicationFactor = name, partitions, 1
	for _, kv := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		key, value, _ := strings.Cut(kv, "=")
		c.Name, c.Value = key, &value
		want.Configs = append(want.Configs, c)
	}
	return want
}

// describe says an error of an answer.
func describe(code int16, message *string) string {
	text := fmt.Sprint(code)
	if e := kerr.ErrorForCode(code); e != nil {
		var ke *kerr.Error
		if errors.As(e, &ke) {
			text = fmt.Sprintf("%d %s", code, ke.Message)
		}
	}
	if message != nil {
		text += ": " + *message
	}
	return text
}

// mustAsk sends one request of an exact version and wants an answer.
func mustAsk[R kmsg.Response](n *node, req kmsg.Request, version int16) R {
	n.t.Helper()
	req.SetVersion(version)
	resp, err := n.ask(req)
	if err != nil {
		n.t.Fatalf("%s %d: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	return resp.(R)
}

// ask sends one request on a connection of its own and decodes the answer.
func (n *node) ask(req kmsg.Request) (kmsg.Response, error) {
	c, err := n.dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ask(req)
}

// conn is a connection to the node.
type conn struct{ net.Conn }

func (n *node) dial() (conn, error) {
	c, err := net.Dial("tcp", n.address)
	if err != nil {
		return conn{}, err
	}
	return conn{c}, c.SetDeadline(time.Now().Add(20 * time.Second))
}

func (c conn) ask(req kmsg.Request) (kmsg.Response, error) {
	if _, err := c.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, 42)); err != nil {
		return nil, err
	}
	return c.answer(req)
}

// answer reads the answer to a request with the correlation id 42.
func (c conn) answer(req kmsg.Request) (kmsg.Response, error) {
	body, err := c.frame()
	if err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	if len(body) < 5 || body[3] != 42 {
		return nil, fmt.Errorf("an answer without the request's correlation id: %x", body)
	}
	body = body[4:]
	if resp.IsFlexible() && req.Key() != 18 {
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

// frame reads one frame.
func (c conn) frame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c, body)
	return body, err
}

// newGroup gives a new group's name whose coordinator answers.
func (n *node) newGroup() string {
	n.t.Helper()
	name := unique("group")
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{name}
	offsets := kmsg.NewPtrOffsetFetchRequest()
	offsets.Groups = []kmsg.OffsetFetchRequestGroup{{Group: name, MemberEpoch: -1}}
	until(n.t, "there is a coordinator", func() bool {
		return mustAsk[*kmsg.FindCoordinatorResponse](n, find, 4).Coordinators[0].ErrorCode == 0 &&
			(mustAsk[*kmsg.OffsetFetchResponse](n, offsets, 8).Groups[0].ErrorCode == 0 || nodes > 1)
	})
	if nodes > 1 {
		n.leadGroups()
		until(n.t, "the coordinator is there", func() bool { return mustAsk[*kmsg.OffsetFetchResponse](n, offsets, 8).Groups[0].ErrorCode == 0 })
	}
	return name
}

// setBroker sets a dynamic option of a broker, or of all with the name "", and takes it back when the test ends.
func (n *node) setBroker(t *testing.T, broker, key, value string) {
	t.Helper()
	if got := n.alter(4, broker, change{key, 0, &value}); got.ErrorCode != 0 {
		t.Fatalf("setting %s: %s", key, describe(got.ErrorCode, got.ErrorMessage))
	}
	t.Cleanup(func() { n.alter(4, broker, change{key, 1, nil}) })
}

// change is one of IncrementalAlterConfigs: op is 0 to set, 1 to delete, 2 to append, 3 to subtract.
type change struct {
	key   string
	op    kmsg.IncrementalAlterConfigOp
	value *string
}

// alter changes the dynamic configuration of one resource.
func (n *node) alter(kind kmsg.ConfigResourceType, name string, changes ...change) kmsg.IncrementalAlterConfigsResponseResource {
	n.t.Helper()
	return mustAsk[*kmsg.IncrementalAlterConfigsResponse](n, alterRequest(kind, name, changes...), 1).Resources[0]
}

func alterRequest(kind kmsg.ConfigResourceType, name string, changes ...change) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, name
	for _, c := range changes {
		set := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		set.Name, set.Op, set.Value = c.key, c.op, c.value
		res.Configs = append(res.Configs, set)
	}
	req.Resources = append(req.Resources, res)
	return req
}

// deleteRecords deletes the records of the first partition before an offset.
func (to topic) deleteRecords(before int64) kmsg.DeleteRecordsResponseTopicPartition {
	to.n.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 10_000
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = to.name
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Offset = before
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return mustAsk[*kmsg.DeleteRecordsResponse](to.n, req, 2).Topics[0].Partitions[0]
}
