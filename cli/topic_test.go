package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTopicCreate(t *testing.T) {
	c := newCluster(t, kfake.DefaultNumPartitions(4))
	expect(t, c.weir("topic", "create", "a", "b", "a", "--partitions", "3", "--config", "retention.ms=1000", "--config", "cleanup.policy=compact"), 0, `
Created topic a with 3 partitions, replication factor 1.
Created topic b with 3 partitions, replication factor 1.
`, "")
	expect(t, c.weir("topic", "create", "default"), 0, "Created topic default with 4 partitions, replication factor 1.\n", "")
	expect(t, c.weir("topic", "create", "a", "--if-not-exists"), 0, "Topic a exists already.\n", "")
	expect(t, c.weir("topic", "create", "a", "new"), 1, "Created topic new with 4 partitions, replication factor 1.\n",
		"weir: Topic with this name already exists (TOPIC_ALREADY_EXISTS)\n")
	expect(t, c.weir("topic", "create", "a", "one", "--partitions", "1", "--if-not-exists", "-o", "json"), 0, `
[
  {
    "name": "one",
    "id": "<id>",
    "partitions": 1,
    "replication_factor": 1,
    "internal": false
  }
]
`, "")
}

func TestTopicCreateGivesTheBrokersMessage(t *testing.T) {
	c := newCluster(t)
	c.fake.ControlKey(int16(kmsg.CreateTopics), func(request kmsg.Request) (kmsg.Response, error, bool) {
		response := request.ResponseKind().(*kmsg.CreateTopicsResponse)
		for _, topic := range request.(*kmsg.CreateTopicsRequest).Topics {
			message := "Topic '" + topic.Topic + "' already exists.\n\x1b[31m"
			response.Topics = append(response.Topics, kmsg.CreateTopicsResponseTopic{
				Topic: topic.Topic, ErrorCode: kerr.TopicAlreadyExists.Code, ErrorMessage: &message})
		}
		return response, nil, true
	})
	expect(t, c.weir("topic", "create", "a", "b"), 1, "", `weir: Topic 'a' already exists. \x1b[31m; Topic 'b' already exists. \x1b[31m`+"\n")
}

func TestTopicList(t *testing.T) {
	c := newCluster(t)
	expect(t, c.weir("topic", "list"), 0, "TOPIC  PARTITIONS  REPLICATION-FACTOR\n", "")
	expect(t, c.weir("topic", "list", "-o", "json"), 0, "[]\n", "")
	c.topic("orders", 3)
	c.topic("a-topic-with-a-long-name", 12)
	c.topic("inside", 1, "kfake.is_internal", "true")
	expect(t, c.weir("topic", "list"), 0, `
TOPIC                     PARTITIONS  REPLICATION-FACTOR
a-topic-with-a-long-name  12          1
orders                    3           1
`, "")
	expect(t, c.weir("topic", "list", "--internal"), 0, `
TOPIC                     PARTITIONS  REPLICATION-FACTOR
a-topic-with-a-long-name  12          1
inside                    1           1
orders                    3           1
`, "")
}

