package s3

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/encrypt"

	"github.com/weir/weir/connect/sdk"
)

// confluentSink has the options of Confluent's S3 sink and names files as that does.
type confluentSink struct{}

// Info implements sdk.Connector.
func (confluentSink) Info() sdk.Info {
	return sdk.Info{Class: "io.confluent.connect.s3.S3SinkConnector", Aliases: []string{"S3SinkConnector", "S3Sink"}, Version: "10.5.0",
		Doc: "Records become files of an S3-compatible object store: JSON lines, Parquet or bytes, each committed exactly once."}
}

// Options implements sdk.Connector.
func (confluentSink) Options() []sdk.Option { return confluentOptions() }

// NewTask implements sdk.Sink.
func (confluentSink) NewTask() sdk.SinkTask { return &sinkTask{options: confluentSettings} }

// Validate implements sdk.Validator.
func (confluentSink) Validate(ctx context.Context, v sdk.Values) []sdk.OptionError {
	return validate(ctx, confluentOptions(), v, confluentSettings, "s3.bucket.name")
}

// HasOption implements sdk.Patterned: what Confluent's license needs has no effect here.
func (confluentSink) HasOption(name string) bool { return strings.HasPrefix(name, "confluent.") }

func validate(ctx context.Context, options []sdk.Option, v sdk.Values, parse func(sdk.Values) (*settings, error), bucket string) []sdk.OptionError {
	s, err := parse(v)
	if err == nil {
		err = s.store.check(ctx)
	}
	if err != nil {
		return atFault(options, err, bucket)
	}
	return nil
}

// The groups of options.
const (
	groupStore  = "S3"
	groupFiles  = "Connector"
	groupLayout = "Partitioner"
	groupOutput = "Storage"
)

// storeOptions are those of Confluent's connectors that say where the bucket is.
var storeOptions = sync.OnceValue(func() []sdk.Option {
	return []sdk.Option{
		required(option(groupStore, "s3.bucket.name", sdk.StringOption, "", sdk.High, "The bucket.")),
		option(groupStore, "s3.region", sdk.StringOption, "us-west-2", sdk.Medium, "The region that the bucket is in."),
		option(groupOutput, "store.url", sdk.StringOption, noValue, sdk.High, "Where the store is, such as http://minio:9000. Without it: Amazon's."),
		option(groupStore, "aws.access.key.id", sdk.StringOption, noValue, sdk.High, "The access key. Without it, that of the environment: AWS_ACCESS_KEY_ID, ~/.aws/credentials, or the machine's role."),
		option(groupStore, "aws.secret.access.key", sdk.PasswordOption, noValue, sdk.High, "The secret key."),
		option(groupStore, "s3.path.style.access.enabled", sdk.BooleanOption, "true", sdk.Low, "Whether the bucket's name goes in the path of store.url, not before its host."),
		other(groupStore, "s3.credentials.provider.class", sdk.ClassOption, "com.amazonaws.auth.DefaultAWSCredentialsProviderChain",
			"classes of Java cannot be loaded; set aws.access.key.id and aws.secret.access.key, or the environment", "com.amazonaws.auth.EnvironmentVariableCredentialsProvider"),
		option(groupOutput, "topics.dir", sdk.StringOption, "topics", sdk.High, "The folder in the bucket with a folder for each topic."),
		option(groupOutput, "directory.delim", sdk.StringOption, "/", sdk.Medium, "What is between the names of folders."),
		option(groupOutput, "file.delim", sdk.StringOption, "+", sdk.Medium, "What is between topic, partition and offset in the name of a file."),
		required(checked(option(groupFiles, "format.class", sdk.ClassOption, "", sdk.High, "What files are: io.confluent.connect.s3.format.json.JsonFormat, …parquet.ParquetFormat or …bytearray.ByteArrayFormat."),
			classOf("format.class", "JsonFormat", "ParquetFormat", "ByteArrayFormat"))),
		option(groupStore, "format.bytearray.extension", sdk.StringOption, ".bin", sdk.Low, "How the names of files of ByteArrayFormat end."),
		option(groupStore, "format.bytearray.separator", sdk.StringOption, noValue, sdk.Low, "What follows each record of ByteArrayFormat. Without it: a line feed."),
		idle(groupStore, "s3.http.send.expect.continue", sdk.BooleanOption, "true", "requests are sent at once"),
		checked(option(groupStore, "s3.part.retries", sdk.IntOption, "3", sdk.Low, "How often a request is sent again at once, before the runtime tries all again, and says so. If it is not set: once."), sdk.AtLeast(0)),
		idle(groupStore, "s3.retry.backoff.ms", sdk.LongOption, "200", "a request is tried again after some tenths of a second"),
		other(groupStore, "s3.wan.mode", sdk.BooleanOption, "false", "the bucket is reached by its usual address only"),
		other(groupStore, "s3.proxy.url", sdk.StringOption, "", "set HTTPS_PROXY in the environment of the worker"),
		other(groupStore, "s3.proxy.user", sdk.StringOption, noValue, "set HTTPS_PROXY in the environment of the worker"),
		other(groupStore, "s3.proxy.password", sdk.PasswordOption, "[hidden]", "set HTTPS_PROXY in the environment of the worker"),
	}
})

