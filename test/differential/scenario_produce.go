package main

import (
	"bytes"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// one is a batch of one record at the present.
func (w *world) one(value string, change ...func(*kmsg.RecordBatch)) []byte {
	return batch([]rec{{value: value, at: w.now}}, change...)
}

// flip changes a byte of a batch.
func flip(raw []byte, at int) []byte {
	out := bytes.Clone(raw)
	out[at] ^= 0x55
	return out
}

const hour = 3600_000

// oddBatches are batches that are not as they should be, and some that are.
func (w *world) oddBatches() map[string][]byte {
	good := w.one("good")
	return map[string][]byte{
		"good":                   good,
		"keyed":                  batch([]rec{{key: []byte("k"), value: "v", at: w.now}, {key: []byte{}, value: "", at: w.now + 1}}),
		"headers":                batch([]rec{{key: []byte("k"), value: "v", at: w.now, headers: []kmsg.Header{{Key: "h", Value: []byte("x")}, {Key: "", Value: nil}}}}),
		"two":                    append(bytes.Clone(good), good...),
		"none":                   {},
		"no records":             batch(nil),
		"magic 87":               flip(good, batchMagic),
		"magic 1":                append(append(bytes.Clone(good[:batchMagic]), 1), good[batchMagic+1:]...),
		"magic 0":                append(append(bytes.Clone(good[:batchMagic]), 0), good[batchMagic+1:]...),
		"base offset 5":          w.one("x", func(b *kmsg.RecordBatch) { b.FirstOffset = 5 }),
		"leader epoch 7":         w.one("x", func(b *kmsg.RecordBatch) { b.PartitionLeaderEpoch = 7 }),
		"control":                w.one("x", flagged(1<<5)),
		"append time":            w.one("x", flagged(1<<3)),
		"unused attribute":       w.one("x", flagged(1<<9)),
		"delete horizon":         w.one("x", flagged(1<<6)),
		"flipped payload":        flip(good, len(good)-1),
		"flipped checksum":       flip(good, batchChecksum),
		"cut off":                good[:len(good)-3],
		"header cut off":         good[:40],
		"four bytes":             good[:4],
		"trailing":               append(bytes.Clone(good), 1, 2, 3),
		"length too small":       w.rawLength(good, -3),
		"length too large":       w.rawLength(good, 3),
		"length zero":            w.rawLength(good, 12-len(good)),
		"length negative":        w.rawLength(good, -1<<20),
		"too many counted":       w.one("x", func(b *kmsg.RecordBatch) { b.NumRecords = 2 }),
		"too few counted":        batch([]rec{{value: "a", at: w.now}, {value: "b", at: w.now}}, func(b *kmsg.RecordBatch) { b.NumRecords = 1 }),
		"count negative":         w.one("x", func(b *kmsg.RecordBatch) { b.NumRecords = -1 }),
		"last delta 5":           w.one("x", func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 5 }),
		"last delta negative":    w.one("x", func(b *kmsg.RecordBatch) { b.LastOffsetDelta = -1 }),
		"both at 5":              w.one("x", func(b *kmsg.RecordBatch) { b.LastOffsetDelta, b.NumRecords = 4, 5 }),
		"max timestamp wrong":    w.one("x", func(b *kmsg.RecordBatch) { b.MaxTimestamp = w.now - 500 }),
		"max timestamp negative": w.one("x", func(b *kmsg.RecordBatch) { b.MaxTimestamp = -1 }),
		"no timestamp":           batch([]rec{{value: "x", at: -1}}),
		"timestamp 0":            batch([]rec{{value: "x", at: 0}}),
		"timestamp -5":           batch([]rec{{value: "x", at: -5}}),
		"far future":             batch([]rec{{value: "x", at: w.now}, {value: "y", at: w.now + 3*hour}}),
		"far past":               batch([]rec{{value: "x", at: w.now - 1000*hour}}),
		"garbage records":        w.one("x", func(b *kmsg.RecordBatch) { b.Records = []byte{200, 200, 200, 200, 200, 200, 200} }),
		"record too long":        w.one("x", func(b *kmsg.RecordBatch) { b.Records[0] = 100 }),
		"record too short":       w.one("xyz", func(b *kmsg.RecordBatch) { b.Records[0] -= 2 }),
		"record attributes":      w.one("x", func(b *kmsg.RecordBatch) { b.Records[1] = 5 }),
		"offset delta wrong":     w.one("x", func(b *kmsg.RecordBatch) { b.Records[3] = 4 }),
		"records trailing":       w.one("x", func(b *kmsg.RecordBatch) { b.Records = append(b.Records, 0) }),
		"gzip":                   w.one(strings.Repeat("z", 300), packed(1)),
		"snappy":                 w.one(strings.Repeat("z", 300), packed(2)),
		"lz4":                    w.one(strings.Repeat("z", 300), packed(3)),
		"zstd":                   w.one(strings.Repeat("z", 300), packed(4)),
		"codec 5":                w.one("x", flagged(5)),
		"codec 7":                w.one("x", flagged(7)),
		"not gzip":               w.one("x", flagged(1)),
		"not snappy":             w.one("x", flagged(2)),
		"not lz4":                w.one("x", flagged(3)),
		"not zstd":               w.one("x", flagged(4)),
		"too large":              w.one(strings.Repeat("z", 2000)),
		"large, compressed":      w.one(strings.Repeat("z", 2000), packed(1)),
		"many, one too many":     w.one("x", packed(1), func(b *kmsg.RecordBatch) { b.NumRecords = 2 }),
		"producer without epoch": w.one("x", by(77, -1, 0)),
		"producer, no sequence":  w.one("x", by(77, 0, -1)),
		"no producer, epoch 0":   w.one("x", by(-1, 0, -1)),
		"no producer, sequence":  w.one("x", by(-1, -1, 3)),
		"producer -2":            w.one("x", by(-2, 0, 0)),
	}
}

