package record

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

var anything = Limits{MaxBytes: math.MaxInt32, Now: 1_700_000_000_000, BeforeMax: math.MaxInt64, AfterMax: math.MaxInt64}

func build(codec Codec, n int) []byte {
	b := NewBuilder(BuilderOptions{Codec: codec, Producer: &Producer{ID: 7, Epoch: 1, Sequence: 5}})
	for i := range n {
		b.Append(1000+int64(i), fmt.Append(nil, "key", i), bytes.Repeat([]byte{'v'}, 100), RecordHeader{Key: "h", Value: []byte{byte(i)}})
	}
	return b.Build()
}

// TestBuiltAsTheLibraryReads decodes what Builder makes with another implementation.
func TestBuiltAsTheLibraryReads(t *testing.T) {
	for codec := None; codec <= Zstd; codec++ {
		b := build(codec, 20)
		var theirs kmsg.RecordBatch
		if err := theirs.ReadFrom(b); err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		h, err := Validate(b, anything)
		if err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		if h.NumRecords != theirs.NumRecords || h.MaxTimestamp != theirs.MaxTimestamp || h.ProducerID != theirs.ProducerID || h.BaseSequence != theirs.FirstSequence ||
			h.Length != theirs.Length || h.Attributes != theirs.Attributes || h.CRC != uint32(theirs.CRC) || h.Codec() != codec {
			t.Fatalf("%s:\n%+v\n%+v", codec, h, theirs)
		}
		raw := theirs.Records
		if codec != None {
			if raw, err = kgo.DefaultDecompressor().Decompress(raw, kgo.CompressionCodecType(codec)); err != nil {
				t.Fatalf("%s: %v", codec, err)
			}
		}
		want := build(None, 20)[HeaderSize:]
		if !bytes.Equal(raw, want) {
			t.Fatalf("%s: the records changed", codec)
		}
	}
}

// TestTheLibrarysCompressionIsRead reads what another implementation packed.
func TestTheLibrarysCompressionIsRead(t *testing.T) {
	plain := build(None, 50)
	for codec, theirs := range map[Codec]kgo.CompressionCodec{Gzip: kgo.GzipCompression(), Snappy: kgo.SnappyCompression(), LZ4: kgo.Lz4Compression(), Zstd: kgo.ZstdCompression()} {
		c, err := kgo.DefaultCompressor(theirs)
		if err != nil {
			t.Fatal(err)
		}
		packed, used := c.Compress(new(bytes.Buffer), plain[HeaderSize:])
		if Codec(used) != codec {
			t.Fatalf("%s: the library used %d", codec, used)
		}
		b := append(bytes.Clone(plain[:HeaderSize]), packed...)
		b[offsetLength+2], b[offsetLength+3] = byte((len(b)-FrameSize)>>8), byte(len(b)-FrameSize)
		b[offsetAttributes+1] |= byte(codec)
		setCRC(b)
		if _, err := Validate(b, anything); err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		n := 0
		for r, err := range Records(b) {
			if err != nil || string(r.Key) != fmt.Sprint("key", n) || r.Offset != int64(n) || r.Timestamp != 1000+int64(n) || r.Headers()[0].Value[0] != byte(n) {
				t.Fatalf("%s: record %d: %+v (%v)", codec, n, r, err)
			}
			n++
		}
		if n != 50 {
			t.Fatalf("%s: %d records", codec, n)
		}
	}
}

