package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestBehaviour065OffsetsByTime looks records up by their time, also inside compressed batches.
func TestBehaviour065OffsetsByTime(t *testing.T) {
	n := shared(t)
	for codec := range allCodecs {
		to := n.newTopic(1)
		for b := range 5 {
			var records []rec
			for i := range 10 {
				records = append(records, rec{value: fmt.Sprint(10*b + i), at: time.Duration(10*b+i-1000) * time.Second})
			}
			to.mustProduce(makeBatch(records, packed(t, int16(codec))), int64(10*b))
		}
		first := to.readAll()[0].FirstTimestamp
		for _, i := range []int64{0, 1, 9, 10, 17, 25, 49} {
			// The batches' clocks differ by what their making took: half a second before is between two records for all.
			got := to.listOffset(0, first+1000*i-500)
			if got.Offset != i || got.Timestamp < first+1000*i || got.Timestamp > first+1000*i+400 || got.LeaderEpoch != to.leaderEpoch() {
				t.Errorf("%s: record %d: %+v", allCodecs[codec].name, i, got)
			}
		}
		if got := to.listOffset(0, time.Now().Add(time.Hour).UnixMilli()); got.Offset != -1 || got.Timestamp != -1 || got.ErrorCode != 0 || got.LeaderEpoch != -1 {
			t.Errorf("a time to come: %+v", got)
		}
		if got := to.listOffset(0, -1); got.Offset != 50 || got.Timestamp != -1 {
			t.Errorf("latest: %+v", got)
		}
		if got := to.listOffset(0, -2); got.Offset != 0 || got.Timestamp != -1 {
			t.Errorf("earliest: %+v", got)
		}
		if got := to.listOffset(0, -3); got.Offset != 49 || got.Timestamp < first+49_000 {
			t.Errorf("newest time: %+v", got)
		}
	}
	// Times that go back and forth: the first record that is not older, by offset; of the newest ones the first.
	to := n.newTopic(1)
	to.mustProduce(makeBatch([]rec{{at: -10 * time.Second}, {at: -30 * time.Second}}), 0)
	to.mustProduce(makeBatch([]rec{{at: -5 * time.Second}, {at: -20 * time.Second}, {at: -5 * time.Second}}, packed(t, codecGzip)), 2)
	to.mustProduce(makeBatch([]rec{{at: -40 * time.Second}}), 5)
	now := time.Now().UnixMilli()
	for ago, want := range map[int64]int64{60: 0, 15: 0, 8: 2, 1: -1} {
		if got := to.listOffset(0, now-1000*ago); got.Offset != want {
			t.Errorf("%d seconds ago: %+v, want %d", ago, got, want)
		}
	}
	if got := to.listOffset(0, -3); got.Offset != 2 {
		t.Errorf("the first with the newest time: %+v", got)
	}
}

func TestBehaviour067SpecialTimestamps(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	to.mustProduce(nil, 0)
	list := func(version int16, timestamps ...int64) []kmsg.ListOffsetsResponseTopicPartition {
		req := kmsg.NewPtrListOffsetsRequest()
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = to.name
		for _, ts := range timestamps {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Timestamp = ts
			topic.Partitions = append(topic.Partitions, p)
		}
		req.Topics = append(req.Topics, topic)
		return mustAsk[*kmsg.ListOffsetsResponse](n, req, version).Topics[0].Partitions
	}
	for _, c := range []struct {
		version         int16
		timestamp, want int64
		code            int16
	}{
		{1, -1, 1, 0}, {1, -2, 0, 0}, {9, -1, 1, 0}, {9, -2, 0, 0}, {9, -3, 0, 0}, {9, -4, 0, 0}, {9, -5, -1, 0}, {11, -6, -1, 0}, {9, 0, 0, 0}, {1, 0, 0, 0},
		{6, -3, -1, 35}, {7, -4, -1, 35}, {8, -5, -1, 35}, {10, -6, -1, 35}, {11, -77, -1, 35}, {1, -3, -1, 35},
	} {
		if got := list(c.version, c.timestamp)[0]; got.Offset != c.want || got.ErrorCode != c.code {
			t.Errorf("%+v: %+v", c, got)
		}
	}
	for _, p := range list(9, -1, -2) {
		if p.ErrorCode != 42 || p.Offset != -1 {
			t.Errorf("a partition twice: %+v", p)
		}
	}
	none := topic{n: n, name: unique("none")}
	if got := none.listOffset(0, -1); got.ErrorCode != 3 || got.Offset != -1 {
		t.Errorf("no such topic: %+v", got)
	}
	if got := to.listOffset(3, -1); got.ErrorCode != 3 || got.Offset != -1 {
		t.Errorf("no such partition: %+v", got)
	}
	empty := n.newTopic(1)
	for _, ts := range []int64{-3, 0} {
		if got := empty.listOffset(0, ts); got.Offset != -1 || got.Timestamp != -1 || got.ErrorCode != 0 {
			t.Errorf("%d of an empty partition: %+v", ts, got)
		}
	}
}

