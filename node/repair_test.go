package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/internal/vfs"
	"github.com/weir/weir/partition"
)

// harm does something to a segment's file.
var harm = map[string]func(fs *vfs.Mem, name string) error{
	"flipped bit": func(fs *vfs.Mem, name string) error {
		return inFile(fs, name, func(f vfs.File, size int64) error {
			var b [1]byte
			_, err := f.ReadAt(b[:], size/2)
			b[0] ^= 4
			_, errWrite := f.WriteAt(b[:], size/2)
			return errors.Join(err, errWrite)
		})
	},
	"zeroed page": func(fs *vfs.Mem, name string) error {
		return inFile(fs, name, func(f vfs.File, size int64) error {
			_, err := f.WriteAt(make([]byte, 512), size/3)
			return err
		})
	},
	"lost header": func(fs *vfs.Mem, name string) error {
		return inFile(fs, name, func(f vfs.File, _ int64) error {
			_, err := f.WriteAt(make([]byte, 20), 0)
			return err
		})
	},
	"cut": func(fs *vfs.Mem, name string) error {
		return inFile(fs, name, func(f vfs.File, size int64) error { return f.Truncate(size / 4) })
	},
	"removed": func(fs *vfs.Mem, name string) error { return fs.Remove(name) },
}

func inFile(fs *vfs.Mem, name string, do func(f vfs.File, size int64) error) error {
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	return errors.Join(err, do(f, size), f.Sync(), f.Close())
}

// replica gives a node's replica of the first partition of t.
func (c *several) replica(i int) *partition.Partition {
	c.t.Helper()
	p, err := c.nodes[i].set.Lookup("t", 0)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// segments gives a node's segments of the first partition of t, but the last one.
func (c *several) segments(i int) (names []string) {
	c.t.Helper()
	all, err := c.disks[i].List("/data/t-0")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, name := range all {
		if strings.HasSuffix(name, ".log") {
			names = append(names, "/data/t-0/"+name)
		}
	}
	return names[:len(names)-1]
}

// lead makes a node the leader of the first partition of t.
func (c *several) lead(i int) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("node %d to lead", i+1), func() bool {
		for j, n := range c.nodes {
			if p := c.replica(j); n != nil && j != i {
				p.Transfer(c.nodes[i].self())
			}
		}
		_, leads := c.replica(i).Leads()
		return leads
	})
}

// TestDamageIsRepaired damages a segment of one node: it is found by reading, or by looking through the logs, is never served, and
// becomes what it was, while clients go on.
func TestDamageIsRepaired(t *testing.T) {
	c := newSeveral(t, 3, "auto.leader.rebalance.enable=false")
	c.start(0, 1, 2)
	k := c.client()
	c.create(k, "t", 1)
	s := c.stream(k, 1)
	for range 3 {
		c.moves(s)
		end := int64(s.count())
		for i := range c.nodes {
			c.eventually("all to have what was acknowledged", func() bool { return c.replica(i).LogEnd() >= end })
			if err := c.replica(i).Roll(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.moves(s)
	victim := 0
	for what, harm := range harm {
		for _, leads := range []bool{true, false} {
			for _, stopped := range []bool{true, false} {
				victim = (victim + 1) % 3
				name := c.segments(victim)[victim%3]
				t.Logf("%s: %s of node %d; leader %v, stopped %v", what, name, victim+1, leads, stopped)
				right, err := vfs.ReadFile(c.disks[victim], name)
				if err != nil {
					t.Fatal(err)
				}
				if stopped {
					c.stop(victim)
					c.moves(s)
					if err := harm(c.disks[victim], name); err != nil {
						t.Fatal(err)
					}
					c.start(victim)
					c.inSync(k)
				}
				if leads {
					c.lead(victim)
				} else {
					c.lead((victim + 1) % 3)
				}
				if !stopped {
					if err := harm(c.disks[victim], name); err != nil {
						t.Fatal(err)
					}
				}
				if leads && stopped && what != "lost header" { // which readers do not read
					for met := false; !met; met = c.replica(victim).Damaged() > 0 || c.nodes[victim].set.Health().Repaired.Value() > 0 {
						c.lead(victim) // or the records are read elsewhere
						c.readAll(s)
					}
				} else if err := c.nodes[victim].scrubOnce(); err != nil {
					t.Fatal(err)
				}
				c.eventually("the repair", func() bool {
					now, err := vfs.ReadFile(c.disks[victim], name)
					return err == nil && bytes.Equal(now, right) && c.replica(victim).Damaged() == 0
				})
				c.moves(s)
			}
		}
	}
	c.check(s)
	for i := range c.nodes {
		if out := c.logs[i].String(); !strings.Contains(out, "a segment is damaged") || !strings.Contains(out, "a damaged segment is repaired") {
			t.Errorf("node %d does not tell of damage and repair", i+1)
		}
	}
}

// readAll reads what was acknowledged so far; it may be told of damage on the way, but gets all of it.
func (c *several) readAll(s *stream) {
	c.t.Helper()
	s.mu.Lock()
	want := slices.Clone(s.acked[0])
	s.mu.Unlock()
	k := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var got []string
	for end := time.Now().Add(30 * time.Second); len(got) < len(want); {
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		k.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
		cancel()
		if time.Now().After(end) {
			c.t.Fatalf("%d of %d records were read", len(got), len(want))
		}
	}
	if !slices.Equal(got[:len(want)], want) {
		c.t.Errorf("other records are read than were acknowledged")
	}
	k.Close()
}

// TestDamagedEndIsFetchedAgain takes the end of a log off one node, below its checkpoint or above it, while the others go on: the node
// starts, has in the end what it had, and then others can do without one of those that had it all the time.
func TestDamagedEndIsFetchedAgain(t *testing.T) {
	c := newSeveral(t, 3, "auto.leader.rebalance.enable=false")
	c.start(0, 1, 2)
	k := c.client()
	c.create(k, "t", 1)
	s := c.stream(k, 1)
	leads := map[string]func(i int) bool{
		"/data/t-0":                  func(i int) bool { _, leads := c.replica(i).Leads(); return leads },
		"/data/__cluster_metadata-0": func(i int) bool { _, leads := c.nodes[i].log.Leads(); return leads },
	}
	for log, leads := range leads {
		for _, what := range []string{"cut", "removed", "acknowledged"} {
			c.moves(s)
			c.inSync(k)
			victim := 0
			for leads(victim) { // or nobody is left who counts on what it had
				victim++
			}
			t.Logf("%s of node %d: %s", log, victim+1, what)
			damage, stop := harm[what], c.stop
			if what == "acknowledged" { // no checkpoint covers it
				damage, stop = harm["cut"], c.kill
			}
			stop(victim)
			files, err := c.disks[victim].List(log)
			if err != nil {
				t.Fatal(err)
			}
			files = slices.DeleteFunc(files, func(name string) bool { return !strings.HasSuffix(name, ".log") })
			if err := damage(c.disks[victim], log+"/"+files[len(files)-1]); err != nil {
				t.Fatal(err)
			}
			c.logs[victim] = nil
			c.start(victim)
			c.eventually("all to be there again", func() bool {
				names, err := c.disks[victim].List(log)
				return err == nil && !slices.Contains(names, "forgotten") && (what == "acknowledged" || strings.Contains(c.logs[victim].String(), "are there again"))
			})
			c.inSync(k)
			other := (victim + 1) % 3
			c.stop(other)
			c.moves(s)
			c.start(other)
		}
	}
	c.check(s)
}
