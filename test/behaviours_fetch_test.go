package test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchAll sends a fetch and gives the partitions of the first topic by number.
func fetchAll(n *node, req *kmsg.FetchRequest, version int16) []fetched {
	n.t.Helper()
	got := mustAsk[*kmsg.FetchResponse](n, req, version)
	if got.ErrorCode != 0 || len(got.Topics) != 1 {
		n.t.Fatalf("%+v", got)
	}
	parts := got.Topics[0].Partitions
	slices.SortFunc(parts, func(a, b fetched) int { return int(a.Partition - b.Partition) })
	return parts
}

func TestBehaviour054OffsetRange(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	to.mustProduce(makeBatch([]rec{{value: "a"}, {value: "b"}, {value: "c"}}), 0)
	to.mustProduce(batch("d"), 3)
	to.deleteRecords(2)
	for _, version := range []int16{4, 11, 12, 13, 16} {
		for _, c := range []struct {
			offset int64
			code   int16
			data   bool
		}{{4, 0, false}, {5, 1, false}, {1 << 40, 1, false}, {1, 1, false}, {0, 1, false}, {-1, 1, false}, {2, 0, true}, {3, 0, true}} {
			got := fetchAll(n, to.fetchRequest(c.offset, 1), version)[0]
			if got.ErrorCode != c.code || (len(got.RecordBatches) > 0) != c.data {
				t.Errorf("version %d, offset %d: %s and %d bytes", version, c.offset, describe(got.ErrorCode, nil), len(got.RecordBatches))
			}
			high, start := int64(4), int64(2)
			if version < 5 {
				start = -1
			}
			if c.code != 0 {
				high, start = -1, -1
			}
			if got.HighWatermark != high || got.LogStartOffset != start || got.LastStableOffset != high {
				t.Errorf("version %d, offset %d: high watermark %d, last stable offset %d, log start %d", version, c.offset, got.HighWatermark, got.LastStableOffset, got.LogStartOffset)
			}
		}
	}
	// At the end a fetch waits, and wakes with the next record.
	wait := to.fetchRequest(4, 1)
	wait.MaxWaitMillis = 15_000
	answer := make(chan kmsg.Response, 1)
	go func() {
		wait.SetVersion(16)
		resp, _ := n.ask(wait)
		answer <- resp
	}()
	select {
	case got := <-answer:
		t.Fatalf("answered at once with %+v", got)
	case <-time.After(50 * time.Millisecond):
	}
	to.mustProduce(batch("e"), 4)
	if got := (<-answer).(*kmsg.FetchResponse).Topics[0].Partitions[0]; len(batches(t, got.RecordBatches)) != 1 || got.HighWatermark != 5 {
		t.Fatalf("woken with %+v", got)
	}
}

// TestBehaviour055OversizeBatch: the first batch comes whole, however small the limits; later ones do not.
func TestBehaviour055OversizeBatch(t *testing.T) {
	n := shared(t)
	to := n.newTopic(2)
	large := batch(strings.Repeat("x", 5000))
	for range 2 {
		mustAsk[*kmsg.ProduceResponse](n, produceTo(to.name, -1, large, large), 9)
	}
	for _, version := range []int16{4, 11, 16} {
		for _, c := range []struct {
			request, partition int32
			first, second      int // bytes
		}{
			{1, 1, len(large), 0}, {1, 1 << 20, len(large), 0}, {1 << 20, 1, len(large), 0}, {0, 0, len(large), 0},
			{1 << 20, int32(len(large)), len(large), len(large)}, {int32(2*len(large) + 10), 1 << 20, 2 * len(large), 0},
			{1 << 20, 1 << 20, 2 * len(large), 2 * len(large)},
		} {
			req := to.fetchRequest(0, 2)
			req.MaxBytes = c.request
			for i := range req.Topics[0].Partitions {
				req.Topics[0].Partitions[i].PartitionMaxBytes = c.partition
			}
			got := fetchAll(n, req, version)
			whole := func(p fetched) (size int) {
				for range batches(t, p.RecordBatches) {
					size += len(large)
				}
				return size
			}
			if whole(got[0]) != c.first || whole(got[1]) != c.second || got[0].ErrorCode != 0 || got[1].ErrorCode != 0 {
				t.Errorf("version %d, limits %d and %d: %d and %d bytes of whole batches, want %d and %d", version, c.request, c.partition, whole(got[0]), whole(got[1]), c.first, c.second)
			}
		}
	}
	// An empty partition before does not use the first place up.
	req := to.fetchRequest(0, 2)
	req.MaxBytes, req.Topics[0].Partitions[0].FetchOffset = 1, 2
	if got := fetchAll(n, req, 16); len(got[0].RecordBatches) != 0 || len(got[1].RecordBatches) != len(large) {
		t.Errorf("after an empty partition: %d and %d bytes", len(got[0].RecordBatches), len(got[1].RecordBatches))
	}
}

