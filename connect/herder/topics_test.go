package herder

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestConfigs reads records as Kafka's own workers write them.
func TestConfigs(t *testing.T) {
	const started, stopped = `{"state":"STARTED","state.v2":"STARTED"}`, `{"state":"PAUSED","state.v2":"STOPPED"}`
	config := `{"properties":{"connector.class":"C","name":"a"}}`
	task := func(n int) string { return fmt.Sprintf(`{"properties":{"n":"%d"}}`, n) }
	tests := map[string]struct {
		records [][2]string // "": a tombstone
		want    string
		last    Event
	}{
		"nothing":            {want: ""},
		"a connector":        {[][2]string{{"connector-a", config}}, "a STARTED map[connector.class:C name:a] []", Event{Kind: ConfigWritten, Connector: "a"}},
		"its state first":    {[][2]string{{"target-state-a", stopped}, {"connector-a", config}}, "a STOPPED map[connector.class:C name:a] []", Event{Kind: ConfigWritten, Connector: "a"}},
		"a state of old":     {[][2]string{{"connector-a", config}, {"target-state-a", `{"state":"PAUSED"}`}}, "a PAUSED map[connector.class:C name:a] []", Event{Kind: TargetWritten, Connector: "a"}},
		"a state as it was":  {[][2]string{{"connector-a", config}, {"target-state-a", started}}, "a STARTED map[connector.class:C name:a] []", Event{}},
		"a state taken back": {[][2]string{{"connector-a", config}, {"target-state-a", stopped}, {"target-state-a", ""}}, "a STARTED map[connector.class:C name:a] []", Event{Kind: TargetWritten, Connector: "a"}},
		"tasks uncommitted":  {[][2]string{{"connector-a", config}, {"task-a-0", task(0)}}, "a STARTED map[connector.class:C name:a] []", Event{}},
		"tasks": {[][2]string{{"connector-a", config}, {"task-a-0", task(0)}, {"task-a-1", task(1)}, {"commit-a", `{"tasks":2}`}},
			"a STARTED map[connector.class:C name:a] [map[n:0] map[n:1]]", Event{Kind: TasksCommitted, Connector: "a"}},
		"fewer tasks": {[][2]string{{"connector-a", config}, {"task-a-0", task(0)}, {"task-a-1", task(1)}, {"commit-a", `{"tasks":2}`}, {"commit-a", `{"tasks":1}`}},
			"a STARTED map[connector.class:C name:a] [map[n:0]]", Event{Kind: TasksCommitted, Connector: "a"}},
		"tasks that compaction took": {[][2]string{{"connector-a", config}, {"task-a-1", task(1)}, {"commit-a", `{"tasks":2}`}},
			"a STARTED map[connector.class:C name:a] [map[] map[n:1]] inconsistent", Event{Kind: TasksCommitted, Connector: "a"}},
		"tasks made whole": {[][2]string{{"connector-a", config}, {"task-a-1", task(1)}, {"commit-a", `{"tasks":2}`}, {"task-a-0", task(5)}, {"commit-a", `{"tasks":2}`}},
			"a STARTED map[connector.class:C name:a] [map[n:5] map[n:1]]", Event{Kind: TasksCommitted, Connector: "a"}},
		"deleted":          {[][2]string{{"connector-a", config}, {"task-a-0", task(0)}, {"connector-a", ""}, {"target-state-a", ""}}, "", Event{}},
		"deleted and anew": {[][2]string{{"connector-a", config}, {"task-a-0", task(0)}, {"commit-a", `{"tasks":1}`}, {"connector-a", ""}, {"connector-a", config}}, "a STARTED map[connector.class:C name:a] []", Event{Kind: ConfigWritten, Connector: "a"}},
		"a name with dashes": {[][2]string{{"connector-x-1", config}, {"task-x-1-0", task(0)}, {"commit-x-1", `{"tasks":1}`}},
			"x-1 STARTED map[connector.class:C name:a] [map[n:0]]", Event{Kind: TasksCommitted, Connector: "x-1"}},
		"a restart": {[][2]string{{"restart-connector-a", `{"only-failed":true,"include-tasks":false}`}}, "", Event{Kind: RestartRequested, Connector: "a", Restart: Restart{OnlyFailed: true}}},
		"a level":   {[][2]string{{"logger-cluster-x.y", `{"level":"DEBUG"}`}}, "", Event{Kind: LevelSet, Connector: "x.y", Level: "DEBUG"}},
		"fencing":   {[][2]string{{"tasks-fencing-a", `{"tasks":1}`}}, "", Event{}},
		"unknown":   {[][2]string{{"something", `?`}}, "", Event{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := NewConfigs()
			var last Event
			for i, r := range test.records {
				var value []byte
				if r[1] != "" {
					value = []byte(r[1])
				}
				var err error
				if last, err = c.Apply(int64(i), r[0], value); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, name := range c.Names() {
				v := c.Connector(name)
				line := fmt.Sprint(name, " ", v.Target, " ", v.Config, " ", v.Tasks)
				if v.Inconsistent {
					line += " inconsistent"
				}
				got = append(got, line)
			}
			if s := strings.Join(got, "\n"); s != test.want || last != test.last || c.Next != int64(len(test.records)) {
				t.Errorf("got %q and %+v, next %d\nwant %q and %+v", s, last, c.Next, test.want, test.last)
			}
		})
	}
}

// TestConfigRecords: what is written is read back, and looks as Kafka's own workers write it.
func TestConfigRecords(t *testing.T) {
	tests := []struct {
		record Record
		want   string
	}{
		{ConfigRecord("a", map[string]string{"b": "<2>", "a": "1"}), `connector-a {"properties":{"a":"1","b":"<2>"}}`},
		{TargetRecord("a", Started), `target-state-a {"state":"STARTED","state.v2":"STARTED"}`},
		{TargetRecord("a", Stopped), `target-state-a {"state":"PAUSED","state.v2":"STOPPED"}`},
		{TaskRecords("a", []map[string]string{{"x": "y"}})[0], `task-a-0 {"properties":{"x":"y"}}`},
		{TaskRecords("a", []map[string]string{{"x": "y"}})[1], `commit-a {"tasks":1}`},
		{RestartRecord("a", Restart{true, false}), `restart-connector-a {"only-failed":true,"include-tasks":false}`},
		{LevelRecord("x", "INFO"), `logger-cluster-x {"level":"INFO"}`},
		{KeyRecord(SessionKey{[]byte{1, 2}, "HmacSHA256", 7}), `session-key {"key":"AQI=","algorithm":"HmacSHA256","creation-timestamp":7}`},
		{StatusRecord(ID{"a", Itself}, Status{State: Running, Worker: "h:1", Generation: 3}), `status-connector-a {"state":"RUNNING","trace":null,"worker_id":"h:1","generation":3,"version":null}`},
		{StatusRecord(ID{"a", 2}, Status{State: Failed, Trace: "no", Worker: "h:1", Version: "1"}), `status-task-a-2 {"state":"FAILED","trace":"no","worker_id":"h:1","generation":0,"version":"1"}`},
		{TopicRecord(TopicUse{"t", "a", 1, 5}), `status-topic-t:connector-a {"topic":{"name":"t","connector":"a","task":1,"discoverTimestamp":5}}`},
	}
	for _, test := range tests {
		if got := test.record.Key + " " + string(test.record.Value); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		if _, err := NewConfigs().Apply(0, test.record.Key, test.record.Value); err != nil && !strings.HasPrefix(test.record.Key, "status") {
			t.Error(err)
		}
	}
	for _, bad := range []Record{{"connector-a", []byte("x")}, {"task-a", []byte("{}")}, {"task-a-x", nil}, {"target-state-a", []byte(`{"state":"HALF"}`)}, {"commit-a", []byte("[]")}} {
		if e, err := NewConfigs().Apply(4, bad.Key, bad.Value); err == nil || e != (Event{}) {
			t.Errorf("%s %s is taken as %+v", bad.Key, bad.Value, e)
		}
	}
}

// TestStatuses follows records to what is known.
func TestStatuses(t *testing.T) {
	s := NewStatuses()
	apply := func(r Record) {
		t.Helper()
		if err := s.Apply(r.Key, r.Value); err != nil {
			t.Fatal(err)
		}
	}
	connector, task := ID{"a-1", Itself}, ID{"a-1", 12}
	failed := Status{State: Failed, Trace: "x", Worker: "w:1", Generation: 4, Version: "2", Cause: "transient"}
	apply(StatusRecord(connector, Status{State: Running, Worker: "w:1"}))
	apply(StatusRecord(task, failed))
	apply(StatusRecord(ID{"a-1", 3}, Status{State: Running}))
	apply(TopicRecord(TopicUse{Topic: "t:connector-x", Connector: "a-1"}))
	apply(TopicRecord(TopicUse{Topic: "b", Connector: "a-1"}))
	if got, _ := s.Get(task); got != failed {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(s.Tasks("a-1"), []int{3, 12}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(s.Topics("a-1"), []string{"b", "t:connector-x"}); diff != "" {
		t.Error(diff)
	}
	for status, want := range map[Status]bool{
		{Worker: "w:2", Generation: 3}: false, {Worker: "w:2", Generation: 4}: true, {Worker: "w:1", Generation: 1}: true,
	} {
		if got := s.Supersedes(task, status); got != want {
			t.Errorf("%+v over %+v: %v", status, failed, got)
		}
	}
	apply(ForgetRecord(task))
	apply(ForgetTopicRecord("a-1", "b"))
	if _, ok := s.Get(task); ok || len(s.Topics("a-1")) != 1 {
		t.Error("what was taken back is still known")
	}
	for _, key := range []string{"status-task-a", "status-task-a-b", "status-topic-x"} {
		if s.Apply(key, []byte("{}")) == nil {
			t.Errorf("%s is taken", key)
		}
	}
}

func drawWork(t *rapid.T) Work {
	w := Work{}
	for _, id := range rapid.SliceOf(rapid.Custom(func(t *rapid.T) ID {
		return ID{rapid.StringMatching(`[a-c]{1,2}`).Draw(t, "name"), rapid.IntRange(Itself, 400).Draw(t, "task")}
	})).Draw(t, "work") {
		w[id] = true
	}
	return w
}

// TestProtocol: what workers tell each other comes back as it was, and cut off it is an error and no panic.
func TestProtocol(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		protocol := rapid.SampledFrom([]string{Sessioned, Compatible}).Draw(t, "protocol")
		a := Assignment{
			Mismatch: rapid.Bool().Draw(t, "mismatch"), Leader: rapid.String().Draw(t, "leader"), LeaderURL: "http://x:1/",
			Offset: rapid.Int64().Draw(t, "offset"), Add: drawWork(t), Revoke: drawWork(t), DelayMs: rapid.Int32().Draw(t, "delay"),
		}
		b := a.Encode(protocol)
		back, err := DecodeAssignment(b)
		if diff := cmp.Diff(a, back); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
		if _, err := DecodeAssignment(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]); err == nil {
			t.Fatal("cut off, it is taken")
		}
		m := Metadata{URL: "http://y/", Offset: 5, Owns: a, Has: rapid.Bool().Draw(t, "has")}
		if !m.Has {
			m.Owns = Assignment{}
		}
		b = m.Encode(protocol)
		got, err := DecodeMetadata(b)
		if diff := cmp.Diff(m, got); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
		_, _ = DecodeAssignment(rapid.SliceOf(rapid.Byte()).Draw(t, "noise"))
		_, _ = DecodeMetadata(rapid.SliceOf(rapid.Byte()).Draw(t, "noise"))
	})
	// As Kafka writes it: version, error, leader, leader's URL, offset, one connector with itself and task 0, null for nothing revoked.
	b := []byte("\x00\x02\x00\x00\x00\x01l\x00\x01u\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x01\x00\x01c\x00\x00\x00\x02\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x05")
	a, err := DecodeAssignment(b)
	if err != nil || a.Leader != "l" || a.Offset != 9 || a.DelayMs != 5 || !maps.Equal(a.Add, NewWork(ID{"c", Itself}, ID{"c", 0})) {
		t.Errorf("%v %+v", err, a)
	}
}
