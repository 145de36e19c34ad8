package datagen

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// Events come in blocks that tell a small story each: customers look for things, two of them buy, the warehouse sends what they bought,
// and then a customer signs up or a supplier delivers. Any event can be made without those before it.
const (
	block     = 10
	customers = 200
)

var products = []string{
	"anvil", "bicycle", "candle", "drum", "easel", "flute", "globe", "hammock", "inkwell", "jigsaw",
	"kettle", "lantern", "mirror", "notebook", "oboe", "parasol", "quilt", "rucksack", "sextant", "teapot",
}

// A customer's name is one of each.
var (
	firstNames = []string{"Ada", "Bert", "Carla", "Dilan", "Emma", "Femi", "Greta", "Hugo", "Ines", "Jun", "Kofi", "Lena", "Mateo", "Nora", "Omar", "Pia", "Rosa", "Sami", "Tara", "Yuki"}
	lastNames  = []string{"Abel", "Brandt", "Costa", "Diaz", "Eriksen", "Fischer", "Gupta", "Hansen", "Ito", "Jansen"}
)

// eventSchema is that of all kinds of events; what does not belong to a kind is null.
var eventSchema = sdk.NewStructure("shop.Event",
	sdk.Field{Name: "time", Schema: sdk.StringSchema},
	sdk.Field{Name: "kind", Schema: sdk.StringSchema},
	sdk.Field{Name: "customer", Schema: sdk.OptionalStringSchema},
	sdk.Field{Name: "name", Schema: sdk.OptionalStringSchema},
	sdk.Field{Name: "product", Schema: sdk.OptionalStringSchema},
	sdk.Field{Name: "quantity", Schema: sdk.OptionalInt32Schema},
	sdk.Field{Name: "order", Schema: sdk.OptionalStringSchema},
)

// shop makes up the events of one generator.
type shop struct {
	prefix string // of topics
	seed   uint64
	part   int64 // which generator it is
}

// event makes event n. Those of one product, or customer who signs up, have one key.
func (s *shop) event(n int64, now time.Time) *sdk.Record {
	story, step := n/block, n%block
	rng := rand.New(rand.NewPCG(s.seed+uint64(s.part), uint64(story)))
	var bought [2]struct {
		customer, product, order string
		quantity                 int32
	}
	for i := range bought {
		bought[i].customer = customer(rng.IntN(customers))
		bought[i].product = products[rng.IntN(len(products))]
		bought[i].quantity = 1 + rng.Int32N(3)
		bought[i].order = fmt.Sprintf("order-%d-%d", s.part, story*2+int64(i))
	}
	v := sdk.NewStruct(eventSchema)
	set := func(kind, topic, key string, more ...any) *sdk.Record {
		v.Values[0], v.Values[1] = now.UTC().Format(time.RFC3339Nano), kind
		copy(v.Values[2:], more)
		return &sdk.Record{Topic: s.prefix + topic, Partition: -1, KeySchema: sdk.StringSchema, Key: key, ValueSchema: eventSchema, Value: v, Timestamp: now}
	}
	switch {
	case step < 5:
		for range step { // each search is another one
			rng.Uint64()
		}
		who, what := customer(rng.IntN(customers)), products[rng.IntN(len(products))]
		return set("searched", "searches", what, who, nil, what)
	case step < 7:
		b := bought[step-5]
		return set("ordered", "orders", b.product, b.customer, nil, b.product, b.quantity, b.order)
	case step < 9:
		b := bought[step-7]
		return set("dispatched", "dispatches", b.product, b.customer, nil, b.product, b.quantity, b.order)
	case story < customers:
		who := int(story)
		return set("registered", "customers", customer(who), customer(who), firstNames[who%len(firstNames)]+" "+lastNames[who/len(firstNames)])
	}
	what := products[rng.IntN(len(products))]
	return set("delivered", "stock", what, nil, nil, what, 10+rng.Int32N(20))
}

func customer(n int) string { return fmt.Sprintf("customer-%03d", n) }
