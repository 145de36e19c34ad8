package cli

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestGroups(t *testing.T) {
	c := newCluster(t)
	expect(t, c.weir("group", "list"), 0, "GROUP  TYPE  STATE  COORDINATOR  LAG  TIME-LAG\n", "")
	expect(t, c.weir("group", "list", "-o", "json"), 0, "[]\n", "")
	c.topic("orders", 3)
	c.write("orders", "0 k 0", "0 k 1", "1 k 2 1700000000000")
	if got := c.weir("consume", "orders", "--group", "billing", "--max", "2"); got.code != 0 {
		t.Fatal(got)
	}
	c.write("orders", "1 k 3")
	expect(t, c.weir("group", "list"), 0, `
GROUP    TYPE     STATE  COORDINATOR  LAG  TIME-LAG
billing  classic  Empty  0            2    <age>
`, "")
	expect(t, c.weir("group", "describe", "billing", "billing"), 0, `
Group billing: Empty, classic, coordinator 0, 0 members
TOPIC   PARTITION  COMMITTED  END  LAG  TIME-LAG  MEMBER
orders  0          2          2    0    0s        -
orders  1          0          2    2    <age>     -
orders  2          0          0    0    0s        -
`, "")
	expect(t, c.weir("group", "describe", "billings"), 1, "", `weir: group "billings" does not exist: did you mean "billing"?`+"\n")
	expect(t, c.weir("group", "describe", "quite-different"), 1, "", "weir: group \"quite-different\" does not exist: `weir group list` shows those that do\n")
}

func TestGroupWithMembers(t *testing.T) {
	for _, test := range []struct {
		kind, head string
		opts       []kgo.Opt
	}{
		{"classic", "Group billing: Stable, classic, assignor range, coordinator 0, 1 member\n", []kgo.Opt{kgo.Balancers(kgo.RangeBalancer())}},
		{"consumer", "Group billing: Stable, consumer, assignor uniform, coordinator 0, 1 member\n", []kgo.Opt{kgo.ServerSideBalancer()}},
	} {
		t.Run(test.kind, func(t *testing.T) {
			c := newCluster(t)
			c.topic("orders", 2)
			c.write("orders", "0 k 0", "0 k 1 1700000000000")
			member := c.client(append(test.opts, kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"), kgo.ClientID("app"), kgo.DisableAutoCommit())...)
			if fetches := member.PollRecords(t.Context(), 1); fetches.Err() != nil {
				t.Fatal(fetches.Err())
			}
			if err := member.CommitUncommittedOffsets(t.Context()); err != nil {
				t.Fatal(err)
			}
			id, _ := member.GroupMetadata()
			if test.kind == "consumer" {
				c.describeMember("billing", id, "app", "orders", 0, 1)
			}
			got := c.weir("group", "describe", "billing")
			want := test.head + `MEMBER CLIENT-ID HOST ASSIGNED
` + id + ` app <address> orders:0,1
TOPIC PARTITION COMMITTED END LAG TIME-LAG MEMBER
orders 0 1 2 1 <age> ` + id + `
orders 1 - 0 - - ` + id + `
`
			words := ""
			for line := range strings.Lines(normal(got.out)) {
				words += strings.Join(strings.Fields(line), " ") + "\n"
			}
			if words != want || got.code != 0 {
				t.Errorf("got\n%s%s\nwant\n%s", words, got.err, want)
			}
		})
	}
}

func TestGroupOfAnotherType(t *testing.T) {
	c := newCluster(t)
	c.fake.ControlKey(int16(kmsg.ListGroups), func(request kmsg.Request) (kmsg.Response, error, bool) {
		response := request.ResponseKind().(*kmsg.ListGroupsResponse)
		response.Groups = []kmsg.ListGroupsResponseGroup{{Group: "jobs", GroupType: "Share", GroupState: "Empty"}}
		return response, nil, true
	})
	expect(t, c.weir("group", "describe", "jobs"), exitFailed, "",
		"weir: group \"jobs\": it is a share group; only classic and consumer groups have committed offsets that Weir can show and set\n")
}

// describeMember answers the description of a consumer group as Kafka does; kfake leaves out the names of topics.
func (c *cluster) describeMember(group, id, client, topic string, partitions ...int32) {
	c.fake.ControlKey(int16(kmsg.ConsumerGroupDescribe), func(request kmsg.Request) (kmsg.Response, error, bool) {
		assigned := kmsg.NewAssignmentTopicPartition()
		assigned.Topic, assigned.Partitions = topic, partitions
		m := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		m.MemberID, m.ClientID, m.ClientHost = id, client, "/127.0.0.1:1"
		m.Assignment.TopicPartitions = []kmsg.AssignmentTopicPartition{assigned}
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		g.Group, g.State, g.AssignorName = group, "Stable", "uniform"
		g.Members = []kmsg.ConsumerGroupDescribeResponseGroupMember{m}
		response := request.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
		response.Groups = []kmsg.ConsumerGroupDescribeResponseGroup{g}
		return response, nil, true
	})
}
