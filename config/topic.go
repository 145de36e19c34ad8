package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// TopicConfig is a topic's configuration in effect, as far as Weir uses it.
type TopicConfig struct {
	SegmentBytes          int64
	SegmentMs             int64
	RetentionMs           int64 // -1: for ever
	RetentionBytes        int64 // -1: without limit
	IndexIntervalBytes    int64
	MaxMessageBytes       int
	MinInSync             int // replicas that must be in sync for acks=all, at most as many as there are
	CompressionType       string
	CompressionGzipLevel  int
	CompressionLZ4Level   int
	CompressionZstdLevel  int
	LogAppendTime         bool
	TimestampBeforeMaxMs  int64
	TimestampAfterMaxMs   int64
	delete, compact, lazy bool
	// throttled replicas: of leaders, and of those that copy from them
	throttledLeaders, throttledFollowers string
}

// ThrottledLeader tells whether what a partition's leader on a broker sends to new replicas counts against the broker's rate.
func (c *TopicConfig) ThrottledLeader(partition, broker int32) bool {
	return listed(c.throttledLeaders, partition, broker)
}

// ThrottledFollower tells whether what a partition's new replica on a broker gets counts against the broker's rate.
func (c *TopicConfig) ThrottledFollower(partition, broker int32) bool {
	return listed(c.throttledFollowers, partition, broker)
}

// listed tells whether a list of replicas, as 0:1,1:2, or * for all, has one.
func listed(list string, partition, broker int32) bool {
	return list == "*" || list != "" && slices.Contains(SplitList(list), fmt.Sprintf("%d:%d", partition, broker))
}

// Relaxed tells whether records are acknowledged before they are on disk.
func (c *TopicConfig) Relaxed() bool { return c.lazy }

// CleanupDelete tells whether old records are removed by time and size.
func (c *TopicConfig) CleanupDelete() bool { return c.delete }

// CleanupCompact tells whether every record must have a key.
func (c *TopicConfig) CleanupCompact() bool { return c.compact }

// Source is where a value comes from, by Kafka's number in DescribeConfigs.
type Source int8

// The sources of values.
const (
	SourceTopic         Source = 1
	SourceBroker        Source = 2
	SourceDefaultBroker Source = 3
	SourceStatic        Source = 4
	SourceDefault       Source = 5
	SourceLogger        Source = 6
	SourceGroup         Source = 8
)

// Entry is an option as DescribeConfigs shows it.
type Entry struct {
	*Option
	Value    *string // nil: null, or hidden
	Source   Source
	ReadOnly bool
	Synonyms []Synonym // where the value comes from, and what is behind it, the strongest first
}

// Synonym is a value that counts, or would if the stronger ones were not there.
type Synonym struct {
	Name   string
	Value  *string
	Source Source
}

// Layers are the dynamic configurations that apply, by name.
type Layers struct {
	Resource map[string]string // of the topic or group itself
	Broker   map[string]string // of this broker
	Default  map[string]string // of all brokers
}

// scale turns a synonym in another unit into the option's own.
var scale = map[string]int64{
	"log.retention.minutes": 60_000, "log.retention.hours": 3_600_000,
	"log.roll.hours": 3_600_000, "log.roll.jitter.hours": 3_600_000,
}

// synonyms gives everything that could be the value of an option, the strongest first.
func (c *Config) synonyms(o *Option, l Layers, own Source) []Synonym {
	var out []Synonym
	add := func(name, value string, s Source) {
		if k := scale[name]; k != 0 && name != o.Name {
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
				value = strconv.FormatInt(n*k, 10)
			}
		}
		out = append(out, Synonym{name, &value, s})
	}
	names := o.Synonyms
	if own == SourceStatic { // a broker's own option
		names = []string{o.Name}
	} else if v, ok := l.Resource[o.Name]; ok {
		add(o.Name, v, own)
	}
	for _, name := range names {
		if v, ok := l.Broker[name]; ok {
			add(name, v, SourceBroker)
		}
	}
	for _, name := range names {
		if v, ok := l.Default[name]; ok {
			add(name, v, SourceDefaultBroker)
		}
	}
	for _, name := range names {
		if v, ok := c.static[name]; ok {
			add(name, v, SourceStatic)
		}
	}
	if len(names) > 0 {
		b := BrokerOptions().Find(names[0])
		if b == nil && names[0] == o.Name {
			b = o // no option of a broker stands behind it
		}
		if b != nil && b.Default != nil {
			add(names[0], *b.Default, SourceDefault)
		}
	}
	return out
}

func (c *Config) entry(o *Option, l Layers, own Source) Entry {
	e := Entry{Option: o, Value: o.Default, Source: SourceDefault, ReadOnly: own == SourceStatic && !o.Dynamic, Synonyms: c.synonyms(o, l, own)}
	if len(e.Synonyms) > 0 {
		e.Value, e.Source = e.Synonyms[0].Value, e.Synonyms[0].Source
	}
	if o.Sensitive {
		e.Value = nil
		for i := range e.Synonyms {
			e.Synonyms[i].Value = nil
		}
	}
	return e
}

// DescribeTopic gives all options of a topic, by name.
func (c *Config) DescribeTopic(l Layers) []Entry { return c.describe(TopicOptions(), l, SourceTopic) }

// DescribeGroup gives all options of a group, by name.
func (c *Config) DescribeGroup(l Layers) []Entry { return c.describe(GroupOptions(), l, SourceGroup) }

// DescribeBroker gives all options of a broker, by name.
func (c *Config) DescribeBroker(l Layers) []Entry {
	return c.describe(BrokerOptions(), l, SourceStatic)
}

