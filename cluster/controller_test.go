package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir/weir/coordinator/machine"
)

// driver plays the runtime and keeps the log.
type driver struct {
	t   *testing.T
	c   *Controller
	log []machine.Record
	ids byte
}

func newDriver(t *testing.T, brokers int) *driver {
	d := &driver{t: t}
	d.c = NewController(d.config())
	for i := range brokers {
		d.send(RegisterBroker{Broker{ID: int32(i + 1), Endpoints: []Endpoint{{"PLAINTEXT", "h", 9092}}}})
	}
	return d
}

func (d *driver) config() Config {
	return Config{
		NewID: func() UUID { d.ids++; return UUID{d.ids} }, Pick: func(int) int { return 0 },
		Partitions: 2, ReplicationFactor: 1, DeleteTopics: true,
		ValidateTopicConfig: func(name, value string) error {
			if name != "retention.ms" && name != "cleanup.policy" {
				return fmt.Errorf("Unknown topic config name: %s", name)
			}
			if value == "bad" {
				return errors.New("Invalid value bad")
			}
			return nil
		},
		ValidateTopicSet:     func(map[string]string) error { return nil },
		ValidateBrokerConfig: func(string, string, bool) error { return nil },
		ValidateGroupConfig:  func(string, string) error { return nil },
		ApplyConfig: func(_ ResourceKind, _ string, op kmsg.IncrementalAlterConfigOp, _, value *string) (*string, error) {
			if op == kmsg.IncrementalAlterConfigOpDelete {
				return nil, nil
			}
			return value, nil
		},
	}
}

func (d *driver) send(request any) any {
	d.t.Helper()
	e := d.c.Handle(time.Time{}, 1, request)
	for _, r := range e.Records {
		if err := d.c.Replay(r); err != nil {
			d.t.Fatal(err)
		}
		d.log = append(d.log, r)
	}
	if len(e.Replies) != 1 || e.Replies[0].ID != 1 {
		d.t.Fatalf("%d replies", len(e.Replies))
	}
	return e.Replies[0].Value
}

func topic(name string, partitions int32, factor int16) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, factor
	return t
}

func (d *driver) create(validate bool, topics ...kmsg.CreateTopicsRequestTopic) []kmsg.CreateTopicsResponseTopic {
	d.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.Topics, req.ValidateOnly = 7, topics, validate
	return d.send(Request{Body: req}).(*kmsg.CreateTopicsResponse).Topics
}

