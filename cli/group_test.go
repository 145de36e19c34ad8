package cli

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestGroups(t *testing.T) {
	c := newCluster(t)
	expect(t, c.weir("group", "list"), 0, "GROUP  TYPE  STATE  COORDINATOR\n", "")
	expect(t, c.weir("group", "list", "-o", "json"), 0, "[]\n", "")
	c.topic("orders", 3)
	c.write("orders", "0 k 0", "0 k 1", "1 k 2")
	if got := c.weir("consume", "orders", "--group", "billing", "--max", "2"); got.code != 0 {
		t.Fatal(got)
	}
	c.write("orders", "1 k 3")
	expect(t, c.weir("group", "list"), 0, `
GROUP    TYPE     STATE  COORDINATOR
billing  classic  Empty  0
`, "")
	expect(t, c.weir("group", "describe", "billing", "billing"), 0, `
Group billing: Empty, classic, coordinator 0, 0 members
TOPIC   PARTITION  COMMITTED  END  LAG  MEMBER
orders  0          2          2    0    -
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
			c.write("orders", "0 k 0", "0 k 1")
			member := c.client(append(test.opts, kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"), kgo.ClientID("app"), kgo.DisableAutoCommit())...)
			if fetches := member.PollRecords(t.Context(), 1); fetches.Err() != nil {
				t.Fatal(fetches.Err())
			}
			if err := member.CommitUncommittedOffsets(t.Context()); err != nil {
				t.Fatal(err)
			}
			id, _ := member.GroupMetadata()
			got := c.weir("group", "describe", "billing")
			want := test.head + `MEMBER` + spaces(len(id)-4) + `CLIENT-ID  HOST       ASSIGNED
` + id + `  app        127.0.0.1  orders:0,1
TOPIC   PARTITION  COMMITTED  END  LAG  MEMBER
orders  0          1          2    1    ` + id + `
orders  1          -          0    -    ` + id + `
`
			if got.out != want || got.code != 0 {
				t.Errorf("got\n%s%s\nwant\n%s", got.out, got.err, want)
			}
		})
	}
}

func spaces(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = ' '
	}
	return string(b)
}
