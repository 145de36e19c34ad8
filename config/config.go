package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"

	"github.com/magiconair/properties"
)

// Config is a broker's configuration: the options that Weir uses. A field is filled from the option in its tag.
type Config struct {
	NodeID                      int32    `option:"node.id"`
	ProcessRoles                []string `option:"process.roles"`
	ListenersText               string   `option:"listeners"`
	AdvertisedText              string   `option:"advertised.listeners"`
	ProtocolMap                 string   `option:"listener.security.protocol.map"`
	ControllerListenerNames     []string `option:"controller.listener.names"`
	ControllerQuorumVoters      []string `option:"controller.quorum.voters"`
	ControllerQuorumBootstrap   []string `option:"controller.quorum.bootstrap.servers"`
	BrokerRack                  string   `option:"broker.rack"`
	ReplicaSelector             string   `option:"replica.selector.class"`
	LogDirs                     []string `option:"log.dirs"`
	HTTPListener                string   `option:"http.listener"`
	HTTPMetricsPartitions       bool     `option:"http.metrics.partitions"`
	HTTPPprofEnable             bool     `option:"http.pprof.enable"`
	ConnectListener             string   `option:"connect.listener"`
	ConnectConfig               string   `option:"connect.config"`
	PluginPath                  []string `option:"plugin.path"`
	LogFormat                   string   `option:"log.format"`
	LogLevel                    string   `option:"log.level"`
	AutoCreateTopicsEnable      bool     `option:"auto.create.topics.enable"`
	AutoLeaderRebalance         bool     `option:"auto.leader.rebalance.enable"`
	DeleteTopicEnable           bool     `option:"delete.topic.enable"`
	NumPartitions               int32    `option:"num.partitions"`
	DefaultReplicationFactor    int16    `option:"default.replication.factor"`
	LogRetentionCheckIntervalMs int64    `option:"log.retention.check.interval.ms"`
	LogScrubBytesPerSecond      int64    `option:"log.scrub.bytes.per.second"`
	FetchMaxBytes               int32    `option:"fetch.max.bytes"`
	SocketRequestMaxBytes       int32    `option:"socket.request.max.bytes"`
	ConnectionsMaxIdleMs        int64    `option:"connections.max.idle.ms"`
	MaxConnections              int32    `option:"max.connections"`
	MaxConnectionsPerIP         int32    `option:"max.connections.per.ip"`
	MaxConnectionsPerIPOthers   string   `option:"max.connections.per.ip.overrides"`
	MaxConnectionCreationRate   int32    `option:"max.connection.creation.rate"`
	QueuedMaxRequestBytes       int64    `option:"queued.max.request.bytes"`
	GroupInitialRebalanceDelay  int32    `option:"group.initial.rebalance.delay.ms"`
	GroupMinSessionTimeoutMs    int32    `option:"group.min.session.timeout.ms"`
	GroupMaxSessionTimeoutMs    int32    `option:"group.max.session.timeout.ms"`
	GroupMaxSize                int32    `option:"group.max.size"`
	OffsetMetadataMaxBytes      int32    `option:"offset.metadata.max.bytes"`
	OffsetsRetentionMinutes     int32    `option:"offsets.retention.minutes"`
	OffsetsRetentionCheckMs     int64    `option:"offsets.retention.check.interval.ms"`
	OffsetsTopicNumPartitions   int32    `option:"offsets.topic.num.partitions"`
	OffsetsTopicReplication     int16    `option:"offsets.topic.replication.factor"`
	OffsetsTopicSegmentBytes    int32    `option:"offsets.topic.segment.bytes"`
	ProducerIDExpirationMs      int32    `option:"producer.id.expiration.ms"`
	FetchSessionCacheSlots      int32    `option:"max.incremental.fetch.session.cache.slots"`

	// Listeners are for clients, PeerListeners for other nodes; both are parsed from listeners and advertised.listeners.
	Listeners     []Listener
	PeerListeners []Listener
	// Voters keep the metadata of a new cluster: controller.quorum.voters parsed, or this node alone; none, if it is to join one.
	Voters []Voter
	// Join are where nodes of a cluster that is there can be reached, host:port: controller.quorum.bootstrap.servers without this node.
	Join []string

	static map[string]string // what was set, by name
}

// Notes are things worth telling the operator at start.
type Notes struct {
	// NoEffect names options of Kafka that were set and mean nothing here.
	NoEffect []string
}

// Sources are where options come from, the weakest first.
type Sources struct {
	File     []byte // server.properties
	FileName string
	Env      []string // NAME=value; WEIR_LOG_DIRS is log.dirs
	Set      []string // name=value
}

// prefixes begin options that belong to plugins or to single listeners; none of them means anything here.
var prefixes = []string{"listener.name.", "rsm.config.", "rlmm.config.", "config.providers.", "metrics.", "principal.", "remote.log.metadata.", "confluent."}

