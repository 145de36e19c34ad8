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
	idle             time.Duration
	partitions       int
	crashGB          float64
}

var (
	// loadGB: what the longest load can write, as fast as the disks of today.
	full  = sizes{part: 1, loadGB: 10, warmUp: "2s", duration: "5s", idle: 5 * time.Second, partitions: 10_000}
	small = sizes{part: 40, loadGB: 1, warmUp: "200ms", duration: "500ms", idle: time.Second, partitions: 300, crashGB: .1}
)

func (s sizes) records(n int) string { return strconv.Itoa(n / s.part) }

// A run makes the measurements and keeps what they give.
type run struct {
	binary, dir string
	sizes       sizes
	memory      *memory
	measured    map[*measurement]map[column][]values
	failed      map[*measurement]map[column]bool
	errs        []error // of those that failed
}

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
			if err := r.load(ctx, p, loaded, chosen); err != nil {
				return err
			}
		}
	}
	for _, m := range needed {
		if m.fresh == nil {
			continue
		}
		for _, c := range asTheyCome {
			err := r.withBroker(ctx, c.product(), func(b *broker) error {
				return r.keep(ctx, m, c, func() (values, error) { return m.fresh(ctx, r, b) })
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// load takes one broker through all measurements under load.
func (r *run) load(ctx context.Context, p product, needed []*measurement, chosen []figure) error {
	return r.withBroker(ctx, p, func(b *broker) error {
		if err := b.start(ctx); err != nil {
			return err
		}
		for _, m := range needed {
			i := slices.IndexFunc(chosen, func(f figure) bool { return f.from == m })
			for _, c := range chosen[i].columns {
				if c.product() != p {
					continue
				}
				if err := r.keep(ctx, m, c, func() (values, error) { return m.loaded(ctx, r, b, c) }); err != nil {
					return err
				}
			}
		}
		return b.stop()
	})
}

func (r *run) withBroker(ctx context.Context, p product, do func(*broker) error) (err error) {
	b, err := newBroker(p, r.binary, r.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.remove()) }()
	return do(b)
}

// keep makes one measurement on a machine whose page cache is full. One that fails does not keep the others from being made.
func (r *run) keep(ctx context.Context, m *measurement, c column, measure func() (values, error)) error {
	if err := r.memory.fill(ctx); err != nil {
		return err
	}
	began := time.Now()
	v, err := measure()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(v) > 0 {
		r.measured[m][c] = append(r.measured[m][c], v)
	}
	if err != nil {
		err = fmt.Errorf("%s, %s: %w", columnNames[c], m.name, err)
		fmt.Fprintln(os.Stderr, "failed, the others go on:", err)
		r.errs = append(r.errs, err)
		if r.failed[m] == nil {
			r.failed[m] = map[column]bool{}
		}
		r.failed[m][c] = true
		return nil
	}
	fmt.Fprintf(os.Stderr, "%-14s %-50s %6.1f s\n", columnNames[c], m.name, time.Since(began).Seconds())
	return nil
}

// rows gives the table.
func (r *run) rows(chosen []figure) (all []row) {
	sized := strings.NewReplacer("{partitions}", strconv.Itoa(r.sizes.partitions), "{gb}", number(r.sizes.crashGB))
	for _, f := range chosen {
		of := map[column][]float64{}
		for c, each := range r.measured[f.from] {
			for _, v := range each {
				if value, ok := v[f.value]; ok {
					of[c] = append(of[c], value)
				}
			}
		}
		one := newRow(f, sized.Replace(f.title), of)
		for c := range r.failed[f.from] {
			one.Failed = append(one.Failed, columnKeys[c])
		}
		all = append(all, one)
	}
	return all
}