// rawLength changes the length field of a batch, and puts the checksum right for what is then covered.
func (w *world) rawLength(raw []byte, by int) []byte {
	out := bytes.Clone(raw)
	n := int32(len(raw)-12) + int32(by)
	out[batchLength], out[batchLength+1], out[batchLength+2], out[batchLength+3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return out
}

func playProduce(w *world) {
	type kind struct {
		name    string
		configs []string
	}
	for _, k := range []kind{
		{"plain", []string{"max.message.bytes=1000"}},
		{"append-time", []string{"message.timestamp.type=LogAppendTime"}},
		{"gzipped", []string{"compression.type=gzip", "max.message.bytes=1000"}},
		{"compacted", []string{"cleanup.policy=compact"}},
		{"recent", []string{"message.timestamp.before.max.ms=60000", "message.timestamp.after.max.ms=60000"}},
		{"unpacked", []string{"compression.type=uncompressed", "max.message.bytes=1000"}},
	} {
		topic := "write-" + k.name
		odd := w.oddBatches()
		id := w.topic(topic, int32(len(odd)), append(k.configs, "retention.ms=-1")...) // or records of the far past go, once a minute or so has passed
		for _, v := range w.versions(kmsg.Produce) {
			if k.name != "plain" && v != 3 && v != 8 && v != w.newest(kmsg.Produce) {
				continue
			}
			for i, name := range sortedKeys(odd) {
				w.about = name
				w.ask(edited(produce(topic, id, -1, odd[name]), func(r *kmsg.ProduceRequest) { r.Topics[0].Partitions[0].Partition = int32(i) }), v)
			}
		}
		for i, name := range sortedKeys(odd) {
			w.about = name
			w.readBack(topic, id, int32(i))
		}
		w.about = ""
	}
	id, again := w.topic("write", 3), w.topic("write-twice", 1)
	for _, v := range w.versions(kmsg.Produce) {
		good := w.one("x")
		for _, acks := range []int16{-2, -1, 0, 1, 2, 5} {
			w.ask(produce("write", id, acks, good, good), v)
			w.ask(produce("write", id, acks, good, w.one("x", flagged(1<<5))), v)
			for _, timeout := range []int32{0, -1} {
				w.ask(edited(produce("write", id, acks, good), func(r *kmsg.ProduceRequest) { r.TimeoutMillis = timeout }), v)
			}
		}
		for _, acks := range []int16{1, 0} {
			wrong := produce("write", id, acks, good)
			wrong.Topics[0].Partitions[0].Partition = 9
			w.ask(wrong, v)
			wrong.Topics[0].Partitions[0].Partition = -1
			w.ask(wrong, v)
			w.ask(produce("absent", [16]byte{5}, acks, good), v)
			w.ask(produce("a b", [16]byte{}, acks, good), v)
			w.ask(produce("", [16]byte{}, acks, good), v)
			w.ask(produce("__consumer_offsets", [16]byte{}, acks, good), v)
			w.ask(produce("__transaction_state", [16]byte{}, acks, good), v)
		}
		w.ask(kmsg.NewPtrProduceRequest(), v)
		w.ask(edited(kmsg.NewPtrProduceRequest(), func(r *kmsg.ProduceRequest) { r.Acks = -1 }), v)
		w.about = "twice"
		twice := produce("write-twice", again, -1, good)
		twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, twice.Topics[0].Partitions[0])
		w.ask(twice, v)
		twice = produce("write-twice", again, -1, good)
		twice.Topics = append(twice.Topics, twice.Topics[0], produce("absent", [16]byte{5}, -1, good).Topics[0])
		w.ask(twice, v)
		w.about = ""
		w.ask(produce("write", id, -1), v)
	}
	w.readBack("write", id, 0, 1)
}

