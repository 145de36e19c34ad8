package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// DecompressedMax bounds what one batch may unpack to, so that a small batch cannot fill the memory.
const DecompressedMax = 128 << 20

var errBomb = fmt.Errorf("records unpack to more than %d MiB", DecompressedMax>>20)

// Checksums that some codecs add over the unpacked bytes are not looked at: the batch's own covers the packed ones.
var (
	gzipReaders  = sync.Pool{New: func() any { return new(gzip.Reader) }}
	zstdDecoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(DecompressedMax), zstd.WithDecoderLowmem(true), zstd.IgnoreChecksum(true))
		if err != nil {
			panic("BUG: options of the zstd decoder: " + err.Error())
		}
		return d
	}}
)

// decompress appends what src unpacks to. What it gives is dst, grown, also after an error.
func decompress(dst []byte, codec Codec, src []byte) ([]byte, error) {
	switch codec {
	case Gzip:
		return gunzip(dst, src)
	case Snappy:
		return unsnappy(dst, src)
	case LZ4:
		return unlz4(dst, src)
	case Zstd:
		d := zstdDecoders.Get().(*zstd.Decoder)
		defer zstdDecoders.Put(d)
		out, err := d.DecodeAll(src, dst)
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
			err = errBomb
		}
		if err != nil {
			return dst, err
		}
		return out, nil
	}
	return dst, fmt.Errorf("unknown codec %d", codec)
}

func gunzip(dst, src []byte) ([]byte, error) {
	r := gzipReaders.Get().(*gzip.Reader)
	defer gzipReaders.Put(r)
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return dst, err
	}
	for {
		dst = slices.Grow(dst, max(len(src), 512))
		n, err := r.Read(dst[len(dst):cap(dst)])
		switch dst = dst[:len(dst)+n]; {
		case len(dst) > DecompressedMax:
			return dst, errBomb
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}

func unsnappy(dst, src []byte) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic) {
		return unsnappyBlock(dst, src)
	}
	if len(src) < xerialHeader {
		return dst, ErrShort
	}
	var err error
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return dst, ErrShort
		}
		n := binary.BigEndian.Uint32(src)
		if uint64(n) > uint64(len(src)-4) {
			return dst, ErrShort
		}
		if dst, err = unsnappyBlock(dst, src[4:4+n]); err != nil {
			return dst, err
		}
		src = src[4+n:]
	}
	return dst, nil
}

func unsnappyBlock(dst, src []byte) ([]byte, error) {
	n, err := s2.DecodedLen(src)
	if err != nil {
		return dst, err
	}
	if n > DecompressedMax-len(dst) {
		return dst, errBomb
	}
	dst = slices.Grow(dst, n)
	if _, err := s2.Decode(dst[len(dst):len(dst)+n], src); err != nil {
		return dst, err
	}
	return dst[:len(dst)+n], nil
}
