package convert

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/weir/weir/connect/sdk"
)

// confluentVersion is the release of Confluent's converters whose options these take.
const confluentVersion = "8.0.0"

// registryOptions are the options of the converters that keep their schemas in a registry.
var registryOptions = append(typeOption[:1:1],
	sdk.Option{Name: "schema.registry.url", Kind: sdk.ListOption, Required: true, Importance: sdk.High, Order: -1,
		Doc: "Comma-separated list of URLs for schema registry instances that can be used to register or look up schemas."},
	sdk.Option{Name: "basic.auth.credentials.source", Kind: sdk.StringOption, Default: "URL", Importance: sdk.Medium, Order: -1, Check: sdk.OneOf("URL", "USER_INFO"),
		Doc: "Where the user name and the password for the registry come from: its URL, or basic.auth.user.info."},
	sdk.Option{Name: "basic.auth.user.info", Kind: sdk.PasswordOption, Importance: sdk.Medium, Order: -1, Doc: "The user name and the password for the registry, with a colon between."},
	sdk.Option{Name: "bearer.auth.token", Kind: sdk.PasswordOption, Importance: sdk.Medium, Order: -1, Doc: "The bearer token for the registry."},
	sdk.Option{Name: "auto.register.schemas", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Medium, Order: -1,
		Doc: "Whether schemas are registered by themselves. If not, they have to be there."},
	sdk.Option{Name: "use.latest.version", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Low, Order: -1,
		Doc: "Whether records are written with the id of the subject's latest schema, if auto.register.schemas is false. It has to be the one that the data has."},
	sdk.Option{Name: "normalize.schemas", Kind: sdk.BooleanOption, Default: "false", Importance: sdk.Medium, Order: -1, Doc: "Whether the registry normalizes schemas when they are registered or looked up."},
	sdk.Option{Name: "key.subject.name.strategy", Kind: sdk.ClassOption, Default: topicStrategy, Importance: sdk.Medium, Order: -1, Check: validStrategy,
		Doc: "How the subject of keys' schemas is named: TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy."},
	sdk.Option{Name: "value.subject.name.strategy", Kind: sdk.ClassOption, Default: topicStrategy, Importance: sdk.Medium, Order: -1, Check: validStrategy,
		Doc: "How the subject of values' schemas is named: TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy."},
	sdk.Option{Name: "schemas.cache.config", Kind: sdk.IntOption, Default: "1000", Importance: sdk.Low, Order: -1, Doc: "The number of schemas to remember."},
)

const (
	strategies    = "io.confluent.kafka.serializers.subject."
	topicStrategy = strategies + "TopicNameStrategy"
)

func validStrategy(_ sdk.Values, v any) error {
	switch strings.TrimPrefix(v.(string), strategies) {
	case "TopicNameStrategy", "RecordNameStrategy", "TopicRecordNameStrategy":
		return nil
	}
	return fmt.Errorf("Invalid value %v: it must be one of %[2]sTopicNameStrategy, %[2]sRecordNameStrategy, %[2]sTopicRecordNameStrategy", v, strategies)
}

// format is what Avro, JSON Schema and Protobuf are to a converter.
type format interface {
	// writer makes what writes values of a schema, and the schema for the registry with its name.
	writer(s *sdk.Schema) (payloadWriter, sr.Schema, string, error)
	// reader makes what reads values of a schema from the registry. load gives the schemas that it refers to.
	reader(s sr.Schema, load func(sr.SchemaReference) (sr.Schema, error)) (payloadReader, error)
}

type payloadWriter interface {
	append(dst []byte, v any) ([]byte, error)
}

type payloadReader interface {
	read(b []byte) (*sdk.Schema, any, error)
}

// registered is a converter whose records name their schema by its id in a registry: a zero, four bytes, and the data.
type registered struct {
	format   format
	client   *sr.Client
	register bool
	latest   bool
	strategy string
	suffix   string
	most     int

	writers map[*sdk.Schema]*schemaWriter
	readers map[uint32]payloadReader
}

// schemaWriter writes values of a schema. ids are by topic.
type schemaWriter struct {
	payload payloadWriter
	schema  sr.Schema
	name    string
	ids     map[string]uint32
}

// requestTimeout bounds a question to the registry.
const requestTimeout = 15 * time.Second

func newRegistered(make func(v sdk.Values) (format, error)) func(sdk.Values, use) (any, error) {
	return func(v sdk.Values, u use) (any, error) {
		f, err := make(v)
		if err != nil {
			return nil, err
		}
		opts := []sr.ClientOpt{sr.URLs(v.List("schema.registry.url")...), sr.UserAgent("weir")}
		if user, password, ok := strings.Cut(v.String("basic.auth.user.info"), ":"); ok {
			opts = append(opts, sr.BasicAuth(user, password))
		}
		if token := v.String("bearer.auth.token"); token != "" {
			opts = append(opts, sr.BearerToken(token))
		}
		if v.Bool("normalize.schemas") {
			opts = append(opts, sr.DefaultParams(sr.Normalize))
		}
		client, err := sr.NewClient(opts...)
		if err != nil {
			return nil, sdk.Misconfigured("schema.registry.url: %w", err)
		}
		return &registered{
			format: f, client: client, register: v.Bool("auto.register.schemas"), latest: v.Bool("use.latest.version"),
			strategy: strings.TrimPrefix(v.String(string(u)+".subject.name.strategy"), strategies), suffix: "-" + string(u),
			most: max(1, int(v.Int("schemas.cache.config"))), writers: map[*sdk.Schema]*schemaWriter{}, readers: map[uint32]payloadReader{},
		}, nil
	}
}

