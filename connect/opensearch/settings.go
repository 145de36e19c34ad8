package opensearch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// settings are a connector's options, ready to use.
type settings struct {
	of             flavour
	urls           []*url.URL // without user and password
	user, password string
	tls            *tls.Config
	proxy          *url.URL

	batch, bulkBytes   int
	requests           int // under way at once
	retries            int
	giveUp             bool // after those
	linger             time.Duration
	flushIn            time.Duration // 0: any time
	backoff            time.Duration
	connectIn, readIn  time.Duration // 0: any time
	idle               time.Duration
	gzip               bool
	compact            bool
	dropInvalid        bool
	onNull, onConflict string
	onMalformed        string
	letters            bool // there is a dead-letter topic
	upsert             bool
	versionHeader      string

	ignoreKey, ignoreSchema             bool
	ignoreKeyTopics, ignoreSchemaTopics map[string]bool
	strategy                            string // what an id is when the key is ignored
	noIDs                               bool

	indices  map[string]string // of topics
	external bool              // what records are written to has to be there
	stream   bool
	streams  func(topic string) string
	stamps   []string // fields to take @timestamp from; none: the record's time
	stamp    string   // Aiven's: the field with the time
	template string
}

// checkURLs is a check of connection.url. URLs may hold passwords, so that none is shown.
func checkURLs(_ sdk.Values, value any) error {
	list, _ := value.([]string)
	if len(list) == 0 {
		return errors.New("connection.url is empty: give the URL of a server, as http://localhost:9200")
	}
	for i, text := range list {
		if _, err := parseURL(text); err != nil {
			return fmt.Errorf("connection.url: the URL %d in the list cannot be read; it has to be as http://localhost:9200", i+1)
		}
	}
	return nil
}

func parseURL(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("no URL of a server")
	}
	return u, nil
}

// checkPairs is a check of lists such as topic:index.
func checkPairs(_ sdk.Values, value any) error {
	list, _ := value.([]string)
	for _, pair := range list {
		if topic, name, ok := strings.Cut(pair, ":"); !ok || topic == "" || name == "" {
			return fmt.Errorf("Invalid value %s: it has to be a topic, a colon and a name", pair)
		}
	}
	return nil
}

func pairs(list []string) map[string]string {
	m := make(map[string]string, len(list))
	for _, pair := range list {
		topic, name, _ := strings.Cut(pair, ":")
		m[strings.TrimSpace(topic)] = strings.TrimSpace(name)
	}
	return m
}

// set gives a list as a set.
func set(list []string) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, name := range list {
		m[name] = true
	}
	return m
}