func TestRefused(t *testing.T) {
	mutate := func(f func(b []byte) []byte) []byte { return f(build(None, 3)) }
	fix := func(b []byte) []byte { setCRC(b); return b }
	control := NewBuilder(BuilderOptions{Control: true})
	control.Append(1, nil, nil)
	tight := anything
	tight.BeforeMax, tight.AfterMax = 1000, 1000
	keyed := anything
	keyed.KeyRequired = true
	small := anything
	small.MaxBytes = 100
	nokey := NewBuilder(BuilderOptions{})
	nokey.Append(1, []byte("k"), nil)
	nokey.Append(1, nil, nil)
	late := NewBuilder(BuilderOptions{})
	late.Append(anything.Now, nil, nil)
	late.Append(anything.Now+1001, nil, nil)
	for name, c := range map[string]struct {
		b      []byte
		l      Limits
		want   *kerr.Error
		blamed []int32
	}{
		"B015 empty":              {nil, anything, kerr.InvalidRecord, nil},
		"B015 two batches":        {append(build(None, 1), build(None, 1)...), anything, kerr.InvalidRecord, nil},
		"B015 old format":         {mutate(func(b []byte) []byte { b[offsetMagic] = 1; return b }), anything, kerr.InvalidRecord, nil},
		"B015 base offset":        {mutate(func(b []byte) []byte { b[7] = 5; return b }), anything, kerr.InvalidRecord, nil},
		"B015 control":            {control.Build(), anything, kerr.InvalidRecord, nil},
		"B014 too large":          {build(None, 3), small, kerr.MessageTooLarge, nil},
		"B016 flipped byte":       {mutate(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), anything, kerr.CorruptMessage, nil},
		"cut off":                 {mutate(func(b []byte) []byte { return b[:len(b)-1] }), anything, kerr.InvalidRecord, nil},
		"a few bytes":             {[]byte{1, 2, 3, 4}, anything, kerr.InvalidRecord, nil},
		"length too small":        {mutate(func(b []byte) []byte { b[offsetLength+3] -= 3; return b }), anything, kerr.CorruptMessage, nil},
		"length negative":         {mutate(func(b []byte) []byte { b[offsetLength] = 0x80; return b }), anything, kerr.CorruptMessage, nil},
		"length of another":       {mutate(func(b []byte) []byte { b[offsetLength+2], b[offsetLength+3] = 0, 20; return b }), anything, kerr.CorruptMessage, nil},
		"unknown format":          {mutate(func(b []byte) []byte { b[offsetMagic] = 3; return b }), anything, kerr.CorruptMessage, nil},
		"bytes behind it":         {append(build(None, 1), 1, 2, 3), anything, kerr.InvalidRecord, nil},
		"B016 bad lz4, right CRC": {func() []byte { b := build(LZ4, 50); b[HeaderSize+9] ^= 0xff; return fix(b) }(), anything, kerr.CorruptMessage, nil},
		"unknown codec":           {mutate(func(b []byte) []byte { b[offsetAttributes+1] |= 5; return fix(b) }), anything, kerr.InvalidRecord, nil},
		"wrong count":             {mutate(func(b []byte) []byte { b[offsetNumRecords+3] = 4; return fix(b) }), anything, kerr.InvalidRecord, nil},
		"a billion records": {mutate(func(b []byte) []byte {
			b[offsetNumRecords], b[offsetLastOffsetDelta] = 0x40, 0x40
			b[offsetLastOffsetDelta+3] = 2
			return fix(b)
		}), anything, kerr.InvalidRecord, nil},
		"negative sequence": {mutate(func(b []byte) []byte { b[offsetBaseSequence] = 0x80; return fix(b) }), anything, kerr.InvalidRecord, nil},
		"broker's time":     {mutate(func(b []byte) []byte { b[offsetAttributes+1] |= flagLogAppendTime; return fix(b) }), anything, kerr.InvalidTimestamp, nil},
		"B018 null key":     {nokey.Build(), keyed, kerr.InvalidRecord, []int32{1}},
		"B019 too late":     {late.Build(), tight, kerr.InvalidTimestamp, []int32{1}},
		"B019 too early":    {build(None, 2), tight, kerr.InvalidTimestamp, []int32{0, 1}},
		"malformed record":  {mutate(func(b []byte) []byte { b[HeaderSize] = 0x7f; return fix(b) }), anything, kerr.InvalidRecord, nil},
	} {
		_, err := Validate(c.b, c.l)
		var e *Error
		if !errors.As(err, &e) || e.Code != c.want || !errors.Is(err, error(c.want)) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
			continue
		}
		var blamed []int32
		for _, r := range e.Records {
			blamed = append(blamed, r.Index)
		}
		if fmt.Sprint(blamed) != fmt.Sprint(c.blamed) {
			t.Errorf("%s: blames %v, want %v", name, blamed, c.blamed)
		}
	}
	exact := tight
	exact.AfterMax = 1001
	if _, err := Validate(late.Build(), exact); err != nil {
		t.Errorf("B019 exactly at the limit: %v", err)
	}
}

func TestBombIsRefused(t *testing.T) {
	b := NewBuilder(BuilderOptions{Codec: Gzip})
	b.Append(1, nil, make([]byte, DecompressedMax+1000))
	bomb := b.Build()
	if _, err := Validate(bomb, anything); err == nil || !strings.Contains(err.Error(), "unpack to more than") {
		t.Fatalf("%d bytes: %v", len(bomb), err)
	}
}

