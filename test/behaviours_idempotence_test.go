package test

import (
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// producerID asks for an id of an idempotent producer.
func (n *node) producerID() int64 {
	n.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionTimeoutMillis = math.MaxInt32
	var got *kmsg.InitProducerIDResponse
	until(n.t, "there is a producer id", func() bool {
		got = mustAsk[*kmsg.InitProducerIDResponse](n, req, 4)
		return got.ErrorCode == 0
	})
	if got.ProducerEpoch != 0 {
		n.t.Fatalf("a new producer begins with epoch %d", got.ProducerEpoch)
	}
	return got.ProducerID
}

func sequenced(id int64, epoch int16, sequence int32, values ...string) []byte {
	var records []rec
	for _, v := range values {
		records = append(records, rec{value: v})
	}
	return makeBatch(records, by(id, epoch, sequence))
}

func TestBehaviour027Duplicates(t *testing.T) {
	n := shared(t)
	for _, kind := range []string{"CreateTime", "LogAppendTime"} {
		to := n.newTopic(1, "message.timestamp.type="+kind)
		id := n.producerID()
		var first []produced
		for i := range int32(7) {
			first = append(first, to.mustProduce(sequenced(id, 0, 2*i, "a", "b"), int64(2*i)))
		}
		for i := int32(2); i < 7; i++ { // the last five
			again := to.mustProduce(sequenced(id, 0, 2*i, "a", "b"), int64(2*i))
			if kind == "LogAppendTime" && again.LogAppendTime != first[i].LogAppendTime {
				t.Errorf("%s: the repeat of batch %d is answered with time %d, first it was %d", kind, i, again.LogAppendTime, first[i].LogAppendTime)
			}
		}
		to.refuse(sequenced(id, 0, 2, "a", "b"), 45) // before them
		to.refuse(sequenced(id, 0, 12, "a"), 45)     // the same beginning, another end
		to.mustEnd(14)
		if got := len(to.readAll()); got != 7 {
			t.Errorf("%d batches are there", got)
		}
	}
}

func TestBehaviour028SequenceErrors(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	id := n.producerID()
	to.mustProduce(sequenced(id, 3, 0, "a"), 0)
	to.refuse(sequenced(id, 3, 2, "gap"), 45)
	to.refuse(sequenced(id, 2, 1, "older epoch"), 47)
	to.refuse(sequenced(id, 2, 0, "older epoch"), 47)
	to.refuse(sequenced(id, 4, 1, "a new epoch begins at 0"), 45)
	to.mustProduce(sequenced(id, 3, 1, "b"), 1)
	to.mustProduce(sequenced(id, 4, 0, "a new epoch"), 2)
	to.refuse(sequenced(id, 3, 2, "older epoch"), 47)
	to.mustProduce(sequenced(id, 4, 1, "c"), 3)
	to.mustEnd(4)
	// Of an unknown producer any sequence is taken; after the largest one comes 0.
	other := n.producerID()
	to.mustProduce(sequenced(other, 0, math.MaxInt32-1, "y", "z"), 4)
	to.refuse(sequenced(other, 0, 1, "gap"), 45)
	to.mustProduce(sequenced(other, 0, 0, "a"), 6)
	// A batch may wrap around inside.
	third := n.producerID()
	to.mustProduce(sequenced(third, 0, math.MaxInt32, "y", "z"), 7)
	to.mustProduce(sequenced(third, 0, math.MaxInt32, "y", "z"), 7)
	to.mustProduce(sequenced(third, 0, 1, "a"), 9)
}

// TestBehaviour030ProducerOutlivesItsRecords: when all that a producer wrote is gone, it goes on with its next sequence.
func TestBehaviour030ProducerOutlivesItsRecords(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	id := n.producerID()
	to.mustProduce(sequenced(id, 0, 0, "a", "b", "c"), 0)
	if low := to.deleteRecords(-1); low.LowWatermark != 3 || low.ErrorCode != 0 {
		t.Fatalf("%+v", low)
	}
	to.mustProduce(sequenced(id, 0, 3, "d"), 3)
}

func TestBehaviour030ProducerOutlivesItsRecordsAndACrash(t *testing.T) {
	n := start(t)
	to := n.newTopic(1)
	id := n.producerID()
	to.mustProduce(sequenced(id, 0, 0, "a", "b", "c"), 0)
	to.deleteRecords(-1)
	n.kill()
	n.start()
	to.mustProduce(sequenced(id, 0, 3, "d"), 3)
	n.kill()
	n.start()
	to.mustProduce(sequenced(id, 0, 3, "d"), 3) // a repeat is still known
	to.refuse(sequenced(id, 0, 9, "gap"), 45)
	to.mustEnd(4)
}

func TestBehaviour033ProducerIDsAreUnique(t *testing.T) {
	seen := map[int64]bool{}
	take := func(n *node, count int) {
		t.Helper()
		for range count {
			if id := n.producerID(); seen[id] || id < 0 {
				t.Fatalf("id %d was given out twice", id)
			} else {
				seen[id] = true
			}
		}
	}
	take(shared(t), 50)
	clear(seen)
	n := start(t)
	for range 3 {
		take(n, 20)
		n.kill()
		n.start()
	}
	take(n, 20)
}

// TestBehaviour034ProducerExpiry: a shorter producer.id.expiration.ms takes effect while the broker runs.
func TestBehaviour034ProducerExpiry(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	id := n.producerID()
	to.mustProduce(sequenced(id, 0, 0, "a"), 0)
	known := func() bool {
		t.Helper()
		req := kmsg.NewPtrDescribeProducersRequest()
		req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: to.name, Partitions: []int32{0}}}
		got := mustAsk[*kmsg.DescribeProducersResponse](n, req, 0).Topics[0].Partitions[0]
		if got.ErrorCode != 0 {
			t.Fatal(describe(got.ErrorCode, got.ErrorMessage))
		}
		for _, p := range got.ActiveProducers {
			if p.ProducerID == id && (p.LastSequence != 0 || p.ProducerEpoch != 0 || p.CurrentTxnStartOffset != -1) {
				t.Errorf("%+v", p)
			}
		}
		return len(got.ActiveProducers) == 1
	}
	if !known() {
		t.Fatal("the producer is not known")
	}
	to.refuse(sequenced(id, 0, 5, "gap"), 45)
	n.setBroker(t, "", "producer.id.expiration.ms", "1")
	until(t, "the producer is forgotten", func() bool { return !known() })
	to.mustProduce(sequenced(id, 0, 5, "no gap any more"), 1)
}
