// Command chaos runs a cluster of real weir processes, does everything to them that goes wrong in data centres, and judges what
// clients saw. It prints the verdict, the faults done, and how long clients were without acknowledgements; it ends with 1 if
// anything was against the promises, and then keeps logs, disks and the history.
//
// Every node is a host with a network and a disk of its own, as far as the machine allows. README.md tells more.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/weir/weir/test/chaos/history"
)

type options struct {
	duration          time.Duration
	faults            int
	seed              uint64
	nodes, partitions int
	rate              int
	only, serve, dir  string
	set               list
	files             bool // compare the nodes' files at the end
	keep              bool // what a run leaves, also when all was well

	root  string // of the repository
	disks bool   // nodes have disks of their own
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	o := &options{}
	flag.DurationVar(&o.duration, "duration", time.Minute, "for how `long` faults are begun")
	flag.IntVar(&o.faults, "faults", 0, "how many `faults` are done at least, however long that takes")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64N(1_000_000), "decides which faults come when")
	flag.IntVar(&o.nodes, "nodes", 3, "how many `nodes`")
	flag.IntVar(&o.partitions, "partitions", 6, "how many `partitions`")
	flag.IntVar(&o.rate, "rate", 600, "`records` a second, of all producers together")
	flag.StringVar(&o.only, "only", "", "only these `faults`, separated by commas: "+kindNames())
	flag.StringVar(&o.serve, "serve", "bin/weir serve --config", "the `command` that starts a node; the name of a server.properties is put after it")
	flag.Var(&o.set, "set", "a further `property=value` of the nodes; may be given several times")
	flag.BoolVar(&o.files, "files", true, "compare the nodes' files at the end")
	flag.StringVar(&o.dir, "dir", "", "a new `directory` for logs, disks and the history (default: a temporary one)")
	flag.BoolVar(&o.keep, "keep", false, "keep the directory also when all was well")
	again := flag.String("check", "", "only judge the `history` of an earlier run once more")
	flag.Parse()
	if *again != "" {
		os.Exit(check(*again))
	}
	if os.Getenv(insideMark) == "" {
		code, err := outside(o)
		if err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			code = 2
		}
		os.Exit(code)
	}
	good, err := inside(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	if !good {
		os.Exit(1)
	}
}

// outside prepares the directory, and runs the program again in namespaces of its own.
func outside(o *options) (code int, err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "weir-chaos-"); err != nil {
			return 0, err
		}
	} else if err := os.Mkdir(o.dir, 0o755); err != nil {
		return 0, err
	}
	code, err = isolate(fmt.Sprintf("-seed=%d", o.seed), "-dir="+o.dir)
	if err == nil && code == 0 && !o.keep {
		err = os.RemoveAll(o.dir)
	}
	return code, err
}

// inside does the run, and tells whether all was well.
func inside(o *options) (good bool, err error) {
	if err := settleInside(); err != nil {
		return false, err
	}
	if o.root, err = os.Getwd(); err != nil {
		return false, err
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return false, err
	}
	serve := strings.Fields(o.serve)
	if serve[0], err = exec.LookPath(serve[0]); err != nil {
		return false, fmt.Errorf("%w; run make build", err)
	}
	if serve[0], err = filepath.Abs(serve[0]); err != nil {
		return false, err
	}
	o.serve = strings.Join(serve, " ")
	if err := disksAllowed(); err != nil {
		fmt.Printf("without disks of their own, and so without power cuts and full disks: %v\n", err)
	} else {
		o.disks = true
	}
	t := &trial{options: o}
	if t.kinds, err = chosen(o.only, o.nodes, o.disks); err != nil {
		return false, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	fmt.Printf("seed %d, %v, %d nodes, %d kinds of faults; %s\n", o.seed, o.duration, o.nodes, len(t.kinds), o.dir)
	v, err := t.do(ctx)
	if err != nil {
		return false, fmt.Errorf("%w; see %s", err, o.dir)
	}
	v.write(os.Stdout)
	return v.good(), nil
}

// check judges a history that was kept.
func check(name string) (code int) {
	f, err := os.Open(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 2
	}
	defer func() { _ = f.Close() }()
	events, err := history.Load(f)
	if err != nil {
		fmt.Fprintf(os.Stderr, "chaos: %s: %v\n", name, err)
		return 2
	}
	anomalies := history.Check(events)
	for _, a := range anomalies {
		fmt.Println("ANOMALY:", a)
	}
	fmt.Printf("%d anomalies in %d events\n", len(anomalies), len(events))
	return min(len(anomalies), 1)
}
