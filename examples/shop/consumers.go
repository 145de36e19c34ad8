package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// productTopics are the topics that the table of products is made of.
var productTopics = []string{"shop.searches", "shop.orders", "shop.dispatches", "shop.stock"}

func decode(r *kgo.Record) (Event, error) {
	var e Event
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return e, fmt.Errorf("%s-%d at offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	return e, nil
}

// counted is what one partition has counted so far, and where it goes on. Both are in one file, written in one step: a
// process that is killed at any moment goes on exactly where its table left off.
type counted struct {
	Next  int64 `json:"next"`
	Table Table `json:"table"`
}

func countedFile(dir, topic string, partition int32) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d.json", topic, partition))
}

func loadCounted(file string) (counted, error) {
	c := counted{Table: Table{}}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(b, &c)
}

func (c counted) save(file string) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d", file, os.Getpid())
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// countProducts is a member of the group stock-table: it counts the events of the partitions that it is given.
func countProducts(ctx context.Context, seeds, dir string) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(seeds), kgo.ConsumerGroup("stock-table"), kgo.ConsumeTopics(productTopics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll(), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(300*time.Millisecond))
	if err != nil {
		return err
	}
	defer c.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := c.PollRecords(ctx, 50)
		var failed error
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if failed == nil && len(p.Records) > 0 {
				failed = countPartition(dir, p)
			}
		})
		if failed != nil {
			return failed
		}
		// The group's offsets only tell others how far we are, and where a member without files would begin.
		if err := c.CommitUncommittedOffsets(ctx); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "commit:", err)
		}
		c.AllowRebalance()
	}
	return nil
}

func countPartition(dir string, p kgo.FetchTopicPartition) error {
	file := countedFile(dir, p.Topic, p.Partition)
	state, err := loadCounted(file)
	if err != nil {
		return err
	}
	for _, r := range p.Records {
		if r.Offset < state.Next {
			continue // counted before the process was killed
		}
		e, err := decode(r)
		if err != nil {
			return err
		}
		state.Table.apply(e)
		state.Next = r.Offset + 1
	}
	return state.save(file)
}

// tableOfFiles adds up what all partitions have counted.
func tableOfFiles(dir string) (Table, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	out := Table{}
	for _, f := range files {
		c, err := loadCounted(f)
		if err != nil {
			return nil, err
		}
		out.add(c.Table)
	}
	return out, nil
}

// tell is the work of the groups notifications and deliveries: it writes a line for each event.
func tell(ctx context.Context, seeds, group string, topics []string, line func(Event) string, lines chan<- string) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(seeds), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer c.Close()
	for ctx.Err() == nil {
		fetches := c.PollFetches(ctx)
		for r := range fetches.RecordsAll() {
			e, err := decode(r)
			if err != nil {
				return err
			}
			lines <- line(e)
		}
	}
	return nil
}

func notification(e Event) string {
	if e.Kind == registered {
		return fmt.Sprintf("to %s: welcome, %s!", e.Customer, e.Name)
	}
	return fmt.Sprintf("to %s: we have your %s of %d × %s", e.Customer, e.Order, e.Quantity, e.Product)
}

func delivery(e Event) string {
	return fmt.Sprintf("%s leaves for %s: %d × %s", e.Order, e.Customer, e.Quantity, e.Product)
}

// replay computes the table from the topics alone, without a group: everything from the start, up to a point in time. A zero
// time is now.
func replay(ctx context.Context, seeds string, until time.Time) (Table, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(seeds), kgo.ConsumeTopics(productTopics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, productTopics...)
	if err != nil {
		return nil, err
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	out := Table{}
	for left > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for r := range fetches.RecordsAll() {
			left--
			if !until.IsZero() && r.Timestamp.After(until) {
				continue
			}
			e, err := decode(r)
			if err != nil {
				return nil, err
			}
			out.apply(e)
		}
	}
	return out, nil
}
