package s3

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/encrypt"

	"github.com/weir/weir/connect/sdk"
)

// aivenSink has the options of Aiven's S3 sink and names files as that does.
type aivenSink struct{}

// Info implements sdk.Connector.
func (aivenSink) Info() sdk.Info {
	return sdk.Info{Class: "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector", Aliases: []string{"AivenKafkaConnectS3SinkConnector"}, Version: "3.4.0",
		Doc: "Records become files of an S3-compatible object store: CSV, JSON or Parquet, each committed exactly once."}
}

// Options implements sdk.Connector.
func (aivenSink) Options() []sdk.Option { return aivenOptions() }

// NewTask implements sdk.Sink.
func (aivenSink) NewTask() sdk.SinkTask { return &sinkTask{options: aivenSettings} }

// Validate implements sdk.Validator.
func (aivenSink) Validate(ctx context.Context, v sdk.Values) []sdk.OptionError {
	return validate(ctx, aivenOptions(), v, aivenSettings, "aws.s3.bucket.name")
}

const (
	groupAWS    = "AWS"
	groupFile   = "File"
	groupFormat = "Format"
	noRoles     = "roles are not assumed; set aws.access.key.id and aws.secret.access.key, or give the machine the role"
)

// The options that Aiven's connector had before it renamed them are taken too.
var aivenOptions = sync.OnceValue(func() []sdk.Option {
	return ordered(append([]sdk.Option{
		option(groupAWS, "aws.access.key.id", sdk.PasswordOption, noValue, sdk.Medium, "The access key. Without it, that of the environment: AWS_ACCESS_KEY_ID, ~/.aws/credentials, or the machine's role."),
		option(groupAWS, "aws.secret.access.key", sdk.PasswordOption, noValue, sdk.Medium, "The secret key."),
		option(groupAWS, "aws.s3.bucket.name", sdk.StringOption, noValue, sdk.Medium, "The bucket."),
		option(groupAWS, "aws.s3.endpoint", sdk.StringOption, noValue, sdk.Low, "Where the store is, such as http://minio:9000. Without it: Amazon's."),
		option(groupAWS, "aws.s3.region", sdk.StringOption, noValue, sdk.Medium, "The region that the bucket is in; us-east-1 without it."),
		option(groupAWS, "aws.s3.prefix", sdk.StringOption, noValue, sdk.Medium, "What the names of files begin with. It may have the variables of file.name.template."),
		option(groupAWS, "aws.s3.prefix.template", sdk.StringOption, noValue, sdk.Medium, "The same as aws.s3.prefix."),
		checked(option(groupAWS, "aws.s3.part.size.bytes", sdk.IntOption, "5242880", sdk.Medium, "How many bytes of a file are kept in memory before they are sent."), within(5<<20, 1<<31-1)),
		checked(option(groupAWS, "aws.s3.sse.algorithm", sdk.StringOption, noValue, sdk.Medium, "How the store encrypts files: AES256 or aws:kms."), sdk.OneOf("", "AES256", "aws:kms")),
		idle(groupAWS, "aws.s3.backoff.delay.ms", sdk.LongOption, "100", "a request is tried again after some tenths of a second"),
		idle(groupAWS, "aws.s3.backoff.max.delay.ms", sdk.LongOption, "20000", "a request is tried again after some tenths of a second"),
		checked(option(groupAWS, "aws.s3.backoff.max.retries", sdk.IntOption, "3", sdk.Low, "How often a request is sent again at once, before the runtime tries all again, and says so. If it is not set: once."), sdk.AtLeast(0)),
		checked(option(groupAWS, "kafka.retry.backoff.ms", sdk.LongOption, noValue, sdk.Low, "How long to wait before records are tried again after an error that passes, in milliseconds. If it is not set: a moment, and longer each time up to 10 seconds."), sdk.AtLeast(0)),
		other(groupAWS, "aws.credentials.provider", sdk.ClassOption, "com.amazonaws.auth.DefaultAWSCredentialsProviderChain", "classes of Java cannot be loaded; set the keys, or the environment"),
		other(groupAWS, "aws.sts.role.arn", sdk.StringOption, noValue, noRoles),
		other(groupAWS, "aws.sts.role.external.id", sdk.StringOption, noValue, noRoles),
		other(groupAWS, "aws.sts.role.session.name", sdk.StringOption, noValue, noRoles),
		other(groupAWS, "aws.sts.role.session.duration", sdk.IntOption, "3600", noRoles),
		other(groupAWS, "aws.sts.config.endpoint", sdk.StringOption, noValue, noRoles),
		option(groupFile, "file.name.template", sdk.StringOption, noValue, sdk.Medium, "The names of files, made of {{topic}}, {{partition}}, {{start_offset}} (with :padding=true) and {{timestamp:unit=yyyy}} (MM, dd, HH). Without it: {{topic}}-{{partition}}-{{start_offset}} and the compression's ending."),
		checked(option(groupFile, "file.compression.type", sdk.StringOption, noValue, sdk.Medium, "How files are compressed: none, gzip, snappy or zstd; gzip without it."), sdk.OneOf("none", "gzip", "snappy", "zstd")),
		checked(option(groupFile, "file.max.records", sdk.IntOption, "0", sdk.Medium, "How many records a file has at most; 0: any number."), sdk.AtLeast(0)),
		option(groupFile, "file.name.timestamp.timezone", sdk.StringOption, "Z", sdk.Low, "The time zone of {{timestamp}}."),
		checked(option(groupFile, "file.name.timestamp.source", sdk.StringOption, "WALLCLOCK", sdk.Low, "Which time {{timestamp}} is: WALLCLOCK (that of writing) or EVENT (the record's)."), sdk.OneOf("wallclock", "event")),
		checked(option(groupFile, "rotate.schedule.interval.ms", sdk.LongOption, "60000", sdk.Medium, "How often files are closed. Aiven's connector does it whenever the worker keeps offsets."), sdk.AtLeast(1)),
		checked(option(groupFormat, "format.output.type", sdk.StringOption, "csv", sdk.Medium, "What files are: csv, json (an array), jsonl (lines) or parquet."), sdk.OneOf("csv", "json", "jsonl", "parquet")),
		checked(option(groupFormat, "format.output.fields", sdk.ListOption, noValue, sdk.Medium, "What of records is written: key, value, offset, timestamp, headers; value without it."), fieldsOf),
		checked(option(groupFormat, "format.output.fields.value.encoding", sdk.StringOption, "base64", sdk.Medium, "How values are in CSV: base64 or none."), sdk.OneOf("base64", "none")),
		option(groupFormat, "format.output.envelope", sdk.BooleanOption, "true", sdk.Medium, "Whether a value that is the only field of JSON and Parquet has its name before it."),
	}, formerly()...))
})

