package connect_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect"
	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/weirtest"
)

// ask sends a request and wants a status.
func (w *worker) ask(t *testing.T, method, path, body string, status int) string {
	t.Helper()
	x := exchange{Method: method, Path: path}
	if body != "" {
		x.Body = json.RawMessage(body)
	}
	got, _, answer := x.send(t, w)
	if got != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, got, status, answer)
	}
	return answer
}

// eventually waits until f gives "", which says what is still missing.
func eventually(t *testing.T, f func() string) {
	t.Helper()
	for end := time.Now().Add(testTime); ; time.Sleep(10 * time.Millisecond) {
		missing := f()
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(missing)
		}
	}
}

// runs waits until workers run tasks: all that are named, each once, and evenly.
func runs(t *testing.T, workers []*worker, tasks ...string) {
	t.Helper()
	slices.Sort(tasks)
	eventually(t, func() string {
		var all []string
		least, most := 1<<30, 0
		for _, w := range workers {
			running := slices.Collect(maps.Keys(w.engine.Tasks()))
			all = append(all, running...)
			least, most = min(least, len(running)), max(most, len(running))
		}
		slices.Sort(all)
		if !slices.Equal(all, tasks) || most-least > 1 {
			return fmt.Sprintf("%v run, %d to %d on each; want %v", all, least, most, tasks)
		}
		return ""
	})
}

func parts(n int) func(*connect.Config) {
	return func(c *connect.Config) {
		c.Connectors = []sdk.Connector{fileSource{}, fileSink{}, partsSource{parts: func() int { return n }}}
	}
}

func partsConfig(name string) string {
	return fmt.Sprintf(`{"name":%q,"config":{"connector.class":"PartsSource","tasks.max":"9"}}`, name)
}

// TestGroup: workers share the work, answer alike, and take over from each other.
func TestGroup(t *testing.T) {
	node := weirtest.Start(t)
	delay := func(c *connect.Config) {
		parts(2)(c)
		c.Options["scheduled.rebalance.max.delay.ms"] = "300"
	}
	a := startWorker(t, node.Addr(), delay)
	a.ask(t, "POST", "/connectors", partsConfig("one"), 201)
	runs(t, []*worker{a}, "one-0", "one-1")
	b := startWorker(t, node.Addr(), delay)
	runs(t, []*worker{a, b}, "one-0", "one-1")
	// Each worker takes requests; the one that does not lead hands them on. The second connector leaves the first one's tasks alone.
	before := a.engine.Started("one-0") + b.engine.Started("one-0")
	for i, w := range []*worker{a, b} {
		name := fmt.Sprintf("more%d", i)
		w.ask(t, "POST", "/connectors", partsConfig(name), 201)
		w.ask(t, "POST", "/connectors", partsConfig(name), 409)
	}
	runs(t, []*worker{a, b}, "one-0", "one-1", "more0-0", "more0-1", "more1-0", "more1-1")
	if after := a.engine.Started("one-0") + b.engine.Started("one-0"); after != before {
		t.Errorf("new connectors started another one's task %d times", after-before)
	}
	for _, path := range []string{"/connectors/one", "/connectors/more0/config", "/connectors/more1/tasks"} {
		eventually(t, func() string {
			if x, y := a.ask(t, "GET", path, "", 200), b.ask(t, "GET", path, "", 200); x != y {
				return fmt.Sprintf("%s: one worker answers %s, the other %s", path, x, y)
			}
			return ""
		})
	}
	// Restarts reach the worker that has the task.
	for _, w := range []*worker{a, b} {
		for _, task := range []string{"one/tasks/0", "one/tasks/1", "more0/tasks/1"} {
			w.ask(t, "POST", "/connectors/"+task+"/restart", "", 204)
		}
	}
	eventually(t, func() string {
		if n := a.engine.Started("one-0") + b.engine.Started("one-0"); n != before+2 {
			return fmt.Sprintf("one-0 was started %d times, want %d", n, before+2)
		}
		return ""
	})
	if got := b.ask(t, "GET", "/connectors/one/status?details=true", "", 200); strings.Count(got, `"records":7`) != 2 {
		t.Errorf("the status does not have the details of both tasks: %s", got)
	}
	if got := a.ask(t, "GET", "/metrics", "", 200); !strings.Contains(got, `weir_connect_task_records_total{connector="`) {
		t.Errorf("the metrics are %s", got)
	}
	// Levels reach all.
	b.ask(t, "PUT", "/admin/loggers/root?scope=cluster", `{"level":"DEBUG"}`, 204)
	eventually(t, func() string {
		if got := a.ask(t, "GET", "/admin/loggers/root", "", 200); !strings.HasPrefix(got, `{"level":"DEBUG"`) {
			return got
		}
		return ""
	})
	// One goes: its tasks move after a while.
	a.stop()
	runs(t, []*worker{b}, "one-0", "one-1", "more0-0", "more0-1", "more1-0", "more1-1")
	b.ask(t, "DELETE", "/connectors/more0", "", 204)
	b.ask(t, "GET", "/connectors/more0/status", "", 404)
	runs(t, []*worker{b}, "one-0", "one-1", "more1-0", "more1-1")
}

