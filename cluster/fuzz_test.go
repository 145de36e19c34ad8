package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir/weir/coordinator/machine"
)

// FuzzReplay reads two arbitrary records of the metadata log: they are refused, or the image that they make is the one that its
// own snapshot makes.
func FuzzReplay(f *testing.F) {
	for _, seed := range [][2]string{
		{kindTopic, `{"name":"t","id":"000102030405060708090a0b0c0d0e0f","replicas":[[1],[1,2]]}`},
		{kindPartitions, `{"topic":"t","first":2,"replicas":[[1]]}`},
		{kindTopicGone, `{"name":"t","id":"000102030405060708090a0b0c0d0e0f"}`},
		{kindBroker, `{"id":1,"rack":"r","endpoints":[{"listener":"PLAINTEXT","host":"h","port":9092}]}`},
		{kindBroker, `{"id":1,"endpoints":[],"peer":"h:9","directory":"000102030405060708090a0b0c0d0e0f","incarnation":1,"features":[{"name":"weir.version","min":1,"max":2}]}`},
		{kindBrokerGone, `{"id":1,"directory":"000102030405060708090a0b0c0d0e0f","incarnation":1}`},
		{kindReplicas, `{"topic":"t","partitions":[{"partition":1,"replicas":[3,2,1],"adding":[3],"removing":[1],"epoch":4}]}`},
		{kindVoters, `{"voters":[{"id":1,"directory":"000102030405060708090a0b0c0d0e0f","incarnation":1,"peer":"h:9"}]}`},
		{kindFeatures, `{"levels":{"metadata.version":33,"weir.version":1}}`},
		{kindConfig, `{"kind":2,"name":"t","key":"retention.ms","value":"1"}`},
		{kindProducerIDs, `{"next":1000}`},
		{kindVersion, `{"version":7}`},
	} {
		f.Add(seed[0], []byte(seed[1]), kindConfig, []byte(`{"kind":4,"name":"","key":"k","value":null}`))
		f.Add(kindTopic, []byte(`{"name":"t","id":"000102030405060708090a0b0c0d0e0f","replicas":[[1],[1,2]]}`), seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, kind1 string, value1 []byte, kind2 string, value2 []byte) {
		c := NewController(Config{})
		for _, r := range []machine.Record{{Key: []byte(kind1), Value: value1}, {Key: []byte(kind2), Value: value2}} {
			if c.Replay(r) != nil {
				return
			}
		}
		records, ok := c.Snapshot()
		if !ok {
			t.Fatal("there is no snapshot")
		}
		again := NewController(Config{})
		for _, r := range records {
			if err := again.Replay(r); err != nil {
				t.Fatalf("of its own snapshot %s %s: %v", r.Key, r.Value, err)
			}
		}
		if again.Image().Version() < c.Image().Version() {
			t.Fatalf("the version goes back from %d to %d", c.Image().Version(), again.Image().Version())
		}
		second, _ := again.Snapshot()
		if diff := cmp.Diff(records[1:], second[1:]); diff != "" {
			t.Fatal(diff)
		}
	})
}
