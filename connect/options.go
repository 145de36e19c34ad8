package connect

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// workerOptions are those of a worker, by Kafka's names. Options of Kafka that are not among them mean nothing here; those of clients
// begin with producer., consumer. or admin.
var workerOptions = []sdk.Option{
	{Name: "bootstrap.servers", Kind: sdk.ListOption, Default: "localhost:9092", Doc: "Brokers to ask first, as host:port."},
	{Name: "group.id", Kind: sdk.StringOption, Default: "connect-cluster", Doc: "Workers with the same group.id share the work."},
	{Name: "config.storage.topic", Kind: sdk.StringOption, Default: "connect-configs", Doc: "Topic with the configurations of connectors."},
	{Name: "config.storage.replication.factor", Kind: sdk.IntOption, Default: "-1", Doc: "Its replication factor, when it is created; -1: the cluster's default."},
	{Name: "offset.storage.topic", Kind: sdk.StringOption, Default: "connect-offsets", Doc: "Topic with the positions of sources."},
	{Name: "offset.storage.partitions", Kind: sdk.IntOption, Default: "25", Doc: "Its partitions, when it is created."},
	{Name: "offset.storage.replication.factor", Kind: sdk.IntOption, Default: "-1", Doc: "Its replication factor, when it is created; -1: the cluster's default."},
	{Name: "status.storage.topic", Kind: sdk.StringOption, Default: "connect-status", Doc: "Topic with the states of connectors and tasks."},
	{Name: "status.storage.partitions", Kind: sdk.IntOption, Default: "5", Doc: "Its partitions, when it is created."},
	{Name: "status.storage.replication.factor", Kind: sdk.IntOption, Default: "-1", Doc: "Its replication factor, when it is created; -1: the cluster's default."},
	{Name: "listeners", Kind: sdk.ListOption, Default: "http://:8083", Doc: "Address of the REST API, as http://host:port. An empty host: all interfaces."},
	{Name: "rest.advertised.host.name", Kind: sdk.StringOption, NoDefault: true, Doc: "Host under which other workers reach the REST API."},
	{Name: "rest.advertised.port", Kind: sdk.IntOption, NoDefault: true, Doc: "Port under which other workers reach the REST API."},
	{Name: "key.converter", Kind: sdk.ClassOption, Default: "org.apache.kafka.connect.json.JsonConverter", Doc: "Converter for keys, unless a connector has its own. key.converter.* are its options."},
	{Name: "value.converter", Kind: sdk.ClassOption, Default: "org.apache.kafka.connect.json.JsonConverter", Doc: "Converter for values, unless a connector has its own. value.converter.* are its options."},
	{Name: "header.converter", Kind: sdk.ClassOption, Default: "org.apache.kafka.connect.storage.SimpleHeaderConverter", Doc: "Converter for headers, unless a connector has its own."},
	{Name: "session.timeout.ms", Kind: sdk.IntOption, Default: "10000", Doc: "How long a worker may be silent before it is lost."},
	{Name: "heartbeat.interval.ms", Kind: sdk.IntOption, Default: "1000", Doc: "How often a worker tells that it is there, and hears that work is to be divided anew. Kafka's default is 3000."},
	{Name: "rebalance.timeout.ms", Kind: sdk.IntOption, Default: "60000", Doc: "How long workers may take to join again."},
	{Name: "scheduled.rebalance.max.delay.ms", Kind: sdk.IntOption, Default: "30000", Doc: "How long the work of a lost worker waits for its return. Kafka's default is 300000, since a JVM takes so much longer to start."},
	{Name: "offset.flush.interval.ms", Kind: sdk.IntOption, Default: "1000", Doc: "How often positions are kept. Kafka's default is 60000; after a crash all since the last time comes again."},
	{Name: "task.shutdown.graceful.timeout.ms", Kind: sdk.IntOption, Default: "5000", Doc: "How long tasks may take to stop."},
	{Name: "topic.creation.enable", Kind: sdk.BooleanOption, Default: "true", Doc: "Whether sources may have topics created as their topic.creation.* say."},
	{Name: "topic.tracking.enable", Kind: sdk.BooleanOption, Default: "true", Doc: "Whether it is kept which topics each connector uses."},
	{Name: "topic.tracking.allow.reset", Kind: sdk.BooleanOption, Default: "true", Doc: "Whether that may be forgotten by request."},
	{Name: "access.control.allow.origin", Kind: sdk.StringOption, Default: "", Doc: "Value of the header Access-Control-Allow-Origin; empty: web pages of elsewhere may not use the REST API."},
	{Name: "access.control.allow.methods", Kind: sdk.StringOption, Default: "", Doc: "Methods that web pages of elsewhere may use; empty: GET, POST and HEAD."},
	{Name: "file.root", Kind: sdk.StringOption, Default: "", Doc: "Folder that file connectors may use and ${file:...} may read; empty: any file."},
	{Name: "plugin.path", Kind: sdk.ListOption, Default: "", Doc: "Folders with programs that are connectors. The worker runs each of them when it starts, to ask what it is: [connect-process.md](connect-process.md)."},
	{Name: "config.providers", Kind: sdk.ListOption, Default: "", Doc: "What configurations may refer to, as in ${env:NAME}: env, file, directory. config.providers.* are their options."},
	{Name: "offset.storage.file.filename", Kind: sdk.StringOption, Default: "", Doc: "File with the positions of sources, of a standalone worker; empty: offset.storage.topic has them."},
	{Name: "exactly.once.source.support", Kind: sdk.StringOption, Default: "disabled", Doc: "Whether sources write exactly once.", Unsupported: "brokers of Weir have no transactions yet", Accepts: []string{"disabled"}},
}

