package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"github.com/weir/weir/internal/vfs"
)

// sweepEach is how many operations of a kind the sweep fails, spread over the workload; with TEST_SWEEP=all, it fails each one.
const sweepEach = 3

// TestSweep lets one operation of the disk after the other fail in a small workload. Whatever fails: all that was acknowledged
// is there after a power cut, and nothing that was not sent. A full disk passes by itself; a failed write or sync ends the node.
func TestSweep(t *testing.T) {
	counts := map[string]int{}
	disk := vfs.NewFaults(vfs.NewMem())
	w := newWorkload(t, disk)
	var mu sync.Mutex
	disk.OnOp(func(op vfs.Op) {
		mu.Lock()
		counts[op.Kind]++
		mu.Unlock()
	})
	w.run()
	disk.OnOp(nil)
	if err := w.node.Stop(); err != nil {
		t.Fatal(err)
	}
	var cases []sweepCase
	for _, kind := range []string{"create", "write", "mkdir", "rename", "truncate", "remove", "sync", "syncall", "syncdir"} {
		cases = append(cases, sweepCase{kind, unix.ENOSPC}, sweepCase{kind, unix.EIO})
	}
	for _, c := range cases {
		total, failed := counts[c.kind], new(atomic.Int32)
		t.Cleanup(func() { // when all have ended
			if failed.Load() == 0 {
				t.Errorf("no %s failed with %v", c.kind, c.err)
			}
		})
		stride := max(total/sweepEach, 1)
		if os.Getenv("TEST_SWEEP") == "all" {
			stride = 1
		}
		for n := 0; n < total; n += stride {
			t.Run(fmt.Sprintf("%s %d of %d %v", c.kind, n+1, total, c.err), func(t *testing.T) {
				t.Parallel()
				base := vfs.NewMem()
				disk := vfs.NewFaults(base)
				w := newWorkload(t, disk)
				var first atomic.Pointer[vfs.Op]
				disk.Inject(vfs.Fault{Kind: c.kind, After: n, Times: 2, Err: c.err, Write: 10, Before: func(op vfs.Op) { first.CompareAndSwap(nil, &op) }})
				ended := w.run()
				hit := first.Load()
				if hit == nil { // the operations are not quite the same each time
					t.Skip("it did not come to this operation")
				}
				failed.Add(1)
				if ended == nil && c.ends(*hit) {
					select {
					case <-w.node.Failed():
					case <-time.After(10 * time.Second):
						t.Errorf("%+v failed, and the node goes on", *hit)
					}
				}
				if ended != nil && c.passes() {
					t.Errorf("%+v failed, and the node ended with %v", *hit, ended)
				}
				w.remember()
				after := base.CrashClone(nil)
				_ = w.node.Kill()
				w.check(after)
				if t.Failed() {
					t.Logf("what failed first: %+v; the node said:\n%s", *hit, w.out)
				}
			})
		}
	}
}

// sweepCase is a kind of operation and the error that it fails with.
type sweepCase struct {
	kind string
	err  error
}

// ends tells whether the node must end: a sync failed of something that is in use.
func (c sweepCase) ends(op vfs.Op) bool {
	return strings.HasPrefix(c.kind, "sync") && !strings.HasSuffix(op.Name, ".tmp")
}

// passes tells whether the node must go on: nothing was lost, and there is space again.
func (c sweepCase) passes() bool {
	return c.err == unix.ENOSPC && (c.kind == "create" || c.kind == "write" || c.kind == "mkdir")
}

// workload is what the sweep does on a node, and what came of it.
type workload struct {
	t      *testing.T
	node   *Node
	out    *said
	client *kgo.Client
	admin  *kadm.Client

	mu      sync.Mutex       // guards records, while the client is open
	records map[string]int64 // what was sent, with its offset if it was acknowledged, else -1
	known   map[string]int64 // records, when the crash came: what was acknowledged later need not be there
	// The values that were acknowledged last, and sent last.
	committed, committing int64
	option, altering      string
	start, deleting       int64
	made, gone            bool // the second topic
}

