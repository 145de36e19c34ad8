package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 3

func main() {
	seeds := flag.String("bootstrap-server", "127.0.0.1:9092", "where the cluster is")
	dir := flag.String("state", "", "folder for the counted tables (count)")
	python := flag.String("python", "", "a Python with confluent-kafka, for the second opinion")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch flag.Arg(0) {
	case "count":
		err = countProducts(ctx, *seeds, *dir)
	case "generate":
		_, err = os.Stdout.Write(writeEvents(generate()))
	case "":
		err = run(ctx, *seeds, *python)
	default:
		err = fmt.Errorf("unknown command %q: count, generate, or none to run the whole shop", flag.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// shop is one run of the example.
type shop struct {
	seeds          string
	dir            string
	events         []Event
	passed, failed int
}

func (s *shop) check(what, problem string) {
	if problem == "" {
		s.passed++
		fmt.Printf("✓ %s\n", what)
		return
	}
	s.failed++
	fmt.Printf("✗ %s\n%s\n", what, problem)
}

func run(ctx context.Context, seeds, python string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	events, err := loadEvents()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "shop-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &shop{seeds: seeds, dir: dir, events: events}
	for _, step := range []func(context.Context) error{s.createTopics, s.live, s.replays} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if python != "" {
		if err := s.secondOpinion(ctx, python); err != nil {
			return err
		}
	} else {
		fmt.Println("– left out: the consumer in Python (no Python with confluent-kafka was given)")
	}
	fmt.Printf("\nshop: %d checks passed, %d failed\n", s.passed, s.failed)
	if s.failed > 0 {
		return fmt.Errorf("%d checks failed", s.failed)
	}
	return nil
}

func (s *shop) createTopics(ctx context.Context) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(s.seeds))
	if err != nil {
		return err
	}
	defer c.Close()
	// The events are of January 2026; with the usual retention of a week they would soon be gone.
	keep := "-1"
	for _, topic := range topicOf {
		if _, err := kadm.NewClient(c).CreateTopic(ctx, partitions, -1, map[string]*string{"retention.ms": &keep}, topic); err != nil {
			return fmt.Errorf("creating %s: %w", topic, err)
		}
	}
	return nil
}

// live runs the shop: producers push, groups consume, and one consumer is killed in the middle.
func (s *shop) live(ctx context.Context) error {
	stopTelling, tellers := context.WithCancel(ctx)
	defer tellers()
	var telling sync.WaitGroup
	notes, trucks := make(chan string, len(s.events)), make(chan string, len(s.events))
	telling.Go(func() {
		_ = tell(stopTelling, s.seeds, "notifications", []string{"shop.customers", "shop.orders"}, notification, notes)
	})
	telling.Go(func() {
		_ = tell(stopTelling, s.seeds, "deliveries", []string{"shop.dispatches"}, delivery, trucks)
	})
	first, err := s.startCounter()
	if err != nil {
		return err
	}
	second, err := s.startCounter()
	if err != nil {
		return err
	}
	defer func() { _ = second.Process.Kill(); _ = second.Wait() }()

	fmt.Printf("Three systems push %d events; two processes count products.\n", len(s.events))
	pushed := make(chan error, 3)
	sources := map[string][]string{"web shop": {registered, ordered}, "search": {searched}, "warehouse": {dispatched, delivered}}
	for name, kinds := range sources {
		go func() { pushed <- s.push(ctx, name, kinds) }()
	}
	if err := s.await(ctx, len(s.events)/3); err != nil {
		return err
	}
	_ = first.Process.Kill()
	_ = first.Wait()
	atKill, err := s.countedEvents()
	if err != nil {
		return err
	}
	fmt.Printf("One counter was killed with %d events counted. It starts again.\n", atKill)
	if first, err = s.startCounter(); err != nil {
		return err
	}
	defer func() { _ = first.Process.Kill(); _ = first.Wait() }()
	for range sources {
		if err := <-pushed; err != nil {
			return err
		}
	}
	if err := s.await(ctx, s.ofProducts()); err != nil {
		return err
	}
	got, err := tableOfFiles(s.dir)
	if err != nil {
		return err
	}
	want := straight(s.events, s.last())
	got.print(os.Stdout)
	s.check("the table counted live, with a counter killed in the middle, is right", diff(got, want))
	s.told("notifications", notes, s.count(registered)+s.count(ordered))
	s.told("deliveries", trucks, s.count(dispatched))
	tellers()
	telling.Wait()
	return nil
}

// startCounter runs a counter as a process of its own.
func (s *shop) startCounter() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-bootstrap-server", s.seeds, "-state", s.dir, "count")
	cmd.Stderr = os.Stderr
	return cmd, cmd.Start()
}

