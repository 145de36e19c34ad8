package convert

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/values"
)

// jsonOptions are the options of the JSON converter.
var jsonOptions = append(typeOption[:1:1],
	sdk.Option{Name: "schemas.enable", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.High, Group: "Schemas", Order: 0, Width: "MEDIUM",
		Display: "Enable Schemas", Doc: "Include schemas within each of the serialized values and keys."},
	sdk.Option{Name: "schemas.cache.size", Kind: sdk.IntOption, Default: "1000", Importance: sdk.High, Group: "Schemas", Order: 1, Width: "MEDIUM",
		Display: "Schema Cache Size", Doc: "The maximum number of schemas that can be cached in this converter instance."},
	sdk.Option{Name: "schema.content", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.High, Group: "Schemas", Order: 2, Width: "MEDIUM",
		Display: "Schema Content", Doc: "When set, this is used as the schema for all messages, and the schemas within each of the message will be ignored." +
			"Otherwise, the schema will be included in the content of each message. This configuration applies only 'schemas.enable' is true, " +
			"and it exclusively affects the sink connector."},
	sdk.Option{Name: "decimal.format", Kind: sdk.StringOption, Default: "BASE64", Importance: sdk.Low, Group: "Serialization", Order: 0, Width: "MEDIUM",
		Display: "Decimal Format", Check: sdk.OneOf("BASE64", "NUMERIC"),
		Doc: "Controls which format this converter will serialize decimals in. This value is case insensitive and can be either 'BASE64' (default) or 'NUMERIC'"},
	sdk.Option{Name: "replace.null.with.default", Kind: sdk.BooleanOption, Default: "true", Importance: sdk.Low, Group: "Serialization", Order: 1, Width: "MEDIUM",
		Display: "Replace null with default", Doc: "Whether to replace fields that have a default value and that are null to the default value. " +
			"When set to true, the default value is used, otherwise null is used."},
)

// jsonConverter writes what Kafka's JsonConverter writes, byte for byte: {"schema":…,"payload":…}, or the payload alone.
type jsonConverter struct {
	schemas     bool
	numeric     bool // decimals as numbers
	nullDefault bool // null is the default, if there is one
	strict      bool // what is of another type than its schema says is refused
	most        int  // schemas to remember
	fixed       *sdk.Schema

	plans map[*sdk.Schema]*plan  // how values of a schema are written
	known map[string]*sdk.Schema // schemas by their text
	last  *sdk.Schema            // the last of them, and its text
	text  string
	begin string // what a message begins with that has that schema

	plain map[*sdk.Schema]bool // whether the names of their fields need no escape
	boxes values.Boxes
	names map[string]string // keys of maps that came before
	sizes [8]int            // of the last maps, by how deep they lie: the next are likely as large
}

// remembering gives a converter that can remember what it has seen.
func remembering(c jsonConverter) *jsonConverter {
	c.plans, c.known, c.names, c.plain = map[*sdk.Schema]*plan{}, map[string]*sdk.Schema{}, map[string]string{}, map[*sdk.Schema]bool{}
	return &c
}

func newJSON(v sdk.Values, _ use) (any, error) {
	c := remembering(jsonConverter{
		schemas: v.Bool("schemas.enable"), numeric: strings.EqualFold(v.String("decimal.format"), "NUMERIC"),
		nullDefault: v.Bool("replace.null.with.default"), most: max(1, int(v.Int("schemas.cache.size"))),
	})
	if content := v.String("schema.content"); content != "" && c.schemas {
		s, err := c.parseSchema([]byte(content))
		if err != nil {
			return nil, sdk.Misconfigured("schema.content is no schema in the JSON converter's form: %w", err)
		}
		c.fixed = s
	}
	return c, nil
}

func (c *jsonConverter) From(_ string, schema *sdk.Schema, value any, dst []byte) ([]byte, error) {
	if schema == nil && value == nil {
		return nil, nil
	}
	start := len(dst)
	var err error
	if schema == nil {
		if c.schemas {
			dst = append(dst, `{"schema":null,"payload":`...)
		}
		dst, err = c.appendFree(dst, value)
	} else {
		var p *plan
		if p, err = c.plan(schema); err != nil {
			return nil, err
		}
		if c.schemas {
			dst = append(append(append(dst, `{"schema":`...), p.text...), `,"payload":`...)
		}
		dst, err = p.append(dst, value)
	}
	if err != nil {
		return nil, err
	}
	if c.schemas {
		dst = append(dst, '}')
	}
	if len(dst) == start {
		panic("BUG: a JSON value without bytes")
	}
	return dst, nil
}

