package record

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"

	"github.com/pierrec/lz4/v4"
)

// An LZ4 frame, numbers little-endian (lz4_Frame_format.md of the LZ4 project):
//
//	magic uint32, flags uint8, block size uint8, [content size uint64], [dictionary id uint32], header checksum uint8,
//	blocks: size uint32 (highest bit: stored as it is), data, [checksum uint32], until one of size 0,
//	[content checksum uint32]
//
// It is read here instead of by the library's reader, since that copies every block and checks a checksum that the batch's
// own makes needless: a quarter of the cost.
const (
	lz4Magic  = 0x184d2204
	lz4Stored = 1 << 31
	lz4Window = 64 << 10 // how far back a block may refer to those before it
)

// Flags of a frame.
const (
	lz4Dictionary    = 1 << 0
	lz4ContentSize   = 1 << 3
	lz4BlockChecksum = 1 << 4
	lz4Independent   = 1 << 5
)

var errLZ4 = errors.New("malformed LZ4 frame")

// unlz4 appends what a frame unpacks to. Bytes after the frame are passed over, as Kafka does.
func unlz4(dst, src []byte) ([]byte, error) {
	flags, blockMax, src, err := lz4Header(src)
	if err != nil {
		return dst, err
	}
	first := len(dst)
	for {
		if len(src) < 4 {
			return dst, ErrShort
		}
		word := binary.LittleEndian.Uint32(src)
		if src = src[4:]; word == 0 {
			return dst, nil
		}
		size := int(word &^ lz4Stored)
		if size > len(src) || size > blockMax {
			return dst, errLZ4
		}
		block := src[:size]
		if src = src[size:]; flags&lz4BlockChecksum != 0 {
			if len(src) < 4 {
				return dst, ErrShort
			}
			src = src[4:]
		}
		if len(dst) > DecompressedMax-blockMax {
			return dst, errBomb
		}
		if word&lz4Stored != 0 {
			dst = append(dst, block...)
			continue
		}
		dst = slices.Grow(dst, blockMax)
		into, n := dst[len(dst):len(dst)+blockMax], 0
		if flags&lz4Independent != 0 || len(dst) == first {
			n, err = lz4.UncompressBlock(block, into)
		} else {
			n, err = lz4.UncompressBlockWithDict(block, into, dst[max(first, len(dst)-lz4Window):])
		}
		if err != nil {
			return dst, err
		}
		dst = dst[:len(dst)+n]
	}
}

// lz4Header reads what is before the blocks.
func lz4Header(src []byte) (flags byte, blockMax int, rest []byte, err error) {
	if len(src) < 7 {
		return 0, 0, nil, ErrShort
	}
	flags = src[4]
	size := src[5] >> 4 & 7
	if binary.LittleEndian.Uint32(src) != lz4Magic || flags>>6 != 1 || flags&lz4Dictionary != 0 || size < 4 {
		return 0, 0, nil, errLZ4
	}
	end := 6
	if flags&lz4ContentSize != 0 {
		end += 8
	}
	if len(src) <= end {
		return 0, 0, nil, ErrShort
	}
	if byte(xxh32(src[4:end])>>8) != src[end] {
		return 0, 0, nil, errLZ4
	}
	return flags, 1 << (8 + 2*size), src[end+1:], nil
}

// xxh32 is the xxHash of less than 16 bytes, with seed 0.
func xxh32(b []byte) uint32 {
	const p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
	h := uint32(p5) + uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*p3, 17) * p4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*p5, 11) * p1
	}
	h = (h ^ h>>15) * p2
	h = (h ^ h>>13) * p3
	return h ^ h>>16
}
