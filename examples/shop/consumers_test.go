package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// asProgram makes the test binary behave as the shop: counters are processes of their own.
const asProgram = "SHOP_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// cluster starts a stand-in for a Kafka cluster and gives its address.
func cluster(t *testing.T) string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return strings.Join(c.ListenAddrs(), ",")
}

// produce appends records to the shop's topics.
func produce(t *testing.T, seeds string, records ...*kgo.Record) {
	t.Helper()
	c, err := kgo.NewClient(seedBrokers(seeds))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func record(t *testing.T, e Event) *kgo.Record {
	t.Helper()
	value, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: topicOf[e.Kind], Key: []byte(e.key()), Value: value, Timestamp: e.Time}
}

// The whole story, against a cluster that is not Weir; and every check of the replays sees what was tampered with.
func TestWholeShop(t *testing.T) {
	t.Setenv(asProgram, "1")
	seeds := cluster(t)
	var out bytes.Buffer
	if err := run(t.Context(), &out, seeds, false, "no-python-here"); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"counter-1 reads 6 partitions, counter-2 reads 6.",
		"✓ counter-2 went on exactly where it was killed",
		"– left out: the consumer in Python, because no-python-here is not on this machine",
		"\nshop: 9 checks passed, 0 failed\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}

	if err := run(t.Context(), &out, seeds, false, ""); err == nil || !strings.Contains(err.Error(), "run with -again") {
		t.Errorf("a second run says %v, want it to ask for -again", err)
	}

	// Someone orders a piano at the very time that is replayed.
	events := bundled(t)
	stray := Event{Time: events[len(events)/2].Time, Kind: ordered, Customer: "customer-000", Product: "piano", Quantity: 1, Order: "order-9999"}
	produce(t, seeds, record(t, stray))
	out.Reset()
	s := &shop{out: &out, seeds: seeds, events: events}
	if err := s.replays(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.verdict() == nil || s.failed < 2 || !strings.Contains(out.String(), "piano: got {Available:0 Sold:1 Searched:0}, want nothing") ||
		!strings.Contains(out.String(), "shop.orders, key piano: got 1 events, want none") {
		t.Errorf("a stray order was not noticed:\n%s", out.String())
	}

	// Asked to begin again, it leaves nothing of that.
	if err := s.createTopics(t.Context(), true); err != nil {
		t.Fatalf("with -again: %v", err)
	}
	ends, err := endsAt(t.Context(), seeds, time.Time{}, allTopics)
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset != 0 {
			t.Errorf("%s-%d has %d events after -again", o.Topic, o.Partition, o.Offset)
		}
	})
}

// As a program it ends with 1 and the cause when it fails.
func TestExitCode(t *testing.T) {
	for name, args := range map[string][]string{
		"connection refused": {"-bootstrap-server", "127.0.0.1:1"},
		"unknown command":    {"dance"},
		"count with -state":  {"count"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), name) {
			t.Errorf("%q: %v, printed %q, want exit code 1 and %q", args, err, out, name)
		}
	}
}