// readBack compares what is stored in partitions of a topic.
func (w *world) readBack(topic string, id [16]byte, partitions ...int32) {
	for _, number := range partitions {
		w.ask(listOffsets(listOffset(topic, number, -1)), 5)
		w.ask(listOffsets(listOffset(topic, number, -2)), 5)
	}
	req := fetch(topic, id, 0, partitions...)
	req.MaxBytes = 10 << 20
	for i := range req.Topics[0].Partitions {
		req.Topics[0].Partitions[i].PartitionMaxBytes = 10 << 20
	}
	w.ask(req, w.newest(kmsg.Fetch))
}

// producer asks for a producer id. It gives Kafka's.
func (w *world) producer() (id int64, epoch int16) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionTimeoutMillis = 60_000
	resp, _ := w.ask(req, 4).(*kmsg.InitProducerIDResponse)
	if resp == nil {
		return 1, 0
	}
	return resp.ProducerID, resp.ProducerEpoch
}

func playProducers(w *world) {
	for _, v := range w.versions(kmsg.InitProducerID) {
		for _, timeout := range []int32{60_000, 0, -1, 1 << 30} {
			w.ask(edited(kmsg.NewPtrInitProducerIDRequest(), func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = timeout }), v)
		}
		for _, known := range [][2]int64{{5, 3}, {5, -1}, {-1, 3}, {-2, 0}, {1 << 40, 32767}} {
			w.ask(edited(kmsg.NewPtrInitProducerIDRequest(), func(r *kmsg.InitProducerIDRequest) {
				r.TransactionTimeoutMillis, r.ProducerID, r.ProducerEpoch = 1000, known[0], int16(known[1])
			}), v)
		}
	}
	w.pairs.same("producer", "123456789", "123456789") // an id that nobody was given
	id := w.topic("sequences", 2)
	describe := func() {
		for _, v := range w.versions(kmsg.DescribeProducers) {
			req := kmsg.NewPtrDescribeProducersRequest()
			req.Topics = append(req.Topics,
				kmsg.DescribeProducersRequestTopic{Topic: "sequences", Partitions: []int32{0, 1, 7, -1}},
				kmsg.DescribeProducersRequestTopic{Topic: "absent", Partitions: []int32{0}},
				kmsg.DescribeProducersRequestTopic{Topic: "a b", Partitions: []int32{0}})
			w.ask(req, v)
		}
	}
	for _, v := range w.versions(kmsg.Produce) {
		pid, epoch := w.producer()
		put := func(epoch int16, sequence int32, records int) {
			var list []rec
			for range records {
				list = append(list, rec{value: "x", at: w.now})
			}
			if epoch < 0 {
				w.about = "producer without epoch"
			}
			w.ask(produce("sequences", id, -1, batch(list, by(pid, epoch, sequence))), v)
			w.about = ""
		}
		put(epoch, 5, 1) // not from 0 on
		put(epoch, 0, 2)
		put(epoch, 0, 2) // again
		put(epoch, 2, 1)
		put(epoch, 2, 2) // the same first sequence, another count
		put(epoch, 1, 1) // in the middle of an old one
		put(epoch, 4, 1) // a gap
		for s := int32(3); s < 10; s++ {
			put(epoch, s, 1)
		}
		put(epoch, 3, 1) // older than those that are remembered
		put(epoch, 5, 1) // the oldest that is
		put(epoch, 9, 1)
		put(epoch+2, 1, 1)
		put(epoch+2, 0, 1)
		put(epoch, 10, 1)
		put(epoch+1, 0, 1)
		put(epoch+2, 1, 1)
		put(epoch+2, 0, 1)
		put(epoch+2, -1, 1)
		put(epoch+3, 1<<31-2, 1)
		put(-1, 3, 1)
		w.ask(produce("sequences", id, 1, w.one("y", by(pid, epoch+2, 2))), v)
		w.ask(produce("sequences", id, 0, w.one("y", by(pid, epoch+2, 3))), v)
		w.ask(produce("sequences", id, 0, w.one("y", by(pid, epoch+2, 9))), v)
		w.ask(produce("sequences", id, -1, w.one("y", by(pid, epoch+2, 4))), v)
		wide := int32(1<<31 - 2)
		pid, epoch = w.producer()
		put(epoch, wide, 1)
		w.ask(produce("sequences", id, -1, w.one("never given", by(123456789, 0, 0))), v)
		w.ask(produce("sequences", id, -1, w.one("never given", by(123456789, 0, 7))), v)
		w.ask(produce("sequences", id, -1, append(w.one("a", by(pid, epoch, 0)), w.one("b", by(pid, epoch, 1))...)), v)
	}
	describe()
	w.readBack("sequences", id, 0, 1)
}