// TestLostWorkGoesBack: a worker that is gone and comes back within the delay finds its tasks where they were, and the others did not
// move.
func TestLostWorkGoesBack(t *testing.T) {
	node := weirtest.Start(t)
	change := func(c *connect.Config) {
		parts(4)(c)
		c.Options["scheduled.rebalance.max.delay.ms"] = "600000"
	}
	a := startWorker(t, node.Addr(), change)
	a.ask(t, "POST", "/connectors", partsConfig("one"), 201)
	runs(t, []*worker{a}, "one-0", "one-1", "one-2", "one-3")
	b := startWorker(t, node.Addr(), change)
	runs(t, []*worker{a, b}, "one-0", "one-1", "one-2", "one-3")
	lost, kept := b.engine.Tasks(), a.engine.Tasks()
	b.stop()
	c := startWorker(t, node.Addr(), func(cfg *connect.Config) {
		change(cfg)
		cfg.Options["rest.advertised.host.name"] = "127.0.0.1"
		cfg.URL = "http://" + b.id + "/" // it is the same one, started anew
	})
	runs(t, []*worker{a, c}, "one-0", "one-1", "one-2", "one-3")
	if got := c.engine.Tasks(); !maps.EqualFunc(got, lost, func(a, b map[string]string) bool { return true }) {
		t.Errorf("it had %v, and has %v", lost, got)
	}
	for task := range kept {
		if n := a.engine.Started(task); n != 1 {
			t.Errorf("%s, which stayed where it was, was started %d times", task, n)
		}
	}
}