// push sends the events of some kinds in order, with the time at which they happened.
func (s *shop) push(ctx context.Context, source string, kinds []string) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(s.seeds), kgo.ClientID(source))
	if err != nil {
		return err
	}
	defer c.Close()
	var mu sync.Mutex
	var failed error
	for i, e := range s.events {
		if e.Kind != kinds[0] && e.Kind != kinds[len(kinds)-1] {
			continue
		}
		value, err := json.Marshal(e)
		if err != nil {
			return err
		}
		r := &kgo.Record{Topic: topicOf[e.Kind], Key: []byte(e.key()), Value: value, Timestamp: e.Time}
		c.Produce(ctx, r, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w", source, err)
			}
		})
		if i%20 == 0 { // the day goes by a little slower than the machine could go
			if err := c.Flush(ctx); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	if err := c.Flush(ctx); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	return failed
}

// await waits until so many events are counted.
func (s *shop) await(ctx context.Context, events int) error {
	for {
		n, err := s.countedEvents()
		if err != nil || n >= events {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d events were counted: %w", n, events, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *shop) countedEvents() (int, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "*.json"))
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for _, f := range files {
		c, err := loadCounted(f)
		if err != nil {
			return 0, err
		}
		n += c.Next
	}
	return int(n), nil
}

func (s *shop) count(kind string) (n int) {
	for _, e := range s.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func (s *shop) ofProducts() int { return len(s.events) - s.count(registered) }

func (s *shop) last() time.Time { return s.events[len(s.events)-1].Time }

// told waits for a group's lines, shows the first few and checks their number.
func (s *shop) told(group string, lines <-chan string, want int) {
	got := 0
	timeout := time.After(30 * time.Second)
	for got < want {
		select {
		case line := <-lines:
			if got++; got <= 3 {
				fmt.Println("  ", line)
			}
			continue
		case <-timeout:
		}
		break
	}
	problem := ""
	if got != want {
		problem = fmt.Sprintf("got %d, want %d", got, want)
	}
	s.check(fmt.Sprintf("%s: %d lines", group, want), problem)
}

// replays rebuilds the table from the topics alone: from the start, and as it was in the middle.
func (s *shop) replays(ctx context.Context) error {
	all, err := replay(ctx, s.seeds, time.Time{})
	if err != nil {
		return err
	}
	s.check("the table rebuilt by replay from the start is the same", diff(all, straight(s.events, s.last())))
	middle := s.events[len(s.events)/2].Time
	then, err := replay(ctx, s.seeds, middle)
	if err != nil {
		return err
	}
	fmt.Printf("\nAs of %s:\n", middle.Format("2 January 2006, 15:04"))
	then.print(os.Stdout)
	s.check("the table as of that time is right", diff(then, straight(s.events, middle)))
	s.check("the lookup by time finds the place", s.lookup(ctx, middle))
	return nil
}

// lookup asks where a point in time is in every partition and counts what is before it.
func (s *shop) lookup(ctx context.Context, at time.Time) string {
	c, err := kgo.NewClient(kgo.SeedBrokers(s.seeds))
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	offsets, err := kadm.NewClient(c).ListOffsetsAfterMilli(ctx, at.UnixMilli()+1, productTopics...)
	if err != nil {
		return err.Error()
	}
	got, want := int64(0), int64(0)
	offsets.Each(func(o kadm.ListedOffset) { got += o.Offset })
	for _, e := range s.events {
		if e.Kind != registered && !e.Time.After(at) {
			want++
		}
	}
	if got != want {
		return fmt.Sprintf("%d events are before it, the offsets say %d", want, got)
	}
	return ""
}

// secondOpinion lets a consumer in another language compute the table.
func (s *shop) secondOpinion(ctx context.Context, python string) error {
	cmd := exec.CommandContext(ctx, python, filepath.Join("examples", "shop", "table.py"), s.seeds)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("the consumer in Python: %w", err)
	}
	got := Table{}
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("the consumer in Python printed %.200q: %w", out, err)
	}
	s.check("a consumer in Python agrees", diff(got, straight(s.events, s.last())))
	return nil
}
