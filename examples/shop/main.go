package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 3 // of each topic

var (
	allTopics = slices.Sorted(maps.Values(topicOf))
	groups    = []string{"deliveries", "notifications", "stock-table"}
)

func main() {
	seeds := flag.String("bootstrap-server", "127.0.0.1:9092", "where the cluster is: a broker, or several with commas between")
	again := flag.Bool("again", false, "first delete the shop's topics and groups that an earlier run left")
	python := flag.String("python", "python3", "a Python with confluent-kafka, for the second opinion")
	dir := flag.String("state", "", "count: the folder of the counted tables")
	name := flag.String("name", "", "count: the member's name in the group")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch command := flag.Arg(0); {
	case command == "count" && *dir != "" && *name != "":
		err = countProducts(ctx, *seeds, *dir, *name, os.Stdout)
	case command == "generate":
		_, err = os.Stdout.Write(writeEvents(generate()))
	case command == "connect":
		err = runConnected(ctx, os.Stdout, *seeds)
	case command == "port":
		err = printPort(os.Stdout)
	case command == "":
		err = run(ctx, os.Stdout, *seeds, *again, *python)
	default:
		err = fmt.Errorf("unknown command %q: generate, count with -state and -name, or none to run the whole shop", flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// shop is one run of the example.
type shop struct {
	out            io.Writer
	seeds          string
	dir            string // where the counters keep their tables
	events         []Event
	passed, failed int
}

// seedBrokers gives the brokers that a client asks first.
func seedBrokers(addresses string) kgo.Opt { return kgo.SeedBrokers(strings.Split(addresses, ",")...) }

func (s *shop) printf(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format, args...) }

// check notes whether something is right; problem tells what is not.
func (s *shop) check(what, problem string) {
	if problem == "" {
		s.passed++
		s.printf("✓ %s\n", what)
		return
	}
	s.failed++
	s.printf("✗ %s\n%s\n", what, problem)
}

// verdict closes the run.
func (s *shop) verdict() error {
	s.printf("\nshop: %d checks passed, %d failed\n", s.passed, s.failed)
	if s.failed > 0 {
		return fmt.Errorf("%d checks failed", s.failed)
	}
	return nil
}

// run plays the whole story.
func run(ctx context.Context, out io.Writer, seeds string, again bool, python string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the shop had a minute for everything"))
	defer cancel()
	events, err := loadEvents()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "shop-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s := &shop{out: out, seeds: seeds, dir: dir, events: events}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return s.createTopics(ctx, again) },
		s.live,
		s.replays,
		func(ctx context.Context) error { return s.secondOpinion(ctx, python) },
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return s.verdict()
}

func (s *shop) createTopics(ctx context.Context, again bool) error {
	c, err := kgo.NewClient(seedBrokers(s.seeds))
	if err != nil {
		return err
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	if again {
		if err := deleteAll(ctx, admin); err != nil {
			return err
		}
	}
	// The events are of January 2026; with the usual retention of a week they would soon be gone.
	keep := "-1"
	created, err := admin.CreateTopics(ctx, partitions, -1, map[string]*string{"retention.ms": &keep}, allTopics...)
	if err == nil {
		err = created.Error()
	}
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return errors.New("an earlier run left its topics here: run with -again to delete them first")
	}
	if err != nil {
		return fmt.Errorf("creating topics: %w", err)
	}
	return nil
}

// deleteAll deletes the shop's groups and topics. Groups go first: what they have read means nothing in new topics.
func deleteAll(ctx context.Context, admin *kadm.Client) error {
	var deletedGroups kadm.DeleteGroupResponses
	err := poll(ctx, func() (done bool, err error) {
		deletedGroups, err = admin.DeleteGroups(ctx, groups...)
		return err == nil, err
	}, func() string { return "no coordinator for the groups to delete" })
	if err != nil {
		return fmt.Errorf("deleting groups: %w", err)
	}
	for _, g := range deletedGroups.Sorted() {
		if g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound) {
			return fmt.Errorf("deleting group %s: %w", g.Group, g.Err)
		}
	}
	deletedTopics, err := admin.DeleteTopics(ctx, allTopics...)
	if err != nil {
		return fmt.Errorf("deleting topics: %w", err)
	}
	for _, t := range deletedTopics.Sorted() {
		if t.Err != nil && !errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("deleting topic %s: %w", t.Topic, t.Err)
		}
	}
	return nil
}

func (s *shop) count(kind string) (n int) {
	for _, e := range s.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// ofProducts is how many events the table is made of.
func (s *shop) ofProducts() int { return len(s.events) - s.count(registered) }

func (s *shop) last() time.Time { return s.events[len(s.events)-1].Time }

//go:embed table.py
var tablePy []byte

// secondOpinion lets a consumer in another language compute the table.
func (s *shop) secondOpinion(ctx context.Context, python string) error {
	leftOut := func(why string) { s.printf("– left out: the consumer in Python, because %s\n", why) }
	if _, err := exec.LookPath(python); err != nil {
		leftOut(python + " is not on this machine")
		return nil
	}
	if out, err := exec.CommandContext(ctx, python, "-c", "import confluent_kafka").CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		leftOut(fmt.Sprintf("%s cannot import confluent_kafka (%s); pip install confluent-kafka", python, lines[len(lines)-1]))
		return nil
	}
	cmd := exec.CommandContext(ctx, python, "-", s.seeds)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(tablePy), os.Stderr
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
