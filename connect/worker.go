package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/herder"
	"github.com/weir/weir/connect/process"
	"github.com/weir/weir/connect/sdk"
)

// APIVersion is the release of Kafka whose REST API this is: clients choose by it what they use.
const APIVersion = "4.3.1"

// requestTime is how long a request may take, as in Kafka's workers.
const requestTime = 90 * time.Second

// Config is what a worker is made with.
type Config struct {
	// Options are the worker's, by Kafka's names. WorkerOptions lists them.
	Options map[string]string
	// Connectors are those that can be configured.
	Connectors []sdk.Connector
	Logger     *slog.Logger
	// Level is what Logger goes by, so that requests can change it; nil: they cannot.
	Level *slog.LevelVar
	// Commit is the build's, for GET /.
	Commit string
	// Kafka are options of the worker's clients besides bootstrap.servers.
	Kafka []kgo.Opt
	// Listener is where the REST API is served; nil: the worker opens one where the option listeners says.
	Listener net.Listener
	// Standalone workers are no part of a group, and keep no configurations.
	Standalone bool
	// Instance keeps the worker's place in the group over restarts; "": where it is reached does.
	Instance string
	// URL is where other workers reach this one; "": its REST API. Forward takes requests to those; nil: over HTTP.
	URL     string
	Forward func(ctx context.Context, url string, r Request) (Response, error)
	// Exists lets the worker sleep until there is something to do for it: until the topic is there, or somebody creates a connector. nil:
	// it begins at once.
	Exists func(topic string) bool
	// ClusterID is the Kafka cluster's; nil: the cluster is asked.
	ClusterID func() string

	engine func(*Worker) (engine, error) // tests have their own
	others []plugin
}

// Worker runs connectors.
type Worker struct {
	cfg      Config
	settings *settings
	logger   *slog.Logger
	loggers  *loggers
	plugins  plugins
	engine   engine
	listener net.Listener
	http     *http.Server
	id       string // host:port, as statuses have it
	url      string
	ctx      context.Context // ends when the worker is to stop
	cancel   context.CancelFunc
	running  sync.WaitGroup
	herding  sync.Mutex // held while the leader changes something

	mu          sync.Mutex
	moved       chan struct{} // closed at each change of what follows
	asleep      bool
	stopping    bool
	ready       bool  // it is in the group, or needs none
	broken      error // why it is not ready yet
	store       store
	configs     *herder.Configs
	statuses    *herder.Statuses
	owned       herder.Work
	generation  int32
	leads       bool
	leader      string // its URL; "": not known
	owners      map[herder.ID]string
	slots       map[herder.ID]*slot
	dividedWork herder.Work    // all that there was when it was divided last
	rejoin      chan struct{}  // asks the membership for another round
	told        map[string]int // records of the status topic that this worker wrote and has not read back, by key
	clusterID   string
}

// New makes a worker, and opens its REST API's port.
func New(cfg Config) (*Worker, error) {
	s, err := readSettings(cfg.Options)
	if err != nil {
		return nil, err
	}
	w := &Worker{
		cfg: cfg, settings: s, logger: cfg.Logger, moved: make(chan struct{}), configs: herder.NewConfigs(), statuses: herder.NewStatuses(),
		owned: herder.Work{}, slots: map[herder.ID]*slot{}, rejoin: make(chan struct{}, 1), told: map[string]int{},
		asleep: cfg.Exists != nil, generation: -1,
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	connectors := slices.Concat(cfg.Connectors, process.Find(s.plugins, cfg.Connectors, cfg.Logger))
	w.plugins = newPlugins(connectors, append(otherPlugins(), cfg.others...))
	w.loggers = newLoggers(cfg.Level, w.plugins)
	if cfg.engine == nil {
		w.cfg.engine = newRuntime
	}
	if w.engine, err = w.cfg.engine(w); err != nil {
		return nil, err
	}
	if w.listener = cfg.Listener; w.listener == nil && s.listen != "" {
		if w.listener, err = net.Listen("tcp", s.listen); err != nil {
			return nil, fmt.Errorf("the REST API cannot listen on %s: %w; set listeners to another address", s.listen, err)
		}
	}
	w.id = s.advertised
	if w.listener != nil {
		host, port, _ := net.SplitHostPort(s.advertised)
		if w.cfg.Listener != nil || port == "0" {
			tcp := w.listener.Addr().(*net.TCPAddr)
			if port = fmt.Sprint(tcp.Port); w.cfg.Listener != nil && cfg.Options["rest.advertised.host.name"] == "" {
				host = tcp.IP.String()
			}
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = hostName()
		}
		w.id = net.JoinHostPort(host, port)
	}
	if w.url = cfg.URL; w.url == "" {
		w.url = "http://" + w.id + "/"
	}
	return w, nil
}

// Start begins. It does not wait for Kafka: until that is there, requests which need it wait or fail.
func (w *Worker) Start() {
	if w.listener != nil {
		registry := prometheus.NewRegistry()
		registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{w})
		metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
		w.http = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
			if in.URL.Path == "/metrics" {
				metrics.ServeHTTP(out, in)
				return
			}
			w.ServeHTTP(out, in)
		})}
		w.running.Go(func() { _ = w.http.Serve(w.listener) }) // it ends with an error that says it was stopped
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asleep {
		w.running.Go(w.doze)
		return
	}
	w.running.Go(w.work)
}

// lookEvery is how often a worker that sleeps looks whether another one has begun.
const lookEvery = time.Second

