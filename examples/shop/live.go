package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// sources are the systems that write events down, and the kinds of events that each knows of.
var sources = map[string][]string{
	"web-shop":  {registered, ordered},
	"search":    {searched},
	"warehouse": {delivered, dispatched},
}

// push sends a source's events in order, with the time at which they happened.
func (s *shop) push(ctx context.Context, source string) error {
	c, err := kgo.NewClient(seedBrokers(s.seeds), kgo.ClientID(source))
	if err != nil {
		return err
	}
	defer c.Close()
	var failed kgo.FirstErrPromise
	sent := 0
	for _, e := range s.events {
		if !slices.Contains(sources[source], e.Kind) {
			continue
		}
		value, err := json.Marshal(e)
		if err != nil {
			return err
		}
		r := &kgo.Record{Topic: topicOf[e.Kind], Key: []byte(e.key()), Value: value, Timestamp: e.Time}
		c.Produce(ctx, r, failed.Promise())
		if sent++; sent%20 == 0 { // the day goes by a little slower than the machine could go
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	if err := failed.Err(); err != nil { // this waits for all of them
		return fmt.Errorf("%s: %w", source, err)
	}
	return nil
}

// counter is a process that counts products.
type counter struct {
	name   string
	cmd    *exec.Cmd
	out    bytes.Buffer // what it printed; complete when it has ended
	asked  atomic.Bool  // to end
	ended  chan struct{}
	result error // of the process; known when it has ended
}

// startCounter runs a counter as a process of its own. One that ends unasked is an error of the work that it is part of.
func (s *shop) startCounter(ctx context.Context, work *errgroup.Group, name string) (*counter, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &counter{name: name, ended: make(chan struct{})}
	c.cmd = exec.CommandContext(ctx, self, "-bootstrap-server", s.seeds, "-state", s.dir, "-name", name, "count")
	c.cmd.Stdout, c.cmd.Stderr = &c.out, os.Stderr
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	work.Go(func() error {
		c.result = c.cmd.Wait()
		close(c.ended)
		if !c.asked.Load() && ctx.Err() == nil {
			return fmt.Errorf("%s has ended: %v", name, c.cmd.ProcessState)
		}
		return nil
	})
	return c, nil
}

// end sends a signal and waits until the process has ended.
func (c *counter) end(signal syscall.Signal) error {
	c.asked.Store(true)
	err := c.cmd.Process.Signal(signal)
	<-c.ended
	if err != nil {
		return fmt.Errorf("%s had ended before: %v", c.name, c.cmd.ProcessState)
	}
	return nil
}

// live runs the shop: sources push, groups consume, and one consumer is killed in the middle. What fails first stops it all.
func (s *shop) live(ctx context.Context) error {
	work, working := errgroup.WithContext(ctx)
	var notes, trucks []string
	work.Go(func() (err error) {
		notes, err = notifications.tell(working, s.seeds, s.count(registered)+s.count(ordered))
		return err
	})
	work.Go(func() (err error) {
		trucks, err = deliveries.tell(working, s.seeds, s.count(dispatched))
		return err
	})
	work.Go(func() error { return s.countLive(working, work) })
	if err := work.Wait(); err != nil {
		return err
	}
	s.told(notifications, notes, registered, ordered)
	s.told(deliveries, trucks, dispatched)
	return s.checkCommitted(ctx)
}

// countLive lets two processes count while the sources push, kills one of them in the middle and starts it again.
func (s *shop) countLive(ctx context.Context, work *errgroup.Group) error {
	first, err := s.startCounter(ctx, work, "counter-1")
	if err != nil {
		return err
	}
	if _, err := s.awaitMembers(ctx, first.name); err != nil {
		return err
	}
	second, err := s.startCounter(ctx, work, "counter-2")
	if err != nil {
		return err
	}
	members, err := s.awaitMembers(ctx, first.name, second.name)
	if err != nil {
		return err
	}
	s.printf("counter-1 reads %d partitions, counter-2 reads %d.\n", len(members[first.name]), len(members[second.name]))

	s.printf("%d systems push %d events.\n", len(sources), len(s.events))
	for source := range sources {
		work.Go(func() error { return s.push(ctx, source) })
	}
	if err := s.awaitCounted(ctx, s.ofProducts()/3); err != nil {
		return err
	}
	if err := second.end(syscall.SIGKILL); err != nil {
		return err
	}
	begins, atKill, err := s.left(second.name, members[second.name])
	if err != nil {
		return err
	}
	s.printf("counter-2 was killed (kill -9) when it had counted %d events. It is started again.\n", atKill)
	if second, err = s.startCounter(ctx, work, second.name); err != nil {
		return err
	}
	if err := s.awaitCounted(ctx, s.ofProducts()); err != nil {
		return err
	}
	for _, c := range []*counter{first, second} {
		if err := c.end(syscall.SIGTERM); err != nil {
			return err
		}
		if c.result != nil {
			return fmt.Errorf("%s, asked to end: %w", c.name, c.result)
		}
	}
	_, atEnd, err := s.left(second.name, members[second.name])
	if err != nil {
		return err
	}
	s.printf("It counted %d more.\n\n", atEnd-atKill)
	s.check("counter-2 went on exactly where it was killed", diffLines(strings.Split(strings.TrimSpace(second.out.String()), "\n"), begins))
	got, _, err := tableOfFiles(s.dir)
	if err != nil {
		return err
	}
	got.print(s.out)
	s.check("the table counted live is right", diff(got, straight(s.events, s.last())))
	return nil
}

// left tells where a counter's files leave off, in the words with which it should begin, and how many events are in them.
func (s *shop) left(name string, partitions []topicPartition) (begins []string, events int, err error) {
	for _, p := range partitions {
		c, err := loadCounted(countedFile(s.dir, p.topic, p.partition))
		if err != nil {
			return nil, 0, err
		}
		begins = append(begins, beginLine(name, p.topic, p.partition, c.Next))
		events += int(c.Next)
	}
	return begins, events, nil
}

// awaitCounted waits until so many events are counted.
func (s *shop) awaitCounted(ctx context.Context, want int) error {
	got := 0
	return poll(ctx, func() (done bool, err error) {
		_, got, err = tableOfFiles(s.dir)
		return got >= want, err
	}, func() string { return fmt.Sprintf("%d of %d events were counted", got, want) })
}

type topicPartition struct {
	topic     string
	partition int32
}

// awaitMembers waits until the group stock-table has these members and each has partitions, together all of them.
func (s *shop) awaitMembers(ctx context.Context, names ...string) (map[string][]topicPartition, error) {
	c, err := kgo.NewClient(seedBrokers(s.seeds))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var members map[string][]topicPartition
	err = poll(ctx, func() (bool, error) {
		groups, err := kadm.NewClient(c).DescribeGroups(ctx, "stock-table")
		if err != nil {
			return false, err
		}
		members = membersOf(groups["stock-table"])
		shared := 0
		for _, name := range names {
			if len(members[name]) == 0 {
				return false, nil
			}
			shared += len(members[name])
		}
		return shared == partitions*len(productTopics), nil
	}, func() string { return fmt.Sprintf("the members of stock-table are %v, want %q", members, names) })
	return members, err
}

// membersOf gives the partitions of each member of a group by the member's name; nil while they are shared out anew.
func membersOf(g kadm.DescribedGroup) map[string][]topicPartition {
	if g.Err != nil || g.State != "Stable" {
		return nil
	}
	out := map[string][]topicPartition{}
	for _, m := range g.Members {
		if m.InstanceID == nil {
			continue
		}
		if a, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range a.Topics {
				for _, p := range t.Partitions {
					out[*m.InstanceID] = append(out[*m.InstanceID], topicPartition{t.Topic, p})
				}
			}
		}
	}
	return out
}

// poll asks until it is done; state says how far it was when ctx ended before. Errors that pass, such as those of a cluster that
// has just started, are asked again.
func poll(ctx context.Context, ask func() (done bool, err error), state func() string) error {
	for {
		done, err := ask()
		if done || err != nil && ctx.Err() == nil && !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", state(), context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// told shows what a group told of each kind of event, and checks it.
func (s *shop) told(t teller, got []string, kinds ...string) {
	var want []string
	for _, kind := range kinds {
		var ofKind []string
		for _, e := range s.events {
			if e.Kind == kind {
				ofKind = append(ofKind, t.line(e))
			}
		}
		want = append(want, ofKind...)
		if i := slices.IndexFunc(got, func(line string) bool { return slices.Contains(ofKind, line) }); i >= 0 {
			s.printf("   %s\n   … and %d more\n", got[i], len(ofKind)-1)
		}
	}
	s.check(fmt.Sprintf("%s: the right %d lines, each once", t.group, len(want)), diffLines(got, want))
}

// checkCommitted checks that all groups have told the broker that they read everything, and ends the memberships of the
// counters, which would else wait for their return.
func (s *shop) checkCommitted(ctx context.Context) error {
	c, err := kgo.NewClient(seedBrokers(s.seeds))
	if err != nil {
		return err
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	lags, err := admin.Lag(ctx, groups...)
	if err == nil {
		err = lags.Error()
	}
	if err != nil {
		return fmt.Errorf("how far the groups are: %w", err)
	}
	var behind []string
	for _, l := range lags.Sorted() {
		if n := l.Lag.Total(); n != 0 {
			behind = append(behind, fmt.Sprintf("%s is %d events behind", l.Group, n))
		}
	}
	s.check("all groups have committed that they read everything", problems(behind))
	_, err = admin.LeaveGroup(ctx, kadm.LeaveGroup("stock-table").InstanceIDs("counter-1", "counter-2"))
	return err
}
