package mirror_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect"
	"github.com/weir/weir/connect/mirror"
	"github.com/weir/weir/internal/kept"
	"github.com/weir/weir/weirtest"
)

// patience bounds what tests wait for.
const patience = 15 * time.Second

// site is a cluster as tests see it.
type site struct {
	t     testing.TB
	addr  string
	kafka *kgo.Client
	*kadm.Client
}

func newSite(t testing.TB, addr string) *site {
	t.Helper()
	k, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.MetadataMinAge(20*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return &site{t, addr, k, kadm.NewClient(k)}
}

func (s *site) create(topic string, partitions int32, configs ...string) {
	s.t.Helper()
	set := map[string]*string{}
	for _, c := range configs {
		name, value, _ := strings.Cut(c, "=")
		set[name] = &value
	}
	if _, err := s.CreateTopic(s.t.Context(), partitions, 1, set, topic); err != nil {
		s.t.Fatalf("creating %s: %v", topic, err)
	}
	eventually(s.t, topic+" has leaders", func() bool { // which a client of Apache Kafka may hear of later
		all, err := s.ListEndOffsets(s.t.Context(), topic)
		return err == nil && all.Error() == nil && len(all[topic]) == int(partitions)
	})
}

func (s *site) produce(records ...*kgo.Record) {
	s.t.Helper()
	if err := s.kafka.ProduceSync(s.t.Context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// numbers are records of a partition whose values are numbers.
func numbers(topic string, partition int32, from, to int) []*kgo.Record {
	var out []*kgo.Record
	for n := from; n < to; n++ {
		out = append(out, &kgo.Record{Topic: topic, Partition: partition, Key: []byte("k"), Value: fmt.Append(nil, n)})
	}
	return out
}

// read gives the first records of a partition, as soon as there are so many.
func (s *site) read(topic string, partition int32, count int) []*kgo.Record {
	s.t.Helper()
	k, err := kgo.NewClient(kgo.SeedBrokers(s.addr), kgo.MetadataMinAge(20*time.Millisecond), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	if err != nil {
		s.t.Fatal(err)
	}
	defer k.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var out []*kgo.Record
	for len(out) < count {
		f := k.PollFetches(ctx)
		if ctx.Err() != nil {
			s.t.Fatalf("%d of %d records of %s-%d", len(out), count, topic, partition)
		}
		out = append(out, f.Records()...)
	}
	return out
}

// commit sets the offsets of a group.
func (s *site) commit(group, topic string, partition int32, at int64) {
	s.t.Helper()
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: topic, Partition: partition, At: at, LeaderEpoch: -1, Metadata: "m"})
	if err := s.CommitAllOffsets(s.t.Context(), group, o); err != nil {
		s.t.Fatal(err)
	}
}

// committed gives the offset of a group; -1: none.
func (s *site) committed(group, topic string, partition int32) int64 {
	s.t.Helper()
	all, err := s.FetchOffsets(s.t.Context(), group)
	if err != nil {
		s.t.Fatal(err)
	}
	o, ok := all.Lookup(topic, partition)
	if !ok {
		return -1
	}
	return o.At
}

// partitions gives the number of a topic's partitions; 0: it is not there.
func (s *site) partitions(topic string) int {
	s.t.Helper()
	all, err := s.ListTopics(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(all[topic].Partitions)
}

// config gives a configuration of a topic.
func (s *site) config(topic, name string) string {
	s.t.Helper()
	all, err := s.DescribeTopicConfigs(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range all[0].Configs {
		if c.Key == name {
			return c.MaybeValue()
		}
	}
	return ""
}

func (s *site) end(topic string, partition int32) int64 {
	s.t.Helper()
	all, err := s.ListEndOffsets(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	o, _ := all.Lookup(topic, partition)
	return o.Offset
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for begun := time.Now(); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > patience {
			t.Fatalf("it does not come to this: %s", what)
		}
	}
}

// worker runs connectors against a cluster.
type worker struct {
	t      testing.TB
	url    string
	target string
	end    func()
}

// work starts a worker whose cluster is the target. more are options, as name=value.
func work(t testing.TB, target string, more ...string) *worker {
	t.Helper()
	options := map[string]string{
		"bootstrap.servers": target, "offset.storage.partitions": "1", "status.storage.partitions": "1", "scheduled.rebalance.max.delay.ms": "0", "offset.flush.interval.ms": "200",
		"offset.storage.replication.factor": "1", "config.storage.replication.factor": "1", "status.storage.replication.factor": "1"}
	for _, o := range more {
		name, value, _ := strings.Cut(o, "=")
		options[name] = value
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logs := &synced{}
	w, err := connect.New(connect.Config{Connectors: mirror.Connectors(), Logger: slog.New(slog.NewTextHandler(logs, nil)), Listener: l, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	w.Start()
	out := &worker{t, "http://" + l.Addr().String(), target, sync.OnceFunc(w.Stop)}
	t.Cleanup(func() {
		out.end()
		if t.Failed() {
			t.Logf("the worker logged:\n%s", logs)
		}
	})
	return out
}

// synced is a buffer for several goroutines.
type synced = kept.Text

// do asks the REST API.
func (w *worker) do(method, path string, body any) (int, []byte) {
	w.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		request, err := http.NewRequest(method, w.url+path, bytes.NewReader(b))
		if err != nil {
			w.t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			w.t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil {
			w.t.Fatal(err)
		}
		if answer.StatusCode != http.StatusServiceUnavailable && answer.StatusCode != http.StatusConflict || time.Since(begun) > patience { // else it is joining its group
			return answer.StatusCode, text
		}
	}
}

// mirror configures a connector that mirrors from one cluster to the worker's.
func (w *worker) mirror(kind, from, source, to string, more map[string]string) {
	w.t.Helper()
	config := map[string]string{
		"connector.class": "org.apache.kafka.connect.mirror.Mirror" + kind + "Connector", "tasks.max": "2",
		"source.cluster.alias": from, "source.cluster.bootstrap.servers": source, "target.cluster.alias": to, "target.cluster.bootstrap.servers": w.target,
		"refresh.topics.interval.seconds": "1", "refresh.groups.interval.seconds": "1", "emit.checkpoints.interval.seconds": "1", "sync.group.offsets.interval.seconds": "1",
		"sync.topic.configs.interval.seconds": "1", "replication.factor": "1", "offset-syncs.topic.replication.factor": "1", "checkpoints.topic.replication.factor": "1",
		"heartbeats.topic.replication.factor": "1",
		"source.cluster.metadata.max.age.ms":  "1000",
	}
	maps.Copy(config, more)
	name := strings.ToLower(kind) + "-" + from + "-" + to
	if as, set := more["name"]; set {
		name = as
	}
	if status, text := w.do("PUT", "/connectors/"+name+"/config", config); status/100 != 2 {
		w.t.Fatalf("%d %s", status, text)
	}
}

// states gives the state of each task of a connector, and what it says.
func (w *worker) states(name string) (out []string, traces string) {
	w.t.Helper()
	_, text := w.do("GET", "/connectors/"+name+"/status", nil)
	var s struct {
		Connector struct{ State, Trace string }
		Tasks     []struct{ State, Trace string }
	}
	if err := json.Unmarshal(text, &s); err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
	traces = s.Connector.Trace
	for _, task := range s.Tasks {
		out = append(out, task.State)
		traces += task.Trace
	}
	return out, traces
}

// two starts two clusters of a node each.
func two(t testing.TB) (a, b *weirtest.Node, as, bs *site) {
	t.Helper()
	a, b = weirtest.Start(t), weirtest.Start(t)
	return a, b, newSite(t, a.Addr()), newSite(t, b.Addr())
}

// setting is a configuration to set; a value of "" takes it back.
type setting struct{ name, value string }

func (s *site) alter(topic string, all ...setting) {
	s.t.Helper()
	var out []kadm.AlterConfig
	for _, a := range all {
		if a.value == "" {
			out = append(out, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: a.name})
		} else {
			out = append(out, kadm.AlterConfig{Op: kadm.SetConfig, Name: a.name, Value: &a.value})
		}
	}
	if _, err := s.AlterTopicConfigs(s.t.Context(), out, topic); err != nil {
		s.t.Fatal(err)
	}
}

func offsets(topic string, partition int32, at int64) kadm.Offsets {
	var o kadm.Offsets
	o.AddOffset(topic, partition, at, -1)
	return o
}
