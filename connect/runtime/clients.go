package runtime

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/weir/weir/connect/sdk"
)

// ClientOptions gives the client options that a configuration of Kafka's clients means. Those that only tune Kafka's own clients mean
// nothing here; of those that nobody knows, and those that ask for what is not supported, the error tells by name.
func ClientOptions(props map[string]string) ([]kgo.Opt, error) { return clientOptions(props, "") }

// clientOptions is ClientOptions. prefix is what the options begin with where they were written.
func clientOptions(props map[string]string, prefix string) ([]kgo.Opt, error) {
	opts, err := security(props, prefix)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(props)) {
		make, known := clientOption[name]
		if !known {
			return nil, sdk.Misconfigured("%s%s is not supported: no client here has such an option; remove it", prefix, name)
		}
		if make == nil {
			continue
		}
		opt, err := make(strings.TrimSpace(props[name]))
		if err != nil {
			return nil, sdk.Misconfigured("Invalid value %s for configuration %s%s: %w", props[name], prefix, name, err)
		}
		if opt != nil {
			opts = append(opts, opt)
		}
	}
	return opts, nil
}

// clientOption has what each option means; nil: nothing here, or it is read elsewhere.
var clientOption = map[string]func(string) (kgo.Opt, error){
	"bootstrap.servers": func(v string) (kgo.Opt, error) { return kgo.SeedBrokers(strings.Split(v, ",")...), nil },
	"client.id":         func(v string) (kgo.Opt, error) { return kgo.ClientID(v), nil },
	"client.rack":       func(v string) (kgo.Opt, error) { return kgo.Rack(v), nil },
	"isolation.level": oneOf(map[string]kgo.Opt{
		"read_committed": kgo.FetchIsolationLevel(kgo.ReadCommitted()), "read_uncommitted": kgo.FetchIsolationLevel(kgo.ReadUncommitted())}),
	"auto.offset.reset": oneOf(map[string]kgo.Opt{
		"earliest": kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), "latest": kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), "none": kgo.ConsumeResetOffset(kgo.NoResetOffset())}),
	"compression.type": oneOf(map[string]kgo.Opt{
		"none": kgo.ProducerBatchCompression(kgo.NoCompression()), "gzip": kgo.ProducerBatchCompression(kgo.GzipCompression()), "snappy": kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		"lz4": kgo.ProducerBatchCompression(kgo.Lz4Compression()), "zstd": kgo.ProducerBatchCompression(kgo.ZstdCompression())}),
	"acks":                      oneOf(map[string]kgo.Opt{"all": nil, "-1": nil}),
	"enable.idempotence":        oneOf(map[string]kgo.Opt{"true": nil}),
	"linger.ms":                 milliseconds(kgo.ProducerLinger),
	"max.request.size":          bytes32(func(n int32) kgo.Opt { return kgo.ProducerBatchMaxBytes(n) }),
	"buffer.memory":             number(func(n int64) kgo.Opt { return kgo.MaxBufferedBytes(int(n)) }),
	"fetch.max.wait.ms":         milliseconds(func(d time.Duration) kgo.Opt { return kgo.FetchMaxWait(d) }),
	"fetch.min.bytes":           bytes32(func(n int32) kgo.Opt { return kgo.FetchMinBytes(n) }),
	"fetch.max.bytes":           bytes32(func(n int32) kgo.Opt { return kgo.FetchMaxBytes(n) }),
	"max.partition.fetch.bytes": bytes32(func(n int32) kgo.Opt { return kgo.FetchMaxPartitionBytes(n) }),
	"metadata.max.age.ms":       milliseconds(func(d time.Duration) kgo.Opt { return kgo.MetadataMaxAge(d) }),
	"session.timeout.ms":        milliseconds(func(d time.Duration) kgo.Opt { return kgo.SessionTimeout(d) }),
	"heartbeat.interval.ms":     milliseconds(func(d time.Duration) kgo.Opt { return kgo.HeartbeatInterval(d) }),
	"max.poll.interval.ms":      milliseconds(func(d time.Duration) kgo.Opt { return kgo.RebalanceTimeout(d) }),
	"group.instance.id":         func(v string) (kgo.Opt, error) { return kgo.InstanceID(v), nil },
	"partition.assignment.strategy": func(v string) (kgo.Opt, error) {
		var out []kgo.GroupBalancer
		for _, class := range strings.Split(v, ",") {
			switch strings.TrimSuffix(class[strings.LastIndexByte(class, '.')+1:], "Assignor") {
			case "CooperativeSticky":
				out = append(out, kgo.CooperativeStickyBalancer())
			case "Sticky":
				out = append(out, kgo.StickyBalancer())
			case "Range":
				out = append(out, kgo.RangeBalancer())
			case "RoundRobin":
				out = append(out, kgo.RoundRobinBalancer())
			default:
				return nil, fmt.Errorf("choose of RangeAssignor, RoundRobinAssignor, StickyAssignor and CooperativeStickyAssignor")
			}
		}
		return kgo.Balancers(out...), nil
	},
	// Read elsewhere.
	"group.id": nil, "max.poll.records": nil, "security.protocol": nil, "sasl.mechanism": nil, "sasl.jaas.config": nil,
	"ssl.truststore.type": nil, "ssl.truststore.location": nil, "ssl.truststore.certificates": nil, "ssl.truststore.password": nil, "ssl.keystore.type": nil,
	"ssl.keystore.location": nil, "ssl.keystore.certificate.chain": nil, "ssl.keystore.key": nil, "ssl.keystore.password": nil, "ssl.key.password": nil,
	"ssl.endpoint.identification.algorithm": nil, "ssl.protocol": nil, "ssl.enabled.protocols": nil,
	// Of no meaning here: how Kafka's clients work inside.
	"batch.size": nil, "max.in.flight.requests.per.connection": nil, "retries": nil, "retry.backoff.ms": nil, "retry.backoff.max.ms": nil, "delivery.timeout.ms": nil,
	"request.timeout.ms": nil, "max.block.ms": nil, "connections.max.idle.ms": nil, "reconnect.backoff.ms": nil, "reconnect.backoff.max.ms": nil, "send.buffer.bytes": nil,
	"receive.buffer.bytes": nil, "metadata.max.idle.ms": nil, "default.api.timeout.ms": nil, "check.crcs": nil, "enable.auto.commit": nil, "auto.commit.interval.ms": nil,
	"socket.connection.setup.timeout.ms": nil, "socket.connection.setup.timeout.max.ms": nil, "client.dns.lookup": nil, "allow.auto.create.topics": nil,
	"exclude.internal.topics": nil, "partitioner.ignore.keys": nil, "partitioner.adaptive.partitioning.enable": nil, "partitioner.availability.timeout.ms": nil,
	"key.serializer": nil, "value.serializer": nil, "key.deserializer": nil, "value.deserializer": nil, "metric.reporters": nil, "metrics.num.samples": nil,
	"metrics.recording.level": nil, "metrics.sample.window.ms": nil, "enable.metrics.push": nil, "auto.include.jmx.reporter": nil, "metadata.recovery.strategy": nil,
	"metadata.recovery.rebootstrap.trigger.ms": nil, "compression.gzip.level": nil, "compression.lz4.level": nil, "compression.zstd.level": nil,
}

