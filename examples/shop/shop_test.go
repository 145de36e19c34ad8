package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestBundledEventsAreTheGenerators(t *testing.T) {
	if !bytes.Equal(eventsFile, writeEvents(generate())) {
		t.Fatal("events.jsonl is not what the generator makes: go run ./examples/shop generate > examples/shop/events.jsonl")
	}
}

// bundled gives the bundled events.
func bundled(t *testing.T) []Event {
	t.Helper()
	events, err := loadEvents()
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestEventsMakeSense(t *testing.T) {
	stock, orders, sent, known := map[string]int{}, map[string]Event{}, map[string]bool{}, map[string]string{}
	names, offered := map[string]bool{}, map[string]bool{}
	for _, p := range products {
		offered[p] = true
	}
	waited := 0
	events := bundled(t)
	for i, e := range events {
		if i > 0 && e.Time.Before(events[i-1].Time) {
			t.Fatalf("event %d is before the one before it", i)
		}
		if e.Kind != registered && !offered[e.Product] {
			t.Fatalf("of a product that is not sold: %+v", e)
		}
		if (e.Kind == searched || e.Kind == ordered) && known[e.Customer] == "" {
			t.Fatalf("by a customer who has not registered: %+v", e)
		}
		switch e.Kind {
		case registered:
			if known[e.Customer] != "" || e.Name == "" || names[e.Name] {
				t.Fatalf("registered twice, or without a name of their own: %+v", e)
			}
			known[e.Customer], names[e.Name] = e.Name, true
		case searched:
		case ordered:
			if _, twice := orders[e.Order]; twice || e.Quantity < 1 {
				t.Fatalf("ordered twice, or nothing: %+v", e)
			}
			orders[e.Order] = e
		case delivered:
			stock[e.Product] += e.Quantity
		case dispatched:
			o, ok := orders[e.Order]
			if !ok || sent[e.Order] || o.Product != e.Product || o.Quantity != e.Quantity || o.Customer != e.Customer {
				t.Fatalf("dispatch without its order: %+v", e)
			}
			if sent[e.Order] = true; e.Time.After(o.Time) {
				waited++
			}
			if stock[e.Product] -= e.Quantity; stock[e.Product] < 0 {
				t.Fatalf("more was sent than there is: %+v", e)
			}
		default:
			t.Fatalf("of an unknown kind: %+v", e)
		}
	}
	if len(known) != customers || len(events) < eventsTotal {
		t.Fatalf("%d customers and %d events, want %d and %d", len(known), len(events), customers, eventsTotal)
	}
	if waited < 20 || waited > len(orders)/2 {
		t.Fatalf("%d of %d orders had to wait for a delivery: some should, most should not", waited, len(orders))
	}
	if day := events[len(events)-1].Time.Sub(events[0].Time) / (24 * time.Hour); day < 2 {
		t.Fatalf("the events are of %d days, want several", day)
	}
}

// Each event goes to a topic that exists, with the key that its order is kept by.
func TestTopicsAndKeys(t *testing.T) {
	for _, c := range []struct{ kind, topic, key string }{
		{registered, "shop.customers", "customer-007"},
		{searched, "shop.searches", "kettle"},
		{ordered, "shop.orders", "kettle"},
		{dispatched, "shop.dispatches", "kettle"},
		{delivered, "shop.stock", "kettle"},
	} {
		e := Event{Kind: c.kind, Customer: "customer-007", Product: "kettle"}
		if topicOf[c.kind] != c.topic || e.key() != c.key {
			t.Errorf("%s: topic %s, key %s, want %s, %s", c.kind, topicOf[c.kind], e.key(), c.topic, c.key)
		}
		sources := pushing(c.kind)
		if len(sources) != 1 {
			t.Errorf("%s is pushed by %q, want one source: two would mix up its order", c.kind, sources)
		}
	}
}

func pushing(kind string) (out []string) {
	for source, kinds := range sources {
		if strings.Contains(" "+strings.Join(kinds, " ")+" ", " "+kind+" ") {
			out = append(out, source)
		}
	}
	return out
}

// A day that one can count by hand.
func TestTable(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 5, 9, minute, 0, 0, time.UTC) }
	day := []Event{
		{Time: at(0), Kind: registered, Customer: "c", Name: "C"},
		{Time: at(1), Kind: searched, Customer: "c", Product: "drum"},
		{Time: at(2), Kind: delivered, Product: "drum", Quantity: 10},
		{Time: at(3), Kind: ordered, Customer: "c", Product: "drum", Quantity: 2, Order: "o1"},
		{Time: at(3), Kind: dispatched, Customer: "c", Product: "drum", Quantity: 2, Order: "o1"},
		{Time: at(4), Kind: searched, Customer: "c", Product: "drum"},
		{Time: at(5), Kind: ordered, Customer: "c", Product: "oboe", Quantity: 1, Order: "o2"},
	}
	for _, c := range []struct {
		until time.Time
		want  Table
	}{
		{at(0), Table{}},
		{at(1), Table{"drum": {Searched: 1}}},
		{at(3).Add(-time.Millisecond), Table{"drum": {Available: 10, Searched: 1}}},
		{at(3), Table{"drum": {Available: 8, Sold: 2, Searched: 1}}}, // what happens at the time itself counts, all of it
		{at(59), Table{"drum": {Available: 8, Sold: 2, Searched: 2}, "oboe": {Sold: 1}}},
	} {
		applied := Table{}
		for _, e := range day {
			if !e.Time.After(c.until) {
				applied.apply(e)
			}
		}
		if d := diff(applied, c.want); d != "" {
			t.Errorf("until %s, event by event:\n%s", c.until, d)
		}
		if d := diff(straight(day, c.until), c.want); d != "" {
			t.Errorf("until %s, straight:\n%s", c.until, d)
		}
	}
	var out bytes.Buffer
	straight(day, at(59)).print(&out)
	want := "  product  available  sold  searched\n     drum          8     2         2\n     oboe          0     1         0\n"
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}

