package load

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Payload gives the values of records. They are made before, so that they cost nothing while load is put on.
type Payload struct {
	Kind   string // random or json
	values [][]byte
}

const (
	// poolBytes are enough that no value comes twice in a batch, which would compress too well.
	poolBytes = 4 << 20
	// plainBytes do without compression, and stay in a processor's cache.
	plainBytes = 512 << 10
	poolMin    = 16
	// sampleBytes are those of a batch, to find out how well it compresses.
	sampleBytes = 256 << 10
)

// NewPayload makes values of a size: random bytes, or JSON events like those of orders in a shop, without end or beginning.
func NewPayload(kind string, size int, compressed bool) (*Payload, error) {
	fill := fillRandom
	switch kind {
	case "random":
	case "json":
		fill = fillOrders
	default:
		return nil, fmt.Errorf("there is no payload %q: use random or json", kind)
	}
	pool := plainBytes
	if compressed {
		pool = poolBytes
	}
	// The same each time: runs are to be compared.
	chacha := rand.NewChaCha8([32]byte{1})
	p := &Payload{Kind: kind}
	all := make([]byte, max(pool/max(size, 1), poolMin)*size)
	fill(chacha, all)
	for ; len(all) >= size && len(p.values) < max(pool/max(size, 1), poolMin); all = all[size:] {
		p.values = append(p.values, all[:size:size])
	}
	return p, nil
}

// Bytes gives the size of each value.
func (p *Payload) Bytes() int { return len(p.values[0]) }

// Value gives the n-th value; they repeat.
func (p *Payload) Value(n int64) []byte { return p.values[n%int64(len(p.values))] }

// CompressedTo tells to which part of its size a batch of values compresses with a codec.
func (p *Payload) CompressedTo(codec kgo.CompressionCodec) (float64, error) {
	compressor, err := kgo.DefaultCompressor(codec)
	if err != nil || compressor == nil {
		return 1, err
	}
	var sample []byte
	for n := int64(0); len(sample) < sampleBytes && n < int64(len(p.values)); n++ {
		sample = append(sample, p.Value(n)...)
	}
	if len(sample) == 0 {
		return 1, nil
	}
	out, _ := compressor.Compress(new(bytes.Buffer), sample)
	return float64(len(out)) / float64(len(sample)), nil
}

func fillRandom(r *rand.ChaCha8, to []byte) { _, _ = r.Read(to) }

var (
	products  = []string{"candle", "kettle", "lantern", "teapot", "blanket", "basket", "mirror", "drawer", "cushion", "ladle", "saucer", "trivet"}
	countries = []string{"DE", "FR", "PL", "IT", "ES", "NL", "SE", "AT", "US", "JP", "BR", "IN"}
	states    = []string{"placed", "paid", "packed", "dispatched", "delivered", "returned"}
)

func fillOrders(source *rand.ChaCha8, to []byte) {
	r := rand.New(source)
	var b bytes.Buffer
	var id [8]byte
	for at := 1_700_000_000_000 + r.Int64N(1e9); b.Len() < len(to); at += r.Int64N(2000) {
		_, _ = source.Read(id[:])
		fmt.Fprintf(&b, `{"type":"order","order_id":"%s","customer":%d,"state":"%s","time":%d,"country":"%s","items":[`,
			hex.EncodeToString(id[:]), r.IntN(1e6), states[r.IntN(len(states))], at, countries[r.IntN(len(countries))])
		for i := range 1 + r.IntN(4) {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"sku":"%s-%04d","quantity":%d,"price":%d.%02d}`, products[r.IntN(len(products))], r.IntN(1e4), 1+r.IntN(9), r.IntN(300), r.IntN(100))
		}
		fmt.Fprintf(&b, `],"total":%d.%02d,"note":%q}`+"\n", r.IntN(3000), r.IntN(100), hex.EncodeToString(id[:r.IntN(8)]))
	}
	copy(to, b.Bytes())
}