func assignment(t kmsg.CreateTopicsRequestTopic, replicas ...[]int32) kmsg.CreateTopicsRequestTopic {
	t.NumPartitions, t.ReplicationFactor = -1, -1
	for i, r := range replicas {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(i), r
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	return t
}

func withConfig(t kmsg.CreateTopicsRequestTopic, name string, value *string) kmsg.CreateTopicsRequestTopic {
	c := kmsg.NewCreateTopicsRequestTopicConfig()
	c.Name, c.Value = name, value
	t.Configs = append(t.Configs, c)
	return t
}

func text(s string) *string { return &s }

// TestB074And075CreatingTopics: names, counts, assignments and configurations that are refused, validated or not.
func TestB074And075CreatingTopics(t *testing.T) {
	for _, validate := range []bool{true, false} {
		d := newDriver(t, 2)
		d.create(false, topic("there.is_one", 1, 1))
		gap := assignment(topic("t", 0, 0), []int32{1}, []int32{2})
		gap.ReplicaAssignment[1].Partition = 2
		both := assignment(topic("t", 0, 0), []int32{1})
		both.NumPartitions = 3
		for name, c := range map[string]struct {
			topic kmsg.CreateTopicsRequestTopic
			want  int16
		}{
			"249 letters":         {topic(strings.Repeat("a", 249), 1, 1), 0},
			"250 letters":         {topic(strings.Repeat("a", 250), 1, 1), 17},
			"dot":                 {topic(".", 1, 1), 17},
			"dots":                {topic("..", 1, 1), 17},
			"empty":               {topic("", 1, 1), 17},
			"space":               {topic("a b", 1, 1), 17},
			"metadata log":        {topic(MetadataTopic, 1, 1), 42},
			"there already":       {topic("there.is_one", 1, 1), 36},
			"collides":            {topic("there_is.one", 1, 1), 17},
			"factor too large":    {topic("t", 1, 3), 38},
			"factor 0":            {topic("t", 1, 0), 38},
			"partitions 0":        {topic("t", 0, 1), 37},
			"defaults":            {topic("t1", -1, -1), 0},
			"two replicas":        {topic("t2", 3, 2), 0},
			"assignment":          {assignment(topic("t3", 0, 0), []int32{2, 1}, []int32{1, 2}), 0},
			"gap in assignment":   {gap, 39},
			"assignment and more": {both, 42},
			"broker twice":        {assignment(topic("t", 0, 0), []int32{1, 1}), 39},
			"unknown broker":      {assignment(topic("t", 0, 0), []int32{9}), 39},
			"uneven assignment":   {assignment(topic("t", 0, 0), []int32{1}, []int32{1, 2}), 39},
			"unknown config":      {withConfig(topic("t", 1, 1), "x", text("1")), 40},
			"bad config":          {withConfig(topic("t", 1, 1), "retention.ms", text("bad")), 40},
			"null config":         {withConfig(topic("t", 1, 1), "retention.ms", nil), 40},
			"good config":         {withConfig(topic("t4", 1, 1), "retention.ms", text("5")), 0},
		} {
			before := d.c.Image().TopicCount()
			got := d.create(validate, c.topic)[0]
			if got.ErrorCode != c.want {
				t.Errorf("%s: %d (%v), want %d", name, got.ErrorCode, got.ErrorMessage, c.want)
			}
			if made := d.c.Image().TopicCount() - before; made != 0 && (validate || c.want != 0) || made != 1 && !validate && c.want == 0 {
				t.Errorf("%s: %d topics were made", name, made)
			}
		}
		twice := d.create(validate, topic("twice", 1, 1), topic("twice", 1, 1))
		if len(twice) != 1 || twice[0].ErrorCode != 42 {
			t.Errorf("named twice: %+v", twice)
		}
	}
}

func TestReplicasAreSpread(t *testing.T) {
	d := newDriver(t, 3)
	d.create(false, topic("t", 9, 2))
	first, all := map[int32]int{}, map[int32]int{}
	for _, p := range d.c.Image().Topic("t").Partitions {
		first[p.Replicas[0]]++
		for _, r := range p.Replicas {
			all[r]++
		}
		if p.Replicas[0] == p.Replicas[1] {
			t.Fatalf("a broker holds two replicas: %v", p.Replicas)
		}
	}
	for b := int32(1); b <= 3; b++ {
		if first[b] != 3 || all[b] != 6 {
			t.Errorf("broker %d leads %d and holds %d", b, first[b], all[b])
		}
	}
}

func TestB078And079DeletingAndGrowing(t *testing.T) {
	d := newDriver(t, 1)
	id := d.create(false, withConfig(topic("t", 2, 1), "retention.ms", text("5")))[0].TopicID
	grow := func(count int32) int16 {
		req := kmsg.NewPtrCreatePartitionsRequest()
		g := kmsg.NewCreatePartitionsRequestTopic()
		g.Topic, g.Count, g.Assignment = "t", count, nil
		req.Topics = append(req.Topics, g)
		return d.send(Request{Body: req}).(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode
	}
	for count, want := range map[int32]int16{1: 37, 2: 37, 0: 37} {
		if got := grow(count); got != want {
			t.Errorf("to %d: %d, want %d", count, got, want)
		}
	}
	if got := grow(5); got != 0 || len(d.c.Image().Topic("t").Partitions) != 5 {
		t.Errorf("to 5: %d", got)
	}
	remove := func(name *string, id [16]byte) int16 {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version = 6
		e := kmsg.NewDeleteTopicsRequestTopic()
		e.Topic, e.TopicID = name, id
		req.Topics = append(req.Topics, e)
		return d.send(Request{Body: req}).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode
	}
	if got := remove(nil, [16]byte{99}); got != 100 {
		t.Errorf("unknown id: %d", got)
	}
	if got := remove(text("none"), [16]byte{}); got != 3 {
		t.Errorf("unknown name: %d", got)
	}
	if got := remove(nil, id); got != 0 {
		t.Errorf("by id: %d", got)
	}
	if d.c.Image().Topic("t") != nil || d.c.Image().TopicByID(id) != nil || d.c.Image().Config(Resource{TopicResource, "t"}) != nil {
		t.Error("something of the topic is left")
	}
	if got := d.create(false, topic("t", 1, 1))[0]; got.ErrorCode != 0 || got.TopicID == id {
		t.Errorf("the name is not free: %+v", got)
	}
}

func TestB083AlteringConfigs(t *testing.T) {
	d := newDriver(t, 1)
	d.create(false, topic("t", 1, 1))
	alter := func(validate bool, resource kmsg.ConfigResourceType, name string, pairs ...string) int16 {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.ValidateOnly = validate
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = resource, name
		for _, p := range pairs {
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			key, value, _ := strings.Cut(p, "=")
			c.Name, c.Value = key, &value
			r.Configs = append(r.Configs, c)
		}
		req.Resources = append(req.Resources, r)
		return d.send(Request{Body: req}).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode
	}
	for name, c := range map[string]struct {
		got, want int16
	}{
		"unknown topic":   {alter(false, 2, "none", "retention.ms=1"), 3},
		"unknown config":  {alter(false, 2, "t", "x=1"), 40},
		"key twice":       {alter(false, 2, "t", "retention.ms=1", "retention.ms=2"), 42},
		"unknown broker":  {alter(false, 4, "9", "x=1"), 102},
		"broker no name":  {alter(false, 4, "", "x=1"), 0},
		"group no name":   {alter(false, 32, "", "x=1"), 42},
		"unknown kind":    {alter(false, 77, "t", "x=1"), 42},
		"one bad of two":  {alter(false, 2, "t", "cleanup.policy=delete", "retention.ms=bad"), 40},
		"only validating": {alter(true, 2, "t", "retention.ms=7"), 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
	if set := d.c.Image().Config(Resource{TopicResource, "t"}); len(set) != 0 {
		t.Errorf("refused changes took effect: %v", set)
	}
	if alter(false, 2, "t", "retention.ms=7") != 0 || d.c.Image().Config(Resource{TopicResource, "t"})["retention.ms"] != "7" {
		t.Error("a change did not take effect")
	}
	if got := d.c.TakeChanges(); len(got.Topics) == 0 || !got.Brokers {
		t.Errorf("changes: %+v", got)
	}
}

func TestB033ProducerIDsAreNeverGivenTwice(t *testing.T) {
	d := newDriver(t, 1)
	a := d.send(AllocateProducerIDs{}).(ProducerIDs)
	d.replay()
	b := d.send(AllocateProducerIDs{}).(ProducerIDs)
	if b.First < a.First+a.Count || a.Count < 1 {
		t.Fatalf("%+v then %+v", a, b)
	}
}

// replay starts again from the log.
func (d *driver) replay() {
	d.t.Helper()
	d.c = NewController(d.config())
	for _, r := range d.log {
		if err := d.c.Replay(r); err != nil {
			d.t.Fatal(err)
		}
	}
}

// rewrite adds a snapshot to the log, and gives the number of its records.
func (d *driver) rewrite() int {
	records, ok := d.c.Snapshot()
	if !ok {
		d.t.Fatal("there is no snapshot")
	}
	d.log = append(d.log, records...)
	return len(records)
}

func TestReplayGivesTheSameImage(t *testing.T) {
	d := newDriver(t, 2)
	d.create(false, topic("a", 3, 2), topic("b", 1, 1))
	d.create(false, withConfig(topic("c", 1, 1), "retention.ms", text("5")))
	describe := func() string {
		var b strings.Builder
		for topic := range d.c.Image().Topics() {
			fmt.Fprintf(&b, "%+v %v\n", *topic, d.c.Image().Config(Resource{TopicResource, topic.Name}))
		}
		for broker := range d.c.Image().Brokers() {
			fmt.Fprintf(&b, "%+v\n", *broker)
		}
		return b.String()
	}
	d.send(AllocateProducerIDs{})
	d.send(AllocateProducerIDs{})
	d.create(false, topic("gone", 1, 1))
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.TopicNames = []string{"gone"}
	d.send(Request{Body: del})
	before := describe()
	old := d.c.Image()
	d.replay()
	if after := describe(); after != before {
		t.Fatalf("before:\n%s\nafter:\n%s", before, after)
	}
	d.rewrite()
	d.replay() // what was before, and the snapshot: as after a crash before the log was trimmed
	if after := describe(); after != before || d.c.Image().Version() < old.Version() {
		t.Fatalf("before:\n%s\nafter its log was rewritten:\n%s", before, after)
	}
	d.log = d.log[len(d.log)-d.rewrite():]
	d.replay()
	if after := describe(); after != before || d.c.Image().Version() < old.Version() {
		t.Fatalf("before:\n%s\nafter its log was rewritten and trimmed:\n%s", before, after)
	}
	if got := d.send(AllocateProducerIDs{}).(ProducerIDs); got.First != 2*producerIDBlock {
		t.Fatalf("producer ids go on at %d", got.First)
	}
	d.create(false, topic("d", 1, 1))
	if old.Topic("d") != nil || old.TopicCount() != 3 {
		t.Fatal("an image changed")
	}
}

func TestUnknownRecordIsRefused(t *testing.T) {
	d := newDriver(t, 1)
	err := d.c.Replay(machine.Record{Key: []byte("novelty"), Value: []byte("{}")})
	if err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Fatal(err)
	}
	if err := d.c.Replay(machine.Record{Key: []byte(kindTopic), Value: []byte("{")}); err == nil {
		t.Fatal("a damaged record is accepted")
	}
}