func TestBehaviour057MiddleOfABatch(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	for i := range int64(3) {
		to.mustProduce(makeBatch([]rec{{value: "a"}, {value: "b"}, {value: "c"}, {value: "d"}}, packed(t, codecLZ4)), 4*i)
	}
	for offset := range int64(12) {
		got := batches(t, to.fetch(offset).RecordBatches)
		if len(got) != 3-int(offset/4) || got[0].FirstOffset != offset/4*4 || got[0].NumRecords != 4 {
			t.Errorf("from offset %d: %+v", offset, got)
		}
	}
}

// TestBehaviour058FetchSessions walks through the life of a fetch session.
func TestBehaviour058FetchSessions(t *testing.T) {
	n := shared(t)
	to := n.newTopic(2)
	fetch := func(session, epoch int32, change func(*kmsg.FetchRequest)) *kmsg.FetchResponse {
		t.Helper()
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes, req.SessionID, req.SessionEpoch = 1<<20, session, epoch
		if change != nil {
			change(req)
		}
		return mustAsk[*kmsg.FetchResponse](n, req, 13)
	}
	both := func(req *kmsg.FetchRequest) { req.Topics = to.fetchRequest(0, 2).Topics }
	full := fetch(0, 0, both)
	if full.ErrorCode != 0 || full.SessionID == 0 || len(full.Topics) != 1 || len(full.Topics[0].Partitions) != 2 {
		t.Fatalf("full: %+v", full)
	}
	s := full.SessionID
	if got := fetch(s, 1, nil); got.ErrorCode != 0 || got.SessionID != s || len(got.Topics) != 0 {
		t.Fatalf("nothing new: %+v", got)
	}
	to.mustProduce(nil, 0)
	if got := fetch(s, 2, nil); len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 1 || len(got.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Fatalf("one record: %+v", got)
	}
	if got := fetch(s, 7, nil); got.ErrorCode != 71 || len(got.Topics) != 0 {
		t.Fatalf("wrong epoch: %+v", got)
	}
	if got := fetch(s^1, 3, nil); got.ErrorCode != 70 || len(got.Topics) != 0 {
		t.Fatalf("unknown session: %+v", got)
	}
	named := kmsg.NewPtrFetchRequest()
	named.MaxBytes, named.SessionID, named.SessionEpoch = 1<<20, s, 3
	if got := mustAsk[*kmsg.FetchResponse](n, named, 12); got.ErrorCode != 106 {
		t.Fatalf("from ids to names: %+v", got)
	}
	further := fetch(s, 3, func(req *kmsg.FetchRequest) { // what has no record but news is told once
		both(req)
		req.Topics[0].Partitions[0].FetchOffset = 1
		req.Topics[0].Partitions = req.Topics[0].Partitions[:1]
	})
	if further.ErrorCode != 0 || len(further.Topics) != 0 {
		t.Fatalf("behind the record: %+v", further)
	}
	to.deleteRecords(1)
	if got := fetch(s, 4, nil); len(got.Topics) != 1 || got.Topics[0].Partitions[0].LogStartOffset != 1 || len(got.Topics[0].Partitions[0].RecordBatches) != 0 {
		t.Fatalf("the log's start has moved: %+v", got)
	}
	to.mustProduce(nil, 1)
	forget := fetch(s, 5, func(req *kmsg.FetchRequest) {
		f := kmsg.NewFetchRequestForgottenTopic()
		f.TopicID, f.Partitions = to.id, []int32{0}
		req.ForgottenTopics = append(req.ForgottenTopics, f)
	})
	if forget.ErrorCode != 0 || len(forget.Topics) != 0 {
		t.Fatalf("the forgotten partition's record came again: %+v", forget)
	}
	if got := fetch(s, -1, func(req *kmsg.FetchRequest) { req.Topics = to.fetchRequest(1, 1).Topics }); got.ErrorCode != 0 || got.SessionID != 0 || len(got.Topics) != 1 {
		t.Fatalf("the last: %+v", got)
	}
	if got := fetch(s, 6, nil); got.ErrorCode != 70 {
		t.Fatalf("after its end: %+v", got)
	}
	if got := fetch(0, -1, both); got.ErrorCode != 0 || got.SessionID != 0 || len(got.Topics) != 1 {
		t.Fatalf("without a session: %+v", got)
	}
}