func TestTopicDescribe(t *testing.T) {
	c := newCluster(t, kfake.NumBrokers(1))
	c.topic("orders", 2, "retention.ms", "1000", "cleanup.policy", "compact")
	c.topic("plain", 1)
	c.write("orders", "1 k v", "1 k v")
	got := c.weir("topic", "describe", "orders", "plain")
	expect(t, got, 0, `
Topic orders: 2 partitions, replication factor 1, id <id>
  cleanup.policy=compact
  retention.ms=1000
PARTITION  LEADER  EPOCH  REPLICAS  ISR  START  END
0          0       0      0         0    0      0
1          0       0      0         0    0      2

Topic plain: 1 partition, replication factor 1, id <id>
PARTITION  LEADER  EPOCH  REPLICAS  ISR  START  END
0          0       0      0         0    0      0
`, "")
	var topics []topicDescription
	if err := json.Unmarshal([]byte(c.weir("topic", "describe", "orders", "-o", "json").out), &topics); err != nil {
		t.Fatal(err)
	}
	zero, two, ms, policy := int64(0), int64(2), "1000", "compact"
	want := []topicDescription{{
		Name: "orders", ID: topics[0].ID, ReplicationFactor: 1,
		Configs:    []topicConfig{{"cleanup.policy", &policy, "topic"}, {"retention.ms", &ms, "topic"}},
		Partitions: []partitionPlacement{{0, 0, 0, []int32{0}, []int32{0}, &zero, &zero, ""}, {1, 0, 0, []int32{0}, []int32{0}, &zero, &two, ""}},
	}}
	if diff := cmp.Diff(want, topics); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTopicDescribeWithoutLeader(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 2)
	c.fake.KeepControl()
	c.fake.ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		response := request.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, topic := range request.(*kmsg.ListOffsetsRequest).Topics {
			answer := kmsg.ListOffsetsResponseTopic{Topic: topic.Topic}
			for _, p := range topic.Partitions {
				one := kmsg.NewListOffsetsResponseTopicPartition()
				one.Partition, one.Offset = p.Partition, 5
				if p.Partition == 1 {
					one.Offset, one.ErrorCode = -1, kerr.KafkaStorageError.Code
				}
				answer.Partitions = append(answer.Partitions, one)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
	expect(t, c.weir("topic", "describe", "orders", "--timeout", "1s"), 0, `
Topic orders: 2 partitions, replication factor 1, id <id>
PARTITION  LEADER  EPOCH  REPLICAS  ISR  START  END
0          0       0      0         0    5      5
1          0       0      0         0    -      -
`, "")
}

func TestTopicDelete(t *testing.T) {
	c := newCluster(t)
	for _, name := range []string{"a", "b", "orders"} {
		c.topic(name, 1)
	}
	expect(t, c.weir("topic", "delete", "a", "nothing", "--if-exists"), 0, "Deleted topic a.\nThere is no topic nothing.\n", "")
	expect(t, c.weir("topic", "delete", "b", "order"), 1, "Deleted topic b.\n", `weir: topic "order" does not exist: did you mean "orders"?`+"\n")
	expect(t, c.weir("topic", "delete", "orders", "-o", "json"), 0, "[\n  \"orders\"\n]\n", "")
	expect(t, c.weir("topic", "list", "-o", "json"), 0, "[]\n", "")
}

func TestUnknownTopicIsNotCreated(t *testing.T) {
	c := newCluster(t, kfake.AllowAutoTopicCreation())
	c.topic("orders", 1)
	for _, args := range [][]string{{"topic", "describe", "ordres"}, {"topic", "delete", "ordres"}, {"consume", "ordres"}, {"consume", "ordres", "--follow"}} {
		expect(t, c.weir(args...), 1, "", `weir: topic "ordres" does not exist: did you mean "orders"?`+"\n")
	}
	expect(t, c.weir("topic", "describe", "quite-different"), 1, "", "weir: topic \"quite-different\" does not exist: `weir topic list` shows those that do\n")
	expect(t, c.weir("topic", "list", "-o", "json"), 0, `
[
  {
    "name": "orders",
    "id": "<id>",
    "partitions": 1,
    "replication_factor": 1,
    "internal": false
  }
]
`, "")
}

func TestCompletion(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	c.topic("payments", 1)
	c.write("orders", "0 k v")
	if got := c.weir("consume", "orders", "--group", "billing"); got.code != 0 {
		t.Fatal(got)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"topic", "describe", ""}, "orders\npayments\n:4\n"},
		{[]string{"topic", "delete", "orders", ""}, "payments\n:4\n"},
		{[]string{"produce", "orders", ""}, ":4\n"},
		{[]string{"group", "describe", ""}, "billing\n:4\n"},
		{[]string{"consume", "orders", "--group", ""}, "billing\n:4\n"},
		{[]string{"topic", "create", ""}, ":4\n"},
		{[]string{"topic", "alter", "orders", ""}, "payments\n:4\n"},
		{[]string{"partition", "describe", ""}, "orders\npayments\n:4\n"},
		{[]string{"partition", "delete-records", "payments", ""}, "orders\n:4\n"},
		{[]string{"group", "reset-offsets", ""}, "billing\n:4\n"},
		{[]string{"group", "reset-offsets", "billing", ""}, ":4\n"},
		{[]string{"group", "reset-offsets", "billing", "--topic", ""}, "orders\npayments\n:4\n"},
		{[]string{"group", "reset-offsets", "billing", "--to", ""}, "earliest\nlatest\ncurrent\n:4\n"},
		{[]string{"group", "delete", ""}, "billing\n:4\n"},
		{[]string{"group", "delete-offsets", ""}, "billing\n:4\n"},
		{[]string{"config", "list", "--topic", ""}, "orders\npayments\n:4\n"},
		{[]string{"config", "list", "--group", ""}, "billing\n:4\n"},
		{[]string{"config", "list", "--broker", ""}, "0\n:4\n"},
		{[]string{"config", "get", ""}, ":4\n"},
	} {
		args := append([]string{"__complete", "-b", c.seed}, test.args...)
		got := weir(context.Background(), nil, args...)
		if got.out != test.want || got.code != 0 {
			t.Errorf("%q: got %q, exit code %d, want %q", test.args, got.out, got.code, test.want)
		}
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"config", "get", "--topic", "orders", ""}, "\nretention.ms\n"},
		{[]string{"config", "unset", "--broker", "0", ""}, "\nlog.retention.ms\n"},
		{[]string{"config", "set", "--cluster", ""}, "\nlog.retention.ms=\n"},
		{[]string{"topic", "alter", "orders", "--set", ""}, "\nretention.ms=\n"},
		{[]string{"topic", "alter", "orders", "--unset", ""}, "\nretention.ms\n"},
		{[]string{"topic", "create", "new", "--config", ""}, "\nretention.ms=\n"},
	} {
		got := weir(context.Background(), nil, append([]string{"__complete", "-b", c.seed}, test.args...)...)
		if !strings.Contains(got.out, test.want) || strings.HasSuffix(test.want, "=\n") != strings.HasSuffix(got.out, ":6\n") {
			t.Errorf("%q: got %q", test.args, got.out)
		}
	}
	if got := weir(context.Background(), nil, "__complete", "-b", "127.0.0.1:1", "topic", "describe", ""); got.out != ":4\n" {
		t.Errorf("without a broker: %q", got.out)
	}
}
