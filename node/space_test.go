package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sys/unix"

	"github.com/weir/weir/internal/vfs"
)

// TestNewTopicOnAFullDisk lets the disk be full for a part of what makes a topic. When there is space, the topic can be used
// without a start; and a node that ends before that does not wait for it.
func TestNewTopicOnAFullDisk(t *testing.T) {
	for _, part := range []vfs.Fault{{Kind: "write", Name: "votes.journal"}, {Kind: "mkdir", Name: "/t-0"}, {Kind: "write", Name: "/t-0/"}} {
		t.Run(part.Kind+" "+part.Name, func(t *testing.T) {
			disk := vfs.NewFaults(vfs.NewMem())
			n, out := mustStart(t, disk)
			part.Err = unix.ENOSPC
			disk.Inject(part)
			create(t, n)
			awaitError(t, out, 1)
			disk.Heal()
			c := client(t, n)
			if err := produce(t, c, "x"); err != nil {
				t.Fatalf("after space was freed: %v", err)
			}
			if said := strings.Count(out.String(), "level=ERROR"); said != 1 {
				t.Errorf("the log tells of it %d times:\n%s", said, out)
			}
			resp, err := kadm.NewClient(c).DeleteTopic(timeout(t), "t")
			if err = errors.Join(err, resp.Err); err != nil {
				t.Fatal(err)
			}
			disk.Inject(part)
			create(t, n)
			awaitError(t, out, 2)
			ended := make(chan error, 1)
			go func() { ended <- n.Kill() }()
			select {
			case err := <-ended:
				if err != nil && !errors.Is(err, unix.ENOSPC) {
					t.Error(err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the node does not end while the disk is full")
			}
		})
	}
}

// create asks for topic t. The answer may wait until somebody leads it, and nobody waits for that here.
func create(t *testing.T, n *Node) {
	t.Helper()
	c := client(t, n)
	go kadm.NewClient(c).CreateTopic(timeout(t), 1, 1, nil, "t")
}

// awaitError waits until a node has told of so many errors.
func awaitError(t *testing.T, out *said, count int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); strings.Count(out.String(), "level=ERROR") < count; {
		if time.Now().After(deadline) {
			t.Fatalf("nothing found the disk full:\n%s", out)
		}
		<-time.After(time.Millisecond)
	}
}
