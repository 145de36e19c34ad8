package herder

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Target is the state that somebody wants a connector in.
type Target string

// The targets.
const (
	Started Target = "STARTED"
	Paused  Target = "PAUSED"  // its tasks are there and wait
	Stopped Target = "STOPPED" // it has no tasks
)

// Connector is what the config topic says of one. What it points to is never changed, only replaced.
type Connector struct {
	Config map[string]string
	Target Target
	Tasks  []map[string]string // the options of each; with them of all that were committed together
	// Version is another one whenever the Config was written, TasksVersion when the Tasks were.
	Version, TasksVersion int64
	// Inconsistent tasks were committed, but not all of them are there: the topic lost some. They cannot run until they are written anew.
	Inconsistent bool
}

// SessionKey is what workers sign their requests to each other with.
type SessionKey struct {
	Key       []byte `json:"key"`
	Algorithm string `json:"algorithm"`
	Created   int64  `json:"creation-timestamp"` // ms
}

// Configs is the state that the records of the config topic make.
type Configs struct {
	// Next is the offset behind the last record.
	Next       int64
	connectors map[string]*Connector
	written    map[string]map[int]map[string]string // tasks that are not committed yet
	targets    map[string]Target                    // also of those whose config is still to come
	Key        *SessionKey
}

// NewConfigs makes the state of an empty topic.
func NewConfigs() *Configs {
	return &Configs{connectors: map[string]*Connector{}, written: map[string]map[int]map[string]string{}, targets: map[string]Target{}}
}

// Event tells what a record has changed. Its zero value: nothing that anybody has to know.
type Event struct {
	Kind      EventKind
	Connector string // or the logger
	Restart   Restart
	Level     string
}

// EventKind is what has changed.
type EventKind int

// The kinds of events.
const (
	Nothing EventKind = iota
	ConfigWritten
	ConnectorRemoved
	TasksCommitted
	TargetWritten
	KeyWritten
	RestartRequested
	LevelSet
)

// Restart is a request that workers restart what they have of a connector.
type Restart struct {
	OnlyFailed   bool `json:"only-failed"`
	IncludeTasks bool `json:"include-tasks"`
}

const (
	connectorPrefix = "connector-"
	taskPrefix      = "task-"
	commitPrefix    = "commit-"
	targetPrefix    = "target-state-"
	restartPrefix   = "restart-connector-"
	fencingPrefix   = "tasks-fencing-"
	loggerPrefix    = "logger-cluster-"
	sessionKeyKey   = "session-key"
)

// Connector gives one; nil: there is none with this name.
func (c *Configs) Connector(name string) *Connector { return c.connectors[name] }

// Names are those of all connectors, in order.
func (c *Configs) Names() []string { return slices.Sorted(maps.Keys(c.connectors)) }

// Work is all there is to be run.
func (c *Configs) Work() Work {
	w := Work{}
	for name, connector := range c.connectors {
		w[ID{name, Itself}] = true
		if connector.Inconsistent {
			continue
		}
		for i := range connector.Tasks {
			w[ID{name, i}] = true
		}
	}
	return w
}

// Apply reads a record of the topic. value nil: a tombstone. An error is a record that nobody can read: it is passed over.
func (c *Configs) Apply(offset int64, key string, value []byte) (Event, error) {
	c.Next = offset + 1
	name, kind := key, ""
	for _, prefix := range []string{targetPrefix, connectorPrefix, commitPrefix, taskPrefix, restartPrefix, fencingPrefix, loggerPrefix} {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			name, kind = rest, prefix
			break
		}
	}
	var err error
	var e Event
	switch {
	case kind == connectorPrefix:
		e, err = c.connector(offset, name, value)
	case kind == taskPrefix:
		err = c.task(name, value)
	case kind == commitPrefix:
		e, err = c.commit(offset, name, value)
	case kind == targetPrefix:
		e, err = c.target(name, value)
	case kind == restartPrefix && value != nil:
		e = Event{Kind: RestartRequested, Connector: name}
		err = json.Unmarshal(value, &e.Restart)
	case kind == loggerPrefix && value != nil:
		var level struct{ Level string }
		err = json.Unmarshal(value, &level)
		e = Event{Kind: LevelSet, Connector: name, Level: level.Level}
	case key == sessionKeyKey && value != nil:
		var k SessionKey
		if err = json.Unmarshal(value, &k); err == nil {
			c.Key, e = &k, Event{Kind: KeyWritten}
		}
	}
	if err != nil {
		return Event{}, fmt.Errorf("the record at offset %d of the config topic, with the key %q, is not in Kafka's format: %w", offset, key, err)
	}
	return e, nil
}

type properties struct {
	Properties map[string]string `json:"properties"`
}

