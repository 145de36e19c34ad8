package wire

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill gives random values to everything in a message.
func fill(rng *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			if rng.IntN(3) == 0 {
				tags.Set(uint32(100+rng.IntN(5)), []byte("unknown"))
			}
			return
		}
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Version" {
				fill(rng, v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		n := rng.IntN(4)
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(make([]byte, n))
			return
		}
		s := reflect.MakeSlice(v.Type(), n, n)
		for i := range n {
			if d := s.Index(i).Addr().MethodByName("Default"); d.IsValid() {
				d.Call(nil)
			}
			fill(rng, s.Index(i), depth+1)
		}
		v.Set(s)
	case reflect.Pointer:
		if rng.IntN(3) == 0 {
			v.SetZero()
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(rng, v.Elem(), depth+1)
	case reflect.String:
		v.SetString("some text"[:rng.IntN(10)])
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(rng.IntN(100)))
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(rng.IntN(100)))
	case reflect.Float64:
		v.SetFloat(rng.Float64())
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(rng.IntN(256)))
		}
	}
}

// TestGuardKnowsEveryRequest holds the layouts against the encoder: what it writes the guard walks to the last byte, and
// what is cut off anywhere it refuses.
func TestGuardKnowsEveryRequest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for key, l := range layouts() {
		for version := range l.newest + 1 {
			for range 20 {
				req := kmsg.RequestForKey(key)
				req.SetVersion(version)
				fill(rng, reflect.ValueOf(req).Elem(), 0)
				body := req.AppendTo(nil)
				if _, left, err := check(key, version, body); err != nil || left != 0 {
					t.Fatalf("%s version %d: %d bytes left (%v)\n%+v", l.name, version, left, err, req)
				}
				if _, err := Check(key, version, append(slices.Clone(body), 0, 0, 0)); err != nil {
					t.Fatalf("%s version %d: bytes after the request: %v", l.name, version, err)
				}
				for n := range body {
					if _, err := Check(key, version, body[:n]); err == nil {
						t.Fatalf("%s version %d: %d of %d bytes pass", l.name, version, n, len(body))
					}
				}
				back := kmsg.RequestForKey(key)
				back.SetVersion(version)
				if err := back.ReadFrom(body); err != nil {
					t.Fatalf("%s version %d: %v", l.name, version, err)
				}
			}
		}
	}
}

// TestWhatPassesIsHarmless throws mutated requests at the guard and decodes what it lets through.
func TestWhatPassesIsHarmless(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	passed := 0
	for key, l := range layouts() {
		for range 300 {
			version := int16(rng.IntN(int(l.newest) + 1))
			req := kmsg.RequestForKey(key)
			req.SetVersion(version)
			fill(rng, reflect.ValueOf(req).Elem(), 0)
			body := req.AppendTo(nil)
			for range 1 + rng.IntN(4) {
				if len(body) > 0 {
					body[rng.IntN(len(body))] = []byte{0, 1, 0x7f, 0x80, 0xff}[rng.IntN(5)]
				}
			}
			passed += decode(key, version, body)
		}
	}
	if passed == 0 {
		t.Fatal("the guard lets nothing through")
	}
}

func decode(key, version int16, body []byte) int {
	if _, err := Check(key, version, body); err != nil {
		return 0
	}
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	_ = req.ReadFrom(body) // an error is fine, hanging and allocating is not
	return 1
}

func FuzzGuard(f *testing.F) {
	f.Add(int16(3), int16(9), []byte{0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add(int16(0), int16(9), []byte{0, 0, 1, 0, 0, 0, 1, 2, 2, 'a', 2, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		cost, err := Check(key, version, body)
		if err == nil && cost > 200*len(body)+200 {
			t.Fatalf("%d bytes may cost %d", len(body), cost)
		}
		decode(key, version, body)
		_, _, _ = ParseHeader(body)
	})
}

func TestFetchEncodingIsTheLibrarys(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for version := int16(4); version <= 18; version++ {
		for range 50 {
			ours := &FetchResponse{ThrottleMillis: rng.Int32N(9), SessionID: rng.Int32N(99), ErrorCode: int16(rng.IntN(3))}
			theirs := kmsg.NewPtrFetchResponse()
			theirs.SetVersion(version)
			theirs.ThrottleMillis, theirs.SessionID, theirs.ErrorCode = ours.ThrottleMillis, ours.SessionID, ours.ErrorCode
			var runs [][]byte
			for range rng.IntN(3) {
				topic := FetchTopic{Topic: "topic", TopicID: [16]byte{1, 2, 3}}
				theirTopic := kmsg.NewFetchResponseTopic()
				theirTopic.Topic, theirTopic.TopicID = topic.Topic, topic.TopicID
				for range rng.IntN(3) {
					p := FetchPartition{
						Partition: rng.Int32N(9), ErrorCode: int16(rng.IntN(2)), HighWatermark: rng.Int64N(9), LastStableOffset: rng.Int64N(9),
						LogStartOffset: rng.Int64N(9), PreferredReadReplica: -1, RecordsLen: rng.IntN(300),
						DivergingEpoch: EpochEndOffset{-1, -1}, CurrentLeader: LeaderIDAndEpoch{-1, -1},
					}
					if rng.IntN(2) == 0 {
						p.DivergingEpoch = EpochEndOffset{rng.Int32N(5), rng.Int64N(5)}
					}
					if rng.IntN(2) == 0 {
						p.CurrentLeader = LeaderIDAndEpoch{rng.Int32N(5), rng.Int32N(5)}
					}
					run := bytes.Repeat([]byte{7}, p.RecordsLen)
					runs = append(runs, run)
					tp := kmsg.NewFetchResponseTopicPartition()
					tp.Partition, tp.ErrorCode, tp.HighWatermark, tp.LastStableOffset = p.Partition, p.ErrorCode, p.HighWatermark, p.LastStableOffset
					tp.LogStartOffset, tp.PreferredReadReplica, tp.RecordBatches = p.LogStartOffset, -1, run
					tp.DivergingEpoch.Epoch, tp.DivergingEpoch.EndOffset = p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset
					tp.CurrentLeader.LeaderID, tp.CurrentLeader.LeaderEpoch = p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch
					theirTopic.Partitions = append(theirTopic.Partitions, tp)
					topic.Partitions = append(topic.Partitions, p)
				}
				theirs.Topics = append(theirs.Topics, theirTopic)
				ours.Topics = append(ours.Topics, topic)
			}
			for range rng.IntN(3) {
				b := FetchBroker{ID: rng.Int32N(9), Host: "host", Port: rng.Int32N(99)}
				if rng.IntN(2) == 0 {
					b.Rack = kmsg.StringPtr("rack")
				}
				their := kmsg.NewFetchResponseBroker()
				their.NodeID, their.Host, their.Port, their.Rack = b.ID, b.Host, b.Port, b.Rack
				ours.Brokers, theirs.Brokers = append(ours.Brokers, b), append(theirs.Brokers, their)
			}
			buf, cuts := AppendFetch(nil, 42, version, ours)
			var got []byte
			at := 0
			for i, cut := range cuts {
				got = append(append(got, buf[at:cut]...), runs[i]...)
				at = cut
			}
			got = append(got, buf[at:]...)
			if want := AppendResponse(nil, 42, theirs); !bytes.Equal(got, want) {
				t.Fatalf("version %d:\n got %x\nwant %x", version, got, want)
			}
		}
	}
}

func BenchmarkGuardProduce(b *testing.B) {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(12)
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = "orders"
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = make([]byte, 1<<20)
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	body := req.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Check(0, 12, body); err != nil {
			b.Fatal(err)
		}
	}
}
