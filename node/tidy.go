package node

import (
	"fmt"

	"github.com/weir/weir/internal/vfs"
)

// tidy removes what this node has of topics that were deleted while it was down. The image that it was registered in has all that the
// cluster knew when this node started, so a topic that is not in it is gone.
//
// That is so only of folders that were made in this cluster, after metadata that is not newer than the image. So the directory notes
// which version it has seen. One that has seen none may have been another cluster's, and metadata of an earlier version is not what the
// folders were made by; what is found then is set aside, and never removed.
func (n *Node) tidy() error {
	done := make(chan error, 1)
	n.metadata.answer(0, func() { // between two images
		version := n.metadata.Image().Version()
		n.set.Tidy(n.metadata.Image(), n.dir.seen >= 0 && n.dir.seen <= version)
		done <- n.dir.sees(version)
	})
	select {
	case err := <-done:
		if err != nil && !vfs.IsNoSpace(err) {
			return fmt.Errorf("the version of the metadata could not be noted: %w", err)
		}
		return nil
	case err := <-n.failed:
		return err
	case <-n.opts.Context.Done():
		return n.opts.Context.Err()
	}
}
