package mirror_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/weir/weir/weirtest"
)

// apacheKafka starts a real Apache Kafka of one node, from its jars.
func apacheKafka(t *testing.T) *site {
	t.Helper()
	if os.Getenv("MIRROR_KAFKA") == "" {
		t.Skip("set MIRROR_KAFKA=1 to test with a real Apache Kafka; it needs a JDK and Maven (apt-get install openjdk-17-jdk-headless maven)")
	}
	script, err := filepath.Abs("../../test/clients/java/kafka.sh")
	if err != nil {
		t.Fatal(err)
	}
	dir, port := t.TempDir(), freePorts(t)
	t.Cleanup(func() { _ = exec.Command(script, "stop", dir).Run() })
	start := exec.Command(script, "start", dir, strconv.Itoa(port), "group.initial.rebalance.delay.ms=0", "offsets.topic.num.partitions=4", "offsets.topic.replication.factor=1")
	start.Stderr = os.Stderr
	if out, err := start.Output(); err != nil {
		t.Fatalf("starting Apache Kafka: %v\n%s", err, out)
	}
	return newSite(t, fmt.Sprintf("127.0.0.1:%d", port))
}

// freePorts finds two ports that follow each other, below those that clients get: Kafka takes a while to open them.
func freePorts(t *testing.T) int {
	t.Helper()
	for port := 20_000 + os.Getpid()%10_000; port < 32_000; port += 2 {
		if isFree(port) && isFree(port+1) {
			return port
		}
	}
	t.Fatal("no two free ports beside each other")
	return 0
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

// TestFromKafka: Apache Kafka is the source, Weir the target.
func TestFromKafka(t *testing.T) {
	kafka := apacheKafka(t)
	t.Run("records", func(t *testing.T) {
		b := weirtest.Start(t)
		copied(t, kafka.in(t), newSite(t, b.Addr()), work(t, b.Addr()))
	})
	t.Run("groups", func(t *testing.T) {
		again(t, kafka, "orders")
		b := weirtest.Start(t)
		translated(t, kafka.in(t), newSite(t, b.Addr()), work(t, b.Addr()))
	})
}

// TestToKafka: Weir is the source, Apache Kafka the target, whose workers ours are.
func TestToKafka(t *testing.T) {
	kafka := apacheKafka(t)
	t.Run("records", func(t *testing.T) {
		a := weirtest.Start(t)
		copied(t, newSite(t, a.Addr()), kafka.in(t), work(t, kafka.addr))
	})
}

// in gives the site to a subtest.
func (s *site) in(t *testing.T) *site { return newSite(t, s.addr) }

// again deletes topics, and waits until they are gone.
func again(t *testing.T, s *site, topics ...string) {
	t.Helper()
	if _, err := s.DeleteTopics(t.Context(), topics...); err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		eventually(t, topic+" is gone", func() bool { return s.partitions(topic) == 0 })
	}
}