var errEnvelope = errors.New(`JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain additional fields.` +
	` If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.`)

func (c *jsonConverter) To(_ string, b []byte) (*sdk.Schema, any, error) {
	if b == nil {
		return nil, nil, nil
	}
	schema, v, err := c.read(b)
	if s := (*jsonSyntax)(nil); errors.As(err, &s) {
		err = fmt.Errorf("Converting byte[] to Kafka Connect data failed due to serialization error: %w", err)
	}
	if err != nil {
		return nil, nil, err
	}
	return schema, v, nil
}

func (c *jsonConverter) read(b []byte) (*sdk.Schema, any, error) {
	r := reader{b: b}
	r.space()
	if r.done() { // nothing is no JSON, but no error to Kafka
		if c.schemas && c.fixed == nil {
			return nil, nil, errEnvelope
		}
		v, err := c.missing(c.fixed)
		return c.fixed, v, err
	}
	if !c.schemas || c.fixed != nil {
		v, err := c.value(&r, c.fixed)
		if err == nil {
			err = r.end()
		}
		return c.fixed, v, err
	}
	if v, ok := c.again(b); ok {
		return c.last, v, nil
	}
	schema, payload, err := c.envelope(&r)
	if err != nil {
		return nil, nil, err
	}
	s, err := c.schemaOf(schema)
	if err != nil {
		return nil, nil, err
	}
	v, err := c.value(&reader{b: payload, depth: 1}, s)
	return s, v, err
}

// again reads a message that begins as the last one did, and has its payload after that and nothing else: as nearly all do. false: it is
// not such a one, or not right.
func (c *jsonConverter) again(b []byte) (any, bool) {
	if c.begin == "" || len(b) < len(c.begin) || string(b[:len(c.begin)]) != c.begin {
		return nil, false
	}
	r := reader{b: b, pos: len(c.begin), depth: 1}
	v, err := c.value(&r, c.last)
	return v, err == nil && r.peek() == '}'
}

// envelope finds the two parts of a message with a schema. Where the same schema follows that of the last message, it is not read again.
func (c *jsonConverter) envelope(r *reader) (schema, payload []byte, err error) {
	if r.peek() != '{' {
		if err := r.skip(); err != nil {
			return nil, nil, err
		}
		return nil, nil, errEnvelope
	}
	count := 0
	err = r.object(func(key []byte) error {
		count++
		start := r.pos
		isSchema := string(key) == "schema"
		if isSchema && c.text != "" && r.passed(c.text) {
			r.pos += len(c.text)
		} else if err := r.skip(); err != nil {
			return err
		}
		switch {
		case isSchema && schema == nil || isSchema && count > 1:
			schema = r.b[start:r.pos]
		case string(key) == "payload":
			payload = r.b[start:r.pos]
		default:
			count = 3
		}
		return nil
	})
	if err == nil && (schema == nil || payload == nil || count > 2) {
		err = errEnvelope
	}
	return schema, payload, err
}

// schemaOf gives the schema of a text, the same for the same text.
func (c *jsonConverter) schemaOf(text []byte) (*sdk.Schema, error) {
	if c.text != "" && string(text) == c.text {
		return c.last, nil
	}
	s, ok := c.known[string(text)]
	if !ok {
		if bytes.Equal(text, []byte("null")) {
			return nil, nil
		}
		var err error
		if s, err = c.parseSchema(text); err != nil {
			return nil, err
		}
		if len(c.known) >= c.most {
			clear(c.known)
		}
		c.known[string(text)] = s
	}
	c.last, c.text = s, string(text)
	c.begin = `{"schema":` + c.text + `,"payload":`
	return s, nil
}

func (c *jsonConverter) FromHeader(topic, _ string, schema *sdk.Schema, value any, dst []byte) ([]byte, error) {
	return c.From(topic, schema, value, dst)
}

func (c *jsonConverter) ToHeader(topic, _ string, b []byte) (*sdk.Schema, any, error) {
	return c.To(topic, b)
}
