package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// xerialMagic begins the framing of snappy-java: the magic, two version numbers, then blocks with their length before them.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

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
		if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.CompressionLevelOption(lz4Level(level))); err != nil {
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

// lz4Level gives the library's level for Kafka's: its default, 9, is the fastest way, and every other level searches harder,
// the more the higher it is.
func lz4Level(level int) lz4.CompressionLevel {
	levels := [...]lz4.CompressionLevel{
		lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Fast, lz4.Level9,
	}
	if level == 0 {
		return lz4.Fast
	}
	return levels[min(level, len(levels))-1]
}

func writeAll(w io.WriteCloser, b []byte) error {
	if _, err := w.Write(b); err != nil {
		return err
	}
	return w.Close()
}
