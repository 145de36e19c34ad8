package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/sdk/kit"
)

const jsonConverter = "org.apache.kafka.connect.json.JsonConverter"

// newKit makes a kit whose values are JSON without schemas.
func newKit(t testing.TB, opts ...kit.Option) *kit.Kit {
	return kit.New(t, append(opts, kit.Converters("org.apache.kafka.connect.storage.StringConverter", jsonConverter))...)
}

func with(config map[string]string, pairs ...string) map[string]string {
	out := maps.Clone(config)
	out["value.converter"], out["value.converter.schemas.enable"] = jsonConverter, "false"
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// produce adds records {"n":…,"kind":…}, a second apart, to the partition of a topic, and gives them as they are in files.
func produce(k *kit.Kit, topic string, from, count int) (lines []string) {
	var records []kit.Record
	for n := from; n < from+count; n++ {
		line := fmt.Sprintf(`{"kind":"%c","n":%d}`, 'a'+rune(n*n%3), n)
		lines = append(lines, line)
		records = append(records, kit.Record{Topic: topic, Value: []byte(line), Timestamp: time.Date(2026, 3, 1, 23, 0, n, 0, time.UTC)})
	}
	k.Produce(records...)
	return lines
}

// linesOf gives the lines of all files, sorted by their numbers.
func linesOf(t testing.TB, files map[string][]byte) (out []string) {
	for _, b := range files {
		out = append(out, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	number := func(line string) (n struct{ N int }) {
		if err := json.Unmarshal([]byte(line), &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		return n
	}
	slices.SortFunc(out, func(a, b string) int { return number(a).N - number(b).N })
	return out
}

// TestNames: files have the names and the contents that Confluent's connector gives them.
func TestNames(t *testing.T) {
	const berlin = "Europe/Berlin"
	for _, test := range []struct {
		name   string
		config []string
		want   map[string]string // numbers of the records of each file
	}{
		{"size", []string{"flush.size", "3"}, map[string]string{
			"topics/in/partition=0/in+0+0000000000.json": "0 1 2", "topics/in/partition=0/in+0+0000000003.json": "3 4 5", "topics/in/partition=0/in+0+0000000006.json": "6 7 8",
		}},
		{"names", []string{"flush.size", "5", "topics.dir", "a/b", "directory.delim", "_", "file.delim", "-", "filename.offset.zero.pad.width", "2", "s3.object.tagging", "true"}, map[string]string{
			"a/b_in_partition=0_in-0-00.json": "0 1 2 3 4", "a/b_in_partition=0_in-0-05.json": "5 6 7 8 9",
		}},
		{"field", []string{"flush.size", "5", "partitioner.class", "io.confluent.connect.storage.partitioner.FieldPartitioner", "partition.field.name", "kind"}, map[string]string{
			"topics/in/kind=a/in+0+0000000000.json": "0 3", "topics/in/kind=b/in+0+0000000001.json": "1 2 4",
			"topics/in/kind=b/in+0+0000000005.json": "5 7 8", "topics/in/kind=a/in+0+0000000006.json": "6 9",
		}},
		{"interval", []string{"flush.size", "1000", "rotate.interval.ms", "4000", "timestamp.extractor", "Record"}, map[string]string{
			"topics/in/partition=0/in+0+0000000000.json": "0 1 2 3", "topics/in/partition=0/in+0+0000000004.json": "4 5 6 7",
		}},
		{"time", []string{"flush.size", "1000", "rotate.interval.ms", "100000", "timestamp.extractor", "Record", "partitioner.class", "TimeBasedPartitioner",
			"path.format", "'y'=YYYY/'M'=MM/'d'=dd/'t'=HH-mm-ss", "partition.duration.ms", "3000", "timezone", berlin, "locale", "en"}, map[string]string{
			"topics/in/y=2026/M=03/d=02/t=00-00-00/in+0+0000000000.json": "0 1 2", "topics/in/y=2026/M=03/d=02/t=00-00-03/in+0+0000000003.json": "3 4 5",
			"topics/in/y=2026/M=03/d=02/t=00-00-06/in+0+0000000006.json": "6 7 8",
		}},
		{"daily", []string{"flush.size", "10", "timestamp.extractor", "RecordField", "timestamp.field", "n", "partitioner.class", "DailyPartitioner", "timezone", "UTC"}, map[string]string{
			"topics/in/year=1970/month=01/day=01/in+0+0000000000.json": "0 1 2 3 4 5 6 7 8 9",
		}},
		{"routed", []string{"flush.size", "5", "transforms", "r", "transforms.r.type", "org.apache.kafka.connect.transforms.RegexRouter", "transforms.r.regex", ".*", "transforms.r.replacement", "all"}, map[string]string{
			"topics/all/partition=0/in+0+0000000000.json": "0 1 2 3 4", "topics/all/partition=0/in+0+0000000005.json": "5 6 7 8 9",
		}},
		{"gzip", []string{"flush.size", "10", "s3.compression.type", "gzip", "s3.compression.level", "9"}, map[string]string{
			"topics/in/partition=0/in+0+0000000000.json.gz": "0 1 2 3 4 5 6 7 8 9",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			st, config := serverFor(t).bucket(t)
			k := newKit(t, kit.Topic("in", 1))
			r := k.Start(confluentSink{}, with(config, append(test.config, "topics", "in")...))
			lines := produce(k, "in", 0, 10)
			want := map[string]string{}
			for name, numbers := range test.want {
				for _, n := range strings.Fields(numbers) {
					want[name] += lines[n[0]-'0'] + "\n"
				}
			}
			k.Await("the files", func() bool { return len(st.files(t)) >= len(want) })
			r.Stop()
			got := map[string]string{}
			for name, b := range st.files(t) {
				if strings.HasSuffix(name, ".gz") {
					z, err := gzip.NewReader(bytes.NewReader(b))
					if err != nil {
						t.Fatal(err)
					}
					b, _ = io.ReadAll(z)
				}
				got[name] = string(b)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCrash: whatever closes batches, each record is in one file, also when the connector is crashed again and again.
func TestCrash(t *testing.T) {
	for name, config := range map[string][]string{
		"size":  {"flush.size", "20"},
		"clock": {"flush.size", "1000000", "rotate.schedule.interval.ms", "30", "timezone", "UTC"},
		"both":  {"flush.size", "35", "rotate.schedule.interval.ms", "30", "timezone", "UTC"},
		"age":   {"flush.size", "35", "rotate.interval.ms", "30"},
		"field": {"flush.size", "35", "rotate.schedule.interval.ms", "30", "timezone", "UTC", "partitioner.class", "FieldPartitioner", "partition.field.name", "kind"},
		"span":  {"flush.size", "1000", "rotate.interval.ms", "7000", "timestamp.extractor", "Record", "rotate.schedule.interval.ms", "200", "timezone", "UTC"},
	} {
		t.Run(name, func(t *testing.T) {
			st, options := serverFor(t).bucket(t)
			k := newKit(t, kit.Topic("in", 1))
			lines := produce(k, "in", 0, 500)
			options = with(options, append(config, "topics", "in")...)
			k.Crash(confluentSink{}, options, func() bool { return k.Kept(confluentSink{}, "in") })
			lines = append(lines, produce(k, "in", 500, 500)...)
			k.Crash(confluentSink{}, options, func() bool { return k.Kept(confluentSink{}, "in") })
			if diff := cmp.Diff(lines, linesOf(t, st.files(t))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// forgetful is a sink whose offsets are never kept.
type forgetful struct{ confluentSink }

func (forgetful) NewTask() sdk.SinkTask { return &forgetfulTask{sinkTask{options: confluentSettings}} }

type forgetfulTask struct{ sinkTask }

func (t *forgetfulTask) Flush(ctx context.Context, put map[sdk.TopicPartition]int64) (map[sdk.TopicPartition]int64, error) {
	_, err := t.sinkTask.Flush(ctx, put)
	return nil, err
}

// slow is a sink that takes its time, so that offsets are kept between any two puts.
type slow struct{ confluentSink }

func (slow) NewTask() sdk.SinkTask { return &slowTask{sinkTask{options: confluentSettings}} }

type slowTask struct{ sinkTask }

func (t *slowTask) Put(ctx context.Context, records []*sdk.Record) error {
	time.Sleep(25 * time.Millisecond)
	return t.sinkTask.Put(ctx, records)
}

// TestUnkept: files whose offsets were not kept before a crash are replaced, also when batches are closed by the time of day.
func TestUnkept(t *testing.T) {
	for _, partitioner := range []string{"DefaultPartitioner", "FieldPartitioner"} {
		t.Run(partitioner, func(t *testing.T) {
			st, options := serverFor(t).bucket(t)
			k := newKit(t, kit.Topic("in", 1))
			lines := produce(k, "in", 0, 90)
			options = with(options, "topics", "in", "flush.size", "20", "partitioner.class", partitioner, "partition.field.name", "kind")
			r := k.Start(forgetful{}, options)
			k.Await("80 records in files", func() bool { return len(linesOf(t, st.files(t))) == 80 })
			before := st.files(t)
			r.Crash()
			options["rotate.schedule.interval.ms"], options["timezone"] = "1", "UTC"
			options["consumer.override.max.poll.records"] = "7"
			k.Crash(slow{}, options, func() bool { return k.Kept(slow{}, "in") })
			after := st.files(t)
			if diff := cmp.Diff(lines, linesOf(t, after)); diff != "" {
				t.Error(diff)
			}
			for name, b := range before {
				if !bytes.Equal(b, after[name]) {
					t.Errorf("%s came again with other content", name)
				}
			}
		})
	}
}

// TestClosing: batches are closed at the times of day that a multiple of the interval gives, where the zone's day begins, or at their age.
func TestClosing(t *testing.T) {
	kathmandu, err := time.LoadLocation("Asia/Kathmandu") // 5:45 ahead
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		each, age time.Duration
		zone      *time.Location
		want      string
	}{
		{time.Hour, 0, time.UTC, "11:00:00"},
		{time.Hour, 0, kathmandu, "10:15:00"},
		{7 * time.Minute, 0, time.UTC, "10:09:00"}, // 87 times 7 minutes
		{time.Hour, time.Minute, time.UTC, "10:06:07"},
		{time.Minute, time.Hour, time.UTC, "10:06:00"},
		{0, time.Hour, time.UTC, "11:05:07"},
		{0, 0, time.UTC, "00:00:00"},
	} {
		task := &sinkTask{settings: &settings{each: test.each, age: test.age, zone: test.zone}}
		if got := task.closing(time.Date(2026, 3, 1, 10, 5, 7, 0, time.UTC)).Format(time.TimeOnly); got != test.want {
			t.Errorf("each %s, age %s: %s, not %s", test.each, test.age, got, test.want)
		}
	}
}

// TestParts: a large file goes in parts, and is there when all of it is.
func TestParts(t *testing.T) {
	st, options := serverFor(t).bucket(t)
	k := kit.New(t, kit.Topic("in", 1))
	const size, count = 1 << 19, 40
	var records []kit.Record
	var want bytes.Buffer
	for i := range count {
		value := bytes.Repeat([]byte{byte('a' + i%26)}, size)
		records = append(records, kit.Record{Topic: "in", Value: value})
		want.Write(value)
		want.WriteByte('|')
	}
	options["format.class"], options["format.bytearray.separator"], options["s3.part.size"] = "ByteArrayFormat", "|", "5242880"
	options["value.converter"] = "org.apache.kafka.connect.converters.ByteArrayConverter"
	options["topics"], options["flush.size"] = "in", fmt.Sprint(count)
	r := k.Start(confluentSink{}, options)
	k.Produce(records[:count-1]...)
	k.Await("parts", func() bool {
		l, err := st.core.ListMultipartUploads(context.Background(), st.bucket, "", "", "", "", 10)
		return err == nil && len(l.Uploads) == 1
	})
	if files := st.files(t); len(files) != 0 {
		t.Errorf("%d files are there before they are whole", len(files))
	}
	r.Stop()
	if l, err := st.core.ListMultipartUploads(context.Background(), st.bucket, "", "", "", "", 10); err != nil || len(l.Uploads) != 0 {
		t.Errorf("parts were left behind: %v, %v", l.Uploads, err)
	}
	r = k.Start(confluentSink{}, options)
	k.Produce(records[count-1])
	k.Await("the offset", func() bool { return k.Kept(confluentSink{}, "in") })
	r.Stop()
	if got := st.files(t)["topics/in/partition=0/in+0+0000000000.bin"]; !bytes.Equal(got, want.Bytes()) {
		t.Errorf("the file has %d bytes, not %d", len(got), want.Len())
	}
}

// TestForgotten: when the store forgets an upload in parts, its records are read again.
func TestForgotten(t *testing.T) {
	st, options := serverFor(t).bucket(t)
	k := kit.New(t, kit.Topic("in", 1))
	const size, count = 1 << 19, 30
	value := bytes.Repeat([]byte("x"), size)
	options["format.class"], options["s3.part.size"] = "ByteArrayFormat", "5242880"
	options["value.converter"] = "org.apache.kafka.connect.converters.ByteArrayConverter"
	options["topics"], options["flush.size"] = "in", fmt.Sprint(count)
	r := k.Start(confluentSink{}, options)
	for range count - 1 {
		k.Produce(kit.Record{Topic: "in", Value: value})
	}
	ctx := context.Background()
	k.Await("parts", func() bool {
		l, err := st.core.ListMultipartUploads(ctx, st.bucket, "", "", "", "", 10)
		return err == nil && len(l.Uploads) == 1 && st.core.AbortMultipartUpload(ctx, st.bucket, l.Uploads[0].Key, l.Uploads[0].UploadID) == nil
	})
	k.Produce(kit.Record{Topic: "in", Value: value})
	k.Await("the offset", func() bool { return k.Kept(confluentSink{}, "in") })
	r.Stop()
	if got := st.files(t)["topics/in/partition=0/in+0+0000000000.bin"]; len(got) != count*(size+1) {
		t.Errorf("the file has %d bytes", len(got))
	}
}

// TestDown: a store that is down is waited for.
func TestDown(t *testing.T) {
	s := ownServer(t)
	st, options := s.bucket(t)
	k := newKit(t, kit.Topic("in", 1))
	lines := produce(k, "in", 0, 50)
	options = with(options, "topics", "in", "flush.size", "10")
	r := k.Start(confluentSink{}, options)
	k.Await("the offset", func() bool { return k.Kept(confluentSink{}, "in") })
	s.stop()
	lines = append(lines, produce(k, "in", 50, 50)...)
	k.Await("trouble", func() bool { return r.Details().Cause == sdk.Transient })
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	k.Await("the offset", func() bool { return k.Kept(confluentSink{}, "in") })
	r.Stop()
	if diff := cmp.Diff(lines, linesOf(t, st.files(t))); diff != "" {
		t.Error(diff)
	}
}

// TestTrouble: what is wrong is said in a sentence that names the option.
func TestTrouble(t *testing.T) {
	s := serverFor(t)
	_, options := s.bucket(t)
	options = with(options, "flush.size", "10", "topics", "in")
	for _, test := range []struct {
		change []string
		option string
		cause  sdk.Cause
		text   string
	}{
		{[]string{"s3.bucket.name", "elsewhere"}, "s3.bucket.name", sdk.Configuration, "The bucket elsewhere is not there: create it, or correct s3.bucket.name"},
		{[]string{"aws.access.key.id", "nobody"}, "aws.access.key.id", sdk.Configuration, "does not know the access key: correct aws.access.key.id"},
		{[]string{"aws.secret.access.key", "wrong-secret"}, "aws.secret.access.key", sdk.Configuration, "refuses the secret key: correct aws.secret.access.key"},
		{[]string{"aws.secret.access.key", ""}, "aws.access.key.id", sdk.Configuration, "Set both"},
		{[]string{"store.url", "http://127.0.0.1:1"}, "s3.bucket.name", sdk.Transient, "the store at 127.0.0.1:1 cannot be reached"},
		{[]string{"store.url", "https://" + s.address}, "store.url", sdk.Configuration, "does not speak https"},
		{[]string{"store.url", "127.0.0.1"}, "store.url", sdk.Configuration, "https://host:port"},
		{[]string{"rotate.schedule.interval.ms", "5"}, "timezone", sdk.Configuration, "timezone has to be set"},
		{[]string{"timezone", "Mars"}, "timezone", sdk.Configuration, `timezone "Mars" is not known`},
		{[]string{"partitioner.class", "FieldPartitioner"}, "partition.field.name", sdk.Configuration, "has to be set"},
		{[]string{"partitioner.class", "TimeBasedPartitioner"}, "path.format", sdk.Configuration, "have to be set"},
	} {
		config := with(options, test.change...)
		v, wrong := sdk.Parse(confluentOptions(), config)
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		told := confluentSink{}.Validate(context.Background(), v)
		if len(told) != 1 || told[0].Option != test.option || !strings.Contains(told[0].Error(), test.text) || strings.Contains(told[0].Error(), "wrong-secret") {
			t.Errorf("%v: %v, not %s: %s", test.change, told, test.option, test.text)
			continue
		}
		task := confluentSink{}.NewTask()
		if err := task.Start(context.Background(), nil, v); sdk.CauseOf(err) != test.cause {
			t.Errorf("%v: %s: %v", test.change, sdk.CauseOf(err), err)
		}
	}
	safe := httptest.NewTLSServer(http.NotFoundHandler())
	defer safe.Close()
	v, _ := sdk.Parse(confluentOptions(), with(options, "store.url", safe.URL))
	if told := (confluentSink{}).Validate(context.Background(), v); len(told) != 1 || told[0].Option != "store.url" || !strings.Contains(told[0].Error(), "is not trusted") {
		t.Errorf("a certificate that nobody knows: %v", told)
	}
	for _, option := range []string{"store.kafka.keys", "s3.wan.mode", "s3.proxy.url", "schema.compatibility", "locale", "s3.credentials.provider.class"} {
		_, wrong := sdk.Parse(confluentOptions(), with(options, option, "true"))
		if len(wrong) != 1 || wrong[0].Option != option || !strings.Contains(wrong[0].Error(), "not supported") {
			t.Errorf("%s: %v", option, wrong)
		}
	}
}

// TestRefused: a record that cannot be in a file goes to the dead letters, and the others are written.
func TestRefused(t *testing.T) {
	st, options := serverFor(t).bucket(t)
	k := newKit(t, kit.Topic("in", 1), kit.Topic("dead", 1))
	r := k.Start(confluentSink{}, with(options, "topics", "in", "flush.size", "2", "partitioner.class", "FieldPartitioner", "partition.field.name", "kind",
		"errors.tolerance", "all", "errors.deadletterqueue.topic.name", "dead", "errors.deadletterqueue.topic.replication.factor", "1"))
	k.Produce(kit.Record{Topic: "in", Value: []byte(`{"kind":"a","n":0}`)}, kit.Record{Topic: "in", Value: []byte(`{"n":1}`)},
		kit.Record{Topic: "in"}, kit.Record{Topic: "in", Value: []byte(`{"kind":"a","n":3}`)})
	k.Await("the offset", func() bool { return k.Kept(confluentSink{}, "in") })
	r.Stop()
	if got := k.Values("dead"); len(got) != 2 || got[0] != `{"n":1}` {
		t.Errorf("dead letters: %q", got)
	}
	want := map[string][]byte{"topics/in/kind=a/in+0+0000000000.json": []byte("{\"kind\":\"a\",\"n\":0}\n{\"kind\":\"a\",\"n\":3}\n")}
	if diff := cmp.Diff(want, st.files(t)); diff != "" {
		t.Error(diff)
	}
}

// TestAiven: files have the names and the contents that Aiven's connector gives them.
func TestAiven(t *testing.T) {
	for _, test := range []struct {
		name   string
		config []string
		want   map[string]string
	}{
		{"lines", []string{"format.output.type", "jsonl", "format.output.fields", "key,value,offset,timestamp,headers", "file.compression.type", "none"}, map[string]string{
			"in-0-0": `{"key":"k0","value":{"n":0},"offset":0,"timestamp":"2026-03-01T23:00:00Z","headers":[{"key":"h","value":"v"}]}` + "\n" +
				`{"key":"k1","value":{"n":1},"offset":1,"timestamp":"2026-03-01T23:00:01.500Z","headers":[]}` + "\n",
			"in-0-2": `{"key":"k2","value":{"n":2},"offset":2,"timestamp":"2026-03-01T23:00:03Z","headers":[]}` + "\n",
		}},
		{"array", []string{"format.output.type", "json", "format.output.envelope", "false", "file.name.template", "{{topic}}/{{timestamp:unit=yyyy}}/{{partition:padding=true}}-{{start_offset:padding=true}}.json",
			"aws.s3.prefix", "all/", "file.name.timestamp.source", "event", "file.compression.type", "none"}, map[string]string{
			"all/in/2026/0000000000-00000000000000000000.json": "[\n{\"n\":0},\n{\"n\":1}\n]", "all/in/2026/0000000000-00000000000000000002.json": "[\n{\"n\":2}\n]",
		}},
		{"csv", []string{"format.output.fields", "key,offset,value", "value.converter", "org.apache.kafka.connect.converters.ByteArrayConverter", "file.compression.type", "none"}, map[string]string{
			"in-0-0": "azA=,0,eyJuIjowfQ==\nazE=,1,eyJuIjoxfQ==\n", "in-0-2": "azI=,2,eyJuIjoyfQ==\n",
		}},
		{"former", []string{"output_fields", "value,offset", "output_compression", "none", "format.output.type", "jsonl"}, map[string]string{
			"in-0-0": "{\"value\":{\"n\":0},\"offset\":0}\n{\"value\":{\"n\":1},\"offset\":1}\n", "in-0-2": "{\"value\":{\"n\":2},\"offset\":2}\n",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			st, options := serverFor(t).bucket(t)
			k := newKit(t, kit.Topic("in", 1))
			at := time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)
			k.Produce(kit.Record{Topic: "in", Key: []byte("k0"), Value: []byte(`{"n":0}`), Timestamp: at, Headers: map[string]string{"h": "v"}},
				kit.Record{Topic: "in", Key: []byte("k1"), Value: []byte(`{"n":1}`), Timestamp: at.Add(1500 * time.Millisecond)},
				kit.Record{Topic: "in", Key: []byte("k2"), Value: []byte(`{"n":2}`), Timestamp: at.Add(3 * time.Second)})
			config := with(map[string]string{
				"aws.s3.bucket.name": options["s3.bucket.name"], "aws.s3.endpoint": options["store.url"], "aws.access.key.id": testKey, "aws.secret.access.key": testSecret,
				"file.max.records": "2", "rotate.schedule.interval.ms": "50", "topics": "in",
			}, test.config...)
			k.Crash(aivenSink{}, config, func() bool { return k.Kept(aivenSink{}, "in") })
			got := map[string]string{}
			for name, b := range st.files(t) {
				got[name] = string(b)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, wrong := range []string{"{{topic}}-{{partition}}", "{{key}}", "{{topic}}-{{partition}}-{{start_offset}}-{{colour}}", "{{topic"} {
		if _, err := parseTemplate(wrong, time.UTC, wallClock); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}