func (c *Configs) connector(offset int64, name string, value []byte) (Event, error) {
	if value == nil {
		if c.connectors[name] == nil {
			return Event{}, nil
		}
		delete(c.connectors, name)
		delete(c.written, name)
		return Event{Kind: ConnectorRemoved, Connector: name}, nil
	}
	var p properties
	if err := json.Unmarshal(value, &p); err != nil {
		return Event{}, err
	}
	next := Connector{Target: Started}
	if old := c.connectors[name]; old != nil {
		next = *old
	} else if target, ok := c.targets[name]; ok {
		next.Target = target
	}
	next.Config, next.Version = p.Properties, offset
	c.connectors[name] = &next
	return Event{Kind: ConfigWritten, Connector: name}, nil
}

func (c *Configs) task(key string, value []byte) error {
	dash := strings.LastIndexByte(key, '-')
	if dash < 0 {
		return fmt.Errorf("it names no task")
	}
	n, err := strconv.Atoi(key[dash+1:])
	if err != nil || n < 0 {
		return fmt.Errorf("%q is no task's number", key[dash+1:])
	}
	if value == nil {
		return nil
	}
	var p properties
	if err := json.Unmarshal(value, &p); err != nil {
		return err
	}
	name := key[:dash]
	if c.written[name] == nil {
		c.written[name] = map[int]map[string]string{}
	}
	c.written[name][n] = p.Properties
	return nil
}

// commit puts the tasks that were written into effect, all at once. Compaction may have taken away tasks that were written before
// this commit and once more after it; then the next commit, which follows, makes it whole.
func (c *Configs) commit(offset int64, name string, value []byte) (Event, error) {
	if value == nil {
		return Event{}, nil
	}
	var count struct{ Tasks int }
	if err := json.Unmarshal(value, &count); err != nil {
		return Event{}, err
	}
	old := c.connectors[name]
	if old == nil {
		delete(c.written, name)
		return Event{}, nil // left over from one that was deleted
	}
	next := *old
	next.TasksVersion, next.Inconsistent = offset, false
	next.Tasks = make([]map[string]string, max(count.Tasks, 0))
	for i := range next.Tasks {
		if written, ok := c.written[name][i]; ok {
			next.Tasks[i] = written
		} else if i < len(old.Tasks) && old.Tasks[i] != nil {
			next.Tasks[i] = old.Tasks[i]
		} else {
			next.Inconsistent = true
		}
	}
	delete(c.written, name)
	c.connectors[name] = &next
	return Event{Kind: TasksCommitted, Connector: name}, nil
}

func (c *Configs) target(name string, value []byte) (Event, error) {
	target := Started
	if value != nil {
		var t struct {
			State Target
			V2    Target `json:"state.v2"`
		}
		if err := json.Unmarshal(value, &t); err != nil {
			return Event{}, err
		}
		if target = t.State; t.V2 != "" {
			target = t.V2
		}
		if target != Started && target != Paused && target != Stopped {
			return Event{}, fmt.Errorf("%q is no state", target)
		}
		c.targets[name] = target
	} else {
		delete(c.targets, name)
	}
	old := c.connectors[name]
	if old == nil || old.Target == target {
		return Event{}, nil
	}
	next := *old
	next.Target = target
	c.connectors[name] = &next
	return Event{Kind: TargetWritten, Connector: name}, nil
}

// Record is one to write to a topic. A Value of nil is a tombstone.
type Record struct {
	Key   string
	Value []byte
}

func encode(v any) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("BUG: a record cannot be written as JSON: " + err.Error())
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}

// ConfigRecord sets a connector's options.
func ConfigRecord(name string, config map[string]string) Record {
	return Record{connectorPrefix + name, encode(properties{config})}
}

// TargetRecord sets the state that a connector shall be in. Workers before Kafka 3.5 know no STOPPED: for them it is paused.
func TargetRecord(name string, t Target) Record {
	v1 := t
	if t == Stopped {
		v1 = Paused
	}
	return Record{targetPrefix + name, encode(struct {
		State Target `json:"state"`
		V2    Target `json:"state.v2"`
	}{v1, t})}
}

// TaskRecords set the options of all of a connector's tasks. The last of them puts the others into effect, so it has to be written when
// they are durable.
func TaskRecords(name string, tasks []map[string]string) []Record {
	var out []Record
	for i, t := range tasks {
		out = append(out, Record{taskPrefix + ID{name, i}.String(), encode(properties{t})})
	}
	return append(out, Record{commitPrefix + name, encode(struct {
		Tasks int `json:"tasks"`
	}{len(tasks)})})
}

// RemoveRecords delete a connector.
func RemoveRecords(name string) []Record {
	return []Record{{connectorPrefix + name, nil}, {targetPrefix + name, nil}}
}

// RestartRecord asks for a restart.
func RestartRecord(name string, r Restart) Record { return Record{restartPrefix + name, encode(r)} }

// LevelRecord sets the level of a logger on all workers.
func LevelRecord(logger, level string) Record {
	return Record{loggerPrefix + logger, encode(map[string]string{"level": level})}
}

// KeyRecord hands out a session key.
func KeyRecord(k SessionKey) Record { return Record{sessionKeyKey, encode(k)} }
