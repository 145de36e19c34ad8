package cli

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	localNodesMax  = 9
	localPort      = 9092 // of the first node, for clients
	localPeerPort  = 9192 // of the first node, for the other nodes
	localHTTPPort  = 8080 // of the first node
	localConnectAt = 8083 // of the first node
	localHost      = "127.0.0.1"
	localFile      = "server.properties"
	localLog       = "weir.log"
	localFolder    = "node-" // with the id
	localPortsSeen = 1000    // how far free ports are looked for
)

// localNode is a node of a cluster on this machine.
type localNode struct {
	id                   int
	folder               string
	client, peers, http  int // ports
	connect              int // port; 0: not known, of a node that an earlier release has made
	replicas, replicasIn int // default.replication.factor and min.insync.replicas of the cluster
}

// planLocal lays out a cluster on this machine: n nodes with folders below dir, each on ports beside those of the one before. A
// port is taken if free says so.
func planLocal(n int, dir string, first int, free func(port int) bool) ([]localNode, error) {
	client, err := freePorts(first, n, free)
	if err != nil {
		return nil, err
	}
	// A port is used once, whatever --port is.
	mine := func(port int) bool { return free(port) && (port < client || port >= client+n) }
	peers, err := freePorts(localPeerPort, n, mine)
	if err != nil {
		return nil, err
	}
	beside := func(port int) bool { return mine(port) && (port < peers || port >= peers+n) }
	http, err := freePorts(localHTTPPort, n, beside)
	if err != nil {
		return nil, err
	}
	connect, err := freePorts(localConnectAt, n, func(port int) bool { return beside(port) && (port < http || port >= http+n) })
	if err != nil {
		return nil, err
	}
	var nodes []localNode
	for i := range n {
		node := localNode{id: i + 1, folder: filepath.Join(dir, localFolder+strconv.Itoa(i+1)), client: client + i, peers: peers + i, http: http + i, connect: connect + i,
			replicas: min(3, n), replicasIn: 1}
		if n >= 3 {
			node.replicasIn = 2
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// freePorts finds n consecutive free ports from one on.
func freePorts(first, n int, free func(int) bool) (int, error) {
	for at := first; at < first+localPortsSeen && at+n <= 1<<16; {
		taken := slices.IndexFunc(portsFrom(at, n), func(port int) bool { return !free(port) })
		if taken < 0 {
			return at, nil
		}
		at += taken + 1
	}
	return 0, fmt.Errorf("there are no %d consecutive free ports from %d on: give another with --port", n, first)
}

func portsFrom(first, n int) []int {
	ports := make([]int, n)
	for i := range ports {
		ports[i] = first + i
	}
	return ports
}

// portIsFree tells whether nobody listens on a port of this machine.
func portIsFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(localHost, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// address gives where clients reach a node.
func (n localNode) address() string { return net.JoinHostPort(localHost, strconv.Itoa(n.client)) }

// properties is a node's configuration: option and value, in order.
func (n localNode) properties(all []localNode) [][2]string {
	var voters []string
	for _, other := range all {
		voters = append(voters, fmt.Sprintf("%d@%s:%d", other.id, localHost, other.peers))
	}
	return [][2]string{
		{"process.roles", "broker,controller"},
		{"node.id", strconv.Itoa(n.id)},
		{"controller.quorum.voters", strings.Join(voters, ",")},
		{"controller.listener.names", "CONTROLLER"},
		{"listeners", fmt.Sprintf("PLAINTEXT://%s:%d,CONTROLLER://%s:%d", localHost, n.client, localHost, n.peers)},
		{"http.listener", fmt.Sprintf("%s:%d", localHost, n.http)},
		{"connect.listener", fmt.Sprintf("%s:%d", localHost, n.connect)},
		{"log.dirs", filepath.Join(n.folder, "data")},
		{"default.replication.factor", strconv.Itoa(n.replicas)},
		{"min.insync.replicas", strconv.Itoa(n.replicasIn)},
		{"offsets.topic.replication.factor", strconv.Itoa(n.replicas)},
	}
}

// propertiesText writes a configuration as a server.properties.
func propertiesText(properties [][2]string) string {
	var b strings.Builder
	b.WriteString("# Written by `weir cluster start-local`, which leaves it as it is from now on: change it as you like.\n")
	for _, p := range properties {
		fmt.Fprintf(&b, "%s=%s\n", p[0], strings.ReplaceAll(p[1], `\`, `\\`))
	}
	return b.String()
}