func (c *registered) From(topic string, schema *sdk.Schema, value any, dst []byte) ([]byte, error) {
	if value == nil {
		if schema != nil && !schema.Optional && schema.Default == nil {
			return failed("Found null value for non-optional schema")
		}
		return nil, nil
	}
	w, err := c.writer(schema)
	if err != nil {
		return nil, err
	}
	id, ok := w.ids[topic]
	if !ok {
		if id, err = c.id(topic, w); err != nil {
			return nil, err
		}
		w.ids[topic] = id
	}
	return w.payload.append(binary.BigEndian.AppendUint32(append(dst, 0), id), value)
}

func (c *registered) writer(schema *sdk.Schema) (*schemaWriter, error) {
	if w := c.writers[schema]; w != nil {
		return w, nil
	}
	payload, text, name, err := c.format.writer(schema)
	if err != nil {
		return nil, err
	}
	if len(c.writers) >= c.most {
		clear(c.writers)
	}
	w := &schemaWriter{payload, text, name, map[string]uint32{}}
	c.writers[schema] = w
	return w, nil
}

// id gives a schema's id under the subject of a topic.
func (c *registered) id(topic string, w *schemaWriter) (uint32, error) {
	subject := topic + c.suffix
	switch c.strategy {
	case "RecordNameStrategy":
		subject = w.name
	case "TopicRecordNameStrategy":
		subject = topic + "-" + w.name
	}
	if subject == "" || strings.HasSuffix(subject, "-") {
		return 0, errors.New("In configuration key.subject.name.strategy or value.subject.name.strategy, the message's schema must have a name, and it has none")
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	var found sr.SubjectSchema
	var err error
	switch {
	case c.register:
		var id int
		id, err = c.client.RegisterSchema(ctx, subject, w.schema, -1, -1)
		return uint32(id), registryError(err, "registering the schema of %s", subject)
	case c.latest:
		found, err = c.client.SchemaByVersion(ctx, subject, -1)
	default:
		found, err = c.client.LookupSchema(ctx, subject, w.schema)
	}
	return uint32(found.ID), registryError(err, "looking up the schema of %s", subject)
}

func (c *registered) To(_ string, b []byte) (*sdk.Schema, any, error) {
	if b == nil {
		return nil, nil, nil
	}
	if len(b) < 5 || b[0] != 0 {
		return nil, nil, errors.New("Unknown magic byte! The record does not begin with a zero and the id of a schema")
	}
	r, err := c.reader(binary.BigEndian.Uint32(b[1:]))
	if err != nil {
		return nil, nil, err
	}
	return r.read(b[5:])
}

func (c *registered) reader(id uint32) (payloadReader, error) {
	if r := c.readers[id]; r != nil {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	s, err := c.client.SchemaByID(ctx, int(id))
	if err != nil {
		return nil, registryError(err, "getting the schema with the id %d", id)
	}
	r, err := c.format.reader(s, func(ref sr.SchemaReference) (sr.Schema, error) {
		found, err := c.client.SchemaByVersion(ctx, ref.Subject, ref.Version)
		return found.Schema, registryError(err, "getting version %d of %s", ref.Version, ref.Subject)
	})
	if err != nil {
		return nil, err
	}
	if len(c.readers) >= c.most {
		clear(c.readers)
	}
	c.readers[id] = r
	return r, nil
}

func (c *registered) FromHeader(topic, _ string, schema *sdk.Schema, value any, dst []byte) ([]byte, error) {
	return c.From(topic, schema, value, dst)
}

func (c *registered) ToHeader(topic, _ string, b []byte) (*sdk.Schema, any, error) {
	return c.To(topic, b)
}

// registryError says what the registry was asked, and whether to ask again.
func registryError(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	var answer *sr.ResponseError
	switch {
	case !errors.As(err, &answer):
		return sdk.Retry(fmt.Errorf("The schema registry does not answer, %s: %w", what, err))
	case answer.StatusCode >= 500 || answer.StatusCode == 429:
		return sdk.Retry(fmt.Errorf("The schema registry failed, %s: %w", what, err))
	case answer.StatusCode == 401 || answer.StatusCode == 403:
		return sdk.Misconfigured("The schema registry refused, %s: %w; check basic.auth.user.info", what, err)
	}
	return fmt.Errorf("The schema registry refused, %s: %w", what, err)
}