func oneOf(values map[string]kgo.Opt) func(string) (kgo.Opt, error) {
	return func(v string) (kgo.Opt, error) {
		opt, ok := values[strings.ToLower(v)]
		if !ok {
			return nil, fmt.Errorf("it must be one of %s", strings.Join(slices.Sorted(maps.Keys(values)), ", "))
		}
		return opt, nil
	}
}

func number[O kgo.Opt](make func(int64) O) func(string) (kgo.Opt, error) {
	return func(v string) (kgo.Opt, error) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("it must be a number, 0 or more")
		}
		return make(n), nil
	}
}

func milliseconds[O kgo.Opt](make func(time.Duration) O) func(string) (kgo.Opt, error) {
	return number(func(n int64) O { return make(time.Duration(n) * time.Millisecond) })
}

func bytes32(make func(int32) kgo.Opt) func(string) (kgo.Opt, error) {
	return number(func(n int64) kgo.Opt { return make(int32(min(n, 1<<31-1))) })
}

// security gives what it takes to be let in: TLS and SASL.
func security(props map[string]string, prefix string) ([]kgo.Opt, error) {
	protocol := strings.ToUpper(props["security.protocol"])
	if protocol == "" || protocol == "PLAINTEXT" {
		return nil, nil
	}
	var opts []kgo.Opt
	if strings.HasSuffix(protocol, "SSL") {
		cfg, err := tlsOf(props)
		if err != nil {
			return nil, sdk.Misconfigured("%sssl.*: %w", prefix, err)
		}
		opts = append(opts, kgo.DialTLSConfig(cfg))
	}
	if strings.HasPrefix(protocol, "SASL_") {
		user, password, err := parseJAAS(props["sasl.jaas.config"])
		if err != nil {
			return nil, sdk.Misconfigured("%ssasl.jaas.config: %w", prefix, err)
		}
		switch mechanism := strings.ToUpper(props["sasl.mechanism"]); mechanism {
		case "PLAIN":
			opts = append(opts, kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
		case "SCRAM-SHA-256":
			opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism()))
		case "SCRAM-SHA-512":
			opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()))
		default:
			return nil, sdk.Misconfigured("%ssasl.mechanism=%s is not supported: choose PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", prefix, mechanism)
		}
	}
	if !slices.Contains([]string{"SSL", "SASL_SSL", "SASL_PLAINTEXT"}, protocol) {
		return nil, sdk.Misconfigured("Invalid value %s for configuration %ssecurity.protocol: choose PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", protocol, prefix)
	}
	return opts, nil
}

