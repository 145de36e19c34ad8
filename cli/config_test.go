package cli

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTopicAlter(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 2, "retention.ms", "1000")
	c.topic("payments", 4)
	change := []string{"topic", "alter", "orders", "payments", "--partitions", "4", "--set", "retention.ms=1h30m", "--set", "segment.bytes=64MiB", "--unset", "cleanup.policy"}
	const changed = `
TOPIC     SETTING         BEFORE     AFTER
orders    partitions      2          4
orders    retention.ms    1000       5400000
orders    segment.bytes   104857600  67108864
orders    cleanup.policy  delete     delete
payments  partitions      4          4
payments  retention.ms    604800000  5400000
payments  segment.bytes   104857600  67108864
payments  cleanup.policy  delete     delete
`
	expect(t, c.weir(append(change, "--dry-run")...), 0, changed, "Nothing was changed: leaving out --dry-run does it.\n")
	expect(t, c.weir(append(change, "--dry-run")...), 0, changed, "Nothing was changed: leaving out --dry-run does it.\n") // it was so
	expect(t, c.weir(change...), 0, changed, "")
	expect(t, c.weir("topic", "alter", "orders", "--unset", "retention.ms", "--partitions", "5", "-o", "json"), 0, `
[
  {
    "topic": "orders",
    "name": "partitions",
    "before": "4",
    "after": "5"
  },
  {
    "topic": "orders",
    "name": "retention.ms",
    "before": "5400000",
    "after": "604800000"
  }
]
`, "")
	expect(t, c.weir("topic", "describe", "orders"), 0, `
Topic orders: 5 partitions, replication factor 1, id <id>
  segment.bytes=67108864
PARTITION  LEADER  EPOCH  REPLICAS  ISR  START  END
0          0       0      0         0    0      0
1          0       0      0         0    0      0
2          0       0      0         0    0      0
3          0       0      0         0    0      0
4          0       0      0         0    0      0
`, "")
}

func TestTopicAlterChangesAllOrNothing(t *testing.T) {
	c := newCluster(t)
	c.topic("orders", 4)
	before := c.weir("topic", "describe", "orders").out
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--partitions", "2", "--set", "retention.ms=1"}, `topic "orders" has 4 partitions: partitions can be added, not taken away`},
		{[]string{"--partitions", "9", "--set", "retention.m=1"}, `topic "orders" has no configuration "retention.m": did you mean "retention.ms"?`},
		{[]string{"--partitions", "9", "--set", "bogus=1"}, "topic \"orders\" has no configuration \"bogus\": `weir config list --all` shows those that there are"},
	} {
		expect(t, c.weir(append([]string{"topic", "alter", "orders"}, test.args...)...), exitFailed, "", "weir: "+test.want+"\n")
	}
	// The cluster refuses the partitions: the configuration must not be set either.
	c.fake.ControlKey(int16(kmsg.CreatePartitions), func(request kmsg.Request) (kmsg.Response, error, bool) {
		message := "Too many."
		response := request.ResponseKind().(*kmsg.CreatePartitionsResponse)
		response.Topics = []kmsg.CreatePartitionsResponseTopic{{Topic: "orders", ErrorCode: kerr.PolicyViolation.Code, ErrorMessage: &message}}
		return response, nil, true
	})
	expect(t, c.weir("topic", "alter", "orders", "--partitions", "9", "--set", "retention.ms=1"), exitFailed, "", "weir: topic \"orders\": Too many.\n")
	if after := c.weir("topic", "describe", "orders").out; after != before {
		t.Errorf("before\n%safter\n%s", before, after)
	}
}

func TestConfig(t *testing.T) {
	c := newCluster(t, kfake.NumBrokers(2))
	c.topic("orders", 1)
	expect(t, c.weir("config", "list", "--topic", "orders"), 0, "NAME  VALUE  SOURCE\n", "")
	set := []string{"config", "set", "retention.ms=7d", "max.message.bytes=1MiB", "--topic", "orders"}
	const changed = `
TOPIC   SETTING            BEFORE     AFTER
orders  retention.ms       604800000  604800000
orders  max.message.bytes  1048588    1048576
`
	expect(t, c.weir(append(set, "--dry-run")...), 0, changed, "Nothing was changed: leaving out --dry-run does it.\n")
	expect(t, c.weir("config", "list", "--topic", "orders"), 0, "NAME  VALUE  SOURCE\n", "")
	expect(t, c.weir(set...), 0, changed, "")
	expect(t, c.weir("config", "list", "--topic", "orders"), 0, `
NAME               VALUE      SOURCE
max.message.bytes  1048576    topic
retention.ms       604800000  topic
`, "")
	expect(t, c.weir("config", "get", "retention.ms", "--topic", "orders", "-o", "json"), 0, `
[
  {
    "name": "retention.ms",
    "value": "604800000",
    "source": "topic",
    "secret": false,
    "read_only": false,
    "synonyms": [
      {
        "name": "retention.ms",
        "value": "604800000",
        "source": "default"
      }
    ]
  }
]
`, "")
	expect(t, c.weir("config", "get", "retention.ms", "--topic", "orders", "--all"), 0, `
NAME          VALUE      SOURCE  SYNONYMS
retention.ms  604800000  topic   default:retention.ms=604800000
`, "")
	expect(t, c.weir("config", "unset", "max.message.bytes", "--topic", "orders"), 0, `
TOPIC   SETTING            BEFORE   AFTER
orders  max.message.bytes  1048576  1048588
`, "")
	expect(t, c.weir("config", "set", "compression.type=gzip", "--broker", "1"), 0, `
SETTING           BEFORE    AFTER
compression.type  producer  gzip
`, "")
}

