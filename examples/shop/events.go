package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
)

// Event is something that happened in the shop.
type Event struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"` // registered, searched, ordered, dispatched, delivered
	Customer string    `json:"customer,omitempty"`
	Name     string    `json:"name,omitempty"`
	Product  string    `json:"product,omitempty"`
	Quantity int       `json:"quantity,omitempty"`
	Order    string    `json:"order,omitempty"`
}

// Kinds of events.
const (
	registered = "registered" // a customer signed up
	searched   = "searched"   // a customer looked for a product
	ordered    = "ordered"    // a customer bought
	dispatched = "dispatched" // the warehouse sent an order
	delivered  = "delivered"  // a supplier brought stock
)

// topicOf gives the topic of each kind of event.
var topicOf = map[string]string{
	registered: "shop.customers",
	searched:   "shop.searches",
	ordered:    "shop.orders",
	dispatched: "shop.dispatches",
	delivered:  "shop.stock",
}

// key decides which events keep their order: those of one customer for registrations, those of one product for the rest.
func (e Event) key() string {
	if e.Kind == registered {
		return e.Customer
	}
	return e.Product
}

//go:embed events.jsonl
var eventsFile []byte

// loadEvents reads the bundled events.
func loadEvents() ([]Event, error) {
	var out []Event
	lines := bufio.NewScanner(bytes.NewReader(eventsFile))
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("events.jsonl, line %d: %w", len(out)+1, err)
		}
		out = append(out, e)
	}
	return out, lines.Err()
}

// Size of the bundled shop.
const (
	seed        = 2026
	customers   = 200
	eventsTotal = 4000
)

var products = []string{
	"anvil", "bicycle", "candle", "drum", "easel", "flute", "globe", "hammock", "inkwell", "jigsaw",
	"kettle", "lantern", "mirror", "notebook", "oboe", "parasol", "quilt", "rucksack", "sextant", "teapot",
}

// A customer's name is one of each.
var (
	firstNames = []string{
		"Ada", "Bert", "Carla", "Dilan", "Emma", "Femi", "Greta", "Hugo", "Ines", "Jun",
		"Kofi", "Lena", "Mateo", "Nora", "Omar", "Pia", "Rosa", "Sami", "Tara", "Yuki",
	}
	lastNames = []string{"Abel", "Brandt", "Costa", "Diaz", "Eriksen", "Fischer", "Gupta", "Hansen", "Ito", "Jansen"}
)

func nameOf(customer int) string {
	return firstNames[customer%len(firstNames)] + " " + lastNames[customer/len(firstNames)%len(lastNames)]
}

// generate makes the events of the bundled shop, always the same. The warehouse sends an order when there is enough stock, and
// those that had to wait when more is delivered.
func generate() []Event {
	rng := rand.New(rand.NewPCG(seed, seed))
	now := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	var out []Event
	stock := map[string]int{}
	var waiting []Event
	add := func(e Event) {
		e.Time = now
		out = append(out, e)
	}
	dispatch := func() {
		left := waiting[:0]
		for _, o := range waiting {
			if stock[o.Product] < o.Quantity {
				left = append(left, o)
				continue
			}
			stock[o.Product] -= o.Quantity
			add(Event{Kind: dispatched, Customer: o.Customer, Product: o.Product, Quantity: o.Quantity, Order: o.Order})
		}
		waiting = left
	}
	known := 0
	for orders := 0; len(out) < eventsTotal; {
		now = now.Add(time.Duration(20+rng.IntN(200)) * time.Second)
		product := products[rng.IntN(len(products))]
		customer := fmt.Sprintf("customer-%03d", rng.IntN(max(known, 1)))
		switch p := rng.IntN(100); {
		case known < customers && (p < 8 || known == 0):
			add(Event{Kind: registered, Customer: fmt.Sprintf("customer-%03d", known), Name: nameOf(known)})
			known++
		case p < 60:
			add(Event{Kind: searched, Customer: customer, Product: product})
		case p < 92:
			orders++
			o := Event{Kind: ordered, Customer: customer, Product: product, Quantity: 1 + rng.IntN(3), Order: fmt.Sprintf("order-%04d", orders)}
			add(o)
			waiting = append(waiting, o)
			dispatch()
		default:
			q := 10 + rng.IntN(20)
			stock[product] += q
			add(Event{Kind: delivered, Product: product, Quantity: q})
			dispatch()
		}
	}
	return out
}

func writeEvents(events []Event) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for _, ev := range events {
		if err := e.Encode(ev); err != nil {
			panic(err) // an Event can always be written
		}
	}
	return b.Bytes()
}
