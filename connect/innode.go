package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/magiconair/properties"

	"github.com/weir/weir/connect/host"
	"github.com/weir/weir/connect/sdk"
)

// nodeURL begins the address under which workers in other nodes reach one whose REST API only its own machine sees: over the
// connections that nodes have anyway.
const nodeURL = "node://"

// InNode makes workers that run in nodes. One sleeps until there is something to do.
func InNode(connectors []sdk.Connector) host.Make {
	return func(h host.Host) (host.Worker, error) {
		options, err := readOptions(h.Options)
		if err != nil {
			return nil, err
		}
		if len(h.PluginPath) > 0 {
			options["plugin.path"] = strings.Join(h.PluginPath, ",")
		}
		at := h.Listener.Addr().(*net.TCPAddr)
		if _, set := options["rest.advertised.host.name"]; !set {
			options["rest.advertised.host.name"] = h.Name
		}
		cfg := Config{
			Options: options, Connectors: connectors, Logger: h.Logger, Level: h.Level, Commit: h.Version, Kafka: h.Kafka, Listener: h.Listener,
			Instance: fmt.Sprintf("weir-node-%d", h.Node), ClusterID: h.ClusterID, Exists: h.Exists,
		}
		in := &inNode{ask: h.Ask}
		if at.IP.IsLoopback() {
			cfg.URL = nodeURL + strconv.Itoa(int(h.Node))
		}
		cfg.Forward = in.forward
		if in.Worker, err = New(cfg); err != nil {
			return nil, fmt.Errorf("connect.config: %w", err)
		}
		in.collector = collector{in.Worker}
		return in, nil
	}
}

// readOptions reads a file with a worker's options, if there is one. Which brokers and which port is the node's to say.
func readOptions(file string) (map[string]string, error) {
	options := map[string]string{}
	if file == "" {
		return options, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("connect.config cannot be read: %w", err)
	}
	loading := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := loading.LoadBytes(b)
	if err != nil {
		return nil, fmt.Errorf("connect.config: %s: %w", file, err)
	}
	for name, value := range p.Map() {
		options[name] = strings.TrimSpace(value)
	}
	delete(options, "bootstrap.servers")
	delete(options, "listeners")
	return options, nil
}

// inNode is a worker in a node.
type inNode struct {
	*Worker
	collector
	ask func(ctx context.Context, node int32, request []byte) ([]byte, error)
}

// errNoWorker says that a node runs no worker.
var errNoWorker = errors.New("the other node runs no worker of Connect at the moment")

// forward takes a request to the worker of another node.
func (n *inNode) forward(ctx context.Context, url string, r Request) (out Response, err error) {
	id, err := strconv.ParseInt(strings.TrimPrefix(url, nodeURL), 10, 32)
	if err != nil {
		return out, fmt.Errorf("%s is no address of a worker", url)
	}
	b, err := n.ask(ctx, int32(id), plainJSON(r))
	if err != nil {
		return out, err
	}
	if len(b) == 0 {
		return out, errNoWorker
	}
	return out, json.Unmarshal(b, &out)
}

// Answer implements host.Worker.
func (n *inNode) Answer(ctx context.Context, request []byte) []byte {
	var r Request
	if json.Unmarshal(request, &r) != nil {
		return nil
	}
	return plainJSON(n.Handle(ctx, r))
}
