package mirror_test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// node starts Weir in a process of its own, so that its work is not counted as the mirror's.
func node(b *testing.B, binary string) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(binary, "serve", "--set", "log.dirs="+b.TempDir(), "--set", "listeners=PLAINTEXT://"+addr, "--set", "http.listener=", "--set", "connect.listener=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	eventually(b, "the node answers", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return addr
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMirror copies 500,000 records of 200 bytes in 4 partitions from a node to another, each in a process of its own. cpu-s/M is this
// process's for a million records: the worker's with all of its clients, from its start on. first-ms is from the request that creates the
// connector to the first record in the copy, the longest of all rounds.
func BenchmarkMirror(b *testing.B) {
	const records, partitions = 500_000, 4
	binary := filepath.Join(b.TempDir(), "weir")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/weir").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	from, to := node(b, binary), node(b, binary)
	as, bs := newSite(b, from), newSite(b, to)
	as.create("orders", partitions)
	value := make([]byte, 190)
	for i := range value {
		value[i] = byte('a' + i*i%26)
	}
	sender, err := kgo.NewClient(kgo.SeedBrokers(from), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		b.Fatal(err)
	}
	for i := range records {
		sender.Produce(b.Context(), &kgo.Record{Topic: "orders", Partition: int32(i % partitions), Key: fmt.Appendf(nil, "key-%06d", i), Value: value}, nil)
	}
	if err := sender.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	sender.Close()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as weir serve has it
	var most, spent, used time.Duration
	for i := range b.N {
		alias := fmt.Sprintf("a%d", i)
		copied := func() (n int64) {
			all, err := bs.ListEndOffsets(b.Context(), alias+".orders")
			if err != nil {
				return 0 // it is just made
			}
			for p := range int32(partitions) {
				o, _ := all.Lookup(alias+".orders", p)
				n += max(0, o.Offset)
			}
			return n
		}
		before := cpu()
		w := work(b, to)
		w.do("GET", "/connectors", nil) // it is there
		begun := time.Now()
		w.mirror("Source", alias, from, "b", map[string]string{"replication.factor": "-1"})
		var first time.Duration
		for n := int64(0); n < records; n = copied() {
			if n > 0 && first == 0 {
				first = time.Since(begun)
			}
			time.Sleep(10 * time.Millisecond)
		}
		spent += time.Since(begun)
		used += cpu() - before
		most = max(most, first)
		w.do("DELETE", "/connectors/source-"+alias+"-b", nil)
		w.end()
	}
	all := float64(b.N) * records
	b.ReportMetric(float64(most.Milliseconds()), "first-ms")
	b.ReportMetric(all/spent.Seconds(), "records/s")
	b.ReportMetric(float64(used.Microseconds())/all, "cpu-s/M")
	b.ReportMetric(0, "ns/op")
}
