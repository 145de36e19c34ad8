package mirror_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir/weir/weirtest"
)

// mirrorMaker starts MirrorMaker 2 from one cluster to another. end stops it.
func mirrorMaker(t *testing.T, from, to string) (end func()) {
	t.Helper()
	libs := os.Getenv("MIRROR_MAKER")
	if libs == "" {
		t.Skip("set MIRROR_MAKER to the folder libs of a release of Apache Kafka to test with MirrorMaker 2; it needs a JDK (apt-get install openjdk-17-jdk-headless)")
	}
	file := filepath.Join(t.TempDir(), "mm2.properties")
	config := fmt.Sprintf(`clusters=a, b
a.bootstrap.servers=%s
b.bootstrap.servers=%s
a->b.enabled=true
b->a.enabled=false
topics=orders
replication.factor=1
checkpoints.topic.replication.factor=1
heartbeats.topic.replication.factor=1
offset-syncs.topic.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
config.storage.replication.factor=1
refresh.groups.interval.seconds=1
emit.checkpoints.interval.seconds=1
sync.group.offsets.enabled=true
sync.group.offsets.interval.seconds=1
sync.topic.acls.enabled=false
offset.flush.interval.ms=1000
`, from, to)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	java := exec.Command("java", "-Xmx512M", "-cp", libs+"/*", "org.apache.kafka.connect.mirror.MirrorMaker", file)
	java.Stdout, java.Stderr = log, log
	java.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := java.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			ended = true
			_ = java.Process.Signal(syscall.SIGTERM)
			_ = java.Wait()
		}
	}
	t.Cleanup(func() {
		end()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("MirrorMaker said:\n%s", text[max(0, len(text)-3000):])
		}
	})
	return end
}

// translatedByKafka asks Kafka's own RemoteClusterUtils how far a group is.
func translatedByKafka(t *testing.T, at, alias, group string) string {
	t.Helper()
	out, err := exec.Command("java", "-cp", os.Getenv("MIRROR_MAKER")+"/*", "testdata/Translate.java", at, alias, group).Output()
	if err != nil {
		t.Fatalf("RemoteClusterUtils: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "translated ") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// TestMirrorMaker: MirrorMaker 2, Weir and MirrorMaker 2 again take over from each other. No record comes twice, and each translates offsets
// by what the other has written.
func TestMirrorMaker(t *testing.T) {
	a, b := weirtest.Start(t), weirtest.Start(t)
	as, bs := newSite(t, a.Addr()), newSite(t, b.Addr())
	as.create("orders", 1)
	as.produce(numbers("orders", 0, 0, 500)...)
	if _, err := as.DeleteRecords(t.Context(), offsets("orders", 0, 100)); err != nil {
		t.Fatal(err)
	}
	as.commit("g", "orders", 0, 500)
	end := mirrorMaker(t, a.Addr(), b.Addr())
	slowly(t, "MirrorMaker copies", func() bool { return bs.end("a.orders", 0) == 400 })
	slowly(t, "MirrorMaker moves a group", func() bool { return bs.committed("g", "a.orders", 0) > 0 })
	end()

	w := work(t, b.Addr(), "offset.storage.topic=mm2-offsets.a.internal", "config.storage.topic=weir-configs", "status.storage.topic=weir-status", "group.id=weir")
	as.produce(numbers("orders", 0, 500, 550)...)
	w.mirror("Source", "a", a.Addr(), "b", map[string]string{"name": "MirrorSourceConnector"})
	got := bs.read("a.orders", 0, 450)
	if string(got[399].Value) != "499" || string(got[449].Value) != "549" {
		t.Errorf("record 399 is %s, and 449 %s", got[399].Value, got[449].Value)
	}
	as.commit("h", "orders", 0, 400) // from before Weir took over
	w.mirror("Checkpoint", "a", a.Addr(), "b", map[string]string{"name": "MirrorCheckpointConnector", "sync.group.offsets.enabled": "true"})
	eventually(t, "Weir moves a group by MirrorMaker's offset syncs", func() bool { return bs.committed("h", "a.orders", 0) > 0 })
	if at := bs.committed("h", "a.orders", 0); at > 300 {
		t.Errorf("it misses records: %d", at)
	}
	eventually(t, "Weir writes a checkpoint", func() bool {
		return translatedByKafka(t, b.Addr(), "a", "h") == fmt.Sprintf("translated a.orders-0 %d", bs.committed("h", "a.orders", 0))
	})
	w.end()

	as.commit("k", "orders", 0, 550)
	end = mirrorMaker(t, a.Addr(), b.Addr())
	slowly(t, "MirrorMaker moves a group by Weir's offset syncs", func() bool { return bs.committed("k", "a.orders", 0) == 450 })
	end()
	if at := bs.end("a.orders", 0); at != 450 {
		t.Errorf("%d records", at)
	}
}

// slowly is eventually for what is done in Java.
func slowly(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begun := time.Now(); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Since(begun) > 3*time.Minute {
			t.Fatalf("it does not come to this: %s", what)
		}
	}
}