func TestTableOfPartsIsTheWhole(t *testing.T) {
	events := bundled(t)
	middle := events[len(events)/2].Time
	for _, until := range []time.Time{middle, events[len(events)-1].Time} {
		parts := []Table{{}, {}, {}}
		for i, e := range events {
			if !e.Time.After(until) {
				parts[i%3].apply(e)
			}
		}
		sum := Table{}
		for _, p := range parts {
			sum.add(p)
		}
		if d := diff(sum, straight(events, until)); d != "" {
			t.Fatal(d)
		}
	}
}

func TestDiff(t *testing.T) {
	want := Table{"anvil": {1, 2, 3}, "drum": {4, 5, 6}}
	for _, c := range []struct {
		name string
		got  Table
		says []string
	}{
		{"the same", Table{"anvil": {1, 2, 3}, "drum": {4, 5, 6}}, nil},
		{"another number", Table{"anvil": {1, 2, 4}, "drum": {4, 5, 6}}, []string{"anvil: got {Available:1 Sold:2 Searched:4}, want {Available:1 Sold:2 Searched:3}"}},
		{"one missing", Table{"anvil": {1, 2, 3}}, []string{"drum: got {Available:0"}},
		{"one too many", Table{"anvil": {1, 2, 3}, "drum": {4, 5, 6}, "piano": {}}, []string{"piano: got", "want nothing"}},
		{"nothing", Table{}, []string{"anvil:", "drum:"}},
	} {
		expectSays(t, c.name, diff(c.got, want), c.says)
	}
}

