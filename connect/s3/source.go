package s3

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/minio/minio-go/v7"

	"github.com/weir/weir/connect/convert"
	"github.com/weir/weir/connect/sdk"
)

// source reads back what Confluent's sink wrote, into the topics and partitions that it came from.
type source struct{}

// Info implements sdk.Connector.
func (source) Info() sdk.Info {
	return sdk.Info{Class: "io.confluent.connect.s3.source.S3SourceConnector", Aliases: []string{"S3SourceConnector", "S3Source"}, Version: "2.5.0",
		Doc: "The files that an S3 sink wrote become records again, in the topics and partitions that they came from."}
}

// Options implements sdk.Connector.
func (source) Options() []sdk.Option { return sourceOptions() }

// HasOption implements sdk.Patterned: what Confluent's license needs has no effect here.
func (source) HasOption(name string) bool { return strings.HasPrefix(name, "confluent.") }

var sourceOptions = sync.OnceValue(func() []sdk.Option {
	return ordered(append(slices.Clone(storeOptions()),
		other(groupFiles, "mode", sdk.StringOption, "RESTORE_BACKUP", "files have to be those that an S3 sink wrote (RESTORE_BACKUP)"),
		option(groupFiles, "topics", sdk.ListOption, noValue, sdk.Medium, "Topics to read; without it, all that have a folder in topics.dir."),
		checked(option(groupFiles, "s3.poll.interval.ms", sdk.LongOption, "60000", sdk.Medium, "How often new files are looked for."), sdk.AtLeast(1)),
		checked(option(groupFiles, "record.batch.max.size", sdk.IntOption, "200", sdk.Medium, "How many records are read at once."), sdk.AtLeast(1)),
		other(groupFiles, "filename.regex", sdk.StringOption, noValue, "files have to be named as the S3 sink names them: topic+partition+offset", `(.+)\+(\d+)\+.+$`),
		idle(groupLayout, "partitioner.class", sdk.ClassOption, "", "files are found by topics.dir and their names, whatever folders are between"),
		idle(groupLayout, "partition.field.name", sdk.ListOption, noValue, "files are found by topics.dir and their names, whatever folders are between"),
		idle(groupLayout, "path.format", sdk.StringOption, noValue, "files are found by topics.dir and their names, whatever folders are between"),
		idle(groupLayout, "partition.duration.ms", sdk.LongOption, "-1", "files are found by topics.dir and their names, whatever folders are between"),
		idle(groupLayout, "locale", sdk.StringOption, noValue, "files are found by topics.dir and their names, whatever folders are between"),
		idle(groupLayout, "timezone", sdk.StringOption, noValue, "files are found by topics.dir and their names, whatever folders are between"),
		other(groupFiles, "topic.regex.list", sdk.ListOption, noValue, "files go to the topics that their names say; rename topics by a RegexRouter"),
		other(groupFiles, "behavior.on.error", sdk.StringOption, "fail", "a file that cannot be read ends the task"),
	))
})

// taskOption tells a task its number and how many there are.
const taskOption = "task.share"

// Split implements sdk.Splitter: partitions of topics are shared out by their names.
func (source) Split(_ context.Context, _ sdk.Values, most int) (out []map[string]string, _ error) {
	for i := range most {
		out = append(out, map[string]string{taskOption: fmt.Sprintf("%d/%d", i, most)})
	}
	return out, nil
}

// Validate implements sdk.Validator.
func (source) Validate(ctx context.Context, v sdk.Values) []sdk.OptionError {
	st, err := confluentAccess(v).open()
	if err == nil {
		err = st.check(ctx)
	}
	if err != nil {
		return atFault(sourceOptions(), err, "s3.bucket.name")
	}
	return nil
}

// NewTask implements sdk.Source.
func (source) NewTask() sdk.SourceTask { return &sourceTask{} }

// The fields of positions.
const (
	bucketField, folderField, topicField, partitionField = "bucket", "folder", "topic", "partition"
	fileField, recordsField                              = "file", "records"
)

