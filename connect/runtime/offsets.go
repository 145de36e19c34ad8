package runtime

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// topicOffsets keeps positions in the offsets topic, in Kafka's format. The topic is read when somebody asks, from where it was read
// to before.
type topicOffsets struct {
	offsetMap
	kafka   []kgo.Opt
	topic   string
	prepare func(ctx context.Context, admin *kadm.Client) error

	opening sync.Mutex
	client  *kgo.Client // nil: not needed yet

	reading chan struct{}   // held while the topic is read
	read    map[int32]int64 // the next offset to read
}

// NewTopicOffsets keeps positions in a topic. It is made by prepare, which is called before the topic is used first.
func NewTopicOffsets(topic string, kafka []kgo.Opt, prepare func(ctx context.Context, admin *kadm.Client) error) Offsets {
	return &topicOffsets{offsetMap: newOffsetMap(), kafka: kafka, topic: topic, prepare: prepare, reading: make(chan struct{}, 1), read: map[int32]int64{}}
}

// open makes the client.
func (o *topicOffsets) open(ctx context.Context) (*kgo.Client, error) {
	o.opening.Lock()
	defer o.opening.Unlock()
	if o.client != nil {
		return o.client, nil
	}
	client, err := kgo.NewClient(append(o.kafka[:len(o.kafka):len(o.kafka)], kgo.ClientID("connect-offsets"), kgo.ConsumeTopics(o.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(30*time.Second), kgo.KeepControlRecords(), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0), kgo.DisableClientMetrics())...)
	if err != nil {
		return nil, err
	}
	if err := o.prepare(ctx, kadm.NewClient(client)); err != nil {
		client.Close()
		return nil, err
	}
	o.client = client
	return client, nil
}

// Get implements Offsets. It reads to the end that the topic has when it is called.
func (o *topicOffsets) Get(ctx context.Context, connector string) ([]sdk.Position, error) {
	client, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case o.reading <- struct{}{}:
		defer func() { <-o.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ends, err := o.ends(ctx, client)
	for until := time.Now().Add(leaderWait); kerr.IsRetriable(err) && time.Now().Before(until) && ctx.Err() == nil; ends, err = o.ends(ctx, client) {
		time.Sleep(leaderWait / 500) // it was just created, or its leader changes
	}
	if err != nil {
		return nil, fmt.Errorf("the topic %s cannot be looked at: %w", o.topic, err)
	}
	for o.behind(ends) {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if fetches.IsClientClosed() {
			return nil, kgo.ErrClientClosed
		}
		for _, e := range fetches.Errors() {
			return nil, fmt.Errorf("the topic %s cannot be read: %w", e.Topic, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				_ = o.apply(r.Key, r.Value) // what is no position is passed over, as Kafka does
			}
			o.read[r.Partition] = r.Offset + 1
		})
	}
	return o.all(connector), nil
}

// leaderWait is how long partitions of the offsets topic may have no leader.
const leaderWait = 10 * time.Second

// ends gives where each partition ends that has anything. Compaction never takes the last record of one, so that there is one to wait for.
func (o *topicOffsets) ends(ctx context.Context, client *kgo.Client) (map[int32]int64, error) {
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, o.topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, o.topic)
	if err == nil {
		err = ends.Error()
	}
	out := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if start, _ := starts.Lookup(end.Topic, end.Partition); start.Offset < end.Offset {
			out[end.Partition] = end.Offset
		}
	})
	return out, err
}

func (o *topicOffsets) behind(ends map[int32]int64) bool {
	for p, end := range ends {
		if o.read[p] < end {
			return true
		}
	}
	return false
}

// Put implements Offsets.
func (o *topicOffsets) Put(ctx context.Context, connector string, all []sdk.Position) error {
	client, err := o.open(ctx)
	if err != nil {
		return err
	}
	records := make([]*kgo.Record, len(all))
	for i, p := range all {
		k, err := o.encode(connector, p)
		if err != nil {
			return err
		}
		records[i] = &kgo.Record{Topic: o.topic, Key: k.key, Value: k.value}
	}
	for {
		err := client.ProduceSync(ctx, records...).FirstErr()
		if !errors.Is(err, context.Canceled) || ctx.Err() != nil {
			return err
		}
		// Another Put was cut off, and took with it what waited behind it.
		for i, r := range records {
			records[i] = &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value}
		}
	}
}

// Close implements Offsets.
func (o *topicOffsets) Close() {
	o.opening.Lock()
	defer o.opening.Unlock()
	if o.client != nil {
		o.client.Close()
	}
}

// fileOffsets keeps positions in a file, for workers that are no part of a group: a line for each, with its key and its value as the topic
// would have them.
type fileOffsets struct {
	offsetMap
	path    string
	writing sync.Mutex
	loaded  bool
}

// NewFileOffsets keeps positions in a file. It need not be there yet.
func NewFileOffsets(path string) Offsets { return &fileOffsets{offsetMap: newOffsetMap(), path: path} }

type fileLine struct {
	Key   json.RawMessage `json:"key"`
	Value json.RawMessage `json:"value"`
}

// load reads the file, once. Under writing.
func (o *fileOffsets) load() error {
	if o.loaded {
		return nil
	}
	b, err := os.ReadFile(o.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return sdk.Misconfigured("The positions of sources cannot be read: %w; set offset.storage.file.filename to a file that Weir may read and write", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, len(b)+1)
	for n := 1; lines.Scan(); n++ {
		var l fileLine
		err := json.Unmarshal(lines.Bytes(), &l)
		if err == nil {
			err = o.apply(l.Key, l.Value)
		}
		if err != nil {
			return sdk.Misconfigured("%s, line %d, is no position: is it another program's file? Set offset.storage.file.filename to one that Weir may write", o.path, n)
		}
	}
	o.loaded = true
	return nil
}

// Get implements Offsets.
func (o *fileOffsets) Get(_ context.Context, connector string) ([]sdk.Position, error) {
	o.writing.Lock()
	defer o.writing.Unlock()
	if err := o.load(); err != nil {
		return nil, err
	}
	return o.all(connector), nil
}

// Put implements Offsets. The file is written anew and replaced, so that it is whole whatever happens.
func (o *fileOffsets) Put(_ context.Context, connector string, all []sdk.Position) error {
	o.writing.Lock()
	defer o.writing.Unlock()
	if err := o.load(); err != nil {
		return err
	}
	for _, p := range all {
		k, err := o.encode(connector, p)
		if err == nil {
			err = o.apply(k.key, k.value)
		}
		if err != nil {
			return err
		}
	}
	return replaceFile(o.path, o.lines())
}

// Close implements Offsets.
func (o *fileOffsets) Close() {}

// replaceFile gives a file new contents, all or nothing.
func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
