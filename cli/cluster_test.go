package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// logDirs answers DescribeLogDirs: one directory with a partition of a topic, and one that has failed.
func (c *cluster) logDirs(topic string, partition int32, size int64) {
	c.fake.ControlKey(int16(kmsg.DescribeLogDirs), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		good := kmsg.NewDescribeLogDirsResponseDir()
		good.Dir, good.TotalBytes, good.UsableBytes = "/data", 1<<40, 1<<30
		good.Topics = []kmsg.DescribeLogDirsResponseDirTopic{{Topic: topic, Partitions: []kmsg.DescribeLogDirsResponseDirTopicPartition{{Partition: partition, Size: size}}}}
		failed := kmsg.NewDescribeLogDirsResponseDir()
		failed.Dir, failed.ErrorCode = "/failed", kerr.KafkaStorageError.Code
		response := request.ResponseKind().(*kmsg.DescribeLogDirsResponse)
		response.Dirs = []kmsg.DescribeLogDirsResponseDir{good, failed}
		return response, nil, true
	})
}

func TestClusterInfo(t *testing.T) {
	c := newCluster(t, kfake.NumBrokers(1), kfake.ClusterID("the-cluster"))
	c.topic("orders", 3)
	c.logDirs("orders", 1, 4096)
	c.write("orders", "0 k v")
	if got := c.weir("consume", "orders", "--group", "billing"); got.code != 0 {
		t.Fatal(got)
	}
	got := c.weir("cluster", "info")
	if got.code != 0 || got.err != "" {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{
		"Cluster the-cluster: 1 broker, controller 0, 1 topic, 3 partitions, 1 group\n0 partitions without a leader, 0 under-replicated\n",
		"\n0 <address> krack 3 3 /data 4.0KiB 1.0GiB",
		"\n0 <address> krack 3 3 /failed KAFKA_STORAGE_ERROR -",
	} {
		if !strings.Contains(words(normal(got.out)), want) {
			t.Errorf("%s\ndoes not say %q", words(normal(got.out)), want)
		}
	}
	var info clusterInfo
	if err := json.Unmarshal([]byte(c.weir("cluster", "info", "-o", "json").out), &info); err != nil {
		t.Fatal(err)
	}
	if info.ID != "the-cluster" || info.Partitions != 3 || *info.Groups != 1 || len(info.Brokers) != 1 || len(info.Brokers[0].LogDirs) != 2 || *info.Brokers[0].LogDirs[0].Usable != 1<<30 {
		t.Errorf("%+v", info)
	}
}

// TestClusterInfoWithoutRights leaves out what the cluster does not tell.
func TestClusterInfoWithoutRights(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 1)
	for _, key := range []kmsg.Key{kmsg.DescribeLogDirs, kmsg.ListGroups} {
		c.fake.ControlKey(int16(key), func(request kmsg.Request) (kmsg.Response, error, bool) {
			c.fake.KeepControl()
			switch response := request.ResponseKind().(type) {
			case *kmsg.DescribeLogDirsResponse:
				response.ErrorCode = kerr.ClusterAuthorizationFailed.Code
				return response, nil, true
			case *kmsg.ListGroupsResponse:
				response.ErrorCode = kerr.ClusterAuthorizationFailed.Code
				return response, nil, true
			}
			return nil, nil, false
		})
	}
	got := c.weir("cluster", "info")
	if got.code != 0 || !strings.Contains(words(normal(got.out)), "1 topic, 1 partition\n") || !strings.Contains(words(normal(got.out)), "\n0 <address> krack 1 1 - - -") {
		t.Errorf("%+v", got)
	}
}

func TestKafkaRelease(t *testing.T) {
	for guess, want := range map[string]string{"v4.1": "v4.1", "at least v4.3": ">=v4.3", "between v0.9.0 and v0.10.0": "", "unknown custom version": ""} {
		if got := kafkaRelease(guess); got != want {
			t.Errorf("%q: %q, want %q", guess, got, want)
		}
	}
}