// CheckPositions implements sdk.OffsetChecker.
func (source) CheckPositions(_ sdk.Values, positions []sdk.Position) error {
	for _, p := range positions {
		for _, name := range []string{bucketField, folderField, topicField} {
			if _, ok := p.Partition[name].(string); !ok {
				return fmt.Errorf("the partition must have %s, a text", name)
			}
		}
		if p.Offset == nil {
			continue
		}
		if _, ok := p.Offset[fileField].(string); !ok {
			return fmt.Errorf("the offset must have %s, the name of a file", fileField)
		}
		if n, ok := sdk.Int64Of(p.Offset, recordsField); !ok || n < 0 {
			return fmt.Errorf("the offset must have %s, how many records of the file were read", recordsField)
		}
	}
	return nil
}

type sourceTask struct {
	c            sdk.SourceContext
	st           *store
	format       string
	separator    string
	top, slash   string
	name         *regexp.Regexp
	topics       []string
	share, tasks uint32
	each         time.Duration
	most         int
	json         convert.Converter

	looked  time.Time
	places  map[place]*progress
	queue   []found
	reading *reading
}

// place is a folder's files of one partition. They are read in the order of their offsets, which is also that in which they came.
type place struct {
	folder, topic string
	partition     int32
}

// progress is how far a place is read.
type progress struct {
	partition map[string]any
	file      string
	offset    int64 // of the file's first record
	records   int64 // that were read of it
	begun     bool
}

// found is a file that is to be read.
type found struct {
	place
	key    string
	offset int64
	size   int64
}

// reading is the file that is being read.
type reading struct {
	found
	decoder
	at *progress
}

// decoder gives the records of a file; io.EOF after the last.
type decoder interface {
	next() (*sdk.Schema, any, error)
	close() error
}

// Start implements sdk.SourceTask.
func (t *sourceTask) Start(ctx context.Context, c sdk.SourceContext, v sdk.Values) (err error) {
	t.c, t.places = c, map[place]*progress{}
	if t.st, err = confluentAccess(v).open(); err != nil {
		return err
	}
	t.share, t.tasks = 0, 1
	if _, err := fmt.Sscanf(cmp.Or(v.Map()[taskOption], "0/1"), "%d/%d", &t.share, &t.tasks); err != nil {
		panic("BUG: a share of the work that is none: " + err.Error())
	}
	t.format, t.separator = simple(v.String("format.class")), separator(v)
	if t.format == "ByteArrayFormat" && t.separator == "" {
		return sdk.Misconfigured("format.bytearray.separator is empty: nothing says where a record ends")
	}
	t.top, t.slash, t.topics = v.String("topics.dir"), v.String("directory.delim"), v.List("topics")
	t.each, t.most = v.Milliseconds("s3.poll.interval.ms"), int(v.Int("record.batch.max.size"))
	extension := map[string]string{"JsonFormat": `\.json(\.gz)?`, "ByteArrayFormat": regexp.QuoteMeta(v.String("format.bytearray.extension")) + `(\.gz)?`}[t.format]
	delimiter := regexp.QuoteMeta(v.String("file.delim"))
	t.name = regexp.MustCompile(`^(.+)` + delimiter + `(\d+)` + delimiter + `(\d+)` + cmp.Or(extension, `(?:\.[a-z0-9]+)?\.parquet`) + `$`)
	if t.json, err = newJSON("BASE64"); err != nil {
		return err
	}
	return t.st.check(ctx)
}

