package mirror

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
)

// syncWriter writes offset syncs: after so many records of a partition (offset.lag.max), and else once a second. It may lose the last ones; the
// next say all that they would have said.
type syncWriter struct {
	topic    string
	most     int64 // records between two
	producer *kgo.Client
	logger   *slog.Logger

	mu      sync.Mutex
	waiting map[sdk.TopicPartition]offsetSync
	last    map[sdk.TopicPartition]int64 // downstream, of the last that was written
}

func newSyncWriter(ctx context.Context, c *clusters, logger *slog.Logger) (*syncWriter, error) {
	topic, at := c.syncs()
	if err := c.create(ctx, at, topic, 1, c.Int("offset-syncs.topic.replication.factor"), compacted); err != nil {
		return nil, err
	}
	k, err := c.connect(at, "producer", kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(10_000))
	if err != nil {
		return nil, err
	}
	return &syncWriter{topic: topic, most: c.Int("offset.lag.max"), producer: k, logger: logger, waiting: map[sdk.TopicPartition]offsetSync{}, last: map[sdk.TopicPartition]int64{}}, nil
}

// landed takes in that a record is durable in the target. It does not wait.
func (w *syncWriter) landed(s offsetSync) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, known := w.last[s.TopicPartition]
	if known && s.downstream > last && s.downstream-last <= w.most {
		w.waiting[s.TopicPartition] = s
		return
	}
	w.write(s)
}

// flush writes what waits.
func (w *syncWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.waiting {
		w.write(s)
	}
}

// write sends one. Under mu.
func (w *syncWriter) write(s offsetSync) {
	delete(w.waiting, s.TopicPartition)
	w.last[s.TopicPartition] = s.downstream
	w.producer.TryProduce(context.Background(), &kgo.Record{Key: s.key(), Value: s.value()}, func(_ *kgo.Record, err error) {
		if err != nil {
			w.logger.Warn("it cannot be kept which offsets belong together; the offsets of groups are translated less exactly", "topic", w.topic, "error", err)
		}
	})
}

func (w *syncWriter) close() {
	w.flush()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.producer.Flush(ctx)
	w.producer.Close()
}