// WorkerOptions are the options of a worker.
func WorkerOptions() []sdk.Option { return workerOptions }

// settings are the options of a worker, read.
type settings struct {
	raw                               map[string]string
	bootstrap                         []string
	group                             string
	configs, offsets, status          topicSetting
	session, heartbeat, rebalance     time.Duration
	delay, flush, grace               time.Duration
	tracking, resetTopics, makeTopics bool
	origin, methods                   string
	listen, advertised                string // host:port
	plugins                           []string
}

type topicSetting struct {
	option, name string
	partitions   int32
	replicas     int16
}

// providerClasses are what config providers are, unless config.providers.*.class says otherwise.
var providerClasses = map[string]string{"env": "EnvVarConfigProvider", "file": "FileConfigProvider", "directory": "DirectoryConfigProvider"}

// withProviders completes the options of config providers.
func withProviders(raw map[string]string) map[string]string {
	out := maps.Clone(raw)
	for name := range strings.SplitSeq(raw["config.providers"], ",") {
		name = strings.TrimSpace(name)
		class, known := providerClasses[name]
		if _, set := raw["config.providers."+name+".class"]; known && !set {
			out["config.providers."+name+".class"] = "org.apache.kafka.common.config.provider." + class
		}
		allowed := "config.providers." + name + ".param.allowed.paths"
		if _, set := raw[allowed]; name != "env" && !set && raw["file.root"] != "" {
			out[allowed] = raw["file.root"]
		}
	}
	return out
}

func readSettings(raw map[string]string) (*settings, error) {
	raw = withProviders(raw)
	v, wrong := sdk.Parse(workerOptions, raw)
	if len(wrong) > 0 {
		lines := make([]string, len(wrong))
		for i, w := range wrong {
			lines[i] = w.Error()
		}
		return nil, fmt.Errorf("%s", strings.Join(lines, "\n"))
	}
	topic := func(of string) topicSetting {
		t := topicSetting{of + ".storage.topic", v.String(of + ".storage.topic"), 1, int16(v.Int(of + ".storage.replication.factor"))}
		if of != "config" {
			t.partitions = int32(v.Int(of + ".storage.partitions"))
		}
		return t
	}
	s := &settings{
		raw: raw, bootstrap: v.List("bootstrap.servers"), group: v.String("group.id"),
		configs: topic("config"), offsets: topic("offset"), status: topic("status"),
		session: v.Milliseconds("session.timeout.ms"), heartbeat: v.Milliseconds("heartbeat.interval.ms"), rebalance: v.Milliseconds("rebalance.timeout.ms"),
		delay: v.Milliseconds("scheduled.rebalance.max.delay.ms"), flush: v.Milliseconds("offset.flush.interval.ms"), grace: v.Milliseconds("task.shutdown.graceful.timeout.ms"),
		tracking: v.Bool("topic.tracking.enable"), resetTopics: v.Bool("topic.tracking.allow.reset"), makeTopics: v.Bool("topic.creation.enable"),
		origin: v.String("access.control.allow.origin"), methods: v.String("access.control.allow.methods"),
		plugins: v.List("plugin.path"),
	}
	if s.heartbeat >= s.session {
		return nil, fmt.Errorf("heartbeat.interval.ms=%d must be less than session.timeout.ms=%d", s.heartbeat.Milliseconds(), s.session.Milliseconds())
	}
	for _, l := range v.List("listeners") {
		u, err := url.Parse(l)
		if err != nil || u.Scheme != "http" || u.Port() == "" {
			return nil, fmt.Errorf("listeners: %s: write it as http://host:port; only http is there", l)
		}
		if s.listen == "" {
			s.listen = u.Host
		}
	}
	if s.listen == "" {
		return s, nil
	}
	host, port, err := net.SplitHostPort(s.listen)
	if err != nil {
		return nil, fmt.Errorf("listeners: %w", err)
	}
	if name := v.String("rest.advertised.host.name"); name != "" {
		host = name
	}
	if v.Has("rest.advertised.port") {
		port = fmt.Sprint(v.Int("rest.advertised.port"))
	}
	s.advertised = net.JoinHostPort(host, port)
	return s, nil
}