// Poll implements sdk.SourceTask.
func (t *sourceTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	for {
		if t.reading == nil && len(t.queue) > 0 {
			if err := t.open(ctx, t.queue[0]); err != nil {
				return nil, err
			}
			t.queue = t.queue[1:]
		}
		if t.reading != nil {
			out, err := t.read()
			if err != nil || len(out) > 0 {
				return out, err
			}
			continue
		}
		if wait := t.each - time.Since(t.looked); !t.looked.IsZero() && wait > 0 {
			select {
			case <-time.After(min(wait, sdk.PollWithin)):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if wait > sdk.PollWithin {
				return nil, nil
			}
		}
		if err := t.look(ctx); err != nil {
			return nil, err
		}
	}
}

// look finds the files that are to be read.
func (t *sourceTask) look(ctx context.Context) error {
	prefix := ""
	if t.top != "" {
		prefix = t.top + t.slash
	}
	var queue []found
	for o := range t.st.core.Client.ListObjects(ctx, t.st.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return t.st.problem("listed", o.Err)
		}
		f, ok := t.parse(o.Key)
		if !ok {
			continue
		}
		f.size = o.Size
		p, err := t.progress(ctx, f.place)
		if err != nil {
			return err
		}
		if p.file != "" && (f.offset < p.offset || f.key == p.file && p.begun) {
			continue
		}
		queue = append(queue, f)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	slices.SortFunc(queue, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset), cmp.Compare(a.key, b.key))
	})
	t.queue, t.looked = queue, time.Now()
	return nil
}

// parse reads the name of a file. false: it is none of this task's.
func (t *sourceTask) parse(key string) (f found, ok bool) {
	i := strings.LastIndex(key, t.slash)
	if i < 0 {
		return f, false
	}
	m := t.name.FindStringSubmatch(key[i+len(t.slash):])
	if m == nil || len(t.topics) > 0 && !slices.Contains(t.topics, m[1]) {
		return f, false
	}
	partition, err := strconv.ParseInt(m[2], 10, 32)
	if err != nil {
		return f, false
	}
	f.place = place{key[:i], m[1], int32(partition)}
	f.key = key
	if f.offset, err = strconv.ParseInt(m[3], 10, 64); err != nil {
		return f, false
	}
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s-%d", f.topic, f.partition)
	return f, h.Sum32()%t.tasks == t.share
}

// progress tells how far a place is read.
func (t *sourceTask) progress(ctx context.Context, at place) (*progress, error) {
	if p := t.places[at]; p != nil {
		return p, nil
	}
	p := &progress{partition: map[string]any{bucketField: t.st.bucket, folderField: at.folder, topicField: at.topic, partitionField: at.partition}}
	kept, err := t.c.Position(ctx, p.partition)
	if err != nil {
		return nil, err
	}
	if file, ok := kept[fileField].(string); ok {
		f, ok := t.parse(file)
		if !ok {
			return nil, sdk.Gone("The position of %s is the file %s, whose name is not one that an S3 sink gives: have the folder read anew by DELETE /connectors/NAME/offsets", at.folder, file)
		}
		p.file, p.offset = file, f.offset
		p.records, _ = sdk.Int64Of(kept, recordsField)
	}
	t.places[at] = p
	return p, nil
}

// open opens a file and goes to where it was read to.
func (t *sourceTask) open(ctx context.Context, f found) error {
	p := t.places[f.place]
	skip := int64(0)
	if f.key == p.file {
		skip = p.records
	}
	o, err := t.st.core.Client.GetObject(ctx, t.st.bucket, f.key, minio.GetObjectOptions{})
	if err != nil {
		return t.st.problem("read", err)
	}
	d, err := t.decode(o, f)
	if err != nil {
		_ = o.Close()
		return t.unreadable(f, 0, err)
	}
	for n := range skip {
		if _, _, err := d.next(); err == io.EOF {
			break
		} else if err != nil {
			_ = d.close()
			return t.unreadable(f, n, err)
		}
	}
	p.file, p.offset, p.records, p.begun = f.key, f.offset, skip, true
	t.reading = &reading{f, d, p}
	return nil
}