// doze waits until the worker has something to do.
func (w *Worker) doze() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for w.isAsleep() {
		if w.cfg.Exists(w.settings.configs.name) {
			w.wake()
			return
		}
		w.mu.Lock()
		moved := w.moved
		w.mu.Unlock()
		select {
		case <-tick.C:
		case <-moved:
		case <-w.ctx.Done():
			return
		}
	}
}

func (w *Worker) isAsleep() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asleep
}

// wake ends the worker's sleep.
func (w *Worker) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.asleep || w.stopping {
		return
	}
	w.asleep = false
	w.running.Go(w.work)
	w.change()
}

// change tells those who wait that something has changed. Under mu.
func (w *Worker) change() {
	close(w.moved)
	w.moved = make(chan struct{})
}

// await waits until f, which is called under mu, is true.
func (w *Worker) await(ctx context.Context, f func() bool) error {
	for {
		w.mu.Lock()
		done, moved := f(), w.moved
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-w.ctx.Done():
			return errStopped
		}
	}
}

var errStopped = errors.New("the worker stops")

const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 10 * time.Second
)

// work opens the store and takes part in the group, until the worker stops.
func (w *Worker) work() {
	for delay := retryFirst; ; delay = min(2*delay, retryMost) {
		s, client, err := w.open()
		if err == nil {
			w.mu.Lock()
			w.store, w.broken = s, nil
			if w.cfg.Standalone {
				w.ready, w.leads = true, true
				w.owned = w.configs.Work()
				w.reconcile()
			}
			w.change()
			w.mu.Unlock()
			if !w.cfg.Standalone {
				newMember(w, client).run()
			}
			return
		}
		if w.ctx.Err() != nil {
			return
		}
		w.logger.Error("Connect cannot start yet; it is tried on", "error", err)
		w.mu.Lock()
		w.broken = err
		w.change()
		w.mu.Unlock()
		select {
		case <-time.After(delay):
		case <-w.ctx.Done():
			return
		}
	}
}

// openTime bounds an attempt to open the topics.
const openTime = 30 * time.Second

func (w *Worker) open() (store, *kgo.Client, error) {
	if w.cfg.Standalone {
		return &memory{w: w}, nil, nil
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.settings.bootstrap...), kgo.ClientID("connect-" + w.settings.group), kgo.DisableClientMetrics(),
		kgo.KeepControlRecords(), kgo.ProducerLinger(0), kgo.FetchMaxWait(30 * time.Second), kgo.MaxConcurrentFetches(4),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{}),
	}, w.cfg.Kafka...)...)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(w.ctx, openTime)
	defer cancel()
	s, err := openTopics(ctx, w, client)
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return s, client, nil
}

// apply takes in a record of a topic. Those who wait hear of it by applied.
func (w *Worker) apply(config bool, offset int64, key string, value []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !config {
		if w.told[key] > 0 { // this worker's own, as a rule: it knows it, and perhaps more by now
			w.took(key)
			return
		}
		if err := w.statuses.Apply(key, value); err != nil {
			w.logger.Warn("a record of the status topic is passed over", "error", err)
		}
		return
	}
	e, err := w.configs.Apply(offset, key, value)
	if err != nil {
		w.logger.Warn("a record of the config topic is passed over", "error", err)
		return
	}
	switch e.Kind {
	case herder.RestartRequested:
		if w.ready { // else it is from before this worker was
			w.restart(e.Connector, e.Restart)
		}
	case herder.LevelSet:
		if w.ready {
			w.loggers.set(e.Connector, e.Level)
		}
	}
}

// took notes that a record of this worker's was read back, or never will be. Under mu.
func (w *Worker) took(key string) {
	if w.told[key]--; w.told[key] <= 0 {
		delete(w.told, key)
	}
}

// applied brings what was applied into effect.
func (w *Worker) applied() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cfg.Standalone {
		w.owned = w.configs.Work()
	} else if w.ready && !w.divided() {
		select {
		case w.rejoin <- struct{}{}:
		default:
		}
	}
	w.reconcile()
	w.change()
}

// lastWordsTime bounds how long a worker that stops waits until its statuses are written. Nothing depends on them.
const lastWordsTime = time.Second

// Stop stops all tasks, with what they have done kept, and leaves the group.
func (w *Worker) Stop() {
	w.mu.Lock()
	w.stopping = true
	w.mu.Unlock()
	if w.http != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if w.http.Shutdown(ctx) != nil {
			_ = w.http.Close()
		}
		cancel()
	} else if w.listener != nil {
		_ = w.listener.Close()
	}
	w.release(nil)
	w.cancel() // the member leaves the group
	w.running.Wait()
	w.mu.Lock()
	s := w.store
	w.mu.Unlock()
	if s != nil {
		ctx, cancel := context.WithTimeout(context.Background(), lastWordsTime)
		s.flush(ctx)
		cancel()
		s.close()
	}
	w.engine.Close()
}

// release stops work, all of it if ids is nil, and waits until it is stopped.
func (w *Worker) release(ids herder.Work) {
	w.mu.Lock()
	if ids == nil {
		ids = w.owned
	}
	w.owned = w.owned.Without(ids)
	w.reconcile()
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), w.settings.grace+time.Second)
	defer cancel()
	for {
		w.mu.Lock()
		busy := false
		for id := range ids {
			busy = busy || w.slots[id] != nil
		}
		moved := w.moved
		w.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			w.logger.Warn("tasks take longer to stop than task.shutdown.graceful.timeout.ms allows")
			return
		}
	}
}

// Addr is where the REST API is; "": nowhere.
func (w *Worker) Addr() string {
	if w.listener == nil {
		return ""
	}
	return w.listener.Addr().String()
}
