package record

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// lz4Frame packs with the library's writer.
func lz4Frame(t *testing.T, content []byte, opts ...lz4.Option) []byte {
	t.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(opts...); err != nil {
		t.Fatal(err)
	}
	if err := writeAll(w, content); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lz4Linked is a frame whose second block refers to the first: "abcdefgh" stored, then 8 bytes from 8 back, and "vwxyz".
var lz4Linked = []byte{
	0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0xc0,
	8, 0, 0, 0x80, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h',
	9, 0, 0, 0, 0x04, 8, 0, 0x50, 'v', 'w', 'x', 'y', 'z',
	0, 0, 0, 0,
}

func TestLZ4Frames(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	mixed := make([]byte, 300_000)
	for i := range mixed {
		if mixed[i] = byte(i / 7); i > 150_000 {
			mixed[i] = byte(rng.Uint32()) // blocks that do not pack are stored
		}
	}
	for _, size := range []lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb} {
		for _, sums := range []bool{false, true} {
			for _, n := range []int{0, 1, 100, 65_536, len(mixed)} {
				frame := lz4Frame(t, mixed[:n], lz4.BlockSizeOption(size), lz4.BlockChecksumOption(sums), lz4.ChecksumOption(sums), lz4.SizeOption(uint64(n)))
				got, err := unlz4([]byte("before"), frame)
				if err != nil || !bytes.Equal(got, append([]byte("before"), mixed[:n]...)) {
					t.Fatalf("block size %v, checksums %v, %d bytes: got %d (%v)", size, sums, n, len(got)-6, err)
				}
			}
		}
	}
	got, err := unlz4(nil, append(lz4Linked, "what follows"...))
	if err != nil || string(got) != "abcdefghabcdefghvwxyz" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestMalformedLZ4Frames(t *testing.T) {
	frame := lz4Frame(t, bytes.Repeat([]byte("malformed "), 100), lz4.SizeOption(1000), lz4.ChecksumOption(false))
	for n := range frame {
		if _, err := unlz4(nil, frame[:n]); err == nil {
			t.Errorf("%d of %d bytes pass", n, len(frame))
		}
	}
	for at := range 15 { // the header has a checksum
		for bit := range 8 {
			bad := bytes.Clone(frame)
			bad[at] ^= 1 << bit
			if _, err := unlz4(nil, bad); err == nil {
				t.Errorf("bit %d of byte %d can be flipped", bit, at)
			}
		}
	}
	far := bytes.Clone(lz4Linked)
	far[24] = 9 // beyond the beginning
	if got, err := unlz4(nil, far); err == nil {
		t.Errorf("a reference to before the frame gives %q", got)
	}
	huge := append(bytes.Clone(lz4Linked[:7]), 0xff, 0xff, 0xff, 0x7f)
	if _, err := unlz4(nil, huge); err == nil {
		t.Error("a block of 2 GiB passes")
	}
}