var confluentOptions = sync.OnceValue(func() []sdk.Option {
	return ordered(slices.Concat(storeOptions(), []sdk.Option{
		required(checked(option(groupFiles, "flush.size", sdk.IntOption, "", sdk.High, "How many records of a partition make a batch, which is then written to files."), sdk.AtLeast(1))),
		checked(option(groupFiles, "rotate.interval.ms", sdk.LongOption, "-1", sdk.High, "How far the records of a batch may lie apart in time, by timestamp.extractor. -1: any. It counts when the next record comes."), sdk.AtLeast(-1)),
		checked(option(groupFiles, "rotate.schedule.interval.ms", sdk.LongOption, "-1", sdk.Medium, "How often batches are closed by the time of day, also if nothing comes. -1: never. It needs timezone."), sdk.AtLeast(-1)),
		checked(option(groupFiles, "retry.backoff.ms", sdk.LongOption, "5000", sdk.Low, "How long to wait before records are tried again after an error that passes, in milliseconds. If it is not set: a moment, and longer each time up to 10 seconds."), sdk.AtLeast(0)),
		idle(groupFiles, "shutdown.timeout.ms", sdk.LongOption, "3000", "the worker says how long a task may take to stop"),
		checked(option(groupFiles, "filename.offset.zero.pad.width", sdk.IntOption, "10", sdk.Low, "How many digits offsets have in names, at least."), within(0, 20)),
		idle(groupFiles, "schema.cache.size", sdk.IntOption, "1000", "no files of Avro are written"),
		idle(groupFiles, "enhanced.avro.schema.support", sdk.BooleanOption, "true", "no files of Avro are written"),
		idle(groupFiles, "connect.meta.data", sdk.BooleanOption, "true", "no files of Avro are written"),
		idle(groupFiles, "allow.optional.map.keys", sdk.BooleanOption, "false", "no files of Avro are written"),
		idle(groupFiles, "avro.codec", sdk.StringOption, "null", "no files of Avro are written"),
		checked(option(groupFiles, "parquet.codec", sdk.StringOption, "snappy", sdk.Low, "How Parquet files are compressed: none, snappy, gzip, zstd, brotli or lz4raw."), sdk.OneOf("none", "uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4raw")),
		other(groupFiles, "schema.compatibility", sdk.StringOption, "NONE", "records are written as they are; with NONE a batch ends where the schema changes"),
		checked(option(groupStore, "s3.part.size", sdk.IntOption, "26214400", sdk.High, "How many bytes of a file are kept in memory before they are sent."), within(5<<20, 1<<31-1)),
		checked(option(groupStore, "s3.compression.type", sdk.StringOption, "none", sdk.Low, "How files of JSON and bytes are compressed: none or gzip."), sdk.OneOf("none", "gzip")),
		checked(option(groupStore, "s3.compression.level", sdk.IntOption, "-1", sdk.Low, "The level of gzip, 1 to 9; -1: its default."), within(-1, 9)),
		option(groupStore, "s3.object.tagging", sdk.BooleanOption, "false", sdk.Low, "Whether files have tags with their first and last offsets and their number of records."),
		idle(groupStore, "s3.object.behavior.on.tagging.error", sdk.StringOption, "ignore", "tags are written with the file"),
		checked(option(groupStore, "s3.acl.canned", sdk.StringOption, noValue, sdk.Low, "The canned ACL that files get, such as bucket-owner-full-control."),
			sdk.OneOf("", "private", "public-read", "public-read-write", "log-delivery-write", "authenticated-read", "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control")),
		checked(option(groupStore, "s3.ssea.name", sdk.StringOption, "", sdk.Low, "How the store encrypts files: AES256 or aws:kms."), sdk.OneOf("", "AES256", "aws:kms")),
		option(groupStore, "s3.sse.kms.key.id", sdk.StringOption, "", sdk.Low, "The key of aws:kms."),
		other(groupStore, "s3.sse.customer.key", sdk.PasswordOption, "[hidden]", "files cannot be encrypted with a customer's key; set s3.ssea.name to AES256 or aws:kms"),
		checked(option(groupStore, "behavior.on.null.values", sdk.StringOption, "fail", sdk.Low, "What happens with a record without value: fail, so that errors.tolerance decides, or ignore."), sdk.OneOf("fail", "ignore")),
		checked(option(groupStore, "json.decimal.format", sdk.StringOption, "BASE64", sdk.Low, "How decimals are in JSON: BASE64 or NUMERIC."), sdk.OneOf("BASE64", "NUMERIC")),
		other(groupOutput, "storage.class", sdk.ClassOption, "io.confluent.connect.s3.storage.S3Storage", "files are in S3-compatible stores only"),
		other(groupStore, "store.kafka.keys", sdk.BooleanOption, "false", "keys are not written to files of their own; use a transform to have them in values, or Aiven's connector"),
		idle(groupStore, "keys.format.class", sdk.ClassOption, "", "keys are not written to files of their own"),
		other(groupStore, "store.kafka.headers", sdk.BooleanOption, "false", "headers are not written to files of their own; use HeaderToValue, or Aiven's connector"),
		idle(groupStore, "headers.format.class", sdk.ClassOption, "", "headers are not written to files of their own"),
		other(groupStore, "s3.elastic.buffer.enable", sdk.BooleanOption, "false", "buffers grow as they need to anyway", "true"),
		idle(groupStore, "s3.elastic.buffer.init.capacity", sdk.IntOption, "131072", "buffers grow as they need to"),
		checked(option(groupLayout, "partitioner.class", sdk.ClassOption, "io.confluent.connect.storage.partitioner.DefaultPartitioner", sdk.High,
			"How a topic's records are sorted into folders: DefaultPartitioner, FieldPartitioner, TimeBasedPartitioner, HourlyPartitioner or DailyPartitioner."),
			classOf("partitioner.class", "DefaultPartitioner", "FieldPartitioner", "TimeBasedPartitioner", "HourlyPartitioner", "DailyPartitioner")),
		option(groupLayout, "partition.field.name", sdk.ListOption, noValue, sdk.Medium, "The fields of the value that name FieldPartitioner's folders."),
		option(groupLayout, "partition.field.format.path", sdk.BooleanOption, "true", sdk.Low, "Whether such folders are field=value, not just value."),
		option(groupLayout, "path.format", sdk.StringOption, noValue, sdk.Medium, "The pattern of TimeBasedPartitioner's folders, such as 'year'=YYYY/'month'=MM/'day'=dd."),
		checked(option(groupLayout, "partition.duration.ms", sdk.LongOption, "-1", sdk.Medium, "How much time a folder of TimeBasedPartitioner has."), sdk.AtLeast(-1)),
		other(groupLayout, "locale", sdk.StringOption, "", "names of months and days are in English; use numbers", "en", "en-US", "en_US", "en-GB", "en_GB", "US", "C"),
		option(groupLayout, "timezone", sdk.StringOption, noValue, sdk.Medium, "The time zone of folders, such as UTC or Europe/Berlin."),
		checked(option(groupLayout, "timestamp.extractor", sdk.StringOption, "Wallclock", sdk.Medium, "Which time counts: Wallclock (that of writing), Record, or RecordField. Files come exactly once with the latter two."),
			classOf("timestamp.extractor", "Wallclock", "Record", "RecordField", "WallclockTimestampExtractor", "RecordTimestampExtractor", "RecordFieldTimestampExtractor")),
		option(groupLayout, "timestamp.field", sdk.StringOption, "timestamp", sdk.Medium, "The field of the value that RecordField takes."),
	}))
})

