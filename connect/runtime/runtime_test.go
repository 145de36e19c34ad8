package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/weirtest"
)

// counting is a source of the numbers from 0 on, in two partitions of its own.
type counting struct {
	mu     sync.Mutex
	most   int64               // numbers of a partition
	fail   func(n int64) error // nil: none
	acked  map[string]int64    // what the source was told is kept
	value  func(n int64) any
	starts int
}

func (c *counting) Info() sdk.Info        { return sdk.Info{Class: "Counting", Version: "1"} }
func (c *counting) Options() []sdk.Option { return nil }
func (c *counting) NewTask() sdk.SourceTask {
	return &countingTask{c: c}
}

type countingTask struct {
	c    *counting
	next [2]int64
	from [2]map[string]any
	turn int
}

func (t *countingTask) Start(ctx context.Context, c sdk.SourceContext, _ sdk.Values) error {
	t.c.mu.Lock()
	t.c.starts++
	t.c.mu.Unlock()
	for i := range t.next {
		t.from[i] = map[string]any{"part": strconv.Itoa(i)}
		at, err := c.Position(ctx, t.from[i])
		if err != nil {
			return err
		}
		t.next[i], _ = sdk.Int64Of(at, "next")
		t.c.mu.Lock()
		t.c.acked[strconv.Itoa(i)] = max(t.c.acked[strconv.Itoa(i)], t.next[i]) // what is kept is, whether it was told or not
		t.c.mu.Unlock()
	}
	return nil
}

func (t *countingTask) Poll(ctx context.Context) (out []*sdk.Record, err error) {
	t.turn = 1 - t.turn
	for range 10 {
		n := t.next[t.turn]
		if n == t.c.most {
			break
		}
		if t.c.fail != nil {
			if err := t.c.fail(n); err != nil {
				return nil, err
			}
		}
		t.next[t.turn]++
		var value any = fmt.Sprintf("%d.%d", t.turn, n)
		if t.c.value != nil {
			value = t.c.value(n)
		}
		out = append(out, &sdk.Record{Topic: "numbers", Partition: -1, Key: strconv.Itoa(t.turn), Value: value,
			At: &sdk.Position{Partition: t.from[t.turn], Offset: map[string]any{"next": n + 1}}})
	}
	if len(out) == 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return out, nil
}

func (t *countingTask) Acknowledged(_ context.Context, all []sdk.Position) error {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	for _, p := range all {
		part := p.Partition["part"].(string)
		n, _ := sdk.Int64Of(p.Offset, "next")
		if n < t.c.acked[part] {
			return fmt.Errorf("BUG: %s goes back from %d to %d", part, t.c.acked[part], n)
		}
		t.c.acked[part] = n
	}
	return nil
}

func (t *countingTask) Stop() error { return nil }

// collecting is a sink that remembers what it was given.
type collecting struct {
	mu   sync.Mutex
	got  []string
	fail func(r *sdk.Record) error // nil: none
}

func (c *collecting) Info() sdk.Info        { return sdk.Info{Class: "Collecting", Version: "1"} }
func (c *collecting) Options() []sdk.Option { return nil }
func (c *collecting) NewTask() sdk.SinkTask { return &collectingTask{c: c} }

type collectingTask struct {
	c *collecting
}

func (t *collectingTask) Start(context.Context, sdk.SinkContext, sdk.Values) error { return nil }
func (t *collectingTask) Stop() error                                              { return nil }

func (t *collectingTask) Put(_ context.Context, records []*sdk.Record) error {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	var refused error
	for _, r := range records {
		if t.c.fail != nil {
			if err := t.c.fail(r); err != nil {
				if sdk.CauseOf(err) == sdk.Poison {
					refused = err
					continue
				}
				return err
			}
		}
		t.c.got = append(t.c.got, fmt.Sprint(r.Value))
	}
	return refused
}

func (c *collecting) values() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// place is a runtime with a node to work with.
type place struct {
	t    *testing.T
	r    *Runtime
	node *weirtest.Node
	mu   sync.Mutex
	told []Status
}

var textConverters = map[string]string{
	"key.converter":   "org.apache.kafka.connect.storage.StringConverter",
	"value.converter": "org.apache.kafka.connect.storage.StringConverter",
}

