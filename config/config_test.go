package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestTables(t *testing.T) {
	for name, table := range map[string]*Table{"broker": BrokerOptions(), "topic": TopicOptions(), "group": GroupOptions()} {
		if !slices.IsSortedFunc(table.Options, func(a, b *Option) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%s.tsv is not sorted", name)
		}
		if len(table.byName) != len(table.Options) {
			t.Errorf("%s.tsv names an option twice", name)
		}
		for _, o := range table.Options {
			if o.Type == 0 {
				t.Errorf("%s: unknown type", o.Name)
			}
			if o.Used && o.Doc == "" {
				t.Errorf("%s has an effect and no meaning", o.Name)
			}
			if o.Default != nil && !(*o.Default == "" && len(o.Allowed) == 0) {
				if err := o.Check(*o.Default); err != nil {
					t.Errorf("the default of %s: %v", o.Name, err)
				}
			}
			for _, s := range o.Synonyms {
				if name == "topic" && BrokerOptions().Find(s) == nil {
					t.Errorf("%s: synonym %s is not known", o.Name, s)
				}
			}
		}
	}
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		if name, ok := fields.Field(i).Tag.Lookup("option"); ok {
			if o := BrokerOptions().Find(name); o == nil || !o.Used {
				t.Errorf("field %s is of option %s, which has no effect by the table", fields.Field(i).Name, name)
			}
		}
	}
}

const kraft = `
# an ordinary file of one KRaft node
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
log.dirs=/tmp/kraft-combined-logs
num.partitions=6
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=24
log.segment.bytes=1073741824
`

func TestKRaftFileStartsAsItIs(t *testing.T) {
	c, notes, err := Load(Sources{File: []byte(kraft), FileName: "server.properties"})
	if err != nil {
		t.Fatal(err)
	}
	if c.NumPartitions != 6 || len(c.Listeners) != 1 || c.Listeners[0].Address() != ":9092" || c.Listeners[0].AdvertisedHost != "localhost" ||
		len(c.PeerListeners) != 1 || c.PeerListeners[0].Port != 9093 || c.LogDirs[0] != "/tmp/kraft-combined-logs" {
		t.Fatalf("%+v", c)
	}
	for _, name := range []string{"num.network.threads", "num.io.threads", "socket.send.buffer.bytes", "transaction.state.log.min.isr"} {
		if !slices.Contains(notes.NoEffect, name) {
			t.Errorf("%s is not named as without effect: %v", name, notes.NoEffect)
		}
	}
	if got := c.Topic(Layers{}).RetentionMs; got != 24*3600*1000 {
		t.Errorf("retention is %d ms", got)
	}
}