func TestConfigRefuses(t *testing.T) {
	c := newCluster(t, kfake.NumBrokers(2))
	c.topic("orders", 1)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"list", "--topic", "ordres"}, `topic "ordres" does not exist: did you mean "orders"?`},
		{[]string{"get", "retention", "--topic", "orders"}, `topic "orders" has no configuration "retention": did you mean "retention.ms"?`},
		{[]string{"set", "retentoin.ms=1", "--topic", "orders"}, `topic "orders" has no configuration "retentoin.ms": did you mean "retention.ms"?`},
		{[]string{"unset", "compresion.type", "--broker", "1"}, `broker 1 has no configuration "compresion.type": did you mean "compression.type"?`},
		{[]string{"set", "compresion.type=gzip", "--cluster"}, `the cluster has no configuration "compresion.type": did you mean "compression.type"?`},
		{[]string{"list", "--broker", "7"}, "broker 7 does not exist: there is 0,1"},
	} {
		expect(t, c.weir(append([]string{"config"}, test.args...)...), exitFailed, "", "weir: "+test.want+"\n")
	}
}

// described answers DescribeConfigs with these configurations, and with sources that kfake does not have.
func (c *cluster) described(configs ...kmsg.DescribeConfigsResponseResourceConfig) {
	c.fake.ControlKey(int16(kmsg.DescribeConfigs), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		asked := request.(*kmsg.DescribeConfigsRequest).Resources[0]
		r := kmsg.NewDescribeConfigsResponseResource()
		r.ResourceType, r.ResourceName, r.Configs = asked.ResourceType, asked.ResourceName, configs
		response := request.ResponseKind().(*kmsg.DescribeConfigsResponse)
		response.Resources = []kmsg.DescribeConfigsResponseResource{r}
		return response, nil, true
	})
}

func configured(name string, value *string, source kmsg.ConfigSource, synonyms ...kmsg.DescribeConfigsResponseResourceConfigConfigSynonym) kmsg.DescribeConfigsResponseResourceConfig {
	config := kmsg.NewDescribeConfigsResponseResourceConfig()
	config.Name, config.Value, config.Source, config.IsSensitive, config.ConfigSynonyms = name, value, source, value == nil, synonyms
	return config
}

func synonym(name, value string, source kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	s.Name, s.Value, s.Source = name, &value, source
	return s
}

func TestConfigSources(t *testing.T) {
	c := newCluster(t)
	text := func(s string) *string { return &s }
	c.described(
		configured("ssl.key.password", nil, kmsg.ConfigSourceStaticBrokerConfig),
		configured("log.retention.ms", text("1000"), kmsg.ConfigSourceDynamicBrokerConfig,
			synonym("log.retention.ms", "1000", kmsg.ConfigSourceDynamicBrokerConfig),
			synonym("log.retention.hours", "168", kmsg.ConfigSourceDefaultConfig)),
		configured("log.flush.interval.ms", text("5"), kmsg.ConfigSourceDynamicBrokerConfig,
			synonym("log.flush.interval.ms", "5", kmsg.ConfigSourceDynamicBrokerConfig),
			synonym("log.flush.interval.ms", "6", kmsg.ConfigSourceDynamicDefaultBrokerConfig)),
		configured("flush.ms", text("5"), kmsg.ConfigSourceDynamicBrokerConfig),
		configured("listeners", text("PLAINTEXT://:9092\x1b[31m"), kmsg.ConfigSourceDefaultConfig),
	)
	expect(t, c.weir("config", "list", "--broker", "0"), 0, `
NAME                   VALUE     SOURCE
flush.ms               5         broker
log.flush.interval.ms  5         broker
log.retention.ms       1000      broker
ssl.key.password       (secret)  file
`, "")
	expect(t, c.weir("config", "get", "listeners", "--broker", "0"), 0, "NAME       VALUE                      SOURCE\nlisteners  PLAINTEXT://:9092\\x1b[31m  default\n", "")
	c.fake.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(request kmsg.Request) (kmsg.Response, error, bool) {
		asked := request.(*kmsg.IncrementalAlterConfigsRequest).Resources[0]
		r := kmsg.NewIncrementalAlterConfigsResponseResource()
		r.ResourceType, r.ResourceName = asked.ResourceType, asked.ResourceName
		response := request.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		response.Resources = []kmsg.IncrementalAlterConfigsResponseResource{r}
		return response, nil, true
	})
	expect(t, c.weir("config", "unset", "log.retention.ms", "log.flush.interval.ms", "flush.ms", "ssl.key.password", "--broker", "0"), 0, `
SETTING                BEFORE    AFTER
log.retention.ms       1000      604800000
log.flush.interval.ms  5         6
flush.ms               5         (default)
ssl.key.password       (secret)  (secret)
`, "")
}

func TestPlainValue(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"retention.ms", "7d", "604800000"},
		{"retention.ms", "1h30m", "5400000"},
		{"retention.ms", "-1", "-1"},
		{"retention.ms", "1000", "1000"},
		{"retention.ms", "soon", "soon"},
		{"retention.bytes", "1GiB", "1073741824"},
		{"segment.bytes", "512KiB", "524288"},
		{"segment.bytes", "1GB", "1GB"},
		{"segment.bytes", "9999999999TiB", "9999999999TiB"},
		{"log.retention.hours", "7d", "7d"},
		{"cleanup.policy", "1d", "1d"},
	} {
		if got := plainValue(test.name, test.value); got != test.want {
			t.Errorf("%s=%s became %s, want %s", test.name, test.value, got, test.want)
		}
	}
}
