// Package host is what a node and the worker of Connect inside it know of each other, so that neither needs the other's package.
package host

import (
	"context"
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Host is a node that runs a worker.
type Host struct {
	Node int32  // its id
	Name string // under which other machines know it
	// Options is a file with options of the worker; "": there is none.
	Options string
	// PluginPath are folders with programs that are connectors.
	PluginPath []string
	// Listener is where the worker's REST API is to be.
	Listener net.Listener
	// Kafka are what clients have to be made with to reach this node, and through it the cluster.
	Kafka  []kgo.Opt
	Logger *slog.Logger
	// Level is what Logger goes by; nil: it cannot be changed.
	Level     *slog.LevelVar
	Version   string
	ClusterID func() string
	// Exists tells whether there is a topic.
	Exists func(topic string) bool
	// Ask sends a request to the worker of another node, whose Answer it gives.
	Ask func(ctx context.Context, node int32, request []byte) ([]byte, error)
}

// Worker is one in a node. What it collects are its metrics.
type Worker interface {
	prometheus.Collector
	Start()
	// Stop stops it with what its tasks have done kept.
	Stop()
	// Answer answers a request of another node's worker; nothing: it could not be read.
	Answer(ctx context.Context, request []byte) []byte
}

// Make makes a worker for a node. It owns the listener from then on, unless it fails.
type Make func(Host) (Worker, error)
