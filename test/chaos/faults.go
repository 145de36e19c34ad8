package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// kind is a kind of fault. It is injected, lasts, and is healed; both must be done within faultMost.
type kind struct {
	name        string
	least, most time.Duration // how long it lasts
	cluster     bool          // it makes sense with several nodes only
	disk        bool          // it needs a disk of the node's own
	all         bool          // it hits all nodes
	inject      func(ctx context.Context, c *cluster, s step) error
	heal        func(ctx context.Context, c *cluster, s step) error
}

const faultMost = 2 * time.Minute

const ms = time.Millisecond

// kinds are all faults. None takes the majority away for longer than it lasts.
var kinds = []*kind{
	{name: "kill", least: 500 * ms, most: 4000 * ms, inject: killOne, heal: startOne},
	{name: "kill-all", least: 0, most: 2000 * ms, all: true, inject: killAll, heal: startAll},
	{name: "pause", least: 1000 * ms, most: 8000 * ms, inject: signalOne(syscall.SIGSTOP), heal: signalOne(syscall.SIGCONT)},
	{name: "restart", least: 0, most: 1000 * ms, inject: stopOne, heal: startOne},
	{name: "rolling-restart", least: 0, most: 0, cluster: true, all: true, inject: rollingRestart, heal: nothing},
	{name: "silent", least: 1000 * ms, most: 6000 * ms, inject: silence, heal: healLinks},
	{name: "isolate", least: 1000 * ms, most: 6000 * ms, cluster: true, inject: isolateOne(true, true), heal: healLinks},
	{name: "cut-outward", least: 1000 * ms, most: 6000 * ms, cluster: true, inject: isolateOne(true, false), heal: healLinks},
	{name: "cut-inward", least: 1000 * ms, most: 6000 * ms, cluster: true, inject: isolateOne(false, true), heal: healLinks},
	{name: "cut-link", least: 1000 * ms, most: 6000 * ms, cluster: true, inject: cutLink, heal: healLinks},
	{name: "flapping", least: 2000 * ms, most: 5000 * ms, cluster: true, inject: flap, heal: healLinks},
	{name: "slow-links", least: 2000 * ms, most: 6000 * ms, inject: slowLinks, heal: healLinks},
	{name: "narrow-links", least: 2000 * ms, most: 6000 * ms, inject: narrowLinks, heal: healLinks},
	{name: "lossy-links", least: 2000 * ms, most: 6000 * ms, inject: lossyLinks, heal: healLinks},
	{name: "power-cut", least: 500 * ms, most: 3000 * ms, disk: true, inject: cutPower, heal: restoreOne},
	{name: "power-cut-all", least: 0, most: 1000 * ms, disk: true, all: true, inject: cutAllPower, heal: restoreAll},
	{name: "full-disk", least: 1000 * ms, most: 5000 * ms, disk: true, inject: fillDisk, heal: emptyDisk},
}

// chosen gives the kinds that a cluster can have: those named, or all.
func chosen(names string, nodes int, disks bool) ([]*kind, error) {
	var wanted []string
	if names != "" {
		wanted = strings.Split(names, ",")
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(kinds, func(k *kind) bool { return k.name == name }) {
			return nil, fmt.Errorf("there is no fault %q; there are %s", name, kindNames())
		}
	}
	var out []*kind
	for _, k := range kinds {
		if (len(wanted) == 0 || slices.Contains(wanted, k.name)) && (nodes > 1 || !k.cluster) && (disks || !k.disk) {
			out = append(out, k)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("none of the faults %s can be done here", names)
	}
	return out, nil
}

func kindNames() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return strings.Join(names, ",")
}

func kindOf(name string) *kind {
	return kinds[slices.IndexFunc(kinds, func(k *kind) bool { return k.name == name })]
}

func nothing(context.Context, *cluster, step) error { return nil }

func killOne(_ context.Context, c *cluster, s step) error {
	return c.nodes[s.Node].end(syscall.SIGKILL)
}
func stopOne(_ context.Context, c *cluster, s step) error {
	return c.nodes[s.Node].end(syscall.SIGTERM)
}
func startOne(_ context.Context, c *cluster, s step) error { return c.nodes[s.Node].start() }

func killAll(_ context.Context, c *cluster, _ step) error {
	return c.each(func(n *node) error { return n.end(syscall.SIGKILL) })
}

