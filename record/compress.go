package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// DecompressedMax bounds what one batch may unpack to, so that a small batch cannot fill the memory.
const DecompressedMax = 128 << 20

var errBomb = fmt.Errorf("records unpack to more than %d MiB", DecompressedMax>>20)

// buffers are reused to unpack records into.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keptBufferMax is the size up to which a buffer goes back to the pool.
const keptBufferMax = 8 << 20

func returnBuffer(b *bytes.Buffer) {
	if b.Cap() <= keptBufferMax {
		b.Reset()
		buffers.Put(b)
	}
}

var (
	gzipReaders  = sync.Pool{New: func() any { return new(gzip.Reader) }}
	lz4Readers   = sync.Pool{New: func() any { return lz4.NewReader(nil) }}
	zstdDecoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(DecompressedMax), zstd.WithDecoderLowmem(true))
		if err != nil {
			panic("BUG: options of the zstd decoder: " + err.Error())
		}
		return d
	}}
)

// decompress unpacks src into dst.
func decompress(dst *bytes.Buffer, codec Codec, src []byte) error {
	switch codec {
	case Gzip:
		r := gzipReaders.Get().(*gzip.Reader)
		defer gzipReaders.Put(r)
		if err := r.Reset(bytes.NewReader(src)); err != nil {
			return err
		}
		return limited(dst, r)
	case Snappy:
		return unsnappy(dst, src)
	case LZ4:
		r := lz4Readers.Get().(*lz4.Reader)
		defer lz4Readers.Put(r)
		r.Reset(bytes.NewReader(src))
		return limited(dst, r)
	case Zstd:
		d := zstdDecoders.Get().(*zstd.Decoder)
		defer zstdDecoders.Put(d)
		out, err := d.DecodeAll(src, dst.AvailableBuffer())
		if err != nil {
			if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
				return errBomb
			}
			return err
		}
		_, err = dst.Write(out)
		return err
	}
	return fmt.Errorf("unknown codec %d", codec)
}

func limited(dst *bytes.Buffer, r io.Reader) error {
	n, err := dst.ReadFrom(io.LimitReader(r, DecompressedMax+1))
	if err == nil && n > DecompressedMax {
		err = errBomb
	}
	return err
}

// xerialMagic begins the framing of snappy-java: the magic, two version numbers, then blocks with their length before them.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

func unsnappy(dst *bytes.Buffer, src []byte) error {
	if !bytes.HasPrefix(src, xerialMagic) {
		return unsnappyBlock(dst, src)
	}
	if len(src) < xerialHeader {
		return ErrShort
	}
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return ErrShort
		}
		n := binary.BigEndian.Uint32(src)
		if uint64(n) > uint64(len(src)-4) {
			return ErrShort
		}
		if err := unsnappyBlock(dst, src[4:4+n]); err != nil {
			return err
		}
		src = src[4+n:]
	}
	return nil
}

func unsnappyBlock(dst *bytes.Buffer, src []byte) error {
	n, err := s2.DecodedLen(src)
	if err != nil {
		return err
	}
	if n > DecompressedMax-dst.Len() {
		return errBomb
	}
	dst.Grow(n)
	out, err := s2.Decode(dst.AvailableBuffer()[:n], src)
	if err != nil {
		return err
	}
	_, err = dst.Write(out)
	return err
}

// compress packs records. Level is the codec's own; 0 is its default.
func compress(dst *bytes.Buffer, codec Codec, level int, src []byte) error {
	switch codec {
	case None:
		_, err := dst.Write(src)
		return err
	case Gzip:
		if level == 0 {
			level = gzip.DefaultCompression
		}
		w, err := gzip.NewWriterLevel(dst, level)
		if err != nil {
			return err
		}
		return writeAll(w, src)
	case Snappy:
		// One xerial frame, as the Java clients write and expect.
		block := s2.EncodeSnappy(nil, src)
		dst.Write(xerialMagic)
		dst.Write([]byte{0, 0, 0, 1, 0, 0, 0, 1})
		dst.Write(binary.BigEndian.AppendUint32(nil, uint32(len(block))))
		_, err := dst.Write(block)
		return err
	case LZ4:
		w := lz4.NewWriter(dst)
		if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb)); err != nil {
			return err
		}
		return writeAll(w, src)
	case Zstd:
		if level == 0 {
			level = 3
		}
		w, err := zstd.NewWriter(dst, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
		if err != nil {
			return err
		}
		return writeAll(w, src)
	}
	return fmt.Errorf("unknown codec %d", codec)
}

func writeAll(w io.WriteCloser, b []byte) error {
	if _, err := w.Write(b); err != nil {
		return err
	}
	return w.Close()
}
