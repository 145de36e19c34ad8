package datagen

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/sdk/kit"
)

// TestStories: each order is of a product that is then dispatched, to the same customer and once; events are the same each time.
func TestStories(t *testing.T) {
	s := shop{"shop.", 7, 1}
	now := time.Now()
	kinds := map[string]int{}
	orders := map[any]*sdk.Struct{}
	for n := range int64(4000) {
		r := s.event(n, now)
		v := r.Value.(*sdk.Struct)
		if diff := cmp.Diff(v.Values, s.event(n, now).Value.(*sdk.Struct).Values); diff != "" {
			t.Fatalf("event %d is another one the second time:\n%s", n, diff)
		}
		kinds[r.Topic]++
		switch v.Get("kind") {
		case "ordered":
			orders[v.Get("order")] = v
		case "dispatched":
			o := orders[v.Get("order")]
			if o == nil || o.Get("product") != v.Get("product") || o.Get("customer") != v.Get("customer") || o.Get("quantity") != v.Get("quantity") {
				t.Fatalf("%v is dispatched for %v", v.Values, o)
			}
			delete(orders, v.Get("order"))
		}
	}
	if len(orders) > 0 {
		t.Errorf("%d orders are not dispatched", len(orders))
	}
	want := map[string]int{"shop.searches": 2000, "shop.orders": 800, "shop.dispatches": 800, "shop.customers": 200, "shop.stock": 200}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
}

// TestCrash: a generator that is crashed goes on where it was, so that each order comes, and in its order.
func TestCrash(t *testing.T) {
	k := kit.New(t, kit.Topic("t.orders", 1), kit.Converters("org.apache.kafka.connect.storage.StringConverter", "org.apache.kafka.connect.json.JsonConverter"))
	const events = 20_000
	config := map[string]string{"topic.prefix": "t.", "rate": "100000", "events": fmt.Sprint(events), "value.converter.schemas.enable": "false"}
	k.Crash(Source{}, config, func() bool {
		all := k.Positions(Source{})
		if len(all) == 0 {
			return false
		}
		n, _ := sdk.Int64Of(all[0].Offset, "events")
		return n == events
	})
	var want, got []string
	for i := range events / block * 2 {
		want = append(want, fmt.Sprintf("order-0-%d", i))
	}
	for _, text := range k.Values("t.orders") {
		var e struct{ Order string }
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Order)
	}
	if err := kit.Delivered(want, got); err != nil {
		t.Error(err)
	}
}

// TestSplit: several tasks make together as many events as one.
func TestSplit(t *testing.T) {
	v, wrong := sdk.Parse(Source{}.Options(), map[string]string{"events": "10"})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	parts, err := Source{}.Split(t.Context(), v, 3)
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, part := range parts {
		part["events"] = "10"
		v, wrong := sdk.Parse(Source{}.Options(), part)
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		generator := &task{}
		generator.configure(v)
		total += generator.end
	}
	if len(parts) != 3 || total != 10 {
		t.Errorf("%d tasks make %d events", len(parts), total)
	}
}
