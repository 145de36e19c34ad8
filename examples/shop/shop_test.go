package main

import (
	"bytes"
	"testing"
	"time"
)

func TestBundledEventsAreTheGenerators(t *testing.T) {
	if !bytes.Equal(eventsFile, writeEvents(generate())) {
		t.Fatal("events.jsonl is not what the generator makes: go run ./examples/shop generate > examples/shop/events.jsonl")
	}
}

func TestEventsMakeSense(t *testing.T) {
	events, err := loadEvents()
	if err != nil {
		t.Fatal(err)
	}
	stock, orders, sent := map[string]int{}, map[string]Event{}, map[string]bool{}
	waited := 0
	for i, e := range events {
		if i > 0 && e.Time.Before(events[i-1].Time) {
			t.Fatalf("event %d is before the one before it", i)
		}
		switch e.Kind {
		case ordered:
			orders[e.Order] = e
		case delivered:
			stock[e.Product] += e.Quantity
		case dispatched:
			o, ok := orders[e.Order]
			if !ok || sent[e.Order] || o.Product != e.Product || o.Quantity != e.Quantity {
				t.Fatalf("dispatch without its order: %+v", e)
			}
			if sent[e.Order] = true; e.Time.After(o.Time) {
				waited++
			}
			if stock[e.Product] -= e.Quantity; stock[e.Product] < 0 {
				t.Fatalf("more was sent than there is: %+v", e)
			}
		}
	}
	if waited == 0 {
		t.Fatal("no order had to wait: the numbers mean little")
	}
}

func TestTableOfPartsIsTheWhole(t *testing.T) {
	events, err := loadEvents()
	if err != nil {
		t.Fatal(err)
	}
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
	wrong := straight(events, middle)
	wrong["anvil"] = Row{1, 2, 3}
	delete(wrong, "teapot")
	wrong["piano"] = Row{Sold: 1}
	if d := diff(wrong, straight(events, middle)); d == "" {
		t.Fatal("a difference is not seen")
	}
}