// parseSettings reads the options, and checks them together.
func parseSettings(of flavour, v sdk.Values) (*settings, []sdk.OptionError) {
	s := &settings{
		of: of, user: v.String("connection.username"), password: v.String("connection.password"),
		batch: int(v.Int("batch.size")), bulkBytes: int(v.Int("bulk.size.bytes")), requests: int(v.Int("max.in.flight.requests")),
		retries: int(v.Int("max.retries")), giveUp: v.Has("max.retries"), linger: v.Milliseconds("linger.ms"), backoff: v.Milliseconds("retry.backoff.ms"),
		connectIn: v.Milliseconds("connection.timeout.ms"), readIn: v.Milliseconds("read.timeout.ms"), idle: time.Minute,
		gzip: v.Bool("connection.compression"), compact: v.Bool("compact.map.entries"), dropInvalid: v.Bool("drop.invalid.message"),
		onNull: strings.ToLower(v.String("behavior.on.null.values")), onMalformed: strings.ToLower(v.String("behavior.on.malformed.documents")), onConflict: "ignore",
		ignoreKey: v.Bool("key.ignore"), ignoreSchema: v.Bool("schema.ignore"),
		ignoreKeyTopics: set(v.List("topic.key.ignore")), ignoreSchemaTopics: set(v.List("topic.schema.ignore")),
		strategy: byOffset, indices: pairs(v.List("topic.index.map")),
		letters: v.Map()["errors.deadletterqueue.topic.name"] != "" && strings.EqualFold(v.Map()["errors.tolerance"], "all"),
	}
	if v.Has("flush.timeout.ms") {
		s.flushIn = v.Milliseconds("flush.timeout.ms")
	}
	var wrong []sdk.OptionError
	bad := func(option, format string, args ...any) {
		wrong = append(wrong, sdk.OptionError{Option: option, Err: fmt.Errorf(format, args...)})
	}
	for _, text := range v.List("connection.url") {
		u, err := parseURL(text)
		if err != nil {
			bad("connection.url", "a URL in the list cannot be read; it has to be as http://localhost:9200")
			continue
		}
		if u.User != nil {
			if s.user == "" {
				s.user = u.User.Username()
				s.password, _ = u.User.Password()
			}
			u.User = nil
		}
		s.urls = append(s.urls, u)
	}
	if len(s.urls) == 0 && len(wrong) == 0 {
		bad("connection.url", "connection.url is empty: give the URL of a server, as http://localhost:9200")
	}
	if of == aiven {
		s.aiven(v, bad)
	} else {
		s.confluent(v, bad)
	}
	if s.upsert && s.stream {
		bad(method(of), "%s=upsert cannot be used with data streams, whose documents do not change: set it to insert", method(of))
	}
	if s.bulkBytes < 0 {
		s.bulkBytes = 1 << 30
	}
	return s, wrong
}

// What a document's id is when the key is ignored.
const (
	byOffset = "topic.partition.offset"
	byKey    = "record.key"
	byServer = "none"
)

func method(of flavour) string { return [...]string{"index.write.method", "write.method"}[of] }

func (s *settings) aiven(v sdk.Values, bad func(option, format string, args ...any)) {
	s.onConflict = strings.ToLower(v.String("behavior.on.version.conflict"))
	s.upsert = strings.EqualFold(v.String("index.write.method"), "upsert")
	s.strategy = strings.ToLower(v.String("key.ignore.id.strategy"))
	s.stream, s.stamp, s.template = v.Bool("data.stream.enabled"), v.String("data.stream.timestamp.field"), v.String("data.streams.existing.index.template.name")
	prefix := v.String("data.stream.prefix")
	s.streams = func(topic string) string {
		if prefix == "" {
			return indexName(topic)
		}
		return prefix + "-" + indexName(topic)
	}
	if s.upsert && s.ignoreKey && s.strategy != byKey {
		bad("key.ignore.id.strategy", "key.ignore.id.strategy=%s cannot be used with index.write.method=upsert, which needs the key: set it to record.key", s.strategy)
	}
	s.secure(v, "connection.ssl.", v.Bool("connection.trust.all.certificates"), bad)
}

func (s *settings) confluent(v sdk.Values, bad func(option, format string, args ...any)) {
	s.upsert = strings.EqualFold(v.String("write.method"), "upsert")
	s.versionHeader, s.noIDs = v.String("external.version.header"), v.Bool("use.autogenerated.ids")
	kind, dataset, namespace := strings.ToLower(v.String("data.stream.type")), v.String("data.stream.dataset"), v.String("data.stream.namespace")
	s.stamps = v.List("data.stream.timestamp.field")
	usage := strings.ToUpper(v.String("external.resource.usage"))
	s.external = usage != "DISABLED"
	s.stream = !s.external && kind != "none" && dataset != "" || strings.HasSuffix(usage, "DATASTREAM")
	s.streams = func(topic string) string {
		topic = strings.ToLower(topic)
		return kind + "-" + dataset + "-" + strings.ReplaceAll(namespace, "${topic}", topic[:min(len(topic), 100)])
	}
	if s.external {
		s.indices = pairs(v.List("topic.to.external.resource.mapping"))
		if len(s.indices) == 0 {
			bad("topic.to.external.resource.mapping", "topic.to.external.resource.mapping is empty, but external.resource.usage is %s: give topic:resource for each topic", usage)
		}
	}
	if s.noIDs && s.upsert {
		bad("use.autogenerated.ids", "use.autogenerated.ids cannot be used with write.method=upsert, which needs ids")
	}
	if s.idle = v.Milliseconds("max.connection.idle.time.ms"); s.idle < 0 {
		s.idle = 0
	}
	if host := v.String("proxy.host"); host != "" {
		s.proxy = &url.URL{Scheme: "http", Host: net.JoinHostPort(host, strconv.FormatInt(v.Int("proxy.port"), 10))}
		if user := v.String("proxy.username"); user != "" {
			s.proxy.User = url.UserPassword(user, v.String("proxy.password"))
		}
	}
	if strings.EqualFold(v.String("elastic.security.protocol"), "SSL") {
		s.secure(v, "elastic.https.ssl.", false, bad)
	}
}