// TestBehaviour060LeaderEpochs: who believes in an older epoch is told so, and who in a newer one.
func TestBehaviour060LeaderEpochs(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	to.mustProduce(nil, 0)
	checkEpochs(t, to)
}

func TestBehaviour060LeaderEpochsAfterRestarts(t *testing.T) {
	n := start(t)
	to := n.newTopic(1)
	to.mustProduce(nil, 0)
	for range 2 {
		n.kill()
		n.start()
		checkEpochs(t, to)
	}
}

// leaderEpoch is what Metadata says.
func (to topic) leaderEpoch() int32 {
	to.n.t.Helper()
	return mustAsk[*kmsg.MetadataResponse](to.n, meaningful(3, to.name, [16]byte{}), 9).Topics[0].Partitions[0].LeaderEpoch
}

func checkEpochs(t *testing.T, to topic) {
	t.Helper()
	epoch := to.leaderEpoch()
	if got := to.readAll()[0].PartitionLeaderEpoch; got < 0 || got > epoch {
		t.Errorf("a batch has epoch %d, the leader %d", got, epoch)
	}
	for believed, want := range map[int32]int16{-1: 0, epoch: 0, epoch - 1: 74, epoch + 1: 75, epoch + 100: 75} {
		if believed == -1 {
			want = 0 // does not say
		}
		fetch := to.fetchRequest(0, 1)
		fetch.Topics[0].Partitions[0].CurrentLeaderEpoch = believed
		if got := fetchAll(to.n, fetch, 16)[0]; got.ErrorCode != want || (len(got.RecordBatches) > 0) != (want == 0) {
			t.Errorf("Fetch with epoch %d of %d: %s", believed, epoch, describe(got.ErrorCode, nil))
		}
		list := kmsg.NewPtrListOffsetsRequest()
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.CurrentLeaderEpoch, part.Timestamp = believed, -1
		list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: to.name, Partitions: []kmsg.ListOffsetsRequestTopicPartition{part}}}
		if got := mustAsk[*kmsg.ListOffsetsResponse](to.n, list, 7).Topics[0].Partitions[0]; got.ErrorCode != want || (got.Offset >= 0) != (want == 0) {
			t.Errorf("ListOffsets with epoch %d of %d: %s", believed, epoch, describe(got.ErrorCode, nil))
		}
		if got := to.epochEnd(believed, epoch); got.ErrorCode != want || (got.EndOffset >= 0) != (want == 0) {
			t.Errorf("OffsetForLeaderEpoch with epoch %d of %d: %s", believed, epoch, describe(got.ErrorCode, nil))
		}
	}
}

