package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	localLookEvery = 100 * time.Millisecond
	localReadyMax  = time.Minute // unless --timeout is given
	localStopMax   = 30 * time.Second
	lastWordsBytes = 4 << 10
)

// localProcess is a node that runs as a process of its own.
type localProcess struct {
	localNode
	cmd *exec.Cmd
}

// log is the file that the node writes its messages to.
func (n localNode) log() string { return filepath.Join(n.folder, localLog) }

// localCluster are the processes of a cluster on this machine.
type localCluster struct {
	processes []*localProcess
	ended     chan *localProcess // tells of each process that has ended
	running   int
}

// startLocal starts a process for each node.
func startLocal(binary string, nodes []localNode) (*localCluster, error) {
	lc := &localCluster{ended: make(chan *localProcess, len(nodes))}
	for _, n := range nodes {
		p, err := startNode(binary, n)
		if err != nil {
			return nil, joined(err, lc.stop())
		}
		lc.processes = append(lc.processes, p)
		lc.running++
		go func() {
			_ = p.cmd.Wait() // cmd.ProcessState says how it ended
			lc.ended <- p
		}()
	}
	return lc, nil
}

func startNode(binary string, n localNode) (*localProcess, error) {
	log, err := os.OpenFile(n.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(binary, "serve", "--config", filepath.Join(n.folder, localFile))
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, withoutOptions(os.Environ(), n.properties(nil))
	// Ctrl-C would reach the process as well, and a second signal ends a node at once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("node %d cannot be started: %w", n.id, err)
	}
	return &localProcess{n, cmd}, nil
}

// withoutOptions takes the environment variables away that are stronger than a node's own configuration.
func withoutOptions(env []string, own [][2]string) (kept []string) {
	names := map[string]bool{}
	for _, p := range own {
		names["WEIR_"+strings.ToUpper(strings.ReplaceAll(p[0], ".", "_"))] = true
	}
	for _, kv := range env {
		if name, _, _ := strings.Cut(kv, "="); !names[name] {
			kept = append(kept, kv)
		}
	}
	return kept
}

// ready waits until every node answers and knows all others. show tells how many do.
func (lc *localCluster) ready(ctx context.Context, show func(answering int)) error {
	for {
		answering := 0
		for _, p := range lc.processes {
			if brokersKnownTo(ctx, p.address()) >= len(lc.processes) {
				answering++
			}
		}
		if answering == len(lc.processes) {
			return nil
		}
		show(answering)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p := <-lc.ended:
			lc.running--
			return errors.New(p.obituary())
		case <-time.After(localLookEvery):
		}
	}
}

// brokersKnownTo asks a node how many brokers the cluster has; 0: it does not answer.
func brokersKnownTo(ctx context.Context, address string) int {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RequestRetries(0), kgo.DialTimeout(time.Second), kgo.DisableClientMetrics())
	if err != nil {
		return 0
	}
	defer c.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	response, err := request.RequestWith(ctx, c.SeedBrokers()[0])
	if err != nil {
		return 0
	}
	return len(response.Brokers)
}

// obituary says how a node has ended, and its last words.
func (p *localProcess) obituary() string {
	text := fmt.Sprintf("node %d has ended (%s)", p.id, p.cmd.ProcessState)
	if words := lastWords(p.log()); words != "" {
		text += fmt.Sprintf(", its last words: %s", words)
	}
	return text + "; all of them are in " + p.log()
}

// lastWords gives the last line of a file that has something on it.
func lastWords(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil && size > lastWordsBytes {
		_, _ = f.Seek(-lastWordsBytes, io.SeekEnd)
	} else {
		_, _ = f.Seek(0, io.SeekStart)
	}
	b, _ := io.ReadAll(io.LimitReader(f, lastWordsBytes))
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return oneLine(string(lines[len(lines)-1]))
}

// watch tells of nodes that end, until ctx ends or none runs any more.
func (lc *localCluster) watch(ctx context.Context, tell func(*localProcess)) error {
	for lc.running > 0 {
		select {
		case <-ctx.Done():
			return nil
		case p := <-lc.ended:
			lc.running--
			tell(p)
		}
	}
	return errors.New("no node is running any more")
}

// stop ends all nodes that run, at the same time: cleanly, or if one does not end in time, by force.
func (lc *localCluster) stop() error {
	for _, p := range lc.processes {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that has ended takes none
	}
	late := time.After(localStopMax)
	var failed []error
	for lc.running > 0 {
		select {
		case p := <-lc.ended:
			lc.running--
			if !p.cmd.ProcessState.Success() {
				failed = append(failed, errors.New(p.obituary()))
			}
		case <-late:
			for _, p := range lc.processes {
				_ = p.cmd.Process.Kill()
			}
			failed = append(failed, fmt.Errorf("nodes did not stop within %s and were killed; nothing that was acknowledged is lost", localStopMax))
			late = nil
		}
	}
	return joined(failed...)
}
