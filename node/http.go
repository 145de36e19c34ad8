package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weir/weir/partition"
)

// httpServer answers health checks, metrics and questions about the cluster.
type httpServer struct {
	node     *Node
	listener net.Listener
	server   *http.Server
}

func newHTTPServer(n *Node, l net.Listener) *httpServer {
	h := &httpServer{node: n, listener: l}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), nodeCollector{n})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.index)
	mux.HandleFunc("GET /health", h.health)
	mux.HandleFunc("GET /api/cluster", h.cluster)
	mux.HandleFunc("GET /api/topics", h.topics)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	h.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return h
}

func (h *httpServer) serve() { _ = h.server.Serve(h.listener) } // it always ends with an error that says it was stopped

func (h *httpServer) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = h.server.Shutdown(ctx)
}

func (h *httpServer) index(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, "Weir\n\n/health       is the node well?\n/metrics      for Prometheus\n/api/cluster  brokers and their addresses\n/api/topics   topics and their partitions\n")
}

func (h *httpServer) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{"status": "ok", "node": h.node.cfg.NodeID})
}

func (h *httpServer) cluster(w http.ResponseWriter, _ *http.Request) {
	type broker struct {
		ID        int32             `json:"id"`
		Rack      string            `json:"rack,omitempty"`
		Listeners map[string]string `json:"listeners"`
	}
	var brokers []broker
	for b := range h.node.metadata.Image().Brokers() {
		out := broker{ID: b.ID, Rack: b.Rack, Listeners: map[string]string{}}
		for _, e := range b.Endpoints {
			out.Listeners[e.Listener] = net.JoinHostPort(e.Host, fmt.Sprint(e.Port))
		}
		brokers = append(brokers, out)
	}
	writeJSON(w, map[string]any{"clusterId": h.node.dir.clusterID, "brokers": brokers})
}

func (h *httpServer) topics(w http.ResponseWriter, _ *http.Request) {
	type part struct {
		Partition int   `json:"partition"`
		Leader    int64 `json:"leader"`
		Start     int64 `json:"startOffset"`
		End       int64 `json:"endOffset"`
		Bytes     int64 `json:"bytes"`
	}
	type topic struct {
		Name       string `json:"name"`
		ID         string `json:"id"`
		Internal   bool   `json:"internal"`
		Partitions []part `json:"partitions"`
	}
	topics := []topic{}
	for t := range h.node.metadata.Image().Topics() {
		out := topic{Name: t.Name, ID: fmt.Sprintf("%x", t.ID), Internal: t.Internal(), Partitions: []part{}}
		for number := range t.Partitions {
			p, err := h.node.set.Lookup(t.Name, int32(number))
			if err != nil {
				out.Partitions = append(out.Partitions, part{Partition: number, Leader: -1})
				continue
			}
			out.Partitions = append(out.Partitions, part{number, int64(p.Leadership().Leader), p.LogStart(), p.HighWatermark(), p.Size()})
		}
		topics = append(topics, out)
	}
	writeJSON(w, topics)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // an error is the client's: it is gone
}

// nodeCollector gives the node's own metrics.
type nodeCollector struct{ n *Node }

var (
	connectionsDesc = prometheus.NewDesc("weir_connections", "Open connections of clients.", nil, nil)
	requestsDesc    = prometheus.NewDesc("weir_requests_total", "Requests of clients.", nil, nil)
	syncsDesc       = prometheus.NewDesc("weir_syncs_total", "Syncs of the data directory.", nil, nil)
	syncTimeDesc    = prometheus.NewDesc("weir_sync_seconds_total", "Time spent in syncs.", nil, nil)
	endDesc         = prometheus.NewDesc("weir_partition_end_offset", "Offset after the newest committed record.", []string{"topic", "partition"}, nil)
	startDesc       = prometheus.NewDesc("weir_partition_start_offset", "Offset of the oldest record.", []string{"topic", "partition"}, nil)
	bytesDesc       = prometheus.NewDesc("weir_partition_bytes", "Size of the log on disk.", []string{"topic", "partition"}, nil)
)

func (c nodeCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connectionsDesc, requestsDesc, syncsDesc, syncTimeDesc, endDesc, startDesc, bytesDesc} {
		out <- d
	}
}

func (c nodeCollector) Collect(out chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	out <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(c.n.server.Connections()))
	counter(requestsDesc, float64(c.n.server.Requests()))
	syncs, took := c.n.host.SyncTimes()
	counter(syncsDesc, float64(syncs))
	counter(syncTimeDesc, took.Seconds())
	c.n.set.Each(func(p *partition.Partition) {
		gauge := func(d *prometheus.Desc, v int64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), p.Topic, fmt.Sprint(p.ID.Partition))
		}
		gauge(endDesc, p.HighWatermark())
		gauge(startDesc, p.LogStart())
		gauge(bytesDesc, p.Size())
	})
}