func TestPartitionDescribe(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 2)
	c.write("orders", "1 k v", "1 k v")
	c.logDirs("orders", 1, 2048)
	c.fake.ControlKey(int16(kmsg.DescribeProducers), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		response := request.ResponseKind().(*kmsg.DescribeProducersResponse)
		for _, topic := range request.(*kmsg.DescribeProducersRequest).Topics {
			answer := kmsg.DescribeProducersResponseTopic{Topic: topic.Topic}
			for _, id := range topic.Partitions {
				p := kmsg.NewDescribeProducersResponseTopicPartition()
				p.Partition = id
				if id == 1 {
					active := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
					active.ProducerID, active.ProducerEpoch, active.LastSequence, active.LastTimestamp = 9, 2, 41, 1_700_000_000_000
					active.CurrentTxnStartOffset = 1
					p.ActiveProducers = append(p.ActiveProducers, active)
				}
				answer.Partitions = append(answer.Partitions, p)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
	expect(t, c.weir("partition", "describe", "orders"), 0, `
TOPIC   PARTITION  LEADER  EPOCH  REPLICAS  ISR  START  STABLE  END
orders  0          0       0      0         0    0      0       0
orders  1          0       0      0         0    0      2       2

TOPIC   PARTITION  BROKER  SIZE    OFFSET-LAG  DIR
orders  1          0       2.0KiB  0           /data

TOPIC   PARTITION  PRODUCER-ID  EPOCH  LAST-SEQUENCE  LAST-WRITE                TRANSACTION-START
orders  1          9            2      41             2023-11-14T22:13:20.000Z  1
`, "")
	expect(t, c.weir("partition", "describe", "orders:0", "-o", "json"), 0, `
[
  {
    "topic": "orders",
    "partition": 0,
    "leader": 0,
    "leader_epoch": 0,
    "replicas": [
      0
    ],
    "isr": [
      0
    ],
    "start_offset": 0,
    "end_offset": 0,
    "last_stable_offset": 0,
    "logs": null,
    "producers": []
  }
]
`, "")
	expect(t, c.weir("partition", "describe", "ordres"), exitFailed, "", `weir: topic "ordres" does not exist: did you mean "orders"?`+"\n")
	expect(t, c.weir("partition", "describe", "orders:2"), exitFailed, "", `weir: topic "orders" has no partition 2: it has 2 partitions`+"\n")
}

func TestPartitionDeleteRecords(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 2)
	c.write("orders", "0 k 0 1700000000000", "0 k 1 1700000001000", "0 k 2 1700000002000", "1 k 3 1700000003000")
	const plan = `
TOPIC   PARTITION  START  END  DELETE-BEFORE  OFFSETS  NOTE
orders  0          0      3    2              2        -
orders  1          0      1    1              1        2 is beyond the end
`
	expect(t, c.weir("partition", "delete-records", "orders", "--before", "2"), 0, plan, dryRun)
	expect(t, c.weir("partition", "delete-records", "orders", "--before", "2", "--execute"), 0, plan, "")
	expect(t, c.weir("partition", "delete-records", "orders", "--before", "1"), 0, `
TOPIC   PARTITION  START  END  DELETE-BEFORE  OFFSETS  NOTE
orders  0          2      3    2              0        1 is before the start
orders  1          1      1    1              0        -
`, dryRun)
	expect(t, c.weir("partition", "delete-records", "orders:0", "--before", "2023-11-14T22:13:22.001Z", "-o", "json"), 0, `
[
  {
    "topic": "orders",
    "partition": 0,
    "start_offset": 2,
    "end_offset": 3,
    "delete_before": 3,
    "note": "no record is that new: the end"
  }
]
`, dryRun)
	c.fake.ControlKey(int16(kmsg.DeleteRecords), func(request kmsg.Request) (kmsg.Response, error, bool) {
		p := kmsg.NewDeleteRecordsResponseTopicPartition()
		p.ErrorCode = kerr.PolicyViolation.Code
		response := request.ResponseKind().(*kmsg.DeleteRecordsResponse)
		response.Topics = []kmsg.DeleteRecordsResponseTopic{{Topic: "orders", Partitions: []kmsg.DeleteRecordsResponseTopicPartition{p}}}
		return response, nil, true
	})
	expect(t, c.weir("partition", "delete-records", "orders:0", "--before", "end", "--execute"), exitFailed, "",
		"weir: topic \"orders\" is compacted: records can only be deleted where cleanup.policy includes delete\n")
}

// TestTimeLagPassesOverMarkers: what a transaction's end leaves in a log is nothing that a group is waiting for.
func TestTimeLagPassesOverMarkers(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 2)
	c.write("orders", "0 k v")
	transact := func(partition int32) {
		client := c.client(kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: partition, Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	transact(0)
	c.write("orders", "0 k v 1700000000000")
	transact(1)
	// Partition 0: a record, one of a transaction, its marker, a record. Partition 1: one of a transaction, its marker.
	if got := c.weirWith(t.Context(), "orders,0,2\norders,1,1\n", "group", "reset-offsets", "billing", "--from-file", "-", "--execute"); got.code != 0 {
		t.Fatal(got)
	}
	got := c.weir("group", "describe", "billing")
	for _, want := range []string{"orders 0 2 4 2 <age> -\n", "orders 1 1 2 1 0s -\n"} {
		if !strings.Contains(words(normal(got.out)), want) {
			t.Errorf("%s\ndoes not say %q", words(normal(got.out)), want)
		}
	}
}

// TestTimeLagIsUnknown: where the leader does not give the record, its age is not made up.
func TestTimeLagIsUnknown(t *testing.T) {
	c := billing(t)
	c.fake.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		response := request.ResponseKind().(*kmsg.FetchResponse)
		response.ErrorCode = kerr.UnknownServerError.Code
		return response, nil, true
	})
	if got := c.weir("group", "describe", "billing"); got.code != 0 || !strings.Contains(words(got.out), "orders 0 2 3 1 - -\n") {
		t.Errorf("%+v", got)
	}
	expect(t, c.weir("group", "list"), 0, `
GROUP    TYPE     STATE  COORDINATOR  LAG  TIME-LAG
billing  classic  Empty  0            3    -
`, "")
}