// former are the names that options had before.
var former = map[string]string{
	"aws_access_key_id": "aws.access.key.id", "aws_secret_access_key": "aws.secret.access.key", "aws_s3_bucket": "aws.s3.bucket.name", "aws_s3_bucket_name": "aws.s3.bucket.name",
	"aws_s3_endpoint": "aws.s3.endpoint", "aws_s3_region": "aws.s3.region", "aws_s3_prefix": "aws.s3.prefix", "output_compression": "file.compression.type", "output_fields": "format.output.fields",
}

func formerly() (out []sdk.Option) {
	for _, old := range slices.Sorted(maps.Keys(former)) {
		kind := sdk.StringOption
		if strings.HasPrefix(old, "aws_") && strings.Contains(old, "key") {
			kind = sdk.PasswordOption
		}
		o := option(groupAWS, old, kind, noValue, sdk.Low, "Former name of "+former[old]+".")
		switch old {
		case "output_fields":
			o = checked(o, func(v sdk.Values, value any) error { return fieldsOf(v, splitList(value)) })
		case "output_compression":
			o = checked(o, sdk.OneOf("none", "gzip", "snappy", "zstd"))
		}
		out = append(out, o)
	}
	return out
}

func splitList(v any) []string {
	s, _ := v.(string)
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func fieldsOf(_ sdk.Values, v any) error {
	list, _ := v.([]string)
	for _, field := range list {
		if err := sdk.OneOf("key", "value", "offset", "timestamp", "headers")(sdk.Values{}, field); err != nil {
			return err
		}
	}
	return nil
}

// either gives an option by its name, or by the one that it had.
func either(v sdk.Values, name string) string {
	if s := v.String(name); s != "" {
		return s
	}
	for old, now := range former {
		if now == name && v.String(old) != "" {
			return v.String(old)
		}
	}
	return ""
}

func aivenSettings(v sdk.Values) (*settings, error) {
	a := access{
		bucket: either(v, "aws.s3.bucket.name"), region: cmp.Or(either(v, "aws.s3.region"), "us-east-1"), url: either(v, "aws.s3.endpoint"),
		key: either(v, "aws.access.key.id"), secret: either(v, "aws.secret.access.key"), pathStyle: true,
		retries: setOr(v, "aws.s3.backoff.max.retries", 1),
		named:   accessNames{"aws.s3.bucket.name", "aws.s3.region", "aws.s3.endpoint", "aws.access.key.id", "aws.secret.access.key"},
	}
	if a.bucket == "" {
		return nil, sdk.Misconfigured("aws.s3.bucket.name has to be set")
	}
	if a.url != "" && !strings.Contains(a.url, "://") {
		a.url = "https://" + a.url
	}
	st, err := a.open()
	if err != nil {
		return nil, err
	}
	switch v.String("aws.s3.sse.algorithm") {
	case "AES256":
		st.put.ServerSideEncryption = encrypt.NewSSE()
	case "aws:kms":
		if st.put.ServerSideEncryption, err = encrypt.NewSSEKMS("", nil); err != nil {
			return nil, err
		}
	}
	s := &settings{store: st, partSize: int(v.Int("aws.s3.part.size.bytes")), most: int(v.Int("file.max.records")), each: v.Milliseconds("rotate.schedule.interval.ms"), zone: time.UTC, wantNulls: true,
		retryWait: waitOf(v, "kafka.retry.backoff.ms")}
	if s.most == 0 {
		s.most = notBounded
	}
	if zone := v.String("file.name.timestamp.timezone"); zone != "Z" {
		if s.zone, err = time.LoadLocation(zone); err != nil {
			return nil, sdk.Misconfigured("file.name.timestamp.timezone %q is not known: use one such as UTC or Europe/Berlin", zone)
		}
	}
	c := compressions[strings.ToLower(cmp.Or(either(v, "file.compression.type"), "gzip"))]
	c.level = -1
	at := clock(wallClock)
	if strings.EqualFold(v.String("file.name.timestamp.source"), "event") {
		at = recordClock
	}
	pattern := cmp.Or(v.String("file.name.template"), "{{topic}}-{{partition}}-{{start_offset}}"+c.extension)
	if s.layout, err = parseTemplate(cmp.Or(v.String("aws.s3.prefix.template"), either(v, "aws.s3.prefix"))+pattern, s.zone, at); err != nil {
		return nil, sdk.Misconfigured("file.name.template cannot be used: %w", err)
	}
	return s, s.aivenFormat(v, c)
}

// aivenFormat sets what files are.
func (s *settings) aivenFormat(v sdk.Values, c compression) error {
	json, err := newJSON("BASE64")
	if err != nil {
		return err
	}
	l := &lines{fields: v.List("format.output.fields"), base64: v.String("format.output.fields.value.encoding") == "base64", json: json}
	if old := v.String("output_fields"); len(l.fields) == 0 && old != "" {
		l.fields = splitList(old)
	}
	if len(l.fields) == 0 {
		l.fields = []string{"value"}
	}
	one := l.object
	if len(l.fields) == 1 && l.fields[0] == "value" && !v.Bool("format.output.envelope") {
		one = l.bare
	}
	switch strings.ToLower(v.String("format.output.type")) {
	case "csv":
		s.format = text(c, "", "\n", "\n", l.csv)
	case "jsonl":
		s.format = text(c, "", "\n", "\n", one)
	case "json":
		s.format = text(c, "[\n", ",\n", "\n]", one)
	default:
		if len(l.fields) != 1 || l.fields[0] != "value" || v.Bool("format.output.envelope") {
			return sdk.Misconfigured("format.output.type=parquet writes values as they are: set format.output.fields=value and format.output.envelope=false")
		}
		codec, _ := parquetCodec(c.name)
		s.format, s.wantNulls, s.schemas = parquetFiles(codec), false, true
	}
	return nil
}