// unreadable says what an error in a file means.
func (t *sourceTask) unreadable(f found, record int64, err error) error {
	var e minio.ErrorResponse
	switch {
	case errors.As(err, &e) && e.Code == minio.NoSuchKey:
		return sdk.Retry(fmt.Errorf("the file %s has gone: %w", f.key, err))
	case errors.As(err, &e):
		return t.st.problem("read", err)
	case errors.Is(err, errContent):
		return sdk.Gone("The file %s cannot be read after %d records: %w. Put it right or remove it", f.key, record, err)
	}
	return t.st.unreached(err)
}

// inContent tells an error of the content from one of the way to it.
func inContent(err error) error {
	var e minio.ErrorResponse
	var n net.Error
	var way *net.OpError
	if err == nil || err == io.EOF || errors.As(err, &e) || errors.As(err, &n) || errors.As(err, &way) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return fmt.Errorf("%w: %w", errContent, err)
}

// errContent is what is wrong with a file itself.
var errContent = errors.New("its content is wrong")

// read reads some records.
func (t *sourceTask) read() (out []*sdk.Record, err error) {
	r := t.reading
	records := make([]sdk.Record, 0, t.most)
	for len(records) < t.most {
		schema, v, err := r.next()
		if err == io.EOF {
			t.reading = nil
			_ = r.close()
			break
		}
		if err != nil {
			_ = r.close()
			t.reading, t.queue = nil, slices.Insert(t.queue, 0, r.found)
			if len(out) > 0 {
				return out, nil // it comes to the error again
			}
			return nil, t.unreadable(r.found, r.at.records, err)
		}
		r.at.records++
		records = append(records, sdk.Record{Topic: r.topic, Partition: r.partition, ValueSchema: schema, Value: v,
			At: &sdk.Position{Partition: r.at.partition, Offset: map[string]any{fileField: r.key, recordsField: r.at.records}}})
		out = append(out, &records[len(records)-1])
	}
	return out, nil
}

// decode makes the decoder of a file.
func (t *sourceTask) decode(o *minio.Object, f found) (decoder, error) {
	if t.format == "ParquetFormat" {
		p, err := newParquetReader(o, f.size)
		if err != nil {
			return nil, inContent(err)
		}
		return &parquetObject{p, o}, nil
	}
	in := io.Reader(o)
	if strings.HasSuffix(f.key, ".gz") {
		z, err := gzip.NewReader(o)
		if err != nil {
			return nil, inContent(err)
		}
		in = z
	}
	d := &textDecoder{o: o, in: bufio.NewReaderSize(in, 64<<10), separator: []byte(t.separator)}
	if t.format == "JsonFormat" {
		d.separator, d.json = []byte("\n"), t.json
	}
	return d, nil
}

type parquetObject struct {
	*parquetReader
	o *minio.Object
}

func (p *parquetObject) next() (*sdk.Schema, any, error) {
	s, v, err := p.parquetReader.next()
	return s, v, inContent(err)
}

func (p *parquetObject) close() error { return errors.Join(p.parquetReader.close(), p.o.Close()) }

// textDecoder reads records that something follows.
type textDecoder struct {
	o         *minio.Object
	in        *bufio.Reader
	separator []byte
	json      convert.Converter // nil: records are bytes
}

func (d *textDecoder) next() (*sdk.Schema, any, error) {
	var b []byte
	for {
		part, err := d.in.ReadBytes(d.separator[len(d.separator)-1])
		if b = append(b, part...); bytes.HasSuffix(b, d.separator) {
			b = b[:len(b)-len(d.separator)]
			break
		}
		if err == io.EOF && len(b) > 0 {
			break // the last has nothing after it
		}
		if err != nil {
			return nil, nil, inContent(err)
		}
	}
	if d.json == nil {
		return sdk.BytesSchema, b, nil
	}
	schema, v, err := d.json.To("", b)
	return schema, v, inContent(err)
}

func (d *textDecoder) close() error { return d.o.Close() }

// Stop implements sdk.SourceTask.
func (t *sourceTask) Stop() error {
	if t.reading == nil {
		return nil
	}
	return t.reading.close()
}
