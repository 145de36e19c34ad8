package s3

import (
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/weir/weir/connect/convert"
	"github.com/weir/weir/connect/sdk"
)

// encoder writes records to one file.
type encoder interface {
	// write adds a record, or refuses it with an error and adds nothing.
	write(r *sdk.Record) error
	// close writes what the file ends with.
	close() error
}

// format makes encoders. first is the record that the file begins with.
type format func(w io.Writer, first *sdk.Record) (encoder, error)

// compression is how files are made smaller.
type compression struct {
	name, extension string
	level           int
}

var compressions = map[string]compression{
	"none": {name: "none"}, "gzip": {name: "gzip", extension: ".gz"}, "zstd": {name: "zstd", extension: ".zst"}, "snappy": {name: "snappy", extension: ".snappy"},
}

// over gives what is to be written to instead of w; closing it does not close w.
func (c compression) over(w io.Writer) (io.WriteCloser, error) {
	switch c.name {
	case "gzip":
		return gzip.NewWriterLevel(w, c.level)
	case "zstd":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	case "snappy":
		return s2.NewWriter(w, s2.WriterSnappyCompat(), s2.WriterConcurrency(1)), nil
	}
	return noCompression{w}, nil
}

type noCompression struct{ io.Writer }

func (noCompression) Close() error { return nil }

// text makes a format of one that appends records to a buffer.
func text(c compression, begin, between, end string, one func(dst []byte, r *sdk.Record) ([]byte, error)) format {
	var buf []byte
	return func(w io.Writer, _ *sdk.Record) (encoder, error) {
		over, err := c.over(w)
		return &textEncoder{w: over, buf: &buf, one: one, before: begin, between: between, begin: begin, end: end}, err
	}
}

type textEncoder struct {
	w                   io.WriteCloser
	buf                 *[]byte // for one record; all encoders of a task have the same
	one                 func(dst []byte, r *sdk.Record) ([]byte, error)
	before              string // what comes before the next record
	begin, between, end string
}

func (e *textEncoder) write(r *sdk.Record) error {
	b, err := e.one(append((*e.buf)[:0], e.before...), r)
	if err != nil {
		return err
	}
	*e.buf = b
	e.before = e.between
	_, err = e.w.Write(b)
	return err
}

func (e *textEncoder) close() error {
	if _, err := io.WriteString(e.w, e.end); err != nil {
		return err
	}
	return e.w.Close()
}

// newJSON makes the converter that writes values as JSON.
func newJSON(decimals string) (convert.Converter, error) {
	return convert.New("org.apache.kafka.connect.json.JsonConverter", map[string]string{"schemas.enable": "false", "decimal.format": decimals}, false)
}

// jsonLines is Confluent's JsonFormat: a line for each value.
func jsonLines(json convert.Converter, c compression) format {
	return text(c, "", "", "", func(dst []byte, r *sdk.Record) ([]byte, error) {
		dst, err := json.From(r.Topic, r.ValueSchema, r.Value, dst)
		return append(dst, '\n'), err
	})
}

// rawBytes is Confluent's ByteArrayFormat: the bytes of each value, and something after it.
func rawBytes(after string, c compression) format {
	return text(c, "", "", "", func(dst []byte, r *sdk.Record) ([]byte, error) {
		b, ok := r.Value.([]byte)
		if !ok {
			return nil, fmt.Errorf("the value is not bytes: ByteArrayFormat needs value.converter=org.apache.kafka.connect.converters.ByteArrayConverter")
		}
		return append(append(dst, b...), after...), nil
	})
}

// lines is what Aiven's connector writes as jsonl, json and csv.
type lines struct {
	fields []string
	base64 bool // of values, in CSV
	json   convert.Converter
}

// bare gives the value alone.
func (l *lines) bare(dst []byte, r *sdk.Record) ([]byte, error) {
	return l.json.From(r.Topic, r.ValueSchema, r.Value, dst)
}

// object gives fields by their names.
func (l *lines) object(dst []byte, r *sdk.Record) (_ []byte, err error) {
	dst = append(dst, '{')
	for i, field := range l.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), field...), `":`...)
		switch field {
		case "key":
			dst, err = l.convert(dst, r.Topic, r.KeySchema, r.Key)
		case "value":
			dst, err = l.convert(dst, r.Topic, r.ValueSchema, r.Value)
		case "offset":
			dst = strconv.AppendInt(dst, r.Offset, 10)
		case "timestamp":
			if r.Timestamp.IsZero() {
				dst = append(dst, "null"...)
				break
			}
			dst = append(appendInstant(append(dst, '"'), r.Timestamp), '"')
		case "headers":
			dst, err = l.headers(dst, r)
		}
		if err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func (l *lines) convert(dst []byte, topic string, schema *sdk.Schema, v any) ([]byte, error) {
	if v == nil {
		return append(dst, "null"...), nil
	}
	return l.json.From(topic, schema, v, dst)
}

func (l *lines) headers(dst []byte, r *sdk.Record) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, h := range r.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = l.json.From(r.Topic, sdk.StringSchema, h.Key, append(dst, `{"key":`...)); err != nil {
			return nil, err
		}
		if dst, err = l.convert(append(dst, `,"value":`...), r.Topic, h.Schema, h.Value); err != nil {
			return nil, err
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), nil
}

// csv gives fields with commas between.
func (l *lines) csv(dst []byte, r *sdk.Record) ([]byte, error) {
	for i, field := range l.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		switch field {
		case "key":
			b, err := plain("key", r.Key)
			if err != nil {
				return nil, err
			}
			dst = base64.StdEncoding.AppendEncode(dst, b)
		case "value":
			b, err := plain("value", r.Value)
			switch {
			case err != nil:
				return nil, err
			case l.base64:
				dst = base64.StdEncoding.AppendEncode(dst, b)
			default:
				dst = append(dst, b...)
			}
		case "offset":
			dst = strconv.AppendInt(dst, r.Offset, 10)
		case "timestamp":
			if !r.Timestamp.IsZero() {
				dst = appendInstant(dst, r.Timestamp)
			}
		case "headers":
			for j, h := range r.Headers {
				if j > 0 {
					dst = append(dst, ';')
				}
				b, err := plain("header "+h.Key, h.Value)
				if err != nil {
					return nil, err
				}
				dst = append(base64.StdEncoding.AppendEncode(dst, []byte(h.Key)), ':')
				dst = base64.StdEncoding.AppendEncode(dst, b)
			}
		}
	}
	return dst, nil
}

func plain(what string, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	case string:
		return []byte(v), nil
	}
	return nil, fmt.Errorf("the %s is neither bytes nor text, which CSV needs: use the ByteArrayConverter, or format.output.type=jsonl", what)
}

// appendInstant writes a time as Java's Instant does.
func appendInstant(dst []byte, t time.Time) []byte {
	form := "2006-01-02T15:04:05Z"
	if t.Nanosecond() != 0 {
		form = "2006-01-02T15:04:05.000Z"
	}
	return t.UTC().AppendFormat(dst, form)
}