func newPlace(t *testing.T, options map[string]string, node ...weirtest.Option) *place {
	t.Helper()
	p := &place{t: t, node: weirtest.Start(t, node...)}
	kafka := []kgo.Opt{kgo.SeedBrokers(p.node.Addr()), kgo.MetadataMinAge(50 * time.Millisecond)}
	offsets := NewTopicOffsets("connect-offsets", kafka, func(ctx context.Context, admin *kadm.Client) error {
		_, err := admin.CreateTopic(ctx, 5, 1, nil, "connect-offsets")
		if err != nil && !strings.Contains(err.Error(), "TOPIC_ALREADY_EXISTS") {
			return err
		}
		return nil
	})
	all := maps.Clone(textConverters)
	maps.Copy(all, options)
	r, err := New(Config{Options: all, Kafka: kafka, Offsets: offsets, FlushEach: 20 * time.Millisecond, Grace: 5 * time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	r.retryAfter = func(sdk.Cause, int) time.Duration { return 10 * time.Millisecond }
	p.r = r
	return p
}

func (p *place) start(c sdk.Connector, config map[string]string) *Task {
	return p.r.Start(Spec{Connector: "c", Type: c, Config: config, Logger: slog.New(slog.DiscardHandler), Used: func(string) {}, Status: func(s Status) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.told = append(p.told, s)
	}})
}

func (p *place) status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.told) == 0 {
		return Status{}
	}
	return p.told[len(p.told)-1]
}

func (p *place) eventually(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			p.mu.Lock()
			p.t.Fatalf("waited in vain for %s; the task said %+v", what, p.told[max(0, len(p.told)-4):])
		}
	}
}

func stop(task *Task) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	task.Stop(ctx)
}

// giveUp leaves a task as a killed process would: nothing more is kept.
func giveUp(task *Task) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	task.Stop(ctx)
}

// TestNothingIsLost: a source and a sink that end at any time, well or not, and start again, move all that there is, in its order.
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			p := newPlace(t, nil)
			const most = 400
			from, to := &counting{most: most, acked: map[string]int64{}}, &collecting{}
			to.fail = func(*sdk.Record) error {
				if rand.IntN(300) == 0 {
					return sdk.Retry(errors.New("for a moment"))
				}
				return nil
			}
			for _, side := range []struct {
				c      sdk.Connector
				config map[string]string
				done   func() bool
			}{
				{from, nil, func() bool {
					from.mu.Lock()
					defer from.mu.Unlock()
					return from.acked["0"] == most && from.acked["1"] == most
				}},
				{to, map[string]string{"topics": "numbers", "consumer.override.max.poll.records": "20"}, func() bool { return missing(to.values(), most) == "" }},
			} {
				for round := 0; !side.done(); round++ {
					task := p.start(side.c, side.config)
					if round < 4 {
						time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
					} else {
						p.eventually("the end of "+side.c.Info().Class, side.done)
					}
					if rng.IntN(2) == 0 {
						giveUp(task)
					} else {
						stop(task)
					}
				}
			}
			if lost := missing(to.values(), most); lost != "" {
				t.Fatal(lost)
			}
			to.mu.Lock()
			to.fail = nil // in a large batch some record would always fail
			to.mu.Unlock()
			task := p.start(to, map[string]string{"topics": "numbers"})
			p.eventually("all to be kept", p.caughtUp)
			stop(task)
			before := len(to.values())
			p.node.Produce("numbers", "the last")
			task = p.start(to, map[string]string{"topics": "numbers"})
			p.eventually("what is new", func() bool { return len(to.values()) > before })
			stop(task)
			if again := to.values()[before:]; len(again) != 1 {
				t.Errorf("what was kept came again: %v", again)
			}
		})
	}
}

// caughtUp tells whether the sink's offsets are the ends of the topic.
func (p *place) caughtUp() bool {
	admin, err := p.r.admin()
	if err != nil {
		p.t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(p.t.Context(), "numbers")
	if err != nil {
		p.t.Fatal(err)
	}
	offsets, err := p.r.SinkOffsets(p.t.Context(), "c", nil)
	if err != nil {
		return false
	}
	all := true
	ends.Each(func(end kadm.ListedOffset) {
		all = all && (end.Offset == 0 || offsets[sdk.TopicPartition{Topic: end.Topic, Partition: end.Partition}] == end.Offset)
	})
	return all
}

// missing says which of the first numbers is not there, or not in its order the first time.
func missing(got []string, most int64) string {
	next := map[string]int64{"0": 0, "1": 0}
	for _, value := range got {
		part, text, _ := strings.Cut(value, ".")
		n, _ := strconv.ParseInt(text, 10, 64)
		if n > next[part] {
			return fmt.Sprintf("%s came before %s.%d", value, part, next[part])
		}
		next[part] = max(next[part], n+1)
	}
	for part, n := range next {
		if n < most {
			return fmt.Sprintf("%s.%d did not come", part, n)
		}
	}
	return ""
}