// confluentAccess gives where the bucket is.
func confluentAccess(v sdk.Values) access {
	return access{
		bucket: v.String("s3.bucket.name"), region: v.String("s3.region"), url: v.String("store.url"), key: v.String("aws.access.key.id"), secret: v.String("aws.secret.access.key"),
		pathStyle: v.Bool("s3.path.style.access.enabled"), retries: setOr(v, "s3.part.retries", 1),
		named: accessNames{"s3.bucket.name", "s3.region", "store.url", "aws.access.key.id", "aws.secret.access.key"},
	}
}

func confluentSettings(v sdk.Values) (*settings, error) {
	st, err := confluentAccess(v).open()
	if err != nil {
		return nil, err
	}
	s := &settings{
		store: st, partSize: int(v.Int("s3.part.size")), most: int(v.Int("flush.size")), schemas: true, tagObjects: v.Bool("s3.object.tagging"),
		skipNulls: v.String("behavior.on.null.values") == "ignore", nullAdvice: ": set behavior.on.null.values=ignore to pass over such", zone: time.UTC,
		retryWait: waitOf(v, "retry.backoff.ms"),
	}
	if acl := v.String("s3.acl.canned"); acl != "" {
		st.put.UserMetadata = map[string]string{"x-amz-acl": acl}
	}
	switch v.String("s3.ssea.name") {
	case "AES256":
		st.put.ServerSideEncryption = encrypt.NewSSE()
	case "aws:kms":
		if st.put.ServerSideEncryption, err = encrypt.NewSSEKMS(v.String("s3.sse.kms.key.id"), nil); err != nil {
			return nil, sdk.Misconfigured("s3.sse.kms.key.id cannot be used: %w", err)
		}
	}
	extension, err := s.confluentFormat(v)
	if err != nil {
		return nil, err
	}
	return s, s.confluentLayout(v, extension)
}

