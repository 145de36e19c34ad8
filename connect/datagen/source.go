package datagen

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Source makes up events.
type Source struct{}

// Info implements sdk.Connector.
func (Source) Info() sdk.Info {
	return sdk.Info{Class: "org.weir.connect.datagen.DatagenConnector", Version: "1.0.0", Doc: "Made-up events of a shop: searches, orders, dispatches, customers and stock."}
}

// partOption says which of several generators a task is. Split sets it.
const partOption = "datagen.part"

// Options implements sdk.Connector.
func (Source) Options() []sdk.Option {
	return []sdk.Option{
		{Name: "topic.prefix", Kind: sdk.StringOption, Default: "shop.", Importance: sdk.High, Group: "Datagen", Order: 1, Width: "MEDIUM", Display: "Topic prefix",
			Doc: "What the names of topics begin with; they end with searches, orders, dispatches, customers and stock."},
		{Name: "rate", Kind: sdk.DoubleOption, Default: "10", Importance: sdk.High, Group: "Datagen", Order: 2, Width: "SHORT", Display: "Events a second", Check: notNegative,
			Doc: "How many events come in a second, of all tasks together. 0: as many as there can be."},
		{Name: "events", Kind: sdk.LongOption, Default: "0", Importance: sdk.Medium, Group: "Datagen", Order: 3, Width: "SHORT", Display: "Events in all", Check: sdk.AtLeast(0),
			Doc: "How many events come in all, of all tasks together. 0: there is no end."},
		{Name: "seed", Kind: sdk.LongOption, Default: "2026", Importance: sdk.Low, Group: "Datagen", Order: 4, Width: "SHORT", Display: "Seed",
			Doc: "Another seed gives other events."},
		{Name: partOption, Kind: sdk.IntOption, Default: "0", Importance: sdk.Low, Internal: true},
		{Name: partOption + "s", Kind: sdk.IntOption, Default: "1", Importance: sdk.Low, Internal: true},
	}
}

func notNegative(_ sdk.Values, v any) error {
	if f, _ := v.(float64); f < 0 {
		return fmt.Errorf("Invalid value %v for configuration rate: Value must be at least 0", v)
	}
	return nil
}

// Split implements sdk.Splitter: each task is a generator of its own.
func (Source) Split(_ context.Context, v sdk.Values, most int) ([]map[string]string, error) {
	out := make([]map[string]string, max(most, 1))
	for i := range out {
		out[i] = map[string]string{partOption: strconv.Itoa(i), partOption + "s": strconv.Itoa(len(out))}
	}
	return out, nil
}

// NewTask implements sdk.Source.
func (Source) NewTask() sdk.SourceTask { return &task{} }

type task struct {
	shop      shop
	every     time.Duration // between two events; 0: none
	end       int64         // how many there are
	next      int64
	due       time.Time // of the next
	partition map[string]any
}

// Start implements sdk.SourceTask.
func (t *task) Start(ctx context.Context, c sdk.SourceContext, v sdk.Values) error {
	t.configure(v)
	kept, err := c.Position(ctx, t.partition)
	t.next, _ = sdk.Int64Of(kept, "events")
	t.due = time.Now()
	return err
}

func (t *task) configure(v sdk.Values) {
	part, parts := v.Int(partOption), max(1, v.Int(partOption+"s"))
	t.shop = shop{v.String("topic.prefix"), uint64(v.Int("seed")), part}
	t.partition = map[string]any{"generator": part}
	if rate := v.Float("rate"); rate > 0 {
		t.every = time.Duration(float64(time.Second) / rate * float64(parts))
	}
	t.end = math.MaxInt64
	if events := v.Int("events"); events > 0 {
		if t.end = events / parts; part < events%parts {
			t.end++
		}
	}
}

// most is how many events one Poll gives.
const most = 1000

// Poll implements sdk.SourceTask.
func (t *task) Poll(ctx context.Context) ([]*sdk.Record, error) {
	wait := time.Until(t.due)
	if t.next >= t.end {
		wait = sdk.PollWithin
	}
	if wait > 0 {
		select {
		case <-time.After(min(wait, sdk.PollWithin)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	now := time.Now()
	if now.Sub(t.due) > time.Minute {
		t.due = now // it was held up; nothing is made up for
	}
	var out []*sdk.Record
	for len(out) < most && !t.due.After(now) && t.next < t.end {
		r := t.shop.event(t.next, now)
		t.next++
		t.due = t.due.Add(t.every)
		out = append(out, r)
	}
	if len(out) > 0 { // all share it: a run of records is kept as done or not
		at := &sdk.Position{Partition: t.partition, Offset: map[string]any{"events": t.next}}
		for _, r := range out {
			r.At = at
		}
	}
	return out, nil
}

// Stop implements sdk.SourceTask.
func (t *task) Stop() error { return nil }
