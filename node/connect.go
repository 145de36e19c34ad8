package node

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect/host"
)

// connectTime bounds how long another node's worker of Connect waits for an answer.
const connectTime = 90 * time.Second

// connecting is the worker of Connect of a node.
type connecting struct {
	listener net.Listener
	worker   atomic.Pointer[host.Worker] // nil: not yet, or there is none
}

// listenConnect opens the port of Connect's REST API.
func (n *Node) listenConnect() error {
	address := n.cfg.ConnectListener
	if address == "" || n.opts.Connect == nil {
		return nil
	}
	nl, err := n.opts.Listen("connect.listener", address)
	if err != nil && !n.cfg.IsSet("connect.listener") { // Kafka Connect may run here, or another node
		n.opts.Logger.Info("connect.listener is not set, and its port is taken: a free one is used", "taken", address)
		name, _, _ := net.SplitHostPort(address)
		nl, err = n.opts.Listen("connect.listener", net.JoinHostPort(name, "0"))
	}
	if err != nil {
		return fmt.Errorf("connect.listener cannot listen on %s: %w; choose another with --set connect.listener=host:port, or turn Connect off with --set connect.listener=", address, err)
	}
	n.connect.listener = nl
	return nil
}

// startConnect starts the worker.
func (n *Node) startConnect() error {
	if n.connect.listener == nil {
		return nil
	}
	w, err := n.opts.Connect(host.Host{
		Node: n.cfg.NodeID, Name: n.bound[0].endpoint().Host, Options: n.cfg.ConnectConfig, PluginPath: n.cfg.PluginPath, Listener: n.connect.listener, Kafka: n.ownClient(),
		Logger: n.opts.Logger, Level: n.opts.LogLevel, Version: n.opts.Version, ClusterID: n.ClusterID, Ask: n.askConnect,
		Exists: func(topic string) bool { return n.metadata.Image().Topic(topic) != nil },
	})
	if err != nil {
		return err
	}
	n.connect.worker.Store(&w)
	if n.http != nil {
		n.http.registry.MustRegister(w)
	}
	w.Start()
	return nil
}

// ownClient lets clients of this node reach it where it listens, whatever address it tells others.
func (n *Node) ownClient() []kgo.Opt {
	own := map[string]string{}
	for _, l := range n.bound {
		e := l.endpoint()
		at := l.socket.Addr().(*net.TCPAddr)
		ip := at.IP.String()
		if at.IP.IsUnspecified() {
			ip = "127.0.0.1"
		}
		own[net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))] = net.JoinHostPort(ip, strconv.Itoa(at.Port))
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

// askConnect asks the worker of another node.
func (n *Node) askConnect(ctx context.Context, node int32, request []byte) ([]byte, error) {
	if node == n.cfg.NodeID {
		return n.answerConnect(ctx, request), nil
	}
	type reply struct {
		b   []byte
		err error
	}
	done := make(chan reply, 1)
	n.peers.Ask(node, append([]byte{askConnect}, request...), func(b []byte, err error) { done <- reply{b, err} })
	select {
	case got := <-done:
		return got.b, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answerConnect lets the worker answer another one; nothing: there is none.
func (n *Node) answerConnect(ctx context.Context, request []byte) []byte {
	if w := n.connect.worker.Load(); w != nil {
		return (*w).Answer(ctx, request)
	}
	return nil
}

// replyConnect answers a request of another node's worker.
func (n *Node) replyConnect(request []byte, reply func([]byte)) {
	ctx, cancel := context.WithTimeout(context.Background(), connectTime)
	defer cancel()
	reply(n.answerConnect(ctx, request))
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
		(*w).Stop()
	} else if n.connect.listener != nil {
		_ = n.connect.listener.Close()
	}
}