var jaasOption = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s;]+))`)
})

// parseJAAS reads user and password from the form that Java has for them.
func parseJAAS(text string) (user, password string, err error) {
	for _, m := range jaasOption().FindAllStringSubmatch(text, -1) {
		value := strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(m[2]) + m[3] + m[4]
		switch m[1] {
		case "username":
			user = value
		case "password":
			password = value
		}
	}
	if user == "" {
		return "", "", fmt.Errorf(`it has no user; write it as org.apache.kafka.common.security.plain.PlainLoginModule required username="..." password="...";`)
	}
	return user, password, nil
}

// tlsOf reads certificates and keys in PEM.
func tlsOf(props map[string]string) (*tls.Config, error) {
	for _, store := range []string{"truststore", "keystore"} {
		if at := props["ssl."+store+".location"]; at != "" && strings.ToUpper(props["ssl."+store+".type"]) != "PEM" {
			return nil, fmt.Errorf("a %s in Java's formats cannot be read; make it one with PEM, and set ssl.%s.type to PEM", store, store)
		}
	}
	pem := func(text, location string) ([]byte, error) {
		if text != "" || location == "" {
			return []byte(text), nil
		}
		return os.ReadFile(location)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	trusted, err := pem(props["ssl.truststore.certificates"], props["ssl.truststore.location"])
	if err != nil {
		return nil, err
	}
	if len(trusted) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(trusted) {
			return nil, fmt.Errorf("the truststore has no certificate in PEM")
		}
	}
	chain, err := pem(props["ssl.keystore.certificate.chain"], props["ssl.keystore.location"])
	if err != nil {
		return nil, err
	}
	if len(chain) > 0 {
		key, err := pem(props["ssl.keystore.key"], props["ssl.keystore.location"])
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil {
			return nil, fmt.Errorf("the keystore's certificate and key cannot be used: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if algorithm, set := props["ssl.endpoint.identification.algorithm"]; set && algorithm == "" {
		withoutNames(cfg)
	}
	return cfg, nil
}

// withoutNames lets any server be trusted that has a certificate of those who are trusted, whatever its name.
func withoutNames(cfg *tls.Config) {
	cfg.InsecureSkipVerify = true // VerifyConnection does it, but for the name
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: cfg.RootCAs, Intermediates: between})
		return err
	}
}

// client makes a client of a run. It is closed by close, or when the run is over: the goroutine that should may hang in the connector. kind is producer, consumer or admin. What the connector says goes before what
// the worker says.
func (r *run) client(kind string, opts ...kgo.Opt) (client *kgo.Client, close func(), err error) {
	worker, err := clientOptions(under(r.t.r.cfg.Options, kind+"."), kind+".")
	if err != nil {
		return nil, nil, err
	}
	prefix := kind + ".override."
	props := under(r.config, prefix)
	r.hide(props["sasl.jaas.config"])
	if _, password, err := parseJAAS(props["sasl.jaas.config"]); err == nil {
		r.hide(password)
	}
	own, err := clientOptions(props, prefix)
	if err != nil {
		return nil, nil, err
	}
	all := slices.Concat([]kgo.Opt{kgo.MetadataMinAge(metadataMinAge)}, r.t.r.cfg.Kafka, []kgo.Opt{kgo.DisableClientMetrics(), kgo.ClientID("connector-" + kind + "-" + r.t.spec.name())}, opts, worker, own)
	if client, err = kgo.NewClient(all...); err != nil {
		return nil, nil, sdk.Misconfigured("The options %s* do not go together: %w", prefix, err)
	}
	close = sync.OnceFunc(client.CloseAllowingRebalance)
	context.AfterFunc(r.hard, close)
	return client, close, nil
}

// metadataMinAge is how soon a client asks again who leads a partition. A topic that was just created may have no leader yet, and one that
// fails is replaced within milliseconds; the client's own five seconds would be the longest part of it.
const metadataMinAge = 250 * time.Millisecond

// admin gives what topics of a task are created with: the task's own client, unless the configuration says otherwise for this.
func (r *run) admin(own *kgo.Client) (admin *kadm.Client, end func(), err error) {
	if len(under(r.config, "admin.override.")) == 0 && len(under(r.t.r.cfg.Options, "admin.")) == 0 {
		return kadm.NewClient(own), func() {}, nil
	}
	client, end, err := r.client("admin")
	if err != nil {
		return nil, nil, err
	}
	return kadm.NewClient(client), end, nil
}

// producer makes a client for what sources and dead letters send: nothing is acknowledged that could be lost, nothing comes twice or in
// another order, and what waits is bounded.
// limit gives how large batches for a topic may be, where that is known; nil: nowhere.
func (r *run) producer(limit func(topic string) (int32, bool)) (client *kgo.Client, close func(), err error) {
	sizes, err := r.batchSizes()
	if err != nil {
		return nil, nil, err
	}
	return r.client("producer",
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(100_000), kgo.MaxBufferedBytes(32<<20), kgo.AllowAutoTopicCreation(),
		kgo.UnknownTopicRetries(unknownTopicRetries), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(chosen{kgo.StickyKeyPartitioner(nil)}),
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
			if size, limited := sizes[topic]; limited {
				return size
			}
			if limit != nil {
				if size, known := limit(topic); known {
					return size
				}
			}
			return usualBatch
		}))
}

// usualBatch is the largest batch that Kafka's brokers take unless they are configured otherwise.
const usualBatch = 1_000_012

// unknownTopicRetries is how often a topic is looked for that was perhaps just created.
const unknownTopicRetries = 10

// chosen is a partitioner that heeds the partition which a connector chose, and else does as Kafka's producers do.
type chosen struct{ otherwise kgo.Partitioner }

// ForTopic implements kgo.Partitioner.
func (c chosen) ForTopic(topic string) kgo.TopicPartitioner {
	return chosenTopic{c.otherwise.ForTopic(topic)}
}

type chosenTopic struct{ otherwise kgo.TopicPartitioner }

// RequiresConsistency implements kgo.TopicPartitioner.
func (c chosenTopic) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || c.otherwise.RequiresConsistency(r)
}

// Partition implements kgo.TopicPartitioner.
func (c chosenTopic) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return c.otherwise.Partition(r, n)
}

// OnNewBatch lets records without a key go to one partition until a batch is full.
func (c chosenTopic) OnNewBatch() {
	if o, ok := c.otherwise.(kgo.TopicPartitionerOnNewBatch); ok {
		o.OnNewBatch()
	}
}
