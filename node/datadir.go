package node

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/internal/vfs"
)

const (
	lockName   = ".lock"
	metaName   = "meta.properties"
	peersName  = "peers.properties"
	dirVersion = 1
)

// dataDir is the node's folder, held against other processes.
type dataDir struct {
	fs        vfs.FS
	path      string
	nodeID    int32  // -1: what the directory says, or what the cluster gives
	clusterID string // "": a new one, whose cluster is not known yet
	// id tells this directory from any other that the node had before. incarnation counts these: see cluster.Broker.
	id          cluster.UUID
	incarnation int32
	seen        int64 // version of the newest metadata that its folders were compared with; -1: none
	lock        io.Closer
}

// openDataDir takes the data directory.
func openDataDir(fsys vfs.FS, dir string, nodeID int32) (*dataDir, error) {
	if err := errors.Join(fsys.MkdirAll(dir), fsys.SyncDir(path.Dir(dir))); err != nil {
		return nil, fmt.Errorf("the data directory %s cannot be made: %w; choose another with log.dirs", dir, err)
	}
	lock, err := fsys.Lock(path.Join(dir, lockName))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("the data directory %s is in use by another weir process; stop that one, or choose another directory with --set log.dirs=DIR", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("the data directory %s cannot be written: %w; give this user the right to, or choose another with log.dirs", dir, err)
	}
	d := &dataDir{fs: fsys, path: dir, nodeID: nodeID, lock: lock, seen: -1}
	if err := d.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

func (d *dataDir) load() error {
	meta, err := ReadMeta(d.fs, d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.id = randomID()
		return nil
	case err != nil:
		return err
	case d.nodeID < 0:
		id, err := strconv.ParseInt(meta.NodeID, 10, 32)
		if err != nil {
			return fmt.Errorf("%s is damaged; restore it: its node.id is %q", path.Join(d.path, metaName), meta.NodeID)
		}
		d.nodeID = int32(id)
	case meta.NodeID != strconv.Itoa(int(d.nodeID)):
		return fmt.Errorf("the data directory %s belongs to node %s, and this is node %d: set node.id=%s, or choose another directory with log.dirs", d.path, meta.NodeID, d.nodeID, meta.NodeID)
	}
	d.clusterID, d.id, d.incarnation, d.seen = meta.ClusterID, meta.Directory, meta.Incarnation, meta.Seen
	if d.id.IsZero() { // earlier versions gave none
		d.id = randomID()
		return d.save()
	}
	return nil
}

// sees notes the version of the metadata that the folders were compared with.
func (d *dataDir) sees(version int64) error {
	if d.seen == version {
		return nil
	}
	d.seen = version
	return d.save()
}

// join marks a new data directory as this node's in a cluster.
func (d *dataDir) join(clusterID string, incarnation int32) error {
	d.clusterID, d.incarnation = clusterID, incarnation
	return d.save()
}

func (d *dataDir) save() error {
	text := fmt.Sprintf("version=%d\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n", dirVersion, d.clusterID, d.nodeID, base64.RawURLEncoding.EncodeToString(d.id[:]))
	if d.incarnation > 0 {
		text += fmt.Sprintf("incarnation=%d\n", d.incarnation)
	}
	if d.seen >= 0 {
		text += fmt.Sprintf("metadata.version=%d\n", d.seen)
	}
	return vfs.WriteFileAtomic(d.fs, path.Join(d.path, metaName), []byte(text))
}

// keepPeers notes where other nodes were reached last: after all have stopped, each must find the others to learn anything.
func (d *dataDir) keepPeers(addresses map[int32]string) error {
	var text strings.Builder
	for _, id := range slices.Sorted(maps.Keys(addresses)) {
		fmt.Fprintf(&text, "%d=%s\n", id, addresses[id])
	}
	return vfs.WriteFileAtomic(d.fs, path.Join(d.path, peersName), []byte(text.String()))
}

// peers gives what keepPeers noted. What cannot be read is passed over: it is a hint.
func (d *dataDir) peers() map[int32]string {
	out := map[int32]string{}
	b, err := vfs.ReadFile(d.fs, path.Join(d.path, peersName))
	if err != nil {
		return out
	}
	for line := range bytes.Lines(b) {
		key, address, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		if id, err := strconv.ParseInt(key, 10, 32); err == nil && address != "" {
			out[int32(id)] = address
		}
	}
	return out
}

// Meta is what a data directory says of itself.
type Meta struct {
	ClusterID, NodeID string
	Directory         cluster.UUID // zero: earlier versions gave none
	Incarnation       int32
	Seen              int64 // version of the newest metadata that its folders were compared with; -1: none
}

// ReadMeta reads what a data directory says of itself. For a new one, the error satisfies errors.Is(err, fs.ErrNotExist).
func ReadMeta(fsys vfs.FS, dir string) (Meta, error) {
	name := path.Join(dir, metaName)
	b, err := vfs.ReadFile(fsys, name)
	if err != nil {
		return Meta{}, err
	}
	values := map[string]string{}
	for line := range bytes.Lines(b) {
		if key, value, ok := strings.Cut(strings.TrimSpace(string(line)), "="); ok {
			values[key] = value
		}
	}
	damaged := fmt.Errorf("%s is damaged; restore it: it holds version=%d, the cluster.id, the node.id and the directory.id", name, dirVersion)
	switch version, err := strconv.Atoi(values["version"]); {
	case err != nil || values["cluster.id"] == "":
		return Meta{}, damaged
	case version > dirVersion:
		return Meta{}, fmt.Errorf("the data directory %s was written by a newer version of weir (format %d, this one knows %d): start it with that version", dir, version, dirVersion)
	}
	m := Meta{ClusterID: values["cluster.id"], NodeID: values["node.id"], Seen: -1}
	if text, ok := values["directory.id"]; ok {
		id, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(id) != len(m.Directory) {
			return Meta{}, damaged
		}
		m.Directory = cluster.UUID(id)
	}
	if text, ok := values["incarnation"]; ok {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return Meta{}, damaged
		}
		m.Incarnation = int32(n)
	}
	if text, ok := values["metadata.version"]; ok {
		if m.Seen, err = strconv.ParseInt(text, 10, 64); err != nil || m.Seen < 0 {
			return Meta{}, damaged
		}
	}
	return m, nil
}

// newClusterID makes an id in Kafka's form: 16 random bytes in base64.
func newClusterID() string {
	b := randomID()
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func randomID() (id [16]byte) {
	if _, err := rand.Read(id[:]); err != nil {
		panic("BUG: no random numbers: " + err.Error())
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // a random UUID (RFC 9562)
	return id
}
