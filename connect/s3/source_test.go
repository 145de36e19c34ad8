package s3

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/sdk/kit"
)

// without copies a map without some of its options.
func without(config map[string]string, names ...string) map[string]string {
	out := with(config)
	for _, name := range names {
		delete(out, name)
	}
	return out
}

// TestThrough: what a sink wrote comes back, record for record in each partition, also with crashes and with files that come later.
func TestThrough(t *testing.T) {
	for name, config := range map[string][]string{
		"json":    {"s3.compression.type", "gzip"},
		"field":   {"partitioner.class", "FieldPartitioner", "partition.field.name", "kind"},
		"bytes":   {"format.class", "ByteArrayFormat", "format.bytearray.separator", "\r\n", "value.converter", "org.apache.kafka.connect.converters.ByteArrayConverter"},
		"parquet": {"format.class", "ParquetFormat", "value.converter.schemas.enable", "true"},
	} {
		t.Run(name, func(t *testing.T) {
			st, options := serverFor(t).bucket(t)
			in := newKit(t, kit.Topic("t", 2))
			var want []string
			add := func(from, count int) {
				var records []kit.Record
				for n := from; n < from+count; n++ {
					line := fmt.Sprintf(`{"kind":"%c","n":%d}`, 'a'+rune(n%2), n)
					if name == "parquet" {
						line = `{"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"kind"},{"type":"int32","optional":false,"field":"n"}],"optional":false,"name":"ConnectDefault"},"payload":` + line + `}`
					}
					want = append(want, line)
					records = append(records, kit.Record{Topic: "t", Value: []byte(line)})
				}
				in.Produce(records...)
			}
			sink := with(options, append(config, "topics", "t", "flush.size", "25", "rotate.schedule.interval.ms", "20", "timezone", "UTC")...)
			out := newKit(t, kit.Topic("t", 2))
			back := without(with(sink, "s3.poll.interval.ms", "20", "record.batch.max.size", "10"), "flush.size", "rotate.schedule.interval.ms", "s3.compression.type", "topics")
			back["value.converter"], back["value.converter.schemas.enable"] = sink["value.converter"], sink["value.converter.schemas.enable"]
			for range 2 {
				add(len(want), 300)
				in.Crash(confluentSink{}, sink, func() bool { return in.Kept(confluentSink{}, "t") })
				out.Crash(source{}, back, func() bool {
					different := map[string]bool{}
					for _, v := range out.Values("t") {
						different[v] = true
					}
					return len(different) == len(want)
				})
			}
			sent, got := in.Records("t"), out.Records("t")
			for p := range int32(2) {
				if err := kit.Delivered(valuesOf(sent, p), valuesOf(got, p)); err != nil && name != "field" {
					t.Errorf("partition %d: %v", p, err)
				}
			}
			if name == "field" { // within a folder there is order
				for _, kind := range []string{`"a"`, `"b"`} {
					if err := kit.Delivered(having(sent, kind), having(got, kind)); err != nil {
						t.Errorf("kind %s: %v", kind, err)
					}
				}
			}
			if len(st.files(t)) < 10 {
				t.Errorf("only %d files", len(st.files(t)))
			}
		})
	}
}

func valuesOf(records []kit.Record, partition int32) (out []string) {
	for _, r := range records {
		if r.Partition == partition {
			out = append(out, string(r.Value))
		}
	}
	return out
}

func having(records []kit.Record, text string) (out []string) {
	for _, r := range records {
		if strings.Contains(string(r.Value), text) {
			out = append(out, string(r.Value))
		}
	}
	return out
}

// TestSourceTrouble: a file that cannot be read is named, with what is before in the topic.
func TestSourceTrouble(t *testing.T) {
	st, options := serverFor(t).bucket(t)
	put := func(key, content string) {
		t.Helper()
		if _, err := st.core.Client.PutObject(context.Background(), st.bucket, key, bytes.NewReader([]byte(content)), int64(len(content)), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	put("topics/t/partition=0/t+0+0000000000.json", "{\"n\":0}\n{\"n\":1}\n{\"n\":\n")
	put("topics/t/partition=0/other.json", "{")
	put("topics/t/partition=0/t+0+0000000009.txt", "{")
	k := newKit(t, kit.Topic("t", 1))
	r := k.Start(source{}, with(options))
	cause, text := r.Failure()
	if cause != sdk.Lost || !strings.Contains(text, "The file topics/t/partition=0/t+0+0000000000.json cannot be read after 2 records") {
		t.Errorf("%s: %s", cause, text)
	}
	r.Stop()
	if diff := cmp.Diff([]string{`{"n":0}`, `{"n":1}`}, k.Values("t")); diff != "" {
		t.Error(diff)
	}
	if _, wrong := sdk.Parse(sourceOptions(), with(options, "mode", "GENERIC", "topic.regex.list", "t:.*")); len(wrong) != 2 {
		t.Errorf("GENERIC: %v", wrong)
	}
}

// TestSharedOut: each file is one task's.
func TestSharedOut(t *testing.T) {
	tasks, _ := source{}.Split(context.Background(), sdk.Values{}, 3)
	if len(tasks) != 3 {
		t.Fatal(tasks)
	}
	_, options := serverFor(t).bucket(t)
	for p := range 20 {
		owners := 0
		for _, share := range tasks {
			v, wrong := sdk.Parse(sourceOptions(), with(options, taskOption, share[taskOption]))
			if len(wrong) > 0 {
				t.Fatal(wrong)
			}
			task := &sourceTask{}
			if err := task.Start(context.Background(), nil, v); err != nil {
				t.Fatal(err)
			}
			if f, ok := task.parse(fmt.Sprintf("topics/t/partition=%d/t+%d+0000000042.json", p, p)); ok {
				owners++
				if want := (place{fmt.Sprintf("topics/t/partition=%d", p), "t", int32(p)}); f.place != want || f.offset != 42 {
					t.Errorf("%v", f)
				}
			}
		}
		if owners != 1 {
			t.Errorf("partition %d has %d tasks", p, owners)
		}
	}
}