func (c *Config) describe(t *Table, l Layers, own Source) []Entry {
	out := make([]Entry, 0, len(t.Options))
	for _, o := range t.Options {
		out = append(out, c.entry(o, l, own))
	}
	return out
}

// Topic works out a topic's configuration in effect.
func (c *Config) Topic(l Layers) *TopicConfig {
	text := func(name string) string {
		if v := c.entry(TopicOptions().Find(name), l, SourceTopic).Value; v != nil {
			return strings.TrimSpace(*v) // what is set dynamically is kept as it came
		}
		return ""
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(text(name), 10, 64)
		if err != nil {
			panic(fmt.Sprintf("BUG: topic option %s was let through as %q", name, text(name)))
		}
		return n
	}
	policies := SplitList(text("cleanup.policy"))
	return &TopicConfig{
		SegmentBytes:         number("segment.bytes"),
		SegmentMs:            number("segment.ms"),
		RetentionMs:          number("retention.ms"),
		RetentionBytes:       number("retention.bytes"),
		IndexIntervalBytes:   number("index.interval.bytes"),
		MaxMessageBytes:      int(number("max.message.bytes")),
		MinInSync:            int(number("min.insync.replicas")),
		CompressionType:      text("compression.type"),
		CompressionGzipLevel: int(number("compression.gzip.level")),
		CompressionLZ4Level:  int(number("compression.lz4.level")),
		CompressionZstdLevel: int(number("compression.zstd.level")),
		LogAppendTime:        text("message.timestamp.type") == "LogAppendTime",
		TimestampBeforeMaxMs: number("message.timestamp.before.max.ms"),
		TimestampAfterMaxMs:  number("message.timestamp.after.max.ms"),
		delete:               slices.Contains(policies, "delete"),
		compact:              slices.Contains(policies, "compact"),
		lazy:                 text("durability") == "relaxed",
		throttledLeaders:     text("leader" + throttledSuffix),
		throttledFollowers:   text("follower" + throttledSuffix),
	}
}

// ValidateTopic checks a topic option's new value.
func ValidateTopic(name, value string) error {
	o := TopicOptions().Find(name)
	if o == nil {
		return fmt.Errorf("Unknown topic config name: %s", name)
	}
	return o.Check(value)
}

// ValidateTopicSet checks whether what is set for a topic goes together. Every value was let through by ValidateTopic.
func ValidateTopicSet(set map[string]string) error {
	if strings.EqualFold(set["remote.storage.enable"], "true") {
		return errors.New("Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.")
	}
	lag := func(name string) int64 {
		text, ok := set[name]
		if !ok {
			text = *TopicOptions().Find(name).Default
		}
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	}
	if least, most := lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"); least > most {
		return fmt.Errorf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", least, most)
	}
	return nil
}

// ValidateGroup checks a group option's new value.
func ValidateGroup(name, value string) error {
	o := GroupOptions().Find(name)
	if o == nil {
		return fmt.Errorf("Unknown group config name: %s", name)
	}
	return o.Check(value)
}

// ValidateBroker checks a broker option's new value while the broker runs.
func ValidateBroker(name, value string) error {
	o := BrokerOptions().Find(name)
	switch {
	case o == nil && (name == leaderRate || name == followerRate || name == dirRate):
		return (&Option{Name: name, Type: Long, Least: "0"}).Check(value)
	case o == nil:
		return nil // brokers take options of plugins that they do not know
	}
	if !o.Dynamic {
		return fmt.Errorf("Cannot update these configs dynamically: [%s]", name)
	}
	return o.Check(value)
}

// Options of brokers that can only be set while they run, and that are listed only then.
const (
	leaderRate   = "leader.replication.throttled.rate"
	followerRate = "follower.replication.throttled.rate"
	dirRate      = "replica.alter.log.dirs.io.max.bytes.per.second" // nothing moves between folders
)

// ThrottledRates gives how many bytes per second a broker may send to new replicas that are throttled, and get for its own; -1: without
// bound.
func (l Layers) ThrottledRates() (leader, follower int64) {
	rate := func(name string) int64 {
		for _, set := range []map[string]string{l.Broker, l.Default} {
			if n, err := strconv.ParseInt(strings.TrimSpace(set[name]), 10, 64); err == nil {
				return n
			}
		}
		return -1
	}
	return rate(leaderRate), rate(followerRate)
}

// Op is an operation of IncrementalAlterConfigs, by Kafka's number.
type Op int8

// The operations.
const (
	OpSet Op = iota
	OpDelete
	OpAppend
	OpSubtract
)

// Apply does an operation on a value; current is nil when it is not set, and then a list starts from its default.
func (t *Table) Apply(name string, op Op, current, value *string) (*string, error) {
	o := t.Find(name)
	switch op {
	case OpSet:
		return value, nil
	case OpDelete:
		return nil, nil
	case OpAppend, OpSubtract:
	default:
		return nil, fmt.Errorf("unknown operation %d", op)
	}
	if o == nil || o.Type != List {
		if t == BrokerOptions() {
			return nil, fmt.Errorf("Config value append is not allowed for config key: %s", name)
		}
		return nil, fmt.Errorf("Can't %s to key %s because its type is not LIST.", map[Op]string{OpAppend: "APPEND", OpSubtract: "SUBTRACT"}[op], name)
	}
	if current == nil {
		current = o.Default
	}
	var items []string
	if current != nil {
		items = SplitList(*current)
	}
	for _, item := range SplitList(*value) {
		at := slices.Index(items, item)
		switch {
		case op == OpAppend && at < 0:
			items = append(items, item)
		case op == OpSubtract && at >= 0:
			items = slices.Delete(items, at, at+1)
		}
	}
	out := strings.Join(items, ",")
	return &out, nil
}
