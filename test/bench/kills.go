package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var kills = &measurement{name: "kill", fresh: measureKills}

const (
	killTopic      = "kills"
	killPartitions = 12
	killEvery      = time.Second / 600 // a record; each partition gets one every 20 ms
	killMost       = time.Minute       // until everything is acknowledged, or in sync, again
)

// impatient are the options of a client that asks again soon and does not wait long for a broker that is gone; test/chaos has the
// same.
var impatient = []kgo.Opt{
	kgo.MetadataMinAge(50 * time.Millisecond),
	kgo.MetadataMaxAge(5 * time.Second),
	kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
	kgo.ProduceRequestTimeout(500 * time.Millisecond),
	kgo.DialTimeout(time.Second),
	kgo.RequestTimeoutOverhead(time.Second),
	kgo.UnknownTopicRetries(-1),
	kgo.ProducerLinger(0),
	kgo.RecordPartitioner(kgo.ManualPartitioner()),
	kgo.MaxBufferedRecords(1 << 20), // what waits for one partition holds up no other
}

// measureKills kills one broker after the other while a producer writes to all partitions, and looks for the longest time without
// an acknowledgement: in the partitions that the broker led, in the others, and as long before with nothing killed.
func measureKills(ctx context.Context, r *run, c *cluster) (_ values, err error) {
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(impatient, kgo.SeedBrokers(c.bootstrap()...))...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, killPartitions, -1, nil, killTopic); err != nil {
		return nil, err
	}
	a := &acks{}
	sending, end := context.WithCancel(ctx)
	var sender sync.WaitGroup
	sender.Go(func() { a.send(sending, client) })
	defer sender.Wait()
	defer end()

	var hit, other, calm []float64
	for n := range r.sizes.kills {
		b := c.brokers[n%len(c.brokers)]
		led, err := evened(ctx, admin, int32(b.number))
		if err != nil {
			return nil, fmt.Errorf("before kill %d: %w", n+1, err)
		}
		gaps, err := a.during(ctx, r.sizes.watch, func() error { return nil })
		if err != nil {
			return nil, err
		}
		calm = append(calm, slices.Max(gaps))
		if gaps, err = a.during(ctx, r.sizes.watch, b.kill); err != nil {
			return nil, fmt.Errorf("after kill %d: %w", n+1, err)
		}
		ofHit, ofOther := 0., 0.
		for p, gap := range gaps {
			if slices.Contains(led, int32(p)) {
				ofHit = max(ofHit, gap)
			} else {
				ofOther = max(ofOther, gap)
			}
		}
		hit, other = append(hit, ofHit), append(other, ofOther)
		if err := c.startSome(ctx, b); err != nil {
			return nil, fmt.Errorf("starting after kill %d: %w", n+1, err)
		}
	}
	return values{"hit": slices.Max(hit), "hit p50": median(hit), "other": slices.Max(other), "other p50": median(other),
		"noise": median(other) / slices.Max(calm)}, nil
}

func median(of []float64) float64 { return slices.Sorted(slices.Values(of))[len(of)/2] }

// evened returns when all replicas are in sync and every partition is led by the one that it prefers. It gives the partitions
// that a node leads.
func evened(ctx context.Context, admin *kadm.Client, node int32) (led []int32, err error) {
	ctx, cancel := context.WithTimeout(ctx, killMost)
	defer cancel()
	for {
		topics, err := admin.ListTopics(ctx, killTopic)
		if err != nil {
			return nil, err
		}
		led, behind, moved := []int32(nil), 0, 0
		for _, p := range topics[killTopic].Partitions.Sorted() {
			switch {
			case p.Err != nil || p.Leader < 0 || len(p.ISR) < len(p.Replicas):
				behind++
			case p.Leader != p.Replicas[0]:
				moved++
			case p.Leader == node:
				led = append(led, p.Partition)
			}
		}
		switch {
		case behind == 0 && moved == 0 && len(topics[killTopic].Partitions) == killPartitions:
			return led, nil
		case behind == 0 && moved > 0: // who needs no election says so, and who cannot have one yet is asked again
			_, _ = admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, kadm.TopicsSet{killTopic: allPartitions()})
		}
		if err := sleep(ctx, lookTime); err != nil {
			return nil, fmt.Errorf("of %d partitions %d are not in sync and %d not led by the preferred replica: %w", killPartitions, behind, moved, err)
		}
	}
}

func allPartitions() map[int32]struct{} {
	all := map[int32]struct{}{}
	for p := range int32(killPartitions) {
		all[p] = struct{}{}
	}
	return all
}

// acks keeps when each partition had a record acknowledged.
type acks struct {
	mu   sync.Mutex
	of   [killPartitions][]time.Time
	sent [killPartitions]time.Time // the last one that was acknowledged
}

// send sends records to all partitions in turn, at a steady pace whatever comes back, until ctx ends.
func (a *acks) send(ctx context.Context, client *kgo.Client) {
	tick := time.NewTicker(killEvery)
	defer tick.Stop()
	value := make([]byte, 1<<10)
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		client.Produce(ctx, &kgo.Record{Topic: killTopic, Partition: int32(i % killPartitions), Value: value}, func(r *kgo.Record, err error) {
			if err == nil {
				a.add(int(r.Partition), began, time.Now())
			}
		})
	}
}

func (a *acks) add(partition int, sent, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of[partition], a.sent[partition] = append(a.of[partition], at), sent
}

// during does something and gives the longest time without an acknowledgement of each partition, in seconds, until each had a
// record acknowledged that was sent after that, and for so long at least.
func (a *acks) during(ctx context.Context, least time.Duration, do func() error) ([]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, killMost)
	defer cancel()
	from := time.Now()
	if err := do(); err != nil {
		return nil, err
	}
	done := time.Now()
	for to := from.Add(least); ; {
		if err := sleep(ctx, lookTime); err != nil {
			return nil, fmt.Errorf("not every partition acknowledges: %w", err)
		}
		if gaps, all := a.gaps(from, done); all && time.Now().After(to) {
			return gaps, nil
		}
	}
}

// gaps gives the longest times between two acknowledgements of which the later one came after from, and whether every partition
// has one of a record that was sent after done.
func (a *acks) gaps(from, done time.Time) (longest []float64, all bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all = true
	for p, times := range a.of {
		gap := time.Duration(0)
		for i := len(times) - 1; i > 0 && times[i].After(from); i-- {
			gap = max(gap, times[i].Sub(times[i-1]))
		}
		longest, all = append(longest, gap.Seconds()), all && a.sent[p].After(done)
	}
	return longest, all
}
