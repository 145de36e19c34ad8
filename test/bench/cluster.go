package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A cluster is the brokers that are measured together: one, or three.
type cluster struct {
	product product
	brokers []*broker
	home    string

	// where a start's first record goes
	topic     string
	partition int32
}

func newCluster(p product, binary, dir string, nodes int) (*cluster, error) {
	port, err := freePorts(2 * nodes)
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp(dir, strings.ToLower(string(p))+"-")
	if err != nil {
		return nil, err
	}
	c := &cluster{product: p, home: home, topic: "first"}
	for n := range nodes {
		c.brokers = append(c.brokers, newBroker(p, binary, home, n+1, nodes, port))
	}
	return c, nil
}

// remove kills the brokers that run, and deletes their files.
func (c *cluster) remove() error { return errors.Join(c.kill(), os.RemoveAll(c.home)) }

// bootstrap gives the addresses of all brokers.
func (c *cluster) bootstrap() (all []string) {
	for _, b := range c.brokers {
		all = append(all, b.address)
	}
	return all
}

func (c *cluster) pids() (all []int) {
	for _, b := range c.brokers {
		all = append(all, b.pid)
	}
	return all
}

// said gives the end of what each broker has said.
func (c *cluster) said() string {
	var all strings.Builder
	for _, b := range c.brokers {
		all.WriteString(b.said())
	}
	return all.String()
}

// started starts the brokers if they do not run.
func (c *cluster) started(ctx context.Context) error {
	if c.brokers[0].group != 0 {
		return nil
	}
	return c.start(ctx)
}

// start starts all brokers and returns when they have acknowledged a record.
func (c *cluster) start(ctx context.Context) error { return c.startSome(ctx, c.brokers...) }

// startSome starts brokers that do not run, and returns when all there are know each other and have acknowledged a record.
func (c *cluster) startSome(ctx context.Context, some ...*broker) error {
	ctx, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	for _, b := range some {
		if err := b.begin(ended); err != nil {
			return err
		}
	}
	if err := c.acknowledged(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w; the end of what it said:\n%s", err, c.said())
	}
	for _, b := range some {
		b.up()
	}
	return nil
}

// stop ends the processes in order.
func (c *cluster) stop() error { return c.each((*broker).stop) }

// kill ends them as a crash does.
func (c *cluster) kill() error { return c.each((*broker).kill) }

func (c *cluster) each(do func(*broker) error) error {
	var all []error
	for _, b := range c.brokers {
		all = append(all, do(b))
	}
	return errors.Join(all...)
}

// connect gives a client that asks again soon.
func (c *cluster) connect(opts ...kgo.Opt) (*kgo.Client, error) {
	soon := func(int) time.Duration { return pauseTime }
	return kgo.NewClient(append(opts, kgo.SeedBrokers(c.bootstrap()...), kgo.RetryBackoffFn(soon), kgo.MetadataMinAge(10*time.Millisecond), kgo.RequestRetries(1<<30),
		kgo.RecordRetries(1<<30), kgo.RetryTimeout(startMost), kgo.UnknownTopicRetries(-1), kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequestTimeoutOverhead(startMost))...)
}

const (
	pauseTime = 2 * time.Millisecond
	lookTime  = 50 * time.Millisecond // for what takes the brokers work to tell
	startMost = 3 * time.Minute
)

func pause(ctx context.Context) error { return sleep(ctx, pauseTime) }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// acknowledged returns when all brokers know each other and a record is acknowledged.
func (c *cluster) acknowledged(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startMost)
	defer cancel()
	for _, b := range c.brokers { // the client library would begin again later, the longer the later
		for {
			connection, err := net.Dial("tcp", b.address)
			if err == nil {
				_ = connection.Close()
				break
			}
			if err := pause(ctx); err != nil {
				return fmt.Errorf("%s does not listen after %v: %w", c.product, startMost, err)
			}
		}
	}
	client, err := c.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := c.complete(ctx, kadm.NewClient(client)); err != nil {
		return err
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: c.topic, Partition: c.partition, Value: []byte("first")}).FirstErr(); err != nil {
		return fmt.Errorf("%s acknowledged no record: %w", c.product, err)
	}
	return nil
}

// complete returns when all brokers are members. A single one need not be asked.
func (c *cluster) complete(ctx context.Context, admin *kadm.Client) error {
	for members := 1; members < len(c.brokers); {
		all, err := admin.ListBrokers(ctx)
		if err != nil {
			return fmt.Errorf("%s, of which %d of %d brokers are members: %w", c.product, members, len(c.brokers), err)
		}
		if members = len(all); members < len(c.brokers) {
			if err := sleep(ctx, lookTime); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle returns when the files of deleted topics are gone, so that their deletion is not measured with what comes next.
func (c *cluster) settle(ctx context.Context) error {
	for _, b := range c.brokers {
		for {
			left := false
			err := filepath.WalkDir(filepath.Join(b.home, "data"), func(_ string, d fs.DirEntry, err error) error {
				if errors.Is(err, fs.ErrNotExist) { // deleted just now
					return nil
				}
				left = left || err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "bench-")
				return err
			})
			if err != nil {
				return err
			}
			if !left {
				break
			}
			if err := pause(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}
