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
	path      string
	clusterID string
	lock      io.Closer
}

// openDataDir takes the data directory, and marks a new one as this node's.
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
	d := &dataDir{path: dir, lock: lock}
	if err := d.load(fsys, nodeID); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

func (d *dataDir) load(fsys vfs.FS, nodeID int32) error {
	name := path.Join(d.path, metaName)
	meta, err := ReadMeta(fsys, d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.clusterID = newClusterID()
		text := fmt.Sprintf("version=%d\ncluster.id=%s\nnode.id=%d\n", dirVersion, d.clusterID, nodeID)
		return vfs.WriteFileAtomic(fsys, name, []byte(text))
	case err != nil:
		return err
	case meta.NodeID != strconv.Itoa(int(nodeID)):
		return fmt.Errorf("the data directory %s belongs to node %s, and this is node %d: set node.id=%s, or choose another directory with log.dirs", d.path, meta.NodeID, nodeID, meta.NodeID)
	}
	d.clusterID = meta.ClusterID
	return nil
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
