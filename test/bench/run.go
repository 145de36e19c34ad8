package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sizes of what is measured.
type sizes struct {
	part             int // of the records of a full run
	loadGB           float64
	warmUp, duration string
	idle, calm       time.Duration // calm: before it is measured whether a cluster is idle
	trickle          time.Duration // of changes one by one
	partitions       int
	kills            int           // of nodes
	watch            time.Duration // for how long gaps are looked for, at least
	crashGB          float64
}

var (
	// loadGB: what the longest load can write, all replicas together, as fast as the disks of today.
	full  = sizes{part: 1, loadGB: 10, duration: "5s", idle: 5 * time.Second, calm: 10 * time.Second, trickle: 15 * time.Second, partitions: 10_000, kills: 5, watch: 2 * time.Second}
	small = sizes{part: 40, loadGB: 1, warmUp: "200ms", duration: "500ms", idle: time.Second, calm: time.Second, trickle: 3 * time.Second, partitions: 300, kills: 2, watch: time.Second, crashGB: .1}
)

func (s sizes) records(n int) string { return strconv.Itoa(s.count(n)) }

func (s sizes) count(n int) int { return n / s.part }

// A run makes the measurements and keeps what they give.
type run struct {
	binary, dir string
	nodes       int
	alone       bool // without Kafka's worker
	sizes       sizes
	memory      *memory
	measured    map[*measurement]map[column][]values // one that failed has only the values that it came to
	failures    []string                             // names of the tasks
}

// A task is a measurement for one column.
type task struct {
	of     *measurement
	column column
}

func (t task) String() string { return columnNames[t.column] + ", " + t.of.name }

// all makes every measurement that the figures need: those of loaded brokers first.
func (r *run) all(ctx context.Context, chosen []figure) error {
	var needed []*measurement
	for _, f := range chosen {
		if r.measured[f.from] == nil {
			r.measured[f.from] = map[column][]values{}
			needed = append(needed, f.from)
		}
	}
	loaded := slices.DeleteFunc(slices.Clone(needed), func(m *measurement) bool { return m.loaded == nil })
	if i := slices.Index(loaded, idle); i > 0 { // before there is any load
		loaded = slices.Insert(slices.Delete(loaded, i, i+1), 0, idle)
	}
	if len(loaded) > 0 {
		for _, p := range []product{theKafka, theWeir, theKafka} {
			if err := r.load(ctx, p, tasks(p, loaded, chosen)); err != nil {
				return err
			}
		}
	}
	for _, m := range needed {
		if m.fresh == nil {
			continue
		}
		for _, c := range asTheyCome {
			t := task{m, c}
			if err := r.withCluster(c.product(), func(of *cluster) error {
				r.make(ctx, t, func() (values, error) {
					if err := r.memory.fill(ctx); err != nil {
						return nil, err
					}
					return m.fresh(ctx, r, of)
				})
				return ctx.Err()
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// tasks are those of one product.
func tasks(p product, needed []*measurement, chosen []figure) (all []task) {
	for _, m := range needed {
		i := slices.IndexFunc(chosen, func(f figure) bool { return f.from == m })
		for _, c := range chosen[i].columns {
			if c.product() == p {
				all = append(all, task{m, c})
			}
		}
	}
	return all
}

// load takes one cluster through measurements under load. After one that failed a new one goes on with the next.
func (r *run) load(ctx context.Context, p product, left []task) error {
	for len(left) > 0 {
		if err := r.withCluster(p, func(c *cluster) error {
			for made := true; made && len(left) > 0; left = left[1:] {
				made = r.make(ctx, left[0], func() (values, error) {
					if err := c.started(ctx); err != nil {
						return nil, err
					}
					if err := r.memory.fill(ctx); err != nil {
						return nil, err
					}
					return left[0].of.loaded(ctx, r, c, left[0].column)
				})
			}
			return ctx.Err()
		}); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) withCluster(p product, do func(*cluster) error) (err error) {
	c, err := newCluster(p, r.binary, r.dir, r.nodes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.remove()) }()
	return do(c)
}

// make makes one measurement and keeps what it gives. One that fails is told of at once, and the run goes on.
func (r *run) make(ctx context.Context, t task, measure func() (values, error)) bool {
	began := time.Now()
	v, err := measure()
	if ctx.Err() != nil {
		return false
	}
	r.measured[t.of][t.column] = append(r.measured[t.of][t.column], v)
	if err != nil {
		r.failures = append(r.failures, t.String())
		fmt.Fprintf(os.Stderr, "FAILED: %s: %v\n", t, err)
		return false
	}
	fmt.Fprintf(os.Stderr, "%-14s %-50s %6.1f s\n", columnNames[t.column], t.of.name, time.Since(began).Seconds())
	return true
}

// rows gives the table.
func (r *run) rows(chosen []figure) (all []row) {
	sized := strings.NewReplacer("{partitions}", strconv.Itoa(r.sizes.partitions), "{kills}", strconv.Itoa(r.sizes.kills), "{gb}", number(r.sizes.crashGB))
	for _, f := range chosen {
		of, failed := map[column][]float64{}, map[column]bool{}
		for c, each := range r.measured[f.from] {
			for _, v := range each {
				if value, ok := v[f.value]; ok {
					of[c] = append(of[c], value)
				} else {
					failed[c] = true
				}
			}
		}
		all = append(all, newRow(f, sized.Replace(f.title), of, failed))
	}
	return all
}