// confluentFormat sets what files are, and gives how their names end.
func (s *settings) confluentFormat(v sdk.Values) (extension string, err error) {
	c := compressions[strings.ToLower(v.String("s3.compression.type"))]
	c.level = int(v.Int("s3.compression.level"))
	switch simple(v.String("format.class")) {
	case "JsonFormat":
		json, err := newJSON(v.String("json.decimal.format"))
		if err != nil {
			return "", err
		}
		s.format = jsonLines(json, c)
		return ".json" + c.extension, nil
	case "ByteArrayFormat":
		s.format = rawBytes(separator(v), c)
		return cmp.Or(v.String("format.bytearray.extension"), ".bin") + c.extension, nil
	}
	codec, extension := parquetCodec(strings.ToLower(v.String("parquet.codec")))
	s.format = parquetFiles(codec)
	return extension + ".parquet", nil
}

// separator gives what follows each record of ByteArrayFormat, as it was written: it may be white space.
func separator(v sdk.Values) string {
	if s, set := v.Map()["format.bytearray.separator"]; set {
		return s
	}
	return "\n"
}

// confluentLayout sets how files are named and what closes batches.
func (s *settings) confluentLayout(v sdk.Values, extension string) (err error) {
	if name := v.String("timezone"); name != "" {
		if s.zone, err = time.LoadLocation(name); err != nil {
			return sdk.Misconfigured("timezone %q is not known: use one such as UTC or Europe/Berlin", name)
		}
	}
	at := wallClock
	s.span = v.Milliseconds("rotate.interval.ms")
	switch strings.TrimSuffix(simple(v.String("timestamp.extractor")), "TimestampExtractor") {
	case "Record":
		at = recordClock
	case "RecordField":
		at = fieldClock(cmp.Or(v.String("timestamp.field"), "timestamp"))
	default: // the records say nothing of when they are written
		s.age, s.span = s.span, 0
	}
	if s.span > 0 {
		s.clock = at
	}
	if s.each = v.Milliseconds("rotate.schedule.interval.ms"); s.each > 0 && v.String("timezone") == "" {
		return sdk.Misconfigured("timezone has to be set with rotate.schedule.interval.ms")
	}
	slash := v.String("directory.delim")
	l := &tree{top: v.String("topics.dir"), slash: slash, delimiter: v.String("file.delim"), width: int(v.Int("filename.offset.zero.pad.width")), extension: extension}
	s.layout = l
	switch simple(v.String("partitioner.class")) {
	case "FieldPartitioner":
		names := v.List("partition.field.name")
		if len(names) == 0 {
			return sdk.Misconfigured("partition.field.name has to be set with FieldPartitioner")
		}
		l.sub = byFields(names, slash, v.Bool("partition.field.format.path"))
	case "TimeBasedPartitioner":
		if v.String("path.format") == "" || v.Int("partition.duration.ms") <= 0 || v.String("timezone") == "" {
			return sdk.Misconfigured("path.format, partition.duration.ms and timezone have to be set with TimeBasedPartitioner")
		}
		return s.timeBased(l, v.String("path.format"), v.Milliseconds("partition.duration.ms"), at)
	case "HourlyPartitioner":
		return s.timeBased(l, fmt.Sprintf("'year'=YYYY%[1]s'month'=MM%[1]s'day'=dd%[1]s'hour'=HH", slash), time.Hour, at)
	case "DailyPartitioner":
		return s.timeBased(l, fmt.Sprintf("'year'=YYYY%[1]s'month'=MM%[1]s'day'=dd", slash), 24*time.Hour, at)
	default:
		l.sub = byPartition
	}
	return nil
}

func (s *settings) timeBased(l *tree, pattern string, each time.Duration, at clock) (err error) {
	if l.sub, err = byTime(pattern, s.zone, each, at); err != nil {
		return sdk.Misconfigured("path.format %s is no pattern: %w", pattern, err)
	}
	return nil
}
