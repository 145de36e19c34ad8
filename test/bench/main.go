package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	o := options{}
	flag.IntVar(&o.nodes, "nodes", 1, "how many `nodes` each of the two has: 1 or 3")
	flag.BoolVar(&o.connect, "connect", false, "measure workers of Connect instead of brokers")
	flag.StringVar(&o.only, "only", "", "only the figures with these `names`, separated by commas: "+strings.Join(brokers.names(), ", ")+"; of three nodes: "+strings.Join(clusters.names(), ", ")+"; of Connect: "+strings.Join(workers.names(), ", "))
	flag.BoolVar(&o.alone, "alone", false, "with -connect: only Weir's worker")
	flag.BoolVar(&o.quick, "quick", false, "small sizes: shows that everything works, the figures mean nothing")
	flag.Float64Var(&o.crashGB, "crash-gb", 10, "how many `GB` to restart with after kill -9")
	flag.StringVar(&o.json, "json", "", "write the figures as JSON to this `file` too; - for standard output")
	flag.StringVar(&o.page, "write", "", "write the table into this `page` too: docs/benchmarks.md")
	flag.StringVar(&o.binary, "bin", "bin/weir", "the weir to measure")
	flag.StringVar(&o.dir, "dir", os.TempDir(), "where to put data, on the disk to measure; all of it is deleted")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "Measures Weir beside Apache Kafka and its Connect, and prints a table. Run it in the repository's root, on a quiet machine.")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := o.run(ctx)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	only, json, page, binary, dir string
	connect, alone, quick         bool
	nodes                         int
	crashGB                       float64
}

// names gives those of the figures.
func (s suite) names() (all []string) {
	for _, f := range s.figures {
		all = append(all, f.name)
	}
	return slices.Compact(all)
}

// suite gives the one that is asked for.
func (o *options) suite() (suite, error) {
	switch {
	case o.connect:
		return workers, nil
	case o.nodes == brokers.nodes:
		return brokers, nil
	case o.nodes == clusters.nodes:
		return clusters, nil
	}
	return suite{}, fmt.Errorf("-nodes must be %d or %d, not %d", brokers.nodes, clusters.nodes, o.nodes)
}

func (o *options) figures(of suite) ([]figure, error) {
	if o.only == "" {
		return of.figures, nil
	}
	only := strings.Split(o.only, ",")
	for _, name := range only {
		if !slices.Contains(of.names(), name) {
			return nil, fmt.Errorf("no figure %q: there are %s", name, strings.Join(of.names(), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(of.figures), func(f figure) bool { return !slices.Contains(only, f.name) }), nil
}

func (o *options) run(ctx context.Context) (err error) {
	of, err := o.suite()
	if err != nil {
		return err
	}
	chosen, err := o.figures(of)
	if err != nil {
		return err
	}
	s, most := full, int64(math.MaxInt64)
	s.crashGB, s.warmUp = o.crashGB, of.warmUp
	if o.quick {
		s, most = small, 256<<20
	}
	free, err := freeDisk(o.dir)
	if err != nil {
		return err
	}
	if need := int64(max(s.crashGB, s.loadGB)+2) * 1e9; free < need {
		return fmt.Errorf("%s has %d GB free: %d are needed", o.dir, free/1e9, need/1e9)
	}
	dir, err := os.MkdirTemp(o.dir, "weir-bench-")
	if err != nil {
		return err
	}
	m := &memory{dir: dir, most: most}
	defer func() {
		m.release()
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	f, err := factsOf(ctx, of, o.binary, dir)
	if err != nil {
		return err
	}
	f.Nodes = of.nodes
	r := &run{binary: o.binary, dir: dir, alone: o.alone, nodes: of.nodes, sizes: s, memory: m, measured: map[*measurement]map[column][]values{}}
	if err := of.measure(r, ctx, chosen); err != nil {
		return err
	}
	rows := r.rows(chosen)
	var table strings.Builder
	writeTable(&table, of, f, o.quick, rows)
	fmt.Print(table.String())
	var failed error
	if len(r.failures) > 0 {
		failed = fmt.Errorf("failed: %s", strings.Join(r.failures, "; "))
	}
	if o.json != "" {
		failed = errors.Join(failed, writeJSON(o.json, f, o.quick, rows))
	}
	if o.page != "" {
		failed = errors.Join(failed, writePage(o.page, of.place, table.String()))
	}
	return failed
}
