package node

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/internal/vfs"
)

// alter sets a dynamic configuration and gives Kafka's error.
func alter(t *testing.T, c *kgo.Client, kind kmsg.ConfigResourceType, resource, name, value string) error {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, resource
	ch := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	ch.Name, ch.Op, ch.Value = name, kmsg.IncrementalAlterConfigOpSet, &value
	res.Configs = append(res.Configs, ch)
	req.Resources = append(req.Resources, res)
	resp, err := req.RequestWith(timeout(t), c)
	if err != nil {
		t.Fatal(err)
	}
	return kerr.ErrorForCode(resp.Resources[0].ErrorCode)
}

// TestBrokerConfigsTakeEffectLive: what is set for one broker counts, before what is set for all.
func TestBrokerConfigsTakeEffectLive(t *testing.T) {
	n, _ := mustStart(t, vfs.NewMem())
	defer n.Stop()
	c := client(t, n, kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err := produce(t, c, "first"); err != nil {
		t.Fatal(err)
	}
	big := string(make([]byte, 2000))
	for _, step := range []struct {
		resource, value string
		value2k         error
	}{
		{"", "1000", kerr.MessageTooLarge},
		{"1", " 5000 ", nil}, // Kafka takes numbers with space around them
		{"1", "900", kerr.MessageTooLarge},
	} {
		if err := alter(t, c, kmsg.ConfigResourceTypeBroker, step.resource, "message.max.bytes", step.value); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return errors.Is(produce(t, c, big), step.value2k) })
	}
	for name, value := range map[string]string{
		"max.connections.per.ip.overrides": "127.0.0.1", "max.connections": "many", "num.partitions": "3",
	} {
		if err := alter(t, c, kmsg.ConfigResourceTypeBroker, "", name, value); err == nil {
			t.Errorf("%s=%s was accepted", name, value)
		}
	}
}

func TestConnectionLimitsTakeEffectLive(t *testing.T) {
	n, _ := mustStart(t, vfs.NewMem())
	defer n.Stop()
	c := client(t, n)
	if err := produce(t, c, "first"); err != nil {
		t.Fatal(err)
	}
	if err := alter(t, c, kmsg.ConfigResourceTypeBroker, "1", "max.connections.per.ip.overrides", "localhost:1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		conn, err := net.Dial("tcp", n.Addresses()["PLAINTEXT"])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err = conn.Read(make([]byte, 1))
		var late net.Error
		return !errors.As(err, &late) // closed, instead of waiting for a request
	})
	if err := produce(t, c, "the connections that are there stay"); err != nil {
		t.Fatal(err)
	}
}

// TestSilentProducersAreForgotten: producer.id.expiration.ms is looked at in every round of maintenance.
func TestSilentProducersAreForgotten(t *testing.T) {
	n, _ := mustStart(t, vfs.NewMem(), "log.retention.check.interval.ms=10")
	defer n.Stop()
	c := client(t, n)
	if err := produce(t, c, "first"); err != nil {
		t.Fatal(err)
	}
	p, err := n.set.Lookup("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	known := func() int {
		producers, err := p.Producers()
		if err != nil {
			t.Fatal(err)
		}
		return len(producers)
	}
	if known() != 1 {
		t.Fatalf("%d producers are known, not 1", known())
	}
	if err := alter(t, c, kmsg.ConfigResourceTypeBroker, "", "producer.id.expiration.ms", "1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return known() == 0 })
}

// eventually waits for a condition.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for ctx := timeout(t); !ok(); {
		select {
		case <-ctx.Done():
			t.Fatal("it did not come about in time")
		case <-time.After(5 * time.Millisecond):
		}
	}
}
