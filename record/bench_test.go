package record_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/internal/load"
	"github.com/weir/weir/record"
)

// orders gives batches of JSON events like those of a shop, packed as a client packs them.
func orders(b *testing.B, size int, codec record.Codec) (batches [][]byte) {
	b.Helper()
	const all, each = 4_000_000, 1_000_000
	payload, err := load.NewPayload("json", size, true)
	if err != nil {
		b.Fatal(err)
	}
	n := int64(0)
	for range all / each {
		w := record.NewBuilder(record.BuilderOptions{})
		for range each / size {
			w.Append(1000+n/100, nil, payload.Value(n))
			n++
		}
		batches = append(batches, pack(b, w.Build(), codec))
	}
	return batches
}

func pack(b *testing.B, batch []byte, codec record.Codec) []byte {
	b.Helper()
	if codec == record.None {
		return batch
	}
	kinds := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	compressor, err := kgo.DefaultCompressor(kinds[codec])
	if err != nil {
		b.Fatal(err)
	}
	packed, _ := compressor.Compress(new(bytes.Buffer), batch[record.HeaderSize:])
	batch = append(batch[:record.HeaderSize:record.HeaderSize], packed...)
	binary.BigEndian.PutUint32(batch[8:], uint32(len(batch)-record.FrameSize))
	batch[22] |= byte(codec)
	binary.BigEndian.PutUint32(batch[17:], record.CRC(batch))
	return batch
}

func BenchmarkValidate(b *testing.B) {
	limits := record.Limits{MaxBytes: 2 << 20, Now: 2000, BeforeMax: 1 << 60, AfterMax: 1 << 60}
	for _, size := range []int{100, 1000} {
		for codec := record.None; codec <= record.Zstd; codec++ {
			b.Run(fmt.Sprintf("%dB/%s", size, codec), func(b *testing.B) {
				batches := orders(b, size, codec)
				b.SetBytes(1_000_000)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := record.Validate(batches[i%len(batches)], limits); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