func TestWrongMaxTimestampIsPutRight(t *testing.T) {
	b := build(None, 3)
	b[offsetMaxTimestamp+7]++
	setCRC(b)
	h, err := Validate(b, anything)
	again, _ := ParseHeader(b)
	if err != nil || h.MaxTimestamp != 1002 || again.MaxTimestamp != 1002 || !CheckCRC(b) {
		t.Fatalf("%+v %v", again, err)
	}
}

func TestLogAppendTime(t *testing.T) {
	b := build(Zstd, 3)
	SetLogAppendTime(b, 5000)
	if !CheckCRC(b) {
		t.Fatal("the checksum is wrong")
	}
	for r, err := range Records(b) {
		if err != nil || r.Timestamp != 5000 {
			t.Fatalf("%+v %v", r, err)
		}
	}
	if offset, ts, found, err := FirstAtOrAfter(b, 0, 4000); !found || offset != 0 || ts != 5000 || err != nil {
		t.Fatal(offset, ts, found, err)
	}
}

// TestAnyBatch checks on random batches that all codecs keep everything, and lookups by time against a plain search.
func TestAnyBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "records")
		times := rapid.SliceOfN(rapid.Int64Range(0, 100), n, n).Draw(t, "times")
		values := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), -1, 50), n, n).Draw(t, "values")
		codec := Codec(rapid.IntRange(0, 4).Draw(t, "codec"))
		b := NewBuilder(BuilderOptions{})
		for i := range n {
			b.Append(times[i], nil, values[i])
		}
		level := rapid.IntRange(1, 17).Draw(t, "level")
		if codec == Gzip {
			level = min(level, 9)
		}
		packed, err := Recompress(b.Build(), codec, level)
		if err != nil {
			t.Fatal(err)
		}
		Assign(packed, 1000, 3)
		i := 0
		for r, err := range Records(packed) {
			if err != nil || r.Offset != 1000+int64(i) || r.Timestamp != times[i] || r.Key != nil || !bytes.Equal(r.Value, values[i]) {
				t.Fatalf("record %d: %+v (%v)", i, r, err)
			}
			i++
		}
		ts := rapid.Int64Range(0, 110).Draw(t, "ts")
		from := rapid.Int64Range(998, 1010).Draw(t, "from")
		want := int64(-1)
		for i, at := range times {
			if at >= ts && 1000+int64(i) >= from {
				want = 1000 + int64(i)
				break
			}
		}
		got, _, found, err := FirstAtOrAfter(packed, from, ts)
		if err != nil || found != (want >= 0) || found && got != want {
			t.Fatalf("time %d: %d %v (%v), want %d", ts, got, found, err, want)
		}
	})
}

func FuzzValidate(f *testing.F) {
	for codec := None; codec <= Zstd; codec++ {
		f.Add(build(codec, 3))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= HeaderSize { // so that more gets past the first checks
			setCRC(b)
		}
		if _, err := Validate(b, anything); err != nil {
			return
		}
		for _, err := range Records(b) {
			if err != nil {
				t.Fatalf("what is valid cannot be read: %v", err)
			}
		}
	})
}

// FuzzParse compares parse, with its short cut, with parseAny.
func FuzzParse(f *testing.F) {
	w := NewBuilder(BuilderOptions{})
	w.Append(1000, []byte("key"), bytes.Repeat([]byte("v"), 100))
	w.Append(9000, nil, []byte("value"))
	w.Append(10, []byte{}, nil)
	w.Append(10, nil, nil, RecordHeader{Key: "h"})
	b := w.Build()[HeaderSize:]
	for at := range b {
		f.Add(b[at:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, want Record
		next, wantNext := got.parse(b, 0), want.parseAny(b, 0)
		if len(got.headers)+len(want.headers) == 0 {
			got.headers, want.headers = nil, nil
		}
		if next != wantNext || next > 0 && fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
			t.Fatalf("%#v, up to %d; want %#v, up to %d", got, next, want, wantNext)
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add(build(None, 3))
	f.Fuzz(func(_ *testing.T, b []byte) {
		for batch := range Batches(b) {
			for r, err := range Records(batch) {
				if err != nil {
					break
				}
				r.Headers()
			}
		}
	})
}