// secure reads the options for TLS.
func (s *settings) secure(v sdk.Values, prefix string, trustAll bool, bad func(option, format string, args ...any)) {
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	pem := func(content, location string) []byte {
		if text := v.String(prefix + content); text != "" {
			return []byte(text)
		}
		name := v.String(prefix + location)
		if name == "" {
			return nil
		}
		b, err := readFile(v, name)
		if err != nil {
			bad(prefix+location, "the file cannot be read: %v", err)
		}
		return b
	}
	if authorities := pem("truststore.certificates", "truststore.location"); authorities != nil {
		s.tls.RootCAs = x509.NewCertPool()
		if !s.tls.RootCAs.AppendCertsFromPEM(authorities) {
			bad(prefix+"truststore.location", "there are no certificates as PEM in it; other stores cannot be read: write the certificates as PEM")
		}
	}
	if own := pem("keystore.certificate.chain", "keystore.location"); own != nil {
		key := own
		if text := v.String(prefix + "keystore.key"); text != "" {
			key = []byte(text)
		}
		pair, err := tls.X509KeyPair(own, key)
		if err != nil {
			bad(prefix+"keystore.location", "there is no certificate with its key as PEM in it; other stores cannot be read: write both as PEM, the key without a password")
		}
		s.tls.Certificates = []tls.Certificate{pair}
	}
	if name := prefix + "endpoint.identification.algorithm"; v.Has(name) && v.String(name) == "" && !trustAll {
		s.tls.InsecureSkipVerify = true // it is verified below, but for the host's name
		s.tls.VerifyConnection = s.anyHost
	}
	if trustAll {
		s.tls.InsecureSkipVerify = true
	}
}

// anyHost verifies a server's certificate without its name.
func (s *settings) anyHost(state tls.ConnectionState) error {
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: s.tls.RootCAs, Intermediates: between})
	return err
}

// readFile reads a file of the worker's. If the worker has a root for files, it has to be under that.
func readFile(v sdk.Values, name string) ([]byte, error) {
	root := v.Map()[sdk.FileRoot]
	if root == "" {
		return os.ReadFile(name)
	}
	base, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if filepath.IsAbs(name) {
		if name, err = filepath.Rel(base, name); err != nil {
			return nil, err
		}
	}
	in, err := os.OpenRoot(base)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	return in.ReadFile(name)
}

// idOf tells what the ids of a topic's documents are.
func (s *settings) idOf(topic string) string {
	switch {
	case s.noIDs:
		return byServer
	case s.ignoreKey || s.ignoreKeyTopics[topic]:
		return s.strategy
	}
	return byKey
}

// indexName makes a topic's name one that an index may have.
func indexName(topic string) string {
	name := strings.ReplaceAll(strings.ToLower(topic), ":", "_")
	name = name[:min(len(name), 255)]
	if name != "" && strings.IndexByte("-_+", name[0]) >= 0 {
		name = name[1:]
	}
	if name == "." || name == ".." {
		name = strings.ReplaceAll(name, ".", "dot")
	}
	return name
}
