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
	lock      io.Closer
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
		return nil
	case err != nil:
		return err
	case meta.NodeID != strconv.Itoa(int(d.nodeID)):
		return fmt.Errorf("the data directory %s belongs to node %s, and this is node %d: set node.id=%s, or choose another directory with log.dirs", d.path, meta.NodeID, d.nodeID, meta.NodeID)
	}
	d.clusterID = meta.ClusterID
	return nil
}

// join marks a new data directory as this node's in a cluster.
func (d *dataDir) join(clusterID string) error {
	d.clusterID = clusterID
	text := fmt.Sprintf("version=%d\ncluster.id=%s\nnode.id=%d\n", dirVersion, clusterID, d.nodeID)
	return vfs.WriteFileAtomic(d.fs, path.Join(d.path, metaName), []byte(text))
}

// Meta is what a data directory says of itself.
type Meta struct{ ClusterID, NodeID string }

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
	switch version, err := strconv.Atoi(values["version"]); {
	case err != nil || values["cluster.id"] == "":
		return Meta{}, fmt.Errorf("%s is damaged; restore it: it holds version=%d, the cluster.id and the node.id", name, dirVersion)
	case version > dirVersion:
		return Meta{}, fmt.Errorf("the data directory %s was written by a newer version of weir (format %d, this one knows %d): start it with that version", dir, version, dirVersion)
	}
	return Meta{values["cluster.id"], values["node.id"]}, nil
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
