package api

import (
	"path/filepath"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/partition"
)

// describeLogDirs answers DescribeLogDirs 1–5: the data directory, its file system, and what partitions take in it.
func (b *Broker) describeLogDirs(r *server.Request, req *kmsg.DescribeLogDirsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = b.Partitions.Dir()
	if abs, err := filepath.Abs(dir.Dir); err == nil {
		dir.Dir = abs
	}
	if total, free, err := b.Partitions.Space(); err != nil {
		b.Logger.Warn("the space of the data directory is not known", "dir", dir.Dir, "error", err)
	} else {
		dir.TotalBytes, dir.UsableBytes = total, free
	}
	add := func(p *partition.Partition) {
		if n := len(dir.Topics); n == 0 || dir.Topics[n-1].Topic != p.Topic {
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = p.Topic
			dir.Topics = append(dir.Topics, t)
		}
		t := &dir.Topics[len(dir.Topics)-1]
		out := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		out.Partition, out.Size = p.ID.Partition, p.Size()
		t.Partitions = append(t.Partitions, out)
	}
	if req.Topics == nil {
		for t := range b.Controller.Image().Topics() {
			for number := range t.Partitions {
				if p, err := b.Partitions.Lookup(t.Name, int32(number)); err == nil {
					add(p)
				}
			}
		}
	}
	for _, t := range req.Topics {
		slices.Sort(t.Partitions)
		for _, number := range slices.Compact(t.Partitions) {
			if p, err := b.Partitions.Lookup(t.Topic, number); err == nil {
				add(p)
			}
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	r.Reply(resp)
}