func TestPrecedence(t *testing.T) {
	c, _, err := Load(Sources{
		File: []byte("num.partitions=2\nnode.id=7\nlog.dir=/a\n"), FileName: "f",
		Env: []string{"WEIR_NUM_PARTITIONS=3", "PATH=/bin", "WEIR_FETCH_MAX_BYTES=2000"},
		Set: []string{"num.partitions=4"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.NumPartitions != 4 || c.NodeID != 7 || c.FetchMaxBytes != 2000 || c.LogDirs[0] != "/a" || c.HTTPListener != "127.0.0.1:8080" {
		t.Fatalf("%+v", c)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	for setting, want := range map[string]string{
		"num.partition=3":                             "did you mean num.partitions?",
		"num.partitions=x":                            "Invalid value x for configuration num.partitions: Not a number of type INT",
		"num.partitions=0":                            "Value must be at least 1",
		"log.segment.bytes=99":                        "Value must be at least 1048576",
		"compression.type=rar":                        "String must be one of",
		"compression.gzip.level=0":                    "Value must be between 1 and 9 or equal to -1",
		"compression.lz4.level=18":                    "Value must be no more than 17",
		"zookeeper.connect=a:2181":                    "remove it",
		"process.roles=broker":                        "both broker and controller",
		"controller.quorum.voters=1@a:1,2@b:1":        "none of them is for other nodes",
		"controller.quorum.voters=1@a:1,1@b:1":        "1 is there twice: give each node a node.id of its own",
		"controller.quorum.voters=2@a:1,3@b:1":        "must name this node as 1@host:port",
		"log.dirs=/a,/b":                              "one folder",
		"listeners=SSL://:9093":                       "only PLAINTEXT is there yet",
		"listeners=9092":                              "NAME://host:port",
		"advertised.listeners=PLAINTEXT://0.0.0.0:1":  "cannot connect to 0.0.0.0",
		"advertised.listeners=OTHER://localhost:9092": "not among the listeners",
		"http.listener=8080":                          "host:port",
		"auto.create.topics.enable=yes":               "true or false",
		"nonsense":                                    "name=value",
	} {
		_, _, err := Load(Sources{Set: []string{setting}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", setting, err, want)
		}
	}
}

func TestTopicLayers(t *testing.T) {
	c, _, err := Load(Sources{Set: []string{"log.retention.hours=1", "log.durability=relaxed"}})
	if err != nil {
		t.Fatal(err)
	}
	l := Layers{Default: map[string]string{"log.segment.bytes": "2000000"}, Broker: map[string]string{"log.segment.bytes": "3000000"}}
	if got := c.Topic(l); got.SegmentBytes != 3000000 || got.RetentionMs != 3600_000 || !got.Relaxed() || !got.CleanupDelete() {
		t.Fatalf("%+v", got)
	}
	l.Resource = map[string]string{"segment.bytes": "4000000", "durability": "fsync", "cleanup.policy": "compact"}
	got := c.Topic(l)
	if got.SegmentBytes != 4000000 || got.Relaxed() || got.CleanupDelete() || !got.CleanupCompact() {
		t.Fatalf("%+v", got)
	}
	at := slices.IndexFunc(c.DescribeTopic(l), func(e Entry) bool { return e.Name == "segment.bytes" })
	e := c.DescribeTopic(l)[at]
	var sources []Source
	for _, s := range e.Synonyms {
		sources = append(sources, s.Source)
	}
	if e.Source != SourceTopic || *e.Value != "4000000" || !slices.Equal(sources, []Source{SourceTopic, SourceBroker, SourceDefaultBroker, SourceDefault}) {
		t.Fatalf("%+v", e)
	}
	if len(c.DescribeTopic(l)) < 38 {
		t.Fatalf("only %d options are described", len(c.DescribeTopic(l)))
	}
}

// TestDefaultsOfTopicsAreBound: what a topic would be refused cannot be made the default of all topics either.
func TestDefaultsOfTopicsAreBound(t *testing.T) {
	for _, o := range TopicOptions().Options {
		for _, name := range o.Synonyms {
			b := BrokerOptions().Find(name)
			if !o.Used || b == nil || scale[name] != 0 {
				continue
			}
			if b.Least != o.Least || b.Most != o.Most || !slices.Equal(b.Allowed, o.Allowed) || !b.Used || !b.Dynamic {
				t.Errorf("%+v is not as %+v, which it is the default of", *b, *o)
			}
		}
	}
}

func TestApply(t *testing.T) {
	value := func(s string) *string { return &s }
	for _, c := range []struct {
		name           string
		op             Op
		current, value *string
		want           string
		wrong          bool
	}{
		{"cleanup.policy", OpAppend, nil, value("compact"), "delete,compact", false},
		{"cleanup.policy", OpAppend, value("compact"), value("compact"), "compact", false},
		{"cleanup.policy", OpSubtract, value("delete,compact"), value("delete"), "compact", false},
		{"cleanup.policy", OpSubtract, value("compact"), value("delete"), "compact", false},
		{"retention.ms", OpAppend, nil, value("1"), "", true},
		{"retention.ms", OpSet, nil, value("1"), "1", false},
	} {
		got, err := TopicOptions().Apply(c.name, c.op, c.current, c.value)
		if (err != nil) != c.wrong || err == nil && *got != c.want {
			t.Errorf("%+v: got %v (%v)", c, got, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(kraft))
	f.Add([]byte("a\\u12=\nlisteners=x://[::1]:9"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if c, _, err := Load(Sources{File: file, FileName: "f"}); err == nil {
			c.Topic(Layers{})
		}
	})
}
