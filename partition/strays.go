package partition

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/log"
	"github.com/weir/weir/replication"
)

const (
	// deletedSuffix marks folders of deleted topics until they are removed.
	deletedSuffix = "-delete"
	// replacedSuffix marks folders of topics that were deleted, and whose name another topic has now.
	replacedSuffix = "-replaced"
	// straySuffix marks folders that are set aside. They are never removed without being asked.
	straySuffix = "-stray"
)

// deletedName is what a deleted partition's folder is called until it is removed.
func deletedName(topic string, number int, id cluster.UUID) string {
	return nameWithID(topic, number, id, deletedSuffix)
}

// replacedName is what a folder is called that is in another topic's way.
func replacedName(topic string, number int, id cluster.UUID) string {
	return nameWithID(topic, number, id, replacedSuffix)
}

// nameWithID fits a file name, however long the topic's name is.
func nameWithID(topic string, number int, id cluster.UUID, suffix string) string {
	suffix = fmt.Sprintf("-%d.%s%s", number, hex.EncodeToString(id[:]), suffix)
	return topic[:min(len(topic), 255-len(suffix))] + suffix
}

// folderOf tells of a folder's name of which topic and partition it should be. False: it is no partition's.
func folderOf(name string) (topic, number string, ok bool) {
	cut := strings.LastIndexByte(name, '-')
	if cut <= 0 || strings.Trim(name[cut+1:], "0123456789") != "" || name[:cut] == cluster.MetadataTopic {
		return "", "", false
	}
	return name[:cut], name[cut+1:], true
}

// hosts tells whether a topic's partition shall be on this node.
func (s *Set) hosts(t *cluster.Topic, number string) bool {
	n, err := strconv.Atoi(number)
	return err == nil && n < len(t.Partitions) && slices.Contains(t.Partitions[n].Replicas, replication.BrokerOf(s.cfg.Self))
}

// sweep finishes deletions that a crash cut short, and sets replicas aside that moved away: they must not come back with the past.
func (s *Set) sweep(img *cluster.Image) {
	for _, name := range s.folders() {
		topic, number, ok := folderOf(name)
		switch {
		case strings.HasSuffix(name, deletedSuffix):
			if err := s.cfg.FS.RemoveAll(path.Join(s.cfg.Dir, name)); err != nil {
				s.cfg.Logger.Error("a deleted partition's files cannot be removed", "folder", name, "error", err)
			}
		case !ok || img.Topic(topic) == nil:
		case !s.hosts(img.Topic(topic), number):
			s.movedAway(name, img.Topic(topic))
		}
	}
}

// movedAway sees to the folder of a partition that is not on this node, by its name: Tidy shall find it if it is of an earlier topic.
func (s *Set) movedAway(name string, t *cluster.Topic) {
	id, known, err := log.Whose(s.cfg.FS, path.Join(s.cfg.Dir, name))
	if err != nil || !known || id.TopicID == t.ID {
		s.setAside(name, "a folder is of a replica that moved away from this node while it was down; it is set aside, remove it when it is not needed")
		return
	}
	s.rename(name, replacedName(t.Name, int(id.Partition), id.TopicID))
}

func (s *Set) folders() []string {
	names, err := s.cfg.FS.List(s.cfg.Dir)
	if err != nil {
		s.cfg.Logger.Error("the data directory cannot be listed", "error", err)
	}
	return names
}

func (s *Set) setAside(name, why string) {
	s.cfg.Logger.Warn(why, "folder", name+straySuffix)
	s.rename(name, name+straySuffix)
}

func (s *Set) rename(name, to string) {
	if err := s.cfg.FS.Rename(path.Join(s.cfg.Dir, name), path.Join(s.cfg.Dir, to)); err != nil {
		s.cfg.Logger.Error("a folder cannot be set aside", "folder", name, "error", err)
	}
}

// Tidy removes the folders of topics that are no more: they were deleted while this node was down. The image must know all that the
// cluster knew when the node started, and it must not be used while Apply is. trusted: the directory is this cluster's, and its metadata
// is not older than the folders; otherwise they may be all that is left of something, and are set aside.
func (s *Set) Tidy(img *cluster.Image, trusted bool) {
	removed, topics := 0, map[cluster.UUID]bool{}
	for _, name := range s.folders() {
		id, gone := s.gone(img, name)
		switch {
		case !gone:
		case !trusted:
			s.setAside(name, "a folder belongs to no topic of this cluster; it is set aside, remove it when it is not needed")
		default:
			if err := s.discard(name, id); err != nil {
				s.cfg.Logger.Error("the files of a topic that was deleted cannot be removed", "folder", name, "error", err)
				continue
			}
			removed++
			topics[id.TopicID] = true
		}
	}
	if removed > 0 {
		s.cfg.Logger.Info("topics were deleted while this node was down; what it had of them is removed", "topics", len(topics), "partitions", removed)
	}
}

// gone tells whether a folder holds a partition of a topic that there is not.
func (s *Set) gone(img *cluster.Image, name string) (log.Identity, bool) {
	topic, _, ok := folderOf(name)
	if replaced := strings.HasSuffix(name, replacedSuffix); !replaced && (!ok || img.Topic(topic) != nil) {
		return log.Identity{}, false
	}
	id, known, err := log.Whose(s.cfg.FS, path.Join(s.cfg.Dir, name))
	if err != nil || !known {
		s.cfg.Logger.Warn("a folder belongs to no topic, and does not say whose it was; it is left alone, remove it when it is not needed", "folder", name, "error", err)
		return log.Identity{}, false
	}
	return id, img.TopicByID(id.TopicID) == nil
}

// discard removes a folder, and what is known of its group. It is renamed first: a part of it must not be taken for the whole.
func (s *Set) discard(name string, id log.Identity) error {
	going := path.Join(s.cfg.Dir, deletedName(name, int(id.Partition), id.TopicID))
	return errors.Join(
		s.cfg.Host.Forget(replication.GroupID{Topic: id.TopicID, Partition: id.Partition}),
		s.cfg.FS.Rename(path.Join(s.cfg.Dir, name), going), s.cfg.FS.RemoveAll(going),
	)
}