// TestConnectorsDivideAnew: when a connector sees that its work has changed, and when it fails to find out what there is to do.
func TestConnectorsDivideAnew(t *testing.T) {
	node := weirtest.Start(t)
	var n atomic.Int64
	n.Store(1)
	changed := make(chan struct{})
	var mu sync.Mutex
	var refusal error
	w := startWorker(t, node.Addr(), func(c *connect.Config) {
		c.Connectors = []sdk.Connector{partsSource{parts: func() int { return int(n.Load()) }, changed: changed, refuse: func() error {
			mu.Lock()
			defer mu.Unlock()
			return refusal
		}}}
	})
	w.ask(t, "POST", "/connectors", `{"name":"p","config":{"connector.class":"PartsSource","tasks.max":"3","password":"${env:SECRET}"}}`, 201)
	runs(t, []*worker{w}, "p-0")
	n.Store(3)
	changed <- struct{}{}
	runs(t, []*worker{w}, "p-0", "p-1", "p-2")
	if tasks := w.ask(t, "GET", "/connectors/p/tasks", "", 200); strings.Contains(tasks, "hush") || !strings.Contains(tasks, "${env:SECRET}") {
		t.Errorf("the tasks' configurations are %s", tasks)
	}
	n.Store(4)
	changed <- struct{}{}
	status := func(want string) {
		t.Helper()
		eventually(t, func() string {
			if got := w.ask(t, "GET", "/connectors/p/status", "", 200); !strings.Contains(got, want) {
				return got + " does not say " + want
			}
			return ""
		})
	}
	status(`has generated 4 tasks, which is greater than 3, the maximum number of tasks it is configured to create.`)
	runs(t, []*worker{w}, "p-0", "p-1", "p-2")
	n.Store(1)
	w.ask(t, "POST", "/connectors/p/restart", "", 204)
	runs(t, []*worker{w}, "p-0")
	// A failure that may pass is tried again by itself.
	mu.Lock()
	refusal = errors.New("the server is down")
	mu.Unlock()
	n.Store(2)
	changed <- struct{}{}
	status(`"state":"FAILED"`)
	mu.Lock()
	refusal = nil
	mu.Unlock()
	runs(t, []*worker{w}, "p-0", "p-1")
	status(`"connector":{"state":"RUNNING"`)
}

// TestRestarts: what a restart with flags touches.
func TestRestarts(t *testing.T) {
	node := weirtest.Start(t)
	w := startWorker(t, node.Addr(), parts(2))
	w.engine.Fail = map[string]string{"bad": "org.example.Broken: it does not work"}
	w.ask(t, "POST", "/connectors", partsConfig("good"), 201)
	w.ask(t, "POST", "/connectors", partsConfig("bad"), 201)
	runs(t, []*worker{w}, "good-0", "good-1", "bad-0", "bad-1")
	eventually(t, func() string {
		if got := w.ask(t, "GET", "/connectors/bad/status", "", 200); strings.Count(got, "it does not work") != 2 {
			return got
		}
		return ""
	})
	for _, test := range []struct {
		path      string
		good, bad int // how often a task is started by it
	}{
		{"good/restart?includeTasks=true", 1, 0},
		{"good/restart?onlyFailed=true", 0, 0},
		{"good/restart?includeTasks=true&onlyFailed=true", 0, 0},
		{"bad/restart?includeTasks=true&onlyFailed=true", 0, 1},
		{"bad/restart?onlyFailed=true", 0, 0},
	} {
		good, bad := w.engine.Started("good-0"), w.engine.Started("bad-1")
		w.ask(t, "POST", "/connectors/"+test.path, "", http.StatusAccepted)
		eventually(t, func() string {
			if g, b := w.engine.Started("good-0")-good, w.engine.Started("bad-1")-bad; g != test.good || b != test.bad {
				return fmt.Sprintf("%s started %d and %d tasks, want %d and %d", test.path, g, b, test.good, test.bad)
			}
			return ""
		})
		eventually(t, func() string {
			if got := w.ask(t, "GET", "/connectors/bad/status", "", 200); strings.Count(got, "FAILED") != 2 {
				return got
			}
			return ""
		})
	}
}

// TestSleep: a worker that has nothing to do makes no topics, and wakes when somebody creates a connector, here or elsewhere.
func TestSleep(t *testing.T) {
	node := weirtest.Start(t)
	var there atomic.Bool
	sleepy := func(c *connect.Config) {
		parts(1)(c)
		c.Exists = func(string) bool { return there.Load() }
	}
	a, b := startWorker(t, node.Addr(), sleepy), startWorker(t, node.Addr(), sleepy)
	if got := a.ask(t, "GET", "/connectors", "", 200); got != "[]" {
		t.Errorf("there are %s", got)
	}
	a.ask(t, "GET", "/connectors/x/status", "", 404)
	a.ask(t, "GET", "/health", "", 200)
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if got, err := kadm.NewClient(client).ListTopicsWithInternal(t.Context()); err != nil || len(got) != 0 {
		t.Fatalf("there are topics: %v, %v", got.Names(), err)
	}
	a.ask(t, "POST", "/connectors", partsConfig("x"), 201)
	runs(t, []*worker{a}, "x-0")
	there.Store(true)
	a.ask(t, "POST", "/connectors", partsConfig("y"), 201)
	runs(t, []*worker{a, b}, "x-0", "y-0")
}

