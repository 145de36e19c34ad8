package node

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/weir/weir/cluster"
	"github.com/weir/weir/internal/vfs"
)

const (
	lockName   = ".lock"
	metaName   = "meta.properties"
	dirVersion = 1
)

// dataDir is the node's folder, held against other processes.
type dataDir struct {
	fs        vfs.FS
	path      string
	nodeID    int32
	clusterID string // "": a new one, whose cluster is not known yet
	// id tells this directory from any other that the node had before. incarnation counts these: see cluster.Broker.
	id          cluster.UUID
	incarnation int32
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
	d := &dataDir{fs: fsys, path: dir, nodeID: nodeID, lock: lock}
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
	case meta.NodeID != strconv.Itoa(int(d.nodeID)):
		return fmt.Errorf("the data directory %s belongs to node %s, and this is node %d: set node.id=%s, or choose another directory with log.dirs", d.path, meta.NodeID, d.nodeID, meta.NodeID)
	}
	d.clusterID, d.id, d.incarnation = meta.ClusterID, meta.Directory, meta.Incarnation
	if d.id.IsZero() { // earlier versions gave none
		d.id = randomID()
		return d.save()
	}
	return nil
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
	return vfs.WriteFileAtomic(d.fs, path.Join(d.path, metaName), []byte(text))
}

// Meta is what a data directory says of itself.
type Meta struct {
	ClusterID, NodeID string
	Directory         cluster.UUID // zero: earlier versions gave none
	Incarnation       int32
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
	m := Meta{ClusterID: values["cluster.id"], NodeID: values["node.id"]}
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
