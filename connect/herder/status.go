package herder

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// State is what a connector or task is doing.
type State string

// The states.
const (
	Unassigned State = "UNASSIGNED"
	Running    State = "RUNNING"
	Pausing    State = "PAUSED"
	Failed     State = "FAILED"
	Restarting State = "RESTARTING"
	Ended      State = "STOPPED" // of connectors only
)

// Status is what a worker says of a connector or task.
type Status struct {
	State      State
	Trace      string // "": none
	Worker     string
	Generation int32
	Version    string
	// Cause is the kind of the failure, which Kafka's workers do not tell; "": none.
	Cause string
}

// status is the form of a record's value.
type status struct {
	State      State   `json:"state"`
	Trace      *string `json:"trace"`
	Worker     string  `json:"worker_id"`
	Generation int32   `json:"generation"`
	Version    *string `json:"version"`
	Cause      string  `json:"cause,omitempty"`
}

// TopicUse says that a connector has used a topic.
type TopicUse struct {
	Topic      string `json:"name"`
	Connector  string `json:"connector"`
	Task       int    `json:"task"`
	Discovered int64  `json:"discoverTimestamp"` // ms
}

// Statuses is the state that the records of the status topic make.
type Statuses struct {
	all    map[ID]Status
	topics map[string]map[string]bool // by connector
}

// NewStatuses makes the state of an empty topic.
func NewStatuses() *Statuses {
	return &Statuses{all: map[ID]Status{}, topics: map[string]map[string]bool{}}
}

const (
	statusConnectorPrefix = "status-connector-"
	statusTaskPrefix      = "status-task-"
	statusTopicPrefix     = "status-topic-"
	topicSeparator        = ":connector-"
)

// Get gives the status of a connector or task; false: nothing is known.
func (s *Statuses) Get(id ID) (Status, bool) { v, ok := s.all[id]; return v, ok }

// Tasks gives the numbers of the tasks of a connector whose status is known, in order.
func (s *Statuses) Tasks(connector string) (tasks []int) {
	for id := range s.all {
		if id.Connector == connector && id.Task != Itself {
			tasks = append(tasks, id.Task)
		}
	}
	slices.Sort(tasks)
	return tasks
}

// Topics are those that a connector has used, in order.
func (s *Statuses) Topics(connector string) []string {
	return slices.Sorted(maps.Keys(s.topics[connector]))
}

// Apply reads a record of the topic. An error is a record that nobody can read: it is passed over.
func (s *Statuses) Apply(key string, value []byte) error {
	if rest, ok := strings.CutPrefix(key, statusTopicPrefix); ok {
		at := strings.LastIndex(rest, topicSeparator)
		if at < 0 {
			return fmt.Errorf("the key %q names no connector", key)
		}
		topic, connector := rest[:at], rest[at+len(topicSeparator):]
		if value == nil {
			delete(s.topics[connector], topic)
			return nil
		}
		if s.topics[connector] == nil {
			s.topics[connector] = map[string]bool{}
		}
		s.topics[connector][topic] = true
		return nil
	}
	id := ID{Task: Itself}
	if rest, ok := strings.CutPrefix(key, statusTaskPrefix); ok {
		dash := strings.LastIndexByte(rest, '-')
		n, err := strconv.Atoi(rest[dash+1:])
		if dash < 0 || err != nil || n < 0 {
			return fmt.Errorf("the key %q names no task", key)
		}
		id = ID{rest[:dash], n}
	} else if id.Connector, ok = strings.CutPrefix(key, statusConnectorPrefix); !ok {
		return nil // from a later release
	}
	if value == nil {
		delete(s.all, id)
		return nil
	}
	var v status
	if err := json.Unmarshal(value, &v); err != nil {
		return fmt.Errorf("the status with the key %q is not in Kafka's format: %w", key, err)
	}
	out := Status{State: v.State, Worker: v.Worker, Generation: v.Generation, Cause: v.Cause}
	if v.Trace != nil {
		out.Trace = *v.Trace
	}
	if v.Version != nil {
		out.Version = *v.Version
	}
	s.all[id] = out
	return nil
}

// Supersedes tells whether a status may be written over what is known: one of a worker that had the work once must not hide what the
// worker says that has it now.
func (s *Statuses) Supersedes(id ID, v Status) bool {
	old, ok := s.all[id]
	return !ok || old.Worker == v.Worker || old.Generation <= v.Generation
}

func statusKey(id ID) string {
	if id.Task == Itself {
		return statusConnectorPrefix + id.Connector
	}
	return statusTaskPrefix + id.String()
}

// StatusRecord tells a status.
func StatusRecord(id ID, v Status) Record {
	out := status{State: v.State, Worker: v.Worker, Generation: v.Generation, Cause: v.Cause}
	if v.Trace != "" {
		out.Trace = &v.Trace
	}
	if v.Version != "" {
		out.Version = &v.Version
	}
	return Record{statusKey(id), encode(out)}
}

// ForgetRecord takes back the status of what is no more.
func ForgetRecord(id ID) Record { return Record{statusKey(id), nil} }

// TopicRecord says that a topic is used.
func TopicRecord(u TopicUse) Record {
	return Record{statusTopicPrefix + u.Topic + topicSeparator + u.Connector, encode(map[string]TopicUse{"topic": u})}
}

// ForgetTopicRecord takes it back.
func ForgetTopicRecord(connector, topic string) Record {
	return Record{statusTopicPrefix + topic + topicSeparator + connector, nil}
}
