package node

import (
	"testing"

	"github.com/weir/weir/internal/vfs"
)

// FuzzMeta reads arbitrary meta.properties: they are refused, or they name a cluster, and a node starts with them only if it
// is the one that they name.
func FuzzMeta(f *testing.F) {
	f.Add([]byte("version=1\ncluster.id=abc\nnode.id=1\n"))
	f.Add([]byte("version=2\ncluster.id=abc\nnode.id=1\n"))
	f.Add([]byte("#\nnode.id=1\r\ncluster.id = x=y\nversion=01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := vfs.NewMem()
		if err := disk.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFileAtomic(disk, "/d/"+metaName, b); err != nil {
			t.Fatal(err)
		}
		meta, err := ReadMeta(disk, "/d")
		if err == nil && meta.ClusterID == "" {
			t.Fatalf("no cluster is named in %q", b)
		}
		d, openErr := openDataDir(disk, "/d", 1)
		if openErr == nil && (err != nil || meta.NodeID != "1" || d.clusterID != meta.ClusterID) {
			t.Fatalf("node 1 starts with %q", b)
		}
	})
}