// epochEnd asks where an epoch ends.
func (to topic) epochEnd(current, epoch int32) kmsg.OffsetForLeaderEpochResponseTopicPartition {
	to.n.t.Helper()
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.CurrentLeaderEpoch, p.LeaderEpoch = current, epoch
	req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: to.name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}
	return mustAsk[*kmsg.OffsetForLeaderEpochResponse](to.n, req, 4).Topics[0].Partitions[0]
}

// TestBehaviour062DivergingEpochs: who read another past than the log's is told where to go back to, and gets no records.
func TestBehaviour062DivergingEpochs(t *testing.T) {
	n := start(t)
	to := n.newTopic(1)
	to.mustProduce(makeBatch([]rec{{value: "a"}, {value: "b"}}), 0)
	first := to.leaderEpoch()
	n.kill()
	n.start()
	to.mustProduce(batch("c"), 2)
	second := to.leaderEpoch()
	if second <= first {
		t.Fatalf("epochs %d and %d", first, second)
	}
	ask := func(offset int64, lastEpoch int32) fetched {
		t.Helper()
		req := to.fetchRequest(offset, 1)
		req.Topics[0].Partitions[0].LastFetchedEpoch = lastEpoch
		return fetchAll(n, req, 16)[0]
	}
	if got := ask(3, first); got.ErrorCode != 0 || got.DivergingEpoch.Epoch != first || got.DivergingEpoch.EndOffset != 2 || len(got.RecordBatches) != 0 {
		t.Errorf("an epoch that had ended: %+v", got)
	}
	if got := ask(2, first); got.ErrorCode != 0 || got.DivergingEpoch.Epoch != -1 || len(got.RecordBatches) == 0 {
		t.Errorf("where it ended: %+v", got)
	}
	if got := ask(2, second); got.ErrorCode != 0 || got.DivergingEpoch.Epoch != -1 || len(got.RecordBatches) == 0 {
		t.Errorf("the present epoch: %+v", got)
	}
	if got := ask(2, second+1); got.ErrorCode != 1 {
		t.Errorf("an epoch to come: %+v", got)
	}
}

func TestBehaviour062UnknownLastEpoch(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	to.mustProduce(nil, 0)
	req := to.fetchRequest(0, 1)
	req.Topics[0].Partitions[0].LastFetchedEpoch = to.leaderEpoch() + 5
	if got := fetchAll(n, req, 16)[0]; got.ErrorCode != 1 || len(got.RecordBatches) != 0 {
		t.Errorf("%+v", got)
	}
	req.Topics[0].Partitions[0].LastFetchedEpoch = to.leaderEpoch()
	req.Topics[0].Partitions[0].FetchOffset = 7 // the epoch ends at 1
	if got := fetchAll(n, req, 16)[0]; got.ErrorCode != 0 || got.DivergingEpoch.EndOffset != 1 || got.DivergingEpoch.Epoch != to.leaderEpoch() {
		t.Errorf("%+v", got)
	}
}

