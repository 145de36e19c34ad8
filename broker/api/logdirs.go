package api

import (
	"path/filepath"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/broker/server"
	"github.com/weir/weir/partition"
)

// dataDir is the data directory as clients name it.
func (b *Broker) dataDir() string {
	if abs, err := filepath.Abs(b.Partitions.Dir()); err == nil {
		return abs
	}
	return b.Partitions.Dir()
}

// describeLogDirs answers DescribeLogDirs 1–5: the data directory, its file system, and what partitions take in it.
func (b *Broker) describeLogDirs(r *server.Request, req *kmsg.DescribeLogDirsRequest) {
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = b.dataDir()
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

// alterReplicaLogDirs answers AlterReplicaLogDirs 1–2. There is one directory: partitions are in it already, or nowhere.
func (b *Broker) alterReplicaLogDirs(r *server.Request, req *kmsg.AlterReplicaLogDirsRequest) {
	resp := req.ResponseKind().(*kmsg.AlterReplicaLogDirsResponse)
	places := map[string]int{}
	for _, dir := range req.Dirs {
		for _, t := range dir.Topics {
			at, ok := places[t.Topic]
			if !ok {
				at = len(resp.Topics)
				places[t.Topic] = at
				out := kmsg.NewAlterReplicaLogDirsResponseTopic()
				out.Topic = t.Topic
				resp.Topics = append(resp.Topics, out)
			}
			for _, number := range t.Partitions {
				part := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				part.Partition = number
				if dir.Dir != b.dataDir() {
					part.ErrorCode = kerr.LogDirNotFound.Code
				} else if _, err := b.Partitions.Lookup(t.Topic, number); err != nil {
					part.ErrorCode = code(err)
				}
				resp.Topics[at].Partitions = append(resp.Topics[at].Partitions, part)
			}
		}
	}
	r.Reply(resp)
}