func newWorkload(t *testing.T, disk vfs.FS) *workload {
	w := &workload{t: t, records: map[string]int64{}}
	w.node, w.out = mustStart(t, disk, "offsets.topic.num.partitions=2")
	w.connect()
	return w
}

func (w *workload) connect() {
	w.client = client(w.t, w.node, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(20*time.Millisecond), kgo.ProducerBatchCompression(kgo.NoCompression()))
	w.admin = kadm.NewClient(w.client)
}

// run does all steps, each until it is acknowledged, and gives the error that ended the node, if one did.
func (w *workload) run() (ended error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var failed error
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		look := time.NewTicker(20 * time.Millisecond)
		defer look.Stop()
		for !w.offline() {
			select {
			case failed = <-w.node.Failed():
				return
			case <-ctx.Done():
				return
			case <-look.C:
			}
		}
	}()
	for _, s := range w.steps(ctx) {
		for err := s.do(); err != nil; err = s.do() {
			if ctx.Err() != nil {
				break
			}
			if !passing(err) {
				w.t.Errorf("%s: %v", s.what, err)
				break
			}
			<-time.After(20 * time.Millisecond)
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			w.t.Errorf("%s: it goes on too long; the node said:\n%s", s.what, w.out)
		}
		if ctx.Err() != nil {
			break
		}
	}
	cancel()
	<-watched
	return failed
}

// offline tells whether a partition could not be opened, for another reason than a full disk: it is left out until the next start.
func (w *workload) offline() bool {
	return strings.Contains(w.out.String(), "a partition is offline") && strings.Contains(w.out.String(), unix.EIO.Error())
}

// passing tells whether a client would try again.
func passing(err error) bool {
	return kerr.IsRetriable(err) || errors.Is(err, kerr.KafkaStorageError) || errors.Is(err, kerr.UnknownServerError)
}

type workStep struct {
	what string
	do   func() error
}

func (w *workload) steps(ctx context.Context) []workStep {
	segments := "1048576"
	create := func(topic string, done *bool) workStep {
		return workStep{"creating " + topic, func() error {
			resp, err := w.admin.CreateTopic(ctx, 2, 1, map[string]*string{"segment.bytes": &segments}, topic)
			if errors.Is(err, kerr.TopicAlreadyExists) || errors.Is(resp.Err, kerr.TopicAlreadyExists) {
				err, resp.Err = nil, nil
			}
			if err = errors.Join(err, resp.Err); err == nil {
				*done = true
			}
			return err
		}}
	}
	var made bool
	steps := []workStep{create("t", &made), create("second", &w.made)}
	for i := range 4 {
		steps = append(steps, workStep{"producing", func() error { return w.produce(ctx, i) }})
		steps = append(steps, workStep{"committing", func() error { return w.commit(ctx, int64(i+1)) }})
		steps = append(steps, workStep{"altering", func() error { return w.alter(ctx, fmt.Sprint(100_000_000+i)) }})
	}
	return append(steps,
		workStep{"deleting records", func() error { return w.deleteRecords(ctx, 4) }},
		workStep{"deleting a topic", func() error {
			w.gone = true
			resp, err := w.admin.DeleteTopic(ctx, "second")
			if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(resp.Err, kerr.UnknownTopicOrPartition) {
				return nil
			}
			return errors.Join(err, resp.Err)
		}},
		workStep{"producing", func() error { return w.produce(ctx, 4) }},
	)
}

// produce sends some large records at once, each a batch of its own. The client repeats what it is told to repeat.
func (w *workload) produce(ctx context.Context, round int) error {
	var failed error
	for i := range 3 {
		name := fmt.Sprintf("%d-%d", round, i)
		w.mu.Lock()
		w.records[name] = -1
		w.mu.Unlock()
		r := &kgo.Record{Topic: "t", Value: []byte(name + strings.Repeat(" ", 300_000))}
		w.client.Produce(ctx, r, func(r *kgo.Record, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			w.records[name] = r.Offset
		})
	}
	if err := w.client.Flush(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return failed
}

func (w *workload) commit(ctx context.Context, at int64) error {
	w.committing = at
	var offsets kadm.Offsets
	offsets.AddOffset("t", 0, at, -1)
	resp, err := w.admin.CommitOffsets(ctx, "g", offsets)
	if err = errors.Join(err, resp.Error()); err == nil {
		w.committed = at
	}
	return err
}

func (w *workload) alter(ctx context.Context, value string) error {
	w.altering = value
	resp, err := w.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, "t")
	for _, r := range resp {
		err = errors.Join(err, r.Err)
	}
	if err == nil {
		w.option = value
	}
	return err
}