// TestBehaviour063MinBytesAndMaxWait: a fetch waits for its bytes, its time or an error.
func TestBehaviour063MinBytesAndMaxWait(t *testing.T) {
	n := shared(t)
	to := n.newTopic(2)
	one := batch("one")
	ask := func(req *kmsg.FetchRequest) chan []fetched {
		answer := make(chan []fetched, 1)
		go func() { answer <- fetchAll(n, req, 16) }()
		return answer
	}
	waiting := func(c chan []fetched) {
		t.Helper()
		select {
		case got := <-c:
			t.Fatalf("answered before its time: %+v", got)
		case <-time.After(30 * time.Millisecond):
		}
	}
	wake := func(c chan []fetched, sizes ...int) {
		t.Helper()
		select {
		case got := <-c:
			for i, want := range sizes {
				if len(got[i].RecordBatches) != want {
					t.Fatalf("partition %d: %d bytes, want %d", i, len(got[i].RecordBatches), want)
				}
			}
		case <-time.After(10 * time.Second):
			t.Fatal("still waiting")
		}
	}
	req := to.fetchRequest(0, 2)
	req.MaxWaitMillis, req.MinBytes = 15_000, int32(3*len(one))
	c := ask(req)
	waiting(c)
	to.mustProduce(one, 0)
	waiting(c) // too little
	mustAsk[*kmsg.ProduceResponse](n, produceTo(to.name, -1, batch("two"), batch("one")), 9)
	wake(c, 2*len(one), len(one)) // the bytes of all partitions count

	short := to.fetchRequest(2, 1)
	short.MaxWaitMillis, short.MinBytes = 30, 1<<19
	wake(ask(short), 0)

	plenty := to.fetchRequest(0, 1)
	plenty.MaxWaitMillis, plenty.MinBytes = 15_000, 0
	wake(ask(plenty), 2*len(one))

	bad := to.fetchRequest(2, 2)
	bad.MaxWaitMillis, bad.MinBytes = 15_000, 1<<19
	bad.Topics[0].Partitions[1].FetchOffset = 99
	wake(ask(bad), 0, 0)

	gone := n.newTopic(1)
	last := gone.fetchRequest(0, 1)
	last.MaxWaitMillis, last.MinBytes = 15_000, 1
	c = ask(last)
	waiting(c)
	gone.delete()
	wake(c, 0)
}

// delete deletes the topic.
func (to topic) delete() {
	to.n.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 10_000
	req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &to.name}}
	if got := mustAsk[*kmsg.DeleteTopicsResponse](to.n, req, 6).Topics[0]; got.ErrorCode != 0 {
		to.n.t.Fatal(describe(got.ErrorCode, got.ErrorMessage))
	}
}

// TestFetchErrors: what is wrong about a fetch apart from its offsets.
func TestFetchErrors(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	to.mustProduce(nil, 0)
	ask := func(version int16, change func(*kmsg.FetchRequest)) fetched {
		t.Helper()
		req := to.fetchRequest(0, 1)
		change(req)
		return fetchAll(n, req, version)[0]
	}
	for name, c := range map[string]struct {
		version int16
		change  func(*kmsg.FetchRequest)
		code    int16
	}{
		"no such topic":     {12, func(r *kmsg.FetchRequest) { r.Topics[0].Topic = unique("none") }, 3},
		"no such partition": {12, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].Partition = 4 }, 3},
		"by id":             {13, func(*kmsg.FetchRequest) {}, 0},
		"no partition, id":  {13, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].Partition = 4 }, 3},
		"no such id":        {13, func(r *kmsg.FetchRequest) { r.Topics[0].TopicID = [16]byte{9} }, 100},
		"zero id":           {13, func(r *kmsg.FetchRequest) { r.Topics[0].TopicID = [16]byte{} }, 100},
		"committed":         {16, func(r *kmsg.FetchRequest) { r.IsolationLevel = 1 }, 0},
		"a client's rack":   {16, func(r *kmsg.FetchRequest) { r.Rack = "somewhere" }, 0},
	} {
		got := ask(c.version, c.change)
		if got.ErrorCode != c.code || (len(got.RecordBatches) > 0) != (c.code == 0) || got.PreferredReadReplica != -1 {
			t.Errorf("%s: %s, %d bytes, preferred replica %d", name, describe(got.ErrorCode, nil), len(got.RecordBatches), got.PreferredReadReplica)
		}
		if c.code != 0 && (got.HighWatermark != -1 || got.LogStartOffset != -1) {
			t.Errorf("%s: high watermark %d, log start %d", name, got.HighWatermark, got.LogStartOffset)
		}
	}
	zero := to.fetchRequest(0, 1)
	zero.MaxWaitMillis = -5
	if got := fetchAll(n, zero, 16)[0]; len(got.RecordBatches) == 0 {
		t.Error("nothing, with a negative wait")
	}
}
