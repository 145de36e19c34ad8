package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// productTopics are the topics that the table of products is made of.
var productTopics = []string{"shop.searches", "shop.orders", "shop.dispatches", "shop.stock"}

// While a fetch waits for events, partitions that the member was given meanwhile wait with it: not for long.
var fetchWait = kgo.FetchMaxWait(500 * time.Millisecond)

func decode(r *kgo.Record) (Event, error) {
	var e Event
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return e, fmt.Errorf("%s-%d at offset %d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	return e, nil
}

// counted is what was counted of one partition so far, and where it goes on. Both are in one file, which is replaced in one
// step: a process that is killed at any moment goes on exactly where its table left off.
type counted struct {
	Next  int64 `json:"next"` // offset of the first event that is not in Table
	Table Table `json:"table"`
}

func countedFile(dir, topic string, partition int32) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d.json", topic, partition))
}

// loadCounted reads a file of save. No file: nothing was counted yet.
func loadCounted(file string) (counted, error) {
	c := counted{Table: Table{}}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// save writes aside and renames, so that the file is the old one or the new one, never half of it. (A power cut could take
// the newest file away. Nothing would be lost, the events are in the topic; only an fsync here would save counting again.)
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

// countProducts is a member of the group stock-table: it counts the events of the partitions that it is given, until ctx ends.
// Any error ends it too: whoever started it starts it again, and it goes on from its files.
//
// Its name makes it a static member: a process that comes back under the same name gets the same partitions again, at once
// and without disturbing the others.
func countProducts(ctx context.Context, seeds, dir, name string, out io.Writer) error {
	c, err := kgo.NewClient(
		seedBrokers(seeds), kgo.ClientID(name), fetchWait,
		kgo.ConsumerGroup("stock-table"), kgo.ConsumeTopics(productTopics...),
		kgo.InstanceID(name), kgo.SessionTimeout(30*time.Second), kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.DisableAutoCommit(),    // it commits when the files are written
		kgo.BlockRebalanceOnPoll(), // and gives partitions away only then
		kgo.AdjustFetchOffsetsFn(func(_ context.Context, given map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			return given, goOn(given, dir, name, out)
		}),
	)
	if err != nil {
		return err
	}
	defer c.CloseAllowingRebalance()
	for {
		fetches := c.PollRecords(ctx, 50)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var failed error
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if failed == nil && len(p.Records) > 0 {
				failed = countPartition(dir, p)
			}
		})
		if failed != nil {
			return fmt.Errorf("%s: %w", name, failed)
		}
		// What is counted is in the files. The group's offsets tell others how far we are: `weir group describe stock-table`.
		if err := commit(ctx, c); err != nil {
			return fmt.Errorf("%s: committing offsets: %w", name, err)
		}
		c.AllowRebalance()
	}
}

// commit commits what was polled, also when ctx has just ended.
func commit(ctx context.Context, c *kgo.Client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return c.CommitUncommittedOffsets(ctx)
}

// goOn makes the member begin each partition that it is given where the partition's file ends.
func goOn(given map[string]map[int32]kgo.Offset, dir, name string, out io.Writer) error {
	for topic, partitions := range given {
		for partition := range partitions {
			c, err := loadCounted(countedFile(dir, topic, partition))
			if err != nil {
				return err
			}
			partitions[partition] = kgo.NewOffset().At(c.Next)
			fmt.Fprintln(out, beginLine(name, topic, partition, c.Next))
		}
	}
	return nil
}

func beginLine(name, topic string, partition int32, offset int64) string {
	return fmt.Sprintf("%s reads %s-%d from offset %d", name, topic, partition, offset)
}

// countPartition counts what was fetched of one partition. The events must follow what the file holds: if not, another
// process has counted this partition meanwhile, or events are gone, and a number would be wrong without anybody noticing.
func countPartition(dir string, p kgo.FetchTopicPartition) error {
	file := countedFile(dir, p.Topic, p.Partition)
	state, err := loadCounted(file)
	if err != nil {
		return err
	}
	for _, r := range p.Records {
		if r.Offset != state.Next {
			return fmt.Errorf("%s-%d: the event at offset %d came, the one at %d is the next to count", r.Topic, r.Partition, r.Offset, state.Next)
		}
		e, err := decode(r)
		if err != nil {
			return err
		}
		state.Table.apply(e)
		state.Next++
	}
	return state.save(file)
}

// tableOfFiles adds up what was counted of all partitions, and how many events that were.
func tableOfFiles(dir string) (Table, int, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, 0, err
	}
	out, events := Table{}, 0
	for _, f := range files {
		c, err := loadCounted(f)
		if err != nil {
			return nil, 0, err
		}
		out.add(c.Table)
		events += int(c.Next)
	}
	return out, events, nil
}

// teller is a group that tells people what happened.
type teller struct {
	group  string
	topics []string
	line   func(Event) string
}

var (
	notifications = teller{"notifications", []string{"shop.customers", "shop.orders"}, notification}
	deliveries    = teller{"deliveries", []string{"shop.dispatches"}, delivery}
)

// tell gives a line for each event, until there are so many. Its offsets are committed in the background, as most consumers
// do: if it were killed, it would tell the last few again when it comes back.
func (t teller) tell(ctx context.Context, seeds string, lines int) ([]string, error) {
	c, err := kgo.NewClient(seedBrokers(seeds), kgo.ClientID(t.group), fetchWait,
		kgo.ConsumerGroup(t.group), kgo.ConsumeTopics(t.topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var out []string
	for len(out) < lines {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			return out, fmt.Errorf("%s: told %d of %d events: %w", t.group, len(out), lines, context.Cause(ctx))
		}
		if err := fetches.Err(); err != nil {
			return out, fmt.Errorf("%s: %w", t.group, err)
		}
		for r := range fetches.RecordsAll() {
			e, err := decode(r)
			if err != nil {
				return out, fmt.Errorf("%s: %w", t.group, err)
			}
			out = append(out, t.line(e))
		}
	}
	return out, commit(ctx, c)
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
