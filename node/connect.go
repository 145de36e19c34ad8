package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/magiconair/properties"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect"
	"github.com/weir/weir/connect/builtin"
)

// nodeURL begins the address under which workers of Connect in other nodes reach this one's: over the connections that nodes have
// anyway, so that the REST API can stay where only this machine sees it.
const nodeURL = "node://"

// connectTime bounds how long another node's worker waits for an answer.
const connectTime = 90 * time.Second

// connecting is the worker of Connect of a node.
type connecting struct {
	listener net.Listener
	worker   atomic.Pointer[connect.Worker] // nil: not yet, or there is none
}

// listenConnect opens the port of Connect's REST API.
func (n *Node) listenConnect() error {
	address := n.cfg.ConnectListener
	if address == "" {
		return nil
	}
	nl, err := n.opts.Listen("connect.listener", address)
	if err != nil && !n.cfg.IsSet("connect.listener") { // Kafka Connect may run here, or another node
		n.opts.Logger.Info("connect.listener is not set, and its port is taken: a free one is used", "taken", address)
		host, _, _ := net.SplitHostPort(address)
		nl, err = n.opts.Listen("connect.listener", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return fmt.Errorf("connect.listener cannot listen on %s: %w; choose another with --set connect.listener=host:port, or turn Connect off with --set connect.listener=", address, err)
	}
	n.connect.listener = nl
	return nil
}

// startConnect starts the worker. It sleeps until there is something to do.
func (n *Node) startConnect() error {
	if n.connect.listener == nil {
		return nil
	}
	options, err := n.connectOptions()
	if err != nil {
		return err
	}
	port := strconv.Itoa(n.connect.listener.Addr().(*net.TCPAddr).Port)
	if _, set := options["rest.advertised.host.name"]; !set {
		options["rest.advertised.host.name"] = n.bound[0].endpoint().Host
	}
	options["listeners"] = "http://" + net.JoinHostPort(options["rest.advertised.host.name"], port)
	w, err := connect.New(connect.Config{
		Options: options, Connectors: append(builtin.Connectors(), n.opts.Connectors...), Logger: n.opts.Logger, Level: n.opts.LogLevel, Commit: n.opts.Version,
		Kafka: n.ownClient(), Listener: n.connect.listener, Instance: fmt.Sprintf("weir-node-%d", n.cfg.NodeID),
		URL: n.connectURL(), Forward: n.forwardConnect, ClusterID: n.ClusterID,
		Exists: func(topic string) bool { return n.metadata.Image().Topic(topic) != nil },
	})
	if err != nil {
		return fmt.Errorf("connect.config: %w", err)
	}
	n.connect.worker.Store(w)
	w.Start()
	return nil
}

// connectOptions reads the worker's own options.
func (n *Node) connectOptions() (map[string]string, error) {
	options := map[string]string{}
	if n.cfg.ConnectConfig == "" {
		return options, nil
	}
	b, err := os.ReadFile(n.cfg.ConnectConfig)
	if err != nil {
		return nil, fmt.Errorf("connect.config cannot be read: %w", err)
	}
	loading := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := loading.LoadBytes(b)
	if err != nil {
		return nil, fmt.Errorf("connect.config: %s: %w", n.cfg.ConnectConfig, err)
	}
	for name, value := range p.Map() {
		options[name] = strings.TrimSpace(value)
	}
	delete(options, "bootstrap.servers") // this node is
	return options, nil
}

// connectURL is where workers reach this one: its REST API, if that can be reached from other machines.
func (n *Node) connectURL() string {
	if ip := n.connect.listener.Addr().(*net.TCPAddr).IP; ip.IsLoopback() {
		return nodeURL + strconv.Itoa(int(n.cfg.NodeID))
	}
	return ""
}

// ownClient lets clients of this node reach it where it listens, whatever address it tells others.
func (n *Node) ownClient() []kgo.Opt {
	own := map[string]string{}
	for _, l := range n.bound {
		e := l.endpoint()
		at := l.socket.Addr().(*net.TCPAddr)
		host := at.IP.String()
		if at.IP.IsUnspecified() {
			host = "127.0.0.1"
		}
		own[net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))] = net.JoinHostPort(host, strconv.Itoa(at.Port))
	}
	first := n.bound[0].endpoint()
	var dialer net.Dialer
	return []kgo.Opt{
		kgo.SeedBrokers(net.JoinHostPort(first.Host, strconv.Itoa(int(first.Port)))),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			if here, ok := own[address]; ok {
				address = here
			}
			return dialer.DialContext(ctx, network, address)
		}),
	}
}

// errNoWorker says that a node runs no worker of Connect.
var errNoWorker = errors.New("the other node runs no worker of Connect at the moment")

// forwardConnect takes a request to the worker of another node.
func (n *Node) forwardConnect(ctx context.Context, url string, r connect.Request) (connect.Response, error) {
	id, err := strconv.ParseInt(strings.TrimPrefix(url, nodeURL), 10, 32)
	if err != nil {
		return connect.Response{}, fmt.Errorf("%s is no address of a worker", url)
	}
	if int32(id) == n.cfg.NodeID {
		return n.connect.worker.Load().Handle(ctx, r), nil
	}
	body, err := json.Marshal(r)
	if err != nil {
		return connect.Response{}, err
	}
	type reply struct {
		b   []byte
		err error
	}
	done := make(chan reply, 1)
	n.peers.Ask(int32(id), append([]byte{askConnect}, body...), func(b []byte, err error) { done <- reply{b, err} })
	select {
	case got := <-done:
		var out connect.Response
		if got.err == nil {
			got.err = json.Unmarshal(got.b, &out)
		}
		if got.err == nil && out.Status == 0 {
			got.err = errNoWorker
		}
		return out, got.err
	case <-ctx.Done():
		return connect.Response{}, ctx.Err()
	}
}

// replyConnect answers a request of another node's worker.
func (n *Node) replyConnect(b []byte, reply func([]byte)) {
	ctx, cancel := context.WithTimeout(context.Background(), connectTime)
	defer cancel()
	var r connect.Request
	var out connect.Response
	if w := n.connect.worker.Load(); w != nil && json.Unmarshal(b, &r) == nil {
		out = w.Handle(ctx, r)
	}
	answer, err := json.Marshal(out)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	reply(answer)
}

// ConnectAddress is where Connect's REST API is; "": nowhere.
func (n *Node) ConnectAddress() string {
	if n.connect.listener == nil {
		return ""
	}
	return n.connect.listener.Addr().String()
}

// stopConnect stops the worker, with what its tasks have done kept.
func (n *Node) stopConnect() {
	if w := n.connect.worker.Load(); w != nil {
		w.Stop()
	} else if n.connect.listener != nil {
		_ = n.connect.listener.Close()
	}
}
