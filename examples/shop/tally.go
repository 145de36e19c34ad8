package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stockTopic takes rows of the table stock to the connector that writes them.
const stockTopic = "shop.stock-table"

// change is a change of a row, as it comes from PostgreSQL: an envelope that describes itself.
type change struct {
	Payload struct {
		Before, After *line
	}
}

// line is a row of orders, deliveries or dispatches, of which the key is not needed.
type line struct {
	Product  string
	Quantity int
}

// tally counts products from the changes of tables. A change may come again after a crash; it remembers the rows, so that counts nothing
// twice.
type tally struct {
	rows  map[string]line // by table and key
	table Table
}

// apply takes a change, and gives the products whose count it changed.
func (c *tally) apply(topic, key string, after *line) []string {
	kind := map[string]string{"shop.public.orders": ordered, "shop.public.deliveries": delivered, "shop.public.dispatches": dispatched}[topic]
	id := topic + key
	var changed []string
	if before, ok := c.rows[id]; ok {
		c.table.apply(Event{Kind: kind, Product: before.Product, Quantity: -before.Quantity})
		changed = append(changed, before.Product)
		delete(c.rows, id)
	}
	if after != nil {
		c.table.apply(Event{Kind: kind, Product: after.Product, Quantity: after.Quantity})
		changed = append(changed, after.Product)
		c.rows[id] = *after
	}
	return changed
}

// countChanges reads the changes from the start, until ctx ends, and writes each product's row to a topic when it changes.
func countChanges(ctx context.Context, seeds string) error {
	client, err := kgo.NewClient(seedBrokers(seeds), kgo.ConsumeTopics("shop.public.orders", "shop.public.deliveries", "shop.public.dispatches"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.UnknownTopicRetries(-1),
		kgo.DisableIdempotentWrite(), kgo.RecordDeliveryTimeout(time.Minute)) // so that it gives up when the node does not come back
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, -1, nil, stockTopic); err != nil {
		return fmt.Errorf("creating %s: %w", stockTopic, err)
	}
	c := &tally{rows: map[string]line{}, table: Table{}}
	for ctx.Err() == nil {
		changed := map[string]bool{}
		for _, r := range client.PollFetches(ctx).Records() {
			var e change
			if r.Value != nil { // nil: what comes after a deletion, for compaction
				if err := json.Unmarshal(r.Value, &e); err != nil {
					return fmt.Errorf("%s: %w: %s", r.Topic, err, r.Value)
				}
			}
			for _, p := range c.apply(r.Topic, string(r.Key), e.Payload.After) {
				changed[p] = true
			}
		}
		var rows []*kgo.Record
		for p := range changed {
			rows = append(rows, stockRow(p, c.table[p]))
		}
		if err := client.ProduceSync(ctx, rows...).FirstErr(); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// stockRow makes the record of a product's row, with schemas, which tell the connector its columns.
func stockRow(product string, r Row) *kgo.Record {
	type field struct {
		Field string `json:"field"`
		Type  string `json:"type"`
	}
	described := func(payload map[string]any, fields ...field) []byte {
		b, err := json.Marshal(map[string]any{"schema": map[string]any{"type": "struct", "fields": fields}, "payload": payload})
		if err != nil {
			panic(fmt.Sprintf("BUG: a row has no JSON: %v", err))
		}
		return b
	}
	key := field{"product", "string"}
	return &kgo.Record{Topic: stockTopic, Key: described(map[string]any{"product": product}, key),
		Value: described(map[string]any{"product": product, "available": r.Available, "sold": r.Sold}, slices.Concat([]field{key}, []field{{"available", "int32"}, {"sold", "int32"}})...)}
}