func startAll(_ context.Context, c *cluster, _ step) error { return c.each((*node).start) }

func signalOne(signal syscall.Signal) func(context.Context, *cluster, step) error {
	return func(_ context.Context, c *cluster, s step) error { return c.nodes[s.Node].signal(signal) }
}

// rollingRestart stops and starts one node after the other, as people do: the next one when all replicas are in sync.
func rollingRestart(ctx context.Context, c *cluster, s step) error {
	for i := range c.nodes {
		n := c.nodes[(s.Node+i)%len(c.nodes)]
		if err := n.end(syscall.SIGTERM); err != nil {
			return err
		}
		if err := n.start(); err != nil {
			return err
		}
		if err := c.inSync(ctx); err != nil {
			return fmt.Errorf("after node %d was started again: %w", n.id, err)
		}
	}
	return nil
}

// links changes what goes out of a node, what comes in, or both; with the other nodes, and with clients if wanted.
func links(c *cluster, node int, l link, outward, inward, clients bool) {
	self := node + 1
	for other := range len(c.nodes) + 1 {
		if other == self || other == 0 && !clients {
			continue
		}
		if outward {
			c.network.set(self, other, l)
		}
		if inward {
			c.network.set(other, self, l)
		}
	}
}

func healLinks(_ context.Context, c *cluster, _ step) error {
	c.network.heal()
	return nil
}

// silence cuts a host off from everyone, clients too.
func silence(_ context.Context, c *cluster, s step) error {
	links(c, s.Node, link{cut: true}, true, true, true)
	return nil
}

// isolateOne cuts a node off from the other nodes; clients still reach it.
func isolateOne(outward, inward bool) func(context.Context, *cluster, step) error {
	return func(_ context.Context, c *cluster, s step) error {
		links(c, s.Node, link{cut: true}, outward, inward, false)
		return nil
	}
}

// cutLink cuts one link only: the others still reach both ends.
func cutLink(_ context.Context, c *cluster, s step) error {
	one, other := s.Node+1, (s.Node+1)%len(c.nodes)+1
	c.network.set(one, other, link{cut: true})
	c.network.set(other, one, link{cut: true})
	return nil
}

// flap cuts a node off and connects it again, several times.
func flap(ctx context.Context, c *cluster, s step) error {
	period := 200*ms + time.Duration(s.Degree*float64(600*ms))
	for until := time.Now().Add(s.Lasts); time.Now().Before(until); {
		links(c, s.Node, link{cut: true}, true, true, false)
		if err := sleep(ctx, period); err != nil {
			return err
		}
		c.network.heal()
		if err := sleep(ctx, period); err != nil {
			return err
		}
	}
	return nil
}

func slowLinks(_ context.Context, c *cluster, s step) error {
	delay := 20*ms + time.Duration(s.Degree*float64(180*ms))
	links(c, s.Node, link{delay: delay, jitter: delay / 2}, true, true, true)
	return nil
}

func narrowLinks(_ context.Context, c *cluster, s step) error {
	links(c, s.Node, link{bytesPerSecond: 64<<10 + int(s.Degree*(1<<20))}, true, true, false)
	return nil
}

func lossyLinks(_ context.Context, c *cluster, s step) error {
	share := 0.01 + 0.09*s.Degree
	links(c, s.Node, link{loss: share, duplicate: share, reorder: share, delay: 2 * ms, jitter: 5 * ms}, true, true, true)
	return nil
}

func cutPower(_ context.Context, c *cluster, s step) error { return c.nodes[s.Node].losePower() }

func restoreOne(_ context.Context, c *cluster, s step) error { return c.nodes[s.Node].regainPower() }

func cutAllPower(_ context.Context, c *cluster, _ step) error { return c.each((*node).losePower) }

func restoreAll(_ context.Context, c *cluster, _ step) error { return c.each((*node).regainPower) }

func (n *node) losePower() error {
	n.excuse()
	if err := n.disk.cut(); err != nil {
		return err
	}
	return n.end(syscall.SIGKILL)
}

func (n *node) regainPower() error {
	if err := n.disk.restore(); err != nil {
		return err
	}
	return n.start()
}

func fillDisk(_ context.Context, c *cluster, s step) error { return c.nodes[s.Node].disk.fill() }

func emptyDisk(_ context.Context, c *cluster, s step) error { return c.nodes[s.Node].disk.empty() }