func (w *workload) deleteRecords(ctx context.Context, before int64) error {
	w.deleting = before
	var offsets kadm.Offsets
	offsets.AddOffset("t", 0, before, -1)
	resp, err := w.admin.DeleteRecords(ctx, offsets)
	if err = errors.Join(err, resp.Error()); err == nil {
		w.start = before
	}
	return err
}

// check starts a node on what is left and compares it with what was acknowledged.
func (w *workload) check(disk vfs.FS) {
	w.client.Close()
	n, out, err := start(w.t, disk, "offsets.topic.num.partitions=2")
	if err != nil {
		w.t.Errorf("it does not start again: %v", err)
		return
	}
	w.node = n
	w.connect()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	w.checkRecords(ctx)
	w.checkRest(ctx)
	if err := n.Stop(); err != nil {
		w.t.Errorf("stopping: %v", err)
	}
	if w.t.Failed() {
		w.t.Logf("after the start it said:\n%s", out)
	}
}

// remember makes what was acknowledged until now what must be there.
func (w *workload) remember() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = maps.Clone(w.records)
}

func (w *workload) checkRecords(ctx context.Context) {
	w.mu.Lock() // the client may still be telling what became of the last ones
	sent := maps.Clone(w.records)
	w.mu.Unlock()
	p, err := w.node.set.Lookup("t", 0)
	if err != nil {
		if len(w.known) > 0 {
			w.t.Errorf("the topic: %v", err)
		}
		return
	}
	if s := p.LogStart(); s != w.start && s != w.deleting {
		w.t.Errorf("the log begins at %d, and %d was acknowledged", s, w.start)
	}
	at := map[string]int64{}
	c := client(w.t, w.node, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().At(p.LogStart())}}))
	defer c.Close()
	for next := p.LogStart(); next < p.HighWatermark(); {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			w.t.Errorf("reading: %v", err)
			return
		}
		for _, r := range f.Records() {
			name := strings.TrimSpace(string(r.Value))
			if _, ok := sent[name]; !ok {
				w.t.Errorf("at %d is %.20q, which nobody sent", r.Offset, name)
			}
			if _, twice := at[name]; twice {
				w.t.Errorf("%s is there twice", name)
			}
			at[name], next = r.Offset, r.Offset+1
		}
	}
	for name, offset := range w.known {
		if got, there := at[name]; offset >= p.LogStart() && (!there || got != offset) {
			w.t.Errorf("%s was acknowledged at %d; it is at %d (there: %v)", name, offset, got, there)
		}
	}
	if _, err := w.client.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("after")}).First(); err != nil {
		w.t.Errorf("producing after the start: %v", err)
	}
}

func (w *workload) checkRest(ctx context.Context) {
	if _, err := w.node.set.Lookup("second", 1); w.made && !w.gone && err != nil {
		w.t.Errorf("the second topic: %v", err)
	}
	if w.committing > 0 {
		offsets, err := w.admin.FetchOffsets(ctx, "g")
		got, _ := offsets.Lookup("t", 0)
		if err != nil || w.committed > 0 && (got.At < w.committed || got.At > w.committing) {
			w.t.Errorf("the group is at %d (%v); %d was acknowledged, %d sent", got.At, err, w.committed, w.committing)
		}
	}
	if w.option == "" {
		return
	}
	configs, err := w.admin.DescribeTopicConfigs(ctx, "t")
	if err != nil {
		w.t.Errorf("the configuration: %v", err)
		return
	}
	for _, c := range configs[0].Configs {
		if c.Key == "retention.ms" && c.MaybeValue() != w.option && c.MaybeValue() != w.altering {
			w.t.Errorf("retention.ms is %s; %s was acknowledged, %s sent", c.MaybeValue(), w.option, w.altering)
		}
	}
}
