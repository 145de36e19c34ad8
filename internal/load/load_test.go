package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const partitions = 4

// newSpec gives a load for a topic of a cluster in this process.
func newSpec(t *testing.T) (*kfake.Cluster, *Spec) {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "load"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	payload, err := NewPayload("random", 100, false)
	if err != nil {
		t.Fatal(err)
	}
	return fake, &Spec{
		Topic: "load", Partitions: partitions, Payload: payload, Codec: kgo.NoCompression(), Acks: kgo.AllISRAcks(),
		BatchBytes: 1 << 20, Timeout: time.Minute, Connections: 1, PIDs: []int{os.Getpid()},
		Connect: func(opts ...kgo.Opt) (*kgo.Client, error) {
			return kgo.NewClient(append(opts, kgo.SeedBrokers(fake.ListenAddrs()...))...)
		},
	}
}

// produced calls f with the number of records of every batch that is written from now on.
func produced(fake *kfake.Cluster, f func(records int32)) {
	fake.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		for _, topic := range request.(*kmsg.ProduceRequest).Topics {
			for _, p := range topic.Partitions {
				f(int32(binary.BigEndian.Uint32(p.Records[57:])))
			}
		}
		return nil, nil, false
	})
}

func TestProduceSoManyRecords(t *testing.T) {
	fake, s := newSpec(t)
	var arrived atomic.Int64
	produced(fake, func(n int32) { arrived.Add(int64(n)) })
	s.Records, s.Connections = 1001, 3
	r, err := Produce(t.Context(), s)
	if err != nil || r.Records != 1001 || r.Bytes != 100_100 || r.Ack.Count() != 1001 || arrived.Load() != 1001 || r.Late.Count() != 0 {
		t.Errorf("%d records, %d bytes, %d latencies, %d arrived, %v", r.Records, r.Bytes, r.Ack.Count(), arrived.Load(), err)
	}
	if r.EndToEnd != nil || r.Seconds <= 0 || r.Client.CPUSeconds <= 0 || r.Brokers.RSS <= 0 {
		t.Errorf("%+v", r)
	}
}

func TestWarmUpIsNotCounted(t *testing.T) {
	fake, s := newSpec(t)
	var arrived atomic.Int64
	produced(fake, func(n int32) { arrived.Add(int64(n)) })
	s.Records, s.WarmUp, s.Rate = 10, 20*time.Millisecond, 1000
	r, err := Produce(t.Context(), s)
	if err != nil || r.Records != 10 || arrived.Load() != 30 {
		t.Errorf("%d records, %d arrived, %v", r.Records, arrived.Load(), err)
	}
}

func TestOneRecordInFlightIsOneARequest(t *testing.T) {
	fake, s := newSpec(t)
	var batches, most atomic.Int64
	produced(fake, func(n int32) {
		batches.Add(1)
		if int64(n) > most.Load() {
			most.Store(int64(n))
		}
	})
	s.Records, s.Connections, s.InFlight = 300, 3, 1
	r, err := Produce(t.Context(), s)
	if err != nil || r.Records != 300 || batches.Load() != 300 || most.Load() != 1 {
		t.Errorf("%d records in %d batches, of up to %d, %v", r.Records, batches.Load(), most.Load(), err)
	}
}

// A cluster that does not answer for a while has kept all waiting that was due then. Would only what was under way count, the
// median were as short as ever.
func TestLatencyCountsFromWhenARecordWasDue(t *testing.T) {
	const stall = 400 * time.Millisecond
	for _, inFlight := range []int{0, 1} {
		fake, s := newSpec(t)
		first := true
		produced(fake, func(int32) {
			if first {
				first = false
				time.Sleep(stall) // the subject of the test: a broker that pauses
			}
		})
		s.Rate, s.Duration, s.InFlight, s.Partitions = 500, stall, inFlight, 1
		r, err := Produce(t.Context(), s)
		if err != nil || r.Records != 200 {
			t.Errorf("%d in flight: of 200 records that were due %d were written, %v", inFlight, r.Records, err)
		}
		if r.Ack.Quantile(.5) < stall/4 || r.Ack.Max() < stall*9/10 {
			t.Errorf("%d in flight: the median is %v, the longest %v", inFlight, r.Ack.Quantile(.5), r.Ack.Max())
		}
		if r.Late.Count() != 200 {
			t.Errorf("%d in flight: lateness was counted of %d", inFlight, r.Late.Count())
		}
	}
}

