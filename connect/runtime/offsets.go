package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// positions are those of all sources that were read, newest.
type positions map[string]map[string]sdk.Position // by connector and partition

// take takes an entry as it is in the offsets topic: the key a JSON array of the connector's name and the partition, the value the
// offset, or none to forget it. What is neither is passed over, as Kafka does.
func (p positions) take(key, value []byte) {
	var parts []json.RawMessage
	var connector string
	if json.Unmarshal(key, &parts) != nil || len(parts) != 2 || json.Unmarshal(parts[0], &connector) != nil {
		return
	}
	partition, ok := object(parts[1])
	if !ok {
		return
	}
	name := PartitionKey(partition)
	offset, ok := object(value)
	if !ok || offset == nil {
		delete(p[connector], name)
		return
	}
	if p[connector] == nil {
		p[connector] = map[string]sdk.Position{}
	}
	p[connector][name] = sdk.Position{Partition: partition, Offset: offset}
}

// object reads a JSON object or null, with its numbers as they are written.
func object(b []byte) (map[string]any, bool) {
	if len(b) == 0 {
		return nil, true
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var out map[string]any
	return out, d.Decode(&out) == nil
}

// entry gives a position as it is in the offsets topic.
func entry(connector string, p sdk.Position) (key, value []byte, err error) {
	if key, err = json.Marshal([]any{connector, p.Partition}); err != nil || p.Offset == nil {
		return key, nil, err
	}
	value, err = json.Marshal(p.Offset)
	return key, value, err
}

// of gives the positions of a connector, in the order of their partitions' names.
func (p positions) of(connector string) []sdk.Position {
	names := make([]string, 0, len(p[connector]))
	for name := range p[connector] {
		names = append(names, name)
	}
	sort.Strings(names)
	out := make([]sdk.Position, 0, len(names))
	for _, name := range names {
		out = append(out, p[connector][name])
	}
	return out
}

// topicOffsets keeps positions in the offsets topic, in Kafka's format.
type topicOffsets struct {
	kafka   []kgo.Opt
	topic   string
	prepare func(ctx context.Context, admin *kadm.Client) error

	mu     sync.Mutex
	client *kgo.Client // reads the topic from its begin, and writes; nil: not needed yet
	known  positions
	read   map[int32]int64 // the next offset to read
}

// NewTopicOffsets keeps positions in a topic. It is made by prepare, which is called before the topic is used first.
func NewTopicOffsets(topic string, kafka []kgo.Opt, prepare func(ctx context.Context, admin *kadm.Client) error) Offsets {
	return &topicOffsets{kafka: kafka, topic: topic, prepare: prepare}
}

// open makes the client. Under mu.
func (o *topicOffsets) open(ctx context.Context) error {
	if o.client != nil {
		return nil
	}
	opts := append(append([]kgo.Opt(nil), o.kafka...), kgo.ClientID("connect-offsets"), kgo.ConsumeTopics(o.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.DisableClientMetrics(), kgo.KeepRetryableFetchErrors())
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	if err := o.prepare(ctx, kadm.NewClient(client)); err != nil {
		client.Close()
		return err
	}
	o.client, o.known, o.read = client, positions{}, map[int32]int64{}
	return nil
}

// Get implements Offsets. It reads to the end that the topic has when it is called.
func (o *topicOffsets) Get(ctx context.Context, connector string) ([]sdk.Position, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.open(ctx); err != nil {
		return nil, err
	}
	ends, err := kadm.NewClient(o.client).ListEndOffsets(ctx, o.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the end of %s: %w", o.topic, err)
	}
	for o.behind(ends) {
		fetches := o.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for _, e := range fetches.Errors() {
			if !kerr.IsRetriable(e.Err) && !errors.Is(e.Err, context.Canceled) {
				return nil, fmt.Errorf("reading %s: %w", o.topic, e.Err)
			}
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				o.known.take(r.Key, r.Value)
				o.read[p.Partition] = r.Offset + 1
			}
		})
	}
	return o.known.of(connector), nil
}

func (o *topicOffsets) behind(ends kadm.ListedOffsets) (behind bool) {
	ends.Each(func(end kadm.ListedOffset) {
		if o.read[end.Partition] < end.Offset {
			behind = true
		}
	})
	return behind
}

// Put implements Offsets.
func (o *topicOffsets) Put(ctx context.Context, connector string, all []sdk.Position) error {
	o.mu.Lock()
	err := o.open(ctx)
	client := o.client
	o.mu.Unlock()
	if err != nil {
		return err
	}
	records := make([]*kgo.Record, 0, len(all))
	for _, p := range all {
		key, value, err := entry(connector, p)
		if err != nil {
			return fmt.Errorf("a position of %s cannot be written: %w", connector, err)
		}
		records = append(records, &kgo.Record{Topic: o.topic, Key: key, Value: value})
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

func (o *topicOffsets) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.client != nil {
		o.client.Close()
		o.client = nil
	}
}

// fileOffsets keeps positions in a file, for workers that are no part of a group: a line of JSON for each, [key, value].
type fileOffsets struct {
	path string
	mu   sync.Mutex
}

// NewFileOffsets keeps positions in a file. It need not be there yet.
func NewFileOffsets(path string) Offsets { return &fileOffsets{path: path} }

func (o *fileOffsets) load() (positions, error) {
	p := positions{}
	b, err := os.ReadFile(o.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading positions: %w", err)
	}
	for n, line := range strings.Split(string(b), "\n") {
		if line == "" {
			continue
		}
		var parts []json.RawMessage
		if json.Unmarshal([]byte(line), &parts) != nil || len(parts) != 2 {
			return nil, sdk.Misconfigured("%s, line %d, is no position: is it another program's file? Set offset.storage.file.filename to one that Weir may write", o.path, n+1)
		}
		p.take(parts[0], parts[1])
	}
	return p, nil
}

// Get implements Offsets.
func (o *fileOffsets) Get(_ context.Context, connector string) ([]sdk.Position, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, err := o.load()
	return p.of(connector), err
}

// Put implements Offsets. The file is replaced, so that it is whole whatever happens.
func (o *fileOffsets) Put(_ context.Context, connector string, all []sdk.Position) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, err := o.load()
	if err != nil {
		return err
	}
	for _, one := range all {
		key, value, err := entry(connector, one)
		if err != nil {
			return fmt.Errorf("a position of %s cannot be written: %w", connector, err)
		}
		p.take(key, value)
	}
	var text strings.Builder
	for connector := range p {
		for _, one := range p.of(connector) {
			key, value, err := entry(connector, one)
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, "[%s,%s]\n", key, value)
		}
	}
	return replace(o.path, text.String())
}

func replace(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already if all goes well
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (o *fileOffsets) Close() {}