// TestBehaviour069EpochEnds: restarts make epochs.
func TestBehaviour069EpochEnds(t *testing.T) {
	n := start(t)
	to := n.newTopic(1)
	first := to.leaderEpoch()
	to.mustProduce(nil, 0)
	n.kill()
	n.start()
	second := to.leaderEpoch()
	to.mustProduce(nil, 1)
	n.kill()
	n.start()
	third := to.leaderEpoch()
	for _, c := range []struct {
		epoch, wantEpoch int32
		wantEnd          int64
	}{
		{first, first, 1}, {second, second, 2}, {third, third, 2}, {first - 1, first - 1, 0}, {third + 1, -1, -1}, {-1, -1, -1},
	} {
		if got := to.epochEnd(-1, c.epoch); got.LeaderEpoch != c.wantEpoch || got.EndOffset != c.wantEnd || got.ErrorCode != 0 {
			t.Errorf("epoch %d of %d, %d, %d: %+v", c.epoch, first, second, third, got)
		}
	}
	if got := to.epochEnd(first, first); got.ErrorCode != 74 {
		t.Errorf("%+v", got)
	}
	to.deleteRecords(1) // the first epoch's records
	if got := to.epochEnd(-1, second); got.EndOffset != 2 {
		t.Errorf("after its predecessor was deleted the second epoch ends at %d", got.EndOffset)
	}
}

func TestBehaviour069EpochEnd(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	epoch := to.leaderEpoch()
	if got := to.epochEnd(-1, epoch); got.LeaderEpoch != epoch || got.EndOffset != 0 || got.ErrorCode != 0 {
		t.Errorf("an empty log: %+v", got)
	}
	to.mustProduce(nil, 0)
	for asked, want := range map[int32][2]int64{epoch: {int64(epoch), 1}, epoch + 1: {-1, -1}, -1: {-1, -1}} {
		if got := to.epochEnd(epoch, asked); int64(got.LeaderEpoch) != want[0] || got.EndOffset != want[1] || got.ErrorCode != 0 {
			t.Errorf("epoch %d: %+v", asked, got)
		}
	}
	none := topic{n: n, name: unique("none")}
	if got := none.epochEnd(-1, 0); got.ErrorCode != 3 || got.EndOffset != -1 || got.LeaderEpoch != -1 {
		t.Errorf("no such topic: %+v", got)
	}
}

func TestBehaviour071DeleteRecords(t *testing.T) {
	n := shared(t)
	to := n.newTopic(1)
	for i := range int64(3) {
		to.mustProduce(makeBatch([]rec{{value: "a", at: time.Duration(2*i-100) * time.Second}, {value: "b", at: time.Duration(2*i-99) * time.Second}}), 2*i)
	}
	for _, c := range []struct {
		before, low int64
		code        int16
	}{
		{0, 0, 0}, {3, 3, 0}, {1, 3, 0}, {7, -1, 1}, {-2, -1, 1}, {5, 5, 0}, {-1, 6, 0}, {6, 6, 0},
	} {
		got := to.deleteRecords(c.before)
		if got.LowWatermark != c.low || got.ErrorCode != c.code {
			t.Errorf("before %d: %+v", c.before, got)
		}
		if c.low < 0 {
			continue
		}
		if got := to.listOffset(0, -2); got.Offset != c.low {
			t.Errorf("the log starts at %d, not %d", got.Offset, c.low)
		}
		if got := to.listOffset(0, 0); got.Offset != c.low && !(c.low == 6 && got.Offset == -1) {
			t.Errorf("the first record by time is %d, not %d", got.Offset, c.low)
		}
		if c.low > 0 {
			if got := to.fetch(c.low - 1); got.ErrorCode != 1 {
				t.Errorf("what was deleted is read: %+v", got)
			}
		}
		if got := to.fetch(c.low); got.ErrorCode != 0 || got.LogStartOffset != c.low {
			t.Errorf("from the new start: %+v", got)
		}
	}
	to.mustProduce(batch("x"), 6)
	for name, c := range map[string]struct {
		to   topic
		code int16
	}{
		"compacted":             {n.newTopic(1, "cleanup.policy=compact"), 44},
		"compacted and deleted": {n.newTopic(1, "cleanup.policy=compact,delete"), 0},
		"no such topic":         {topic{n: n, name: unique("none")}, 3},
	} {
		if got := c.to.deleteRecords(-1); got.ErrorCode != c.code || (got.LowWatermark >= 0) != (c.code == 0) {
			t.Errorf("%s: %s, low watermark %d", name, describe(got.ErrorCode, nil), got.LowWatermark)
		}
	}
}

func TestBehaviour071DeletedRecordsStayDeleted(t *testing.T) {
	n := start(t)
	to := n.newTopic(1)
	to.mustProduce(makeBatch([]rec{{value: "a"}, {value: "b"}, {value: "c"}}), 0)
	to.deleteRecords(2)
	for _, end := range []func(){n.kill, func() { _ = n.stop() }} {
		end()
		n.start()
		if got := to.listOffset(0, -2); got.Offset != 2 {
			t.Fatalf("after a restart the log starts at %d", got.Offset)
		}
		if got := n.consume(to.name, 1); got[0].Offset != 2 || string(got[0].Value) != "c" {
			t.Fatalf("after a restart the first record is %+v", got[0])
		}
	}
}