// TestLagOfDeletedTopic: offsets of a topic that is gone have no lag, and can still be forgotten.
func TestLagOfDeletedTopic(t *testing.T) {
	named := kversion.Stable()
	named.SetMaxKeyVersion(int16(kmsg.OffsetFetch), 9) // later ones have the ids of topics, and a topic that is gone has none
	c := billing(t, kfake.MaxVersions(named))
	c.fake.ControlKey(int16(kmsg.OffsetFetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		p.Offset = 7
		response := request.ResponseKind().(*kmsg.OffsetFetchResponse)
		response.Groups = []kmsg.OffsetFetchResponseGroup{{Group: "billing", Topics: []kmsg.OffsetFetchResponseGroupTopic{
			{Topic: "gone", Partitions: []kmsg.OffsetFetchResponseGroupTopicPartition{p}}}}}
		return response, nil, true
	})
	expect(t, c.weir("group", "describe", "billing"), 0, `
Group billing: Empty, classic, coordinator 0, 0 members
TOPIC  PARTITION  COMMITTED  END  LAG  TIME-LAG  MEMBER
gone   0          7          -    -    -         -
`, "")
	expect(t, c.weir("group", "list"), 0, `
GROUP    TYPE     STATE  COORDINATOR  LAG  TIME-LAG
billing  classic  Empty  0            -    -
`, "")
	expect(t, c.weir("group", "reset-offsets", "billing", "--to", "latest"), exitFailed, "",
		"weir: topic \"gone\" does not exist: `weir topic list` shows those that do\n")
}

func TestAgeText(t *testing.T) {
	for ms, want := range map[int64]string{0: "0s", 350: "350ms", 9999: "9.999s", 12345: "12s", 3_600_000: "1h0m0s", 172_799_999: "47h59m59s", 172_800_000: "2d", 86_400_000_000: "1000d"} {
		if got := ageText(&ms); got != want {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	}
	if got := ageText(nil); got != "" {
		t.Errorf("unknown: %q", got)
	}
}
