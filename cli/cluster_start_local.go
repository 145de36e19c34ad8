package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magiconair/properties"
	"github.com/spf13/cobra"
)

// startLocalCommand's flags.
type localOptions struct {
	nodes, port int
	dir         string
}

// localNodeInfo is a node that runs. Its JSON names are documented in the help.
type localNodeInfo struct {
	ID      int    `json:"id"`
	Address string `json:"address"`
	HTTP    string `json:"http"`
	PID     int    `json:"pid"`
	Folder  string `json:"folder"`
	Log     string `json:"log"`
}

func clusterStartLocalCommand(o *options) *cobra.Command {
	var l localOptions
	cmd := &cobra.Command{
		Use:   "start-local",
		Short: "Run a cluster of several nodes on this machine, to try things with",
		Long: `Run a cluster of several nodes on this machine, to try things with: each is a 'weir serve' of its own, on the
first consecutive ports that are free, and with a folder below --dir that holds its server.properties, its
data and its messages (weir.log). When all answer, it shows where they are. Ctrl-C stops them all, and
the next start goes on with their data and configuration. A node that ends meanwhile is told of, and
not started again: so you can see what happens when one fails.

With three nodes or more, topics get three replicas and min.insync.replicas=2.

JSON: a list of objects, when all nodes answer, with the fields id, address (for clients), http, pid, folder,
log.`,
		Example: `  weir cluster start-local
  weir cluster start-local --nodes 5 --port 19092 --dir /tmp/five`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = o.run(func(ctx context.Context, cmd *cobra.Command, _ []string) error {
		if l.nodes < 1 || l.nodes > localNodesMax {
			return usagef("--nodes must be 1 to %d", localNodesMax)
		}
		if l.port < 1 || l.port >= 1<<16 {
			return usagef("--port must be 1 to 65535")
		}
		nodes, err := l.prepare(cmd)
		if err != nil {
			return err
		}
		return o.runLocal(ctx, cmd, nodes)
	})
	cmd.Flags().IntVar(&l.nodes, "nodes", 3, "how many `nodes`")
	cmd.Flags().IntVar(&l.port, "port", localPort, "the `port` for clients of the first node, if it is free")
	cmd.Flags().StringVar(&l.dir, "dir", "weir-cluster", "the `folder` for the nodes")
	return cmd
}

// prepare makes the nodes' folders and configurations, or takes those that there are.
func (l *localOptions) prepare(cmd *cobra.Command) ([]localNode, error) {
	dir, err := filepath.Abs(l.dir)
	if err != nil {
		return nil, err
	}
	there, err := readLocal(dir)
	if err != nil {
		return nil, err
	}
	if n := len(there); n > 0 {
		if changed := cmd.Flags().Changed; changed("nodes") && l.nodes != n || changed("port") && l.port != there[0].client {
			return nil, fmt.Errorf("%s holds a cluster of %s, the first on port %d: leave out --nodes and --port to go on with it, give another --dir, or remove the folder with all data", l.dir, plural(int64(n), "node"), there[0].client)
		}
		return there, nil
	}
	nodes, err := planLocal(l.nodes, dir, l.port, portIsFree)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if err := os.MkdirAll(n.folder, 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(n.folder, localFile), []byte(propertiesText(n.properties(nodes))), 0o644); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// readLocal finds the nodes that an earlier start has made.
func readLocal(dir string) ([]localNode, error) {
	files, err := filepath.Glob(filepath.Join(dir, localFolder+"*", localFile))
	if err != nil {
		return nil, err
	}
	var nodes []localNode
	for _, file := range files {
		n, err := readLocalNode(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b localNode) int { return a.id - b.id })
	return nodes, nil
}

// readLocalNode reads what has to be known of a node's configuration; the node itself will read and check all of it.
func readLocalNode(file string) (n localNode, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return n, err
	}
	loading := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := loading.LoadBytes(text)
	if err != nil {
		return n, err
	}
	n.folder = filepath.Dir(file)
	if n.id, err = strconv.Atoi(p.GetString("node.id", "")); err != nil {
		return n, errors.New("node.id is not a number")
	}
	for listener := range strings.SplitSeq(p.GetString("listeners", ""), ",") {
		name, address, _ := strings.Cut(strings.TrimSpace(listener), "://")
		if name != p.GetString("controller.listener.names", "CONTROLLER") {
			n.client = portOf(address)
		}
	}
	n.http = portOf(p.GetString("http.listener", ""))
	if n.client == 0 {
		return n, errors.New("listeners names no port for clients")
	}
	return n, nil
}

// portOf gives the port of an address; 0: it has none.
func portOf(address string) int {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return int(port)
}

// runLocal runs nodes until the command is interrupted.
func (o *options) runLocal(ctx context.Context, cmd *cobra.Command, nodes []localNode) error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	lc, err := startLocal(binary, nodes)
	if err != nil {
		return err
	}
	err = o.untilReady(ctx, cmd, lc)
	if err == nil {
		err = o.printLocal(cmd, lc)
	}
	if err == nil {
		err = lc.watch(ctx, func(p *localProcess) {
			cmd.PrintErrf("%s. It is not started again by itself; this does it:\n  %s serve --config %s\n",
				strings.ToUpper(p.obituary()[:1])+p.obituary()[1:], os.Args[0], filepath.Join(p.folder, localFile))
		})
	}
	if errors.Is(err, context.Canceled) {
		err = nil // Ctrl-C is the normal end, also this early
	}
	if lc.running > 0 {
		cmd.PrintErrf("Stopping %s ...\n", plural(int64(lc.running), "node"))
	}
	stopped := lc.stop()
	if err != nil {
		return err // how nodes end after that is no news
	}
	return stopped
}

