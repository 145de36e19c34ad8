package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// httpServer answers health checks, metrics and questions about the cluster.
type httpServer struct {
	node     *Node
	registry *prometheus.Registry
	listener net.Listener
	server   *http.Server
}

func newHTTPServer(n *Node, l net.Listener) *httpServer {
	registry := prometheus.NewRegistry()
	h := &httpServer{node: n, registry: registry, listener: l}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{n, &lags{}})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.index)
	mux.HandleFunc("GET /health", h.health)
	mux.HandleFunc("GET /api/cluster", h.cluster)
	mux.HandleFunc("GET /api/topics", h.topics)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: scrapeErrors{n.opts.Logger}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapesMax,
	}))
	if n.cfg.HTTPPprofEnable {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	}
	h.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return h
}

func (h *httpServer) serve() { _ = h.server.Serve(h.listener) } // it always ends with an error that says it was stopped

func (h *httpServer) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if h.server.Shutdown(ctx) != nil { // a profile takes longer
		_ = h.server.Close()
	}
}

// scrapesMax is how many may ask for metrics at once; others get 503.
const scrapesMax = 4

// scrapeErrors logs what is wrong with metrics; the others are answered.
type scrapeErrors struct{ logger *slog.Logger }

func (s scrapeErrors) Println(v ...any) {
	s.logger.Error("a metric could not be shown; this is a mistake in Weir, please report it", "error", fmt.Sprint(v...))
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
				out.Partitions = append(out.Partitions, part{Partition: number, Leader: int64(h.node.leaders.Of(t.ID, int32(number)).Broker)})
				continue
			}
			out.Partitions = append(out.Partitions, part{number, int64(p.Leadership().Broker), p.LogStart(), p.HighWatermark(), p.Size()})
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
