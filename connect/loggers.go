package connect

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir/weir/connect/herder"
)

// The loggers that are not a connector's.
const (
	rootLogger       = "root"
	sinkTaskLogger   = "org.apache.kafka.connect.runtime.WorkerSinkTask"
	sourceTaskLogger = "org.apache.kafka.connect.runtime.WorkerSourceTask"
)

// loggers are the levels that requests can change: the worker's, that of all tasks of a kind, and of each connector by its class.
type loggers struct {
	root *slog.LevelVar // nil: it cannot be changed
	mu   sync.Mutex
	own  map[string]*logLevel
}

type logLevel struct {
	level    atomic.Int64
	set      atomic.Bool
	modified atomic.Int64 // ms; 0: never
}

func newLoggers(root *slog.LevelVar, p plugins) *loggers {
	l := &loggers{root: root, own: map[string]*logLevel{}}
	for _, name := range append([]string{rootLogger, sinkTaskLogger, sourceTaskLogger}, p.classes(sinkKind, sourceKind)...) {
		l.own[name] = &logLevel{}
	}
	return l
}

// levelNames are those of log4j, which the REST API has, and what they are here.
var levelNames = []struct {
	name  string
	level slog.Level
}{{"OFF", 100}, {"FATAL", slog.LevelError}, {"ERROR", slog.LevelError}, {"WARN", slog.LevelWarn}, {"INFO", slog.LevelInfo}, {"DEBUG", slog.LevelDebug}, {"TRACE", slog.LevelDebug - 4}}

func parseLevel(text string) (slog.Level, bool) {
	for _, l := range levelNames {
		if strings.EqualFold(l.name, text) {
			return l.level, true
		}
	}
	return 0, false
}

func levelName(level slog.Level) string {
	name := "OFF"
	for _, l := range levelNames {
		if level <= l.level {
			name = l.name
		}
	}
	return name
}

// loggerState is what is told of a logger.
type loggerState struct {
	Level    string `json:"level"`
	Modified *int64 `json:"last_modified"` // ms
}

// get describes a logger; false: there is none with this name.
func (l *loggers) get(name string) (loggerState, bool) {
	l.mu.Lock()
	own := l.own[name]
	l.mu.Unlock()
	if own == nil {
		return loggerState{}, false
	}
	out := loggerState{Level: levelName(l.level(name))}
	if at := own.modified.Load(); at != 0 {
		out.Modified = &at
	}
	return out, true
}

func (l *loggers) all() map[string]loggerState {
	l.mu.Lock()
	names := make([]string, 0, len(l.own))
	for name := range l.own {
		names = append(names, name)
	}
	l.mu.Unlock()
	out := map[string]loggerState{}
	for _, name := range names {
		out[name], _ = l.get(name)
	}
	return out
}

// level is what a logger goes by: its own level if it was set, else the root's.
func (l *loggers) level(name string) slog.Level {
	if own := l.own[name]; own != nil && own.set.Load() {
		return slog.Level(own.level.Load())
	}
	if l.root != nil {
		return l.root.Level()
	}
	return slog.LevelInfo
}

// set changes the level of a logger and of all below it, and gives their names.
func (l *loggers) set(name, level string) []string {
	changed := []string{}
	to, ok := parseLevel(level)
	if !ok {
		return changed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for known, own := range l.own {
		if known != name && !strings.HasPrefix(known, name+".") && name != rootLogger {
			continue
		}
		own.modified.Store(time.Now().UnixMilli())
		own.level.Store(int64(to))
		own.set.Store(true)
		changed = append(changed, known)
	}
	if name == rootLogger && l.root != nil {
		l.root.Set(to)
	}
	slices.Sort(changed)
	return changed
}

// of makes the logger of a task.
func (l *loggers) of(base *slog.Logger, p *plugin, id herder.ID) *slog.Logger {
	kind := sourceTaskLogger
	if p.kind == sinkKind {
		kind = sinkTaskLogger
	}
	return slog.New(leveled{base.Handler(), func() slog.Level {
		if own := l.own[p.class]; own != nil && own.set.Load() {
			return slog.Level(own.level.Load())
		}
		return l.level(kind)
	}}).With("connector", id.Connector, "task", id.Task)
}

// leveled is a handler with a level of its own.
type leveled struct {
	slog.Handler
	level func() slog.Level
}

func (h leveled) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level() }
func (h leveled) WithAttrs(a []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(a), h.level}
}
func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.level}
}