// untilReady waits until all nodes answer.
func (o *options) untilReady(ctx context.Context, cmd *cobra.Command, lc *localCluster) error {
	most := localReadyMax
	if cmd.Flags().Changed("timeout") {
		most = o.timeout
	}
	ready, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	line := newProgressLine(cmd)
	defer line.clear()
	err := lc.ready(ready, func(answering int) {
		line.show(time.Now(), func() string { return fmt.Sprintf("%d of %d nodes are ready", answering, len(lc.processes)) })
	})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the nodes did not find each other within %s: --timeout waits longer; what they say is in %s", most, lc.processes[0].log())
	}
	return err
}

// printLocal tells where everything is and what to try next.
func (o *options) printLocal(cmd *cobra.Command, lc *localCluster) error {
	p := o.printer(cmd)
	var infos []localNodeInfo
	for _, n := range lc.processes {
		http := ""
		if n.http > 0 {
			http = "http://" + net.JoinHostPort(localHost, strconv.Itoa(n.http))
		}
		infos = append(infos, localNodeInfo{n.id, n.address(), http, n.cmd.Process.Pid, n.folder, n.log()})
	}
	if p.json {
		return p.document(infos)
	}
	if err := p.line("A cluster of %s is ready. Ctrl-C stops it.\n", plural(int64(len(infos)), "node")); err != nil {
		return err
	}
	t := newTable("NODE", "KAFKA", "HTTP", "PID", "LOG")
	for _, n := range infos {
		t.row(n.ID, n.Address, n.HTTP, n.PID, n.Log)
	}
	flag := ""
	if port := lc.processes[0].client; port != localPort {
		flag = fmt.Sprintf(" -b %s:%d", localHost, port)
	}
	return joined(p.table(t), p.line("\nTry, in another terminal:\n  %[1]s cluster status --watch%[2]s\n  echo hello | %[1]s produce greetings%[2]s\n  kill -9 %[3]d    # and see what happens",
		os.Args[0], flag, lc.processes[len(lc.processes)-1].cmd.Process.Pid))
}