// A counter that was killed after it wrote its file, before it committed, does not count again.
func TestGoOn(t *testing.T) {
	dir := t.TempDir()
	if err := (counted{Next: 7, Table: Table{"drum": {Sold: 3}}}).save(countedFile(dir, "shop.orders", 1)); err != nil {
		t.Fatal(err)
	}
	given := map[string]map[int32]kgo.Offset{"shop.orders": {0: kgo.NewOffset().At(2), 1: kgo.NewOffset().At(5)}}
	var out bytes.Buffer
	if err := goOn(given, dir, "counter-9", &out); err != nil {
		t.Fatal(err)
	}
	for partition, want := range map[int32]int64{0: 0, 1: 7} { // of partition 0 there is no file: nothing was counted, whatever was committed
		if got := given["shop.orders"][partition].EpochOffset().Offset; got != want {
			t.Errorf("partition %d begins at %d, want %d", partition, got, want)
		}
	}
	if diff := diffLines(strings.Split(strings.TrimSpace(out.String()), "\n"),
		[]string{"counter-9 reads shop.orders-0 from offset 0", "counter-9 reads shop.orders-1 from offset 7"}); diff != "" {
		t.Error(diff)
	}

	if err := os.WriteFile(countedFile(dir, "shop.orders", 1), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := goOn(given, dir, "counter-9", &out); err == nil || !strings.Contains(err.Error(), "shop.orders-1.json") {
		t.Errorf("a damaged file: %v, want an error that names it", err)
	}
}

func TestCountPartition(t *testing.T) {
	dir := t.TempDir()
	file := countedFile(dir, "shop.stock", 2)
	fetched := func(from int64, values ...string) kgo.FetchTopicPartition {
		p := kgo.FetchTopicPartition{Topic: "shop.stock", FetchPartition: kgo.FetchPartition{Partition: 2}}
		for i, v := range values {
			p.Records = append(p.Records, &kgo.Record{Topic: "shop.stock", Partition: 2, Offset: from + int64(i), Value: []byte(v)})
		}
		return p
	}
	const five, two = `{"kind":"delivered","product":"drum","quantity":5}`, `{"kind":"delivered","product":"drum","quantity":2}`
	for _, c := range []struct {
		name    string
		fetched kgo.FetchTopicPartition
		problem string // "" when it is counted
		next    int64
		drums   int
	}{
		{"first", fetched(0, five, two), "", 2, 7},
		{"next", fetched(2, two), "", 3, 9},
		{"again", fetched(2, two), "offset 2 came, the one at 3 is the next", 3, 9},
		{"with a gap", fetched(4, two), "offset 4 came, the one at 3 is the next", 3, 9},
		{"not an event, after one", fetched(3, two, "{"), "shop.stock-2 at offset 4", 3, 9},
		{"after all that", fetched(3, two), "", 4, 11},
	} {
		err := countPartition(dir, c.fetched)
		if c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.problem)
		}
		got, err := loadCounted(file)
		if err != nil || got.Next != c.next || got.Table["drum"].Available != c.drums {
			t.Errorf("%s: %+v, %v, want %d drums up to offset %d", c.name, got, err, c.drums, c.next)
		}
	}

	// What a killed process leaves behind half written is not looked at.
	if err := os.WriteFile(file+".123", []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (counted{Next: 1, Table: Table{"drum": {Searched: 1}}}).save(countedFile(dir, "shop.searches", 0)); err != nil {
		t.Fatal(err)
	}
	table, events, err := tableOfFiles(dir)
	if err != nil || events != 5 || diff(table, Table{"drum": {Available: 11, Searched: 1}}) != "" {
		t.Errorf("all files: %v, %d events, %v", table, events, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "shop.orders-0.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tableOfFiles(dir); err == nil {
		t.Error("a damaged file was counted")
	}
}

// The events are older than the usual retention, and must stay.
func TestTopicsKeepEverything(t *testing.T) {
	s := &shop{seeds: cluster(t)}
	if err := s.createTopics(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	c, err := kgo.NewClient(seedBrokers(s.seeds))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	configs, err := kadm.NewClient(c).DescribeTopicConfigs(t.Context(), allTopics...)
	if err != nil || len(configs) != 5 {
		t.Fatalf("%d topics, %v", len(configs), err)
	}
	for _, topic := range configs {
		for _, config := range topic.Configs {
			if config.Key == "retention.ms" && config.MaybeValue() != "-1" {
				t.Errorf("%s: retention.ms=%s", topic.Name, config.MaybeValue())
			}
		}
	}
}

func TestTell(t *testing.T) {
	seeds := cluster(t)
	s := &shop{out: &bytes.Buffer{}, seeds: seeds, events: bundled(t)}
	if err := s.createTopics(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	sent := Event{Time: s.last(), Kind: dispatched, Customer: "customer-001", Product: "drum", Quantity: 2, Order: "order-0001"}
	produce(t, seeds, record(t, sent))
	lines, err := deliveries.tell(t.Context(), seeds, 1)
	if err != nil || diffLines(lines, []string{"order-0001 leaves for customer-001: 2 × drum"}) != "" {
		t.Fatalf("%q, %v", lines, err)
	}

	// It goes on where it stopped.
	sent.Order = "order-0002"
	produce(t, seeds, record(t, sent))
	lines, err = deliveries.tell(t.Context(), seeds, 1)
	if err != nil || diffLines(lines, []string{"order-0002 leaves for customer-001: 2 × drum"}) != "" {
		t.Fatalf("%q, %v", lines, err)
	}

	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("it is late"))
	if _, err := deliveries.tell(ended, seeds, 1); err == nil || !strings.Contains(err.Error(), "told 0 of 1 events: it is late") {
		t.Fatalf("%v, want to hear how far it was and why it ends", err)
	}

	produce(t, seeds, &kgo.Record{Topic: "shop.orders", Key: []byte("drum"), Value: []byte("not an event")})
	if _, err := notifications.tell(t.Context(), seeds, 1); err == nil || !strings.Contains(err.Error(), "shop.orders-") {
		t.Fatalf("what is no event: %v, want an error that says where it is", err)
	}
}

// A counter that ends unasked stops the shop, and is the cause that is told.
func TestCounterThatEndsUnasked(t *testing.T) {
	t.Setenv(asProgram, "1")
	seeds := cluster(t)
	s := &shop{out: &bytes.Buffer{}, seeds: seeds, dir: t.TempDir(), events: bundled(t)}
	if err := s.createTopics(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	produce(t, seeds, &kgo.Record{Topic: "shop.searches", Key: []byte("drum"), Value: []byte("not an event")}) // only counters read these
	err := s.live(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), " has ended: exit status 1") {
		t.Fatalf("%v, want to hear of the counter", err)
	}
}

func TestSecondOpinion(t *testing.T) {
	events := bundled(t)
	python := func(script string) string {
		file := filepath.Join(t.TempDir(), "python")
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
		return file
	}
	table, err := json.Marshal(straight(events, events[len(events)-1].Time))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(answer string) string { return `[ "$1" = -c ] && exit 0; cat >/dev/null; ` + answer }
	for _, c := range []struct {
		name, python   string
		passed, failed int
		says           string
		problem        string
	}{
		{"agrees", python(ask("echo '" + string(table) + "'")), 1, 0, "✓ a consumer in Python agrees", ""},
		{"disagrees", python(ask(`echo '{"anvil":{"sold":1}}'`)), 0, 1, "anvil: got {Available:0 Sold:1 Searched:0}", ""},
		{"fails", python(ask("exit 3")), 0, 0, "", "exit status 3"},
		{"prints something else", python(ask("echo hello")), 0, 0, "", `printed "hello\n"`},
		{"has no client", python("echo Traceback; echo No module named confluent_kafka; exit 1"), 0, 0, "left out: the consumer in Python, because", ""},
	} {
		var out bytes.Buffer
		s := &shop{out: &out, seeds: "127.0.0.1:1", events: events}
		err := s.secondOpinion(t.Context(), c.python)
		if c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.problem)
		}
		if s.passed != c.passed || s.failed != c.failed || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %d passed, %d failed, printed %q", c.name, s.passed, s.failed, out.String())
		}
	}
}