// expectSays checks that a difference is told in these words, or that none is told.
func expectSays(t *testing.T, name, got string, says []string) {
	t.Helper()
	if len(says) == 0 && got != "" {
		t.Errorf("%s: %s", name, got)
	}
	for _, s := range says {
		if !strings.Contains(got, s) {
			t.Errorf("%s: %q, want it to say %q", name, got, s)
		}
	}
}

func TestDiffLines(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want []string
		says      []string
	}{
		{"in any order", []string{"b", "a", "a"}, []string{"a", "b", "a"}, nil},
		{"missing", []string{"a"}, []string{"a", "b"}, []string{"missing 1 time(s): b"}},
		{"twice", []string{"a", "a", "b"}, []string{"a", "b"}, []string{"too often, 1 time(s): a"}},
		{"as many, but others", []string{"a", "a"}, []string{"a", "b"}, []string{"too often, 1 time(s): a", "missing 1 time(s): b"}},
	} {
		expectSays(t, c.name, diffLines(c.got, c.want), c.says)
	}
	many := strings.Split(strings.Repeat("x", 50), "")
	for i := range many {
		many[i] += string(rune('A' + i))
	}
	if got := diffLines(many, nil); strings.Count(got, "\n") != 20 || !strings.HasSuffix(got, "and 30 more") {
		t.Errorf("50 problems are told as %q", got)
	}
}

func TestHistory(t *testing.T) {
	events := []Event{
		{Time: time.Unix(1, 0), Kind: ordered, Product: "drum", Order: "o1"},
		{Time: time.Unix(2, 0), Kind: ordered, Product: "oboe", Order: "o2"},
		{Time: time.Unix(3, 0), Kind: ordered, Product: "drum", Order: "o3"},
	}
	// seen is what a replay reads: an event's number, the partition, the record's time.
	type seen struct {
		event     int
		partition int32
		at        int64
	}
	for _, c := range []struct {
		name string
		seen []seen
		says []string
	}{
		{"right", []seen{{1, 0, 2}, {0, 1, 1}, {2, 1, 3}}, nil},
		{"swapped", []seen{{1, 0, 2}, {2, 1, 3}, {0, 1, 1}}, []string{"key drum", "order differs"}},
		{"twice", []seen{{1, 0, 2}, {0, 1, 1}, {0, 1, 1}, {2, 1, 3}}, []string{"key drum: got 3 events, want 2"}},
		{"in two partitions", []seen{{1, 0, 2}, {0, 1, 1}, {2, 2, 3}}, []string{"key drum: is in the partitions [1 2]"}},
		{"of another time", []seen{{1, 0, 2}, {0, 1, 1}, {2, 1, 4}}, []string{"key drum: 1 records have another time"}},
		{"missing", []seen{{0, 1, 1}, {2, 1, 3}}, []string{"key oboe: got nothing, want 1"}},
	} {
		h := history{}
		for _, s := range c.seen {
			e := events[s.event]
			h.add("shop.orders", s.partition, e.key(), time.Unix(s.at, 0), e)
		}
		expectSays(t, c.name, h.diff(events), c.says)
	}
	h := history{}
	h.add("shop.orders", 0, "piano", time.Unix(1, 0), Event{Time: time.Unix(1, 0)})
	expectSays(t, "unexpected", h.diff(nil), []string{"key piano: got 1 events, want none"})
}

func TestVerdict(t *testing.T) {
	var out bytes.Buffer
	s := &shop{out: &out}
	s.check("one", "")
	if err := s.verdict(); err != nil || !strings.HasSuffix(out.String(), "\nshop: 1 checks passed, 0 failed\n") {
		t.Fatalf("%v, printed %q", err, out.String())
	}
	s.check("two", "anvil: got 1, want 2")
	if err := s.verdict(); err == nil || !strings.Contains(out.String(), "✗ two\nanvil: got 1, want 2\n") ||
		!strings.HasSuffix(out.String(), "\nshop: 1 checks passed, 1 failed\n") {
		t.Fatalf("%v, printed %q", err, out.String())
	}
}
