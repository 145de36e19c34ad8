package log

import (
	"fmt"
	"testing"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/record"
)

func BenchmarkAppend1MB(b *testing.B) {
	l, _, err := Open(vfs.NewOS(), b.TempDir()+"/t-0", Identity{}, testConfig, nil)
	if err != nil {
		b.Fatal(err)
	}
	data := batch(0, 1, 1, 1, 1<<20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		record.Assign(data, l.EndOffset(), 0)
		if err := l.Append([]Entry{{Index: uint64(i) + 1, Kind: Batch, Data: data}}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens logs without a checkpoint that hold nothing but an entry of Raft's, as those of most partitions are.
func BenchmarkOpen(b *testing.B) {
	fs, dir := vfs.NewOS(), b.TempDir()
	const logs = 100
	name := func(i int) string { return fmt.Sprintf("%s/t-%d", dir, i%logs) }
	for i := range logs {
		l, _, err := Open(fs, name(i), Identity{}, testConfig, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Append([]Entry{{Index: 1, Term: 1, Kind: 2}}); err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l, _, err := Open(fs, name(i), Identity{}, testConfig, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