// Load reads, checks and puts together a configuration. The error names everything that is wrong, a line each.
func Load(s Sources) (*Config, Notes, error) {
	l := loader{values: map[string]string{}}
	l.file(s.File, s.FileName)
	l.env(s.Env)
	for _, kv := range s.Set {
		name, value, ok := strings.Cut(kv, "=")
		if !ok {
			l.problem("--set %s: write it as name=value", kv)
			continue
		}
		l.set(strings.TrimSpace(name), strings.TrimSpace(value), "--set")
	}
	l.synonyms()
	c := &Config{static: l.values}
	if len(l.problems) == 0 {
		c.fill()
		l.problems = append(l.problems, c.derive()...)
	}
	if len(l.problems) > 0 {
		return nil, Notes{}, errors.New(strings.Join(l.problems, "\n"))
	}
	return c, Notes{NoEffect: l.noEffect}, nil
}

type loader struct {
	values   map[string]string
	noEffect []string
	problems []string
}

func (l *loader) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *loader) file(b []byte, name string) {
	if len(b) == 0 {
		return
	}
	loading := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := loading.LoadBytes(b)
	if err != nil {
		l.problem("%s: %v", name, err)
		return
	}
	for _, key := range p.Keys() {
		value, _ := p.Get(key)
		l.set(key, strings.TrimSpace(value), name)
	}
}

const envPrefix = "WEIR_"

func (l *loader) env(env []string) {
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		rest, ok := strings.CutPrefix(name, envPrefix)
		if !ok || name == "WEIR_BOOTSTRAP_SERVER" || name == "WEIR_CONNECT_URL" { // those are the command line's
			continue
		}
		l.set(strings.ReplaceAll(strings.ToLower(rest), "_", "."), value, "environment variable "+name)
	}
}

func (l *loader) set(name, value, source string) {
	t := BrokerOptions()
	o := t.Find(name)
	switch {
	case o == nil && strings.HasPrefix(name, "zookeeper."):
		l.problem("%s: %s is from the time of ZooKeeper: remove it, nothing takes its place", source, name)
	case o == nil && hasPrefix(name):
		l.noEffect = append(l.noEffect, name)
	case o == nil:
		text := fmt.Sprintf("%s: unknown option %q", source, name)
		if near := t.nearest(name); near != "" {
			text += fmt.Sprintf(": did you mean %s?", near)
		}
		l.problems = append(l.problems, text)
	default:
		if err := o.Check(value); err != nil && !(o.Default == nil && value == "") {
			l.problem("%s: %v", source, err)
			return
		}
		if !o.Used {
			l.noEffect = append(l.noEffect, name)
		}
		l.values[name] = value
	}
}

func hasPrefix(name string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// synonyms lets old names of options count where the new ones are not set.
func (l *loader) synonyms() {
	for _, pair := range [][2]string{{"node.id", "broker.id"}, {"log.dirs", "log.dir"}} {
		value, ok := l.values[pair[1]]
		if _, set := l.values[pair[0]]; ok && !set {
			l.values[pair[0]] = value
		}
	}
	if _, set := l.values["log.dirs"]; !set {
		l.values["log.dirs"] = *BrokerOptions().Find("log.dir").Default
	}
}

// Value gives an option's text: what was set, or the default; "" for null.
func (c *Config) Value(name string) string {
	if v, ok := c.static[name]; ok {
		return v
	}
	if d := BrokerOptions().Find(name).Default; d != nil {
		return *d
	}
	return ""
}

// With gives the configuration with what was set dynamically in effect. It shares nothing that is changed.
func (c *Config) With(l Layers) *Config {
	out := *c
	out.static = maps.Clone(c.static)
	maps.Copy(out.static, l.Default)
	maps.Copy(out.static, l.Broker)
	out.fill()
	return &out
}

const perAddressName = "max.connections.per.ip.overrides"

// PerAddress parses max.connections.per.ip.overrides: limits by address or host name.
func PerAddress(text string) (map[string]int, error) {
	out := map[string]int{}
	for _, item := range SplitList(text) {
		at := strings.LastIndexByte(item, ':')
		n, err := strconv.ParseInt(item[at+1:], 10, 32)
		if at <= 0 || err != nil || n < 0 {
			return nil, fmt.Errorf("Invalid value %s for configuration %s: write it as address:number,address:number", text, perAddressName)
		}
		out[strings.Trim(item[:at], "[]")] = int(n)
	}
	return out, nil
}

// fill sets the tagged fields. All values were checked before.
func (c *Config) fill() {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		name, ok := v.Type().Field(i).Tag.Lookup("option")
		if !ok {
			continue
		}
		text := strings.TrimSpace(c.Value(name)) // what is set dynamically is kept as it came
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(text)
		case reflect.Bool:
			f.SetBool(strings.EqualFold(text, "true"))
		case reflect.Slice:
			f.Set(reflect.ValueOf(SplitList(text)))
		default:
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				panic(fmt.Sprintf("BUG: option %s is not the number its field wants: %v", name, err))
			}
			f.SetInt(n)
		}
	}
}

// IsSet tells whether an option was given, and is not at its default.
func (c *Config) IsSet(name string) bool {
	_, ok := c.static[name]
	return ok
}
