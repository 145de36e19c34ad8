package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "chaos"

// cluster is the nodes, what connects them, and a client that asks how they are.
type cluster struct {
	nodes   []*node
	network *network
	admin   *kadm.Client
}

// newCluster makes the hosts, the disks and the files of a cluster. Nothing runs yet.
func newCluster(o *options) (*cluster, error) {
	hosts := o.nodes + 1
	c := &cluster{network: newNetwork(hosts, o.seed)}
	if err := connect(0, c.network); err != nil { // the clients are where we are
		return nil, err
	}
	for id := 1; id < hosts; id++ {
		dir := filepath.Join(o.dir, fmt.Sprintf("n%d", id))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		h, err := newHost(id, c.network)
		if err != nil {
			return nil, err
		}
		image := ""
		if o.disks {
			image = dir + ".ext4"
		}
		d, err := newDisk(filepath.Join(dir, "disk"), image)
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, &node{id: id, dir: dir, serve: strings.Fields(o.serve), host: h, disk: d})
	}
	for _, n := range c.nodes {
		if err := n.configure(c.nodes, o.set); err != nil {
			return nil, err
		}
	}
	c.network.start()
	client, err := kgo.NewClient(append(clientOptions(c), kgo.ClientID("chaos-admin"))...)
	if err != nil {
		return nil, err
	}
	c.admin = kadm.NewClient(client)
	return c, nil
}

// What a client does that waits for an answer of a host that has fallen silent is the client's business: it gives up after its own
// time-outs, which are half a minute and more by default. Here they are short, so that what is measured is the cluster. librdkafka.py
// has the same.
const (
	answerMost = 500 * time.Millisecond // how long a client lets the cluster take for a record
	silentMost = time.Second            // how much longer it waits for the answer, and how long for a connection
)

// clientOptions are those of all franz-go clients, which also ask again soon.
func clientOptions(c *cluster) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(c.bootstrap()...),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.MetadataMaxAge(5 * time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.DialTimeout(silentMost),
		kgo.RequestTimeoutOverhead(silentMost),
		kgo.UnknownTopicRetries(-1),
	}
}

func (c *cluster) bootstrap() (all []string) {
	for _, n := range c.nodes {
		all = append(all, n.clientAddress())
	}
	return all
}

// each does something with all nodes at the same time.
func (c *cluster) each(f func(*node) error) error {
	errs := make([]error, len(c.nodes))
	var wait sync.WaitGroup
	for i, n := range c.nodes {
		wait.Go(func() { errs[i] = f(n) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

const createMost = 120 * time.Second

// create starts all nodes and makes the topic.
func (c *cluster) create(ctx context.Context, partitions int) error {
	if err := c.each((*node).start); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, createMost)
	defer cancel()
	replicas := int16(min(len(c.nodes), 3))
	configs := map[string]*string{"segment.bytes": kadm.StringPtr("1048576")}
	err := eventually(ctx, func() error {
		if err := c.wrong(); err != nil {
			return hopeless{err}
		}
		asked, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if brokers, err := c.admin.ListBrokers(asked); err != nil || len(brokers) < len(c.nodes) {
			return fmt.Errorf("%d of %d nodes are there: %v", len(brokers), len(c.nodes), err)
		}
		_, err := c.admin.CreateTopic(asked, int32(partitions), replicas, configs, topic)
		if errors.Is(err, kerr.TopicAlreadyExists) { // by a try of which the answer did not come
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("creating the topic: %w", err)
	}
	return c.inSync(ctx)
}

// state asks for the partitions of the topic.
func (c *cluster) state(ctx context.Context) (kadm.PartitionDetails, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	m, err := c.admin.Metadata(ctx, topic)
	if err != nil {
		return nil, err
	}
	if t := m.Topics[topic]; t.Err != nil {
		return nil, t.Err
	}
	return m.Topics[topic].Partitions, nil
}

// inSync returns when every partition has a leader and all its replicas in sync.
func (c *cluster) inSync(ctx context.Context) error {
	return eventually(ctx, func() error {
		partitions, err := c.state(ctx)
		if err != nil {
			return err
		}
		for _, p := range partitions.Sorted() {
			if p.Err != nil || p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("partition %d has leader %d, and of its replicas %v only %v are in sync: %v", p.Partition, p.Leader, p.Replicas, p.ISR, p.Err)
			}
		}
		return nil
	})
}

// wrong tells what nodes did wrong by themselves.
func (c *cluster) wrong() error {
	var errs []error
	for _, n := range c.nodes {
		for _, w := range n.wrong() {
			errs = append(errs, errors.New(w))
		}
	}
	return errors.Join(errs...)
}

// stop ends all nodes in order.
func (c *cluster) stop() error {
	return c.each(func(n *node) error { return n.end(syscall.SIGTERM) })
}

// hopeless is an error after which trying again is in vain.
type hopeless struct{ error }

// eventually does f until there is no error, or no hope. When ctx ends, it gives the last error.
func eventually(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || errors.As(err, new(hopeless)) {
			return err
		}
		if sleep(ctx, 50*time.Millisecond) != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
