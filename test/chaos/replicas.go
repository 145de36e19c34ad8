package main

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/log"
)

// batchSum stands for a batch of a replica.
type batchSum struct {
	offset, next int64
	epoch        int32
	sum          uint32 // of all its bytes
}

// compareReplicas reads the files of stopped nodes: they must be without damage, and below the high watermarks every replica must
// have the same batches, byte for byte.
func compareReplicas(nodes []*node, ends map[int32]int64) (wrong []string) {
	for partition, end := range ends {
		var first []batchSum
		var firstNode int
		for _, n := range nodes {
			dir := filepath.Join(n.disk.data(), fmt.Sprintf("%s-%d", topic, partition))
			if _, err := os.Stat(dir); os.IsNotExist(err) && len(nodes) > 3 {
				continue // more nodes than replicas
			}
			batches, err := replica(dir, end)
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("node %d, partition %d: %v", n.id, partition, err))
				continue
			}
			if first == nil {
				first, firstNode = batches, n.id
			} else if difference := compare(first, batches); difference != "" {
				wrong = append(wrong, fmt.Sprintf("partition %d differs between nodes %d and %d: %s", partition, firstNode, n.id, difference))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// replica reads one folder, up to the offset end.
func replica(dir string, end int64) ([]batchSum, error) {
	fs := vfs.NewOS()
	var damage []string
	check := &log.Checker{FS: fs, Read: func(int64) error { return nil }, Found: func(f log.Finding) {
		if f.Damage {
			damage = append(damage, fmt.Sprintf("%s at %d: %s", f.File, f.Pos, f.Reason))
		}
	}}
	if _, err := check.Folder(dir); err != nil {
		return nil, err
	}
	if len(damage) > 0 {
		return nil, fmt.Errorf("damage: %s", strings.Join(damage, "; "))
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return nil, err
	}
	slices.Sort(segments)
	batches := []batchSum{}
	next := int64(0)
	for _, name := range segments {
		err := log.ScanSegment(fs, name, func(f log.Frame) error {
			if f.Kind != log.Batch || f.Offset >= end || f.Damage != "" { // damage at the end is what a crash left
				return nil
			}
			if f.Offset != next {
				return fmt.Errorf("%s: offset %d comes where %d should", name, f.Offset, next)
			}
			next = f.Next
			batches = append(batches, batchSum{f.Offset, f.Next, f.Epoch, crc32.ChecksumIEEE(f.Data)})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if next < end {
		return nil, fmt.Errorf("the log ends at %d; the high watermark is %d", next, end)
	}
	return batches, nil
}

// compare tells the first difference of two replicas.
func compare(a, b []batchSum) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("offset %d, epoch %d, checksum %08x and offset %d, epoch %d, checksum %08x", a[i].offset, a[i].epoch, a[i].sum, b[i].offset, b[i].epoch, b[i].sum)
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d and %d batches below the high watermark", len(a), len(b))
	}
	return ""
}
