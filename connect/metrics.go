package connect

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir/weir/connect/herder"
)

// Metric is a row of the table of what a worker measures.
type Metric struct {
	Name    string
	Counter bool
	Labels  []string
	Help    string
	Kafka   string // what means the same in Kafka's workers; "": nothing
}

const connectM = "kafka.connect:type="

// Metrics are all of them.
var Metrics = []*Metric{metricConnector, metricTask, metricRecords, metricLag, metricLagTime, metricStuck}

var (
	metricConnector = &Metric{Name: "weir_connect_connector_state", Labels: []string{"connector", "state"}, Help: "1; the label tells the state of a connector that this worker has.", Kafka: connectM + "connector-metrics,connector= status"}
	metricTask      = &Metric{Name: "weir_connect_task_state", Labels: []string{"connector", "task", "state", "cause"}, Help: "1; the labels tell the state of a task that this worker runs, and of a failed one the kind of the cause.", Kafka: connectM + "connector-task-metrics,connector=,task= status"}
	metricRecords   = &Metric{Name: "weir_connect_task_records_total", Counter: true, Labels: []string{"connector", "task"}, Help: "Records that a task has moved: those of a source are in their topics, those of a sink it has taken.", Kafka: connectM + "source-task-metrics source-record-write-total, sink-task-metrics sink-record-send-total"}
	metricLag       = &Metric{Name: "weir_connect_task_lag_records", Labels: []string{"connector", "task"}, Help: "Records that a task is behind, if that is known.", Kafka: connectM + "sink-task-metrics sink-record-lag-max"}
	metricLagTime   = &Metric{Name: "weir_connect_task_lag_seconds", Labels: []string{"connector", "task"}, Help: "How far a source is behind, by the time at which what it reads was written, if that is known.", Kafka: "debezium.postgres:type=connector-metrics,context=streaming,server= MilliSecondsBehindSource"}
	metricStuck     = &Metric{Name: "weir_connect_task_stuck", Labels: []string{"connector", "task"}, Help: "1 if a task is said to run and moves nothing, though there is something to move."}
)

// Measure gives all values.
func (w *Worker) Measure(give func(m *Metric, value float64, labels ...string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, s := range w.slots {
		status, known := w.statuses.Get(id)
		switch {
		case !known:
		case id.Task == herder.Itself:
			give(metricConnector, 1, id.Connector, string(status.State))
		default:
			give(metricTask, 1, id.Connector, strconv.Itoa(id.Task), string(status.State), status.Cause)
		}
		if s.task == nil {
			continue
		}
		d := s.task.Details()
		labels := []string{id.Connector, strconv.Itoa(id.Task)}
		give(metricRecords, float64(d.Records), labels...)
		if d.Lag != nil {
			give(metricLag, float64(*d.Lag), labels...)
		}
		if d.LagMillis != nil {
			give(metricLagTime, float64(*d.LagMillis)/1000, labels...)
		}
		stuck := 0.0
		if d.Stuck {
			stuck = 1
		}
		give(metricStuck, stuck, labels...)
	}
}

// collector gives the metrics to Prometheus, of a worker that is a process by itself.
type collector struct{ w *Worker }

// Describe implements prometheus.Collector: it describes nothing, which lets it give anything.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	c.w.Measure(func(m *Metric, value float64, labels ...string) {
		kind := prometheus.GaugeValue
		if m.Counter {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(m.Name, m.Help, m.Labels, nil), kind, value, labels...)
	})
}