func TestLatencyToTheReader(t *testing.T) {
	_, s := newSpec(t)
	s.Records = 100 // of others, before
	if _, err := Produce(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.Records, s.Rate, s.WarmUp = 50, 1000, 20*time.Millisecond
	r, err := Latency(t.Context(), s)
	if err != nil || r.Records != 50 || r.EndToEnd.Count() != 50 {
		t.Fatalf("%d records, %d read, %v", r.Records, r.EndToEnd.Count(), err)
	}
}

func TestConsumeReadsEachRecordOnce(t *testing.T) {
	_, s := newSpec(t)
	s.Records = 5000
	if _, err := Produce(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.Records = 0
	for _, s.Connections = range []int{1, 3, partitions + 1} {
		r, err := Consume(t.Context(), s)
		if err != nil || r.Records != 5000 || r.Bytes != 500_000 || r.Ack.Count() != 0 {
			t.Errorf("%d clients: %d records, %d bytes, %v", s.Connections, r.Records, r.Bytes, err)
		}
	}
	s.Connections, s.Records = 1, 1
	if r, err := Consume(t.Context(), s); err != nil || r.Records < 1 {
		t.Errorf("at least one: %d records, %v", r.Records, err)
	}
}

func TestTheFirstFailureEndsTheRun(t *testing.T) {
	fake, s := newSpec(t)
	fake.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		response := request.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range request.(*kmsg.ProduceRequest).Topics {
			answer := kmsg.ProduceResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, p := range topic.Partitions {
				one := kmsg.NewProduceResponseTopicPartition()
				one.Partition, one.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				answer.Partitions = append(answer.Partitions, one)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
	s.Duration = time.Hour
	for _, s.InFlight = range []int{0, 1} {
		if r, err := Produce(t.Context(), s); !errors.Is(err, kerr.TopicAuthorizationFailed) || r.Records != 0 {
			t.Errorf("%d records, %v", r.Records, err)
		}
	}
}

func TestTheEndOfItsContextEndsTheRun(t *testing.T) {
	for _, rate := range []float64{0, 100} {
		fake, s := newSpec(t)
		ctx, cancel := context.WithCancel(t.Context())
		produced(fake, func(int32) { cancel() })
		s.Duration, s.Rate = time.Hour, rate
		if r, err := Produce(ctx, s); err != nil || r.Records == 0 {
			t.Errorf("rate %v: %d records, %v", rate, r.Records, err)
		}
	}
}

func TestProgress(t *testing.T) {
	_, s := newSpec(t)
	told := make(chan Progress, 1)
	ctx, cancel := context.WithCancel(t.Context())
	s.Duration, s.Rate = time.Hour, 100
	s.Progress = func(p Progress) {
		select {
		case told <- p:
		default:
		}
		cancel()
	}
	if _, err := Produce(ctx, s); err != nil {
		t.Fatal(err)
	}
	if p := <-told; p.Seconds <= 0 || p.WarmUp {
		t.Errorf("%+v", p)
	}
}

func TestPayload(t *testing.T) {
	for _, size := range []int{1, 100, 1000, 1 << 20} {
		for _, kind := range []string{"random", "json"} {
			p, err := NewPayload(kind, size, kind == "json")
			if err != nil {
				t.Fatal(err)
			}
			if p.Bytes() != size || len(p.Value(1<<40)) != size || size > 1 && bytes.Equal(p.Value(0), p.Value(1)) {
				t.Errorf("%s of %d bytes: %d", kind, size, p.Bytes())
			}
		}
	}
	if _, err := NewPayload("xml", 1, false); err == nil || !strings.Contains(err.Error(), "random or json") {
		t.Errorf("a payload that does not exist: %v", err)
	}
}

func TestPayloadCompressesAsItSays(t *testing.T) {
	orders, _ := NewPayload("json", 1024, true)
	random, _ := NewPayload("random", 1024, true)
	for _, codec := range []kgo.CompressionCodec{kgo.GzipCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(), kgo.SnappyCompression()} {
		if to, err := orders.CompressedTo(codec); err != nil || to < .15 || to > .5 {
			t.Errorf("orders: to %v, %v", to, err)
		}
		if to, err := random.CompressedTo(codec); err != nil || to < .99 {
			t.Errorf("random: to %v, %v", to, err)
		}
	}
	if to, err := orders.CompressedTo(kgo.NoCompression()); err != nil || to != 1 {
		t.Errorf("without a codec: to %v, %v", to, err)
	}
	all := bytes.Join(orders.values[:8], nil)
	var order map[string]any
	lines := bytes.SplitN(all, []byte("\n"), 2)
	if err := json.Unmarshal(lines[0], &order); err != nil || order["type"] != "order" {
		t.Errorf("%s is no order: %v", lines[0], err)
	}
}

func TestUsage(t *testing.T) {
	if err := CheckPID(os.Getpid()); err != nil {
		t.Error(err)
	}
	if err := CheckPID(1 << 30); err == nil {
		t.Error("a process that does not exist can be measured")
	}
	if u := usageOf([]int{os.Getpid(), 1 << 30}); u.RSS <= 0 {
		t.Errorf("%+v", u)
	}
}