// TestRestartedWorkerKeepsAll: what was configured is there when all workers were away.
func TestRestartedWorkerKeepsAll(t *testing.T) {
	node := weirtest.Start(t)
	a := startWorker(t, node.Addr(), parts(2))
	a.ask(t, "POST", "/connectors", partsConfig("x"), 201)
	a.ask(t, "POST", "/connectors", partsConfig("y"), 201)
	runs(t, []*worker{a}, "x-0", "x-1", "y-0", "y-1")
	a.ask(t, "PUT", "/connectors/y/pause", "", 202)
	a.ask(t, "DELETE", "/connectors/x", "", 204)
	runs(t, []*worker{a}, "y-0", "y-1")
	a.stop()
	b := startWorker(t, node.Addr(), parts(2))
	eventually(t, func() string {
		if got := b.ask(t, "GET", "/connectors?expand=status", "", 200); strings.Count(got, "PAUSED") != 3 || strings.Contains(got, `"x"`) {
			return got
		}
		return ""
	})
	if got := b.engine.Tasks(); len(got) != 0 {
		t.Errorf("paused tasks were started: %v", got)
	}
	b.ask(t, "PUT", "/connectors/y/resume", "", 202)
	runs(t, []*worker{b}, "y-0", "y-1")
}

// TestAWorkerThatIsCutOffStops: when it cannot reach its group for the time of a session its tasks stop, since others may have them
// soon; when it can again it goes on.
func TestAWorkerThatIsCutOffStops(t *testing.T) {
	node := weirtest.Start(t, weirtest.Config("group.min.session.timeout.ms=100"))
	w := startWorker(t, node.Addr(), func(c *connect.Config) {
		parts(2)(c)
		c.Options["session.timeout.ms"], c.Options["rebalance.timeout.ms"] = "1000", "1000"
	})
	w.ask(t, "POST", "/connectors", partsConfig("x"), 201)
	runs(t, []*worker{w}, "x-0", "x-1")
	node.Refuse()
	node.Cut()
	runs(t, []*worker{w})
	node.Heal()
	runs(t, []*worker{w}, "x-0", "x-1")
}

// TestAWorkerTakesThePlaceOfItsFormerSelf: a worker that was killed is still in the group for a while. The one that is started in its
// place gets its work without waiting for that.
func TestAWorkerTakesThePlaceOfItsFormerSelf(t *testing.T) {
	node := weirtest.Start(t)
	same := func(c *connect.Config) {
		parts(2)(c)
		c.Instance, c.URL = "the-worker", "http://127.0.0.1:1/"
		c.Options["session.timeout.ms"], c.Options["scheduled.rebalance.max.delay.ms"] = "60000", "600000"
	}
	a := startWorker(t, node.Addr(), same)
	a.ask(t, "POST", "/connectors", partsConfig("x"), 201)
	runs(t, []*worker{a}, "x-0", "x-1")
	a.ask(t, "POST", "/connectors", partsConfig("y"), 201)
	runs(t, []*worker{a}, "x-0", "x-1", "y-0", "y-1")
	b := startWorker(t, node.Addr(), same)
	eventually(t, func() string {
		if x, y := len(a.engine.Tasks()), len(b.engine.Tasks()); x != 0 || y != 4 {
			return fmt.Sprintf("%d and %d tasks run", x, y)
		}
		return ""
	})
	eventually(t, func() string { // the connectors themselves as well
		if got := b.ask(t, "GET", "/connectors?expand=status", "", 200); strings.Count(got, `"connector":{"state":"RUNNING","worker_id":"`+b.id) != 2 {
			return got
		}
		return ""
	})
}
