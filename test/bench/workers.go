package main

import (
	"context"
	"errors"
	"slices"
	"time"
)

var bothWorkers = []column{kafkaWorker, weirWorker}

// workers measures Connect's: Kafka's own, and Weir's.
var workers = suite{columns: bothWorkers, nodes: 1, measure: (*run).workers, versions: connectVersions, place: "the table of Connect", figures: []figure{
	{"start", "worker: start → REST ready", "s", workerStart, "start", bothWorkers, kafkaWorker, atMost(.1), aim{}},
	{"start", "… idle: RSS", "MB", workerStart, "rss", bothWorkers, kafkaWorker, atMost(40), aim{}},
	{"snapshot", "PostgreSQL snapshot, JSON without schemas", "rows/s", snapshot, "rate", bothWorkers, kafkaWorker, timesAtLeast(5), aim{}},
	{"snapshot", "… worker CPU", "s/M", snapshot, "cpu", bothWorkers, kafkaWorker, times(.15), aim{}},
	{"stream", "PostgreSQL changes, waiting in the slot", "events/s", stream, "rate", bothWorkers, kafkaWorker, timesAtLeast(3), aim{}},
	{"stream", "… worker CPU", "s/M", stream, "cpu", bothWorkers, kafkaWorker, times(.15), aim{}},
	{"stream", "… RSS after it", "MB", stream, "rss", bothWorkers, kafkaWorker, atMost(150), aim{}},
	{"latency", "500 changes/s: commit → visible to a consumer, p50", "ms", latency, "p50", bothWorkers, kafkaWorker, atMost(5), aim{}},
	{"latency", "… p99", "ms", latency, "p99", bothWorkers, kafkaWorker, atMost(20), aim{}},
	{"sql", "SQL sink, upserts of rows that are there", "rows/s", sqlSink, "rate", bothWorkers, kafkaWorker, timesAtLeast(5), aim{}},
	{"sql", "… worker CPU", "s/M", sqlSink, "cpu", bothWorkers, kafkaWorker, times(.2), aim{}},
	{"mirror", "mirror", "records/s", mirror, "rate", bothWorkers, kafkaWorker, timesAtLeast(5), aim{}},
	{"mirror", "… worker CPU", "s/M", mirror, "cpu", bothWorkers, kafkaWorker, times(.1), aim{}},
	{"mirror", "… first record", "s", mirror, "first", bothWorkers, kafkaWorker, atMost(1), aim{}},
	{"opensearch", "OpenSearch sink", "docs/s", searchSink, "rate", []column{weirWorker}, kafkaWorker, aim{}, aim{}},
	{"opensearch", "… worker CPU", "s/M", searchSink, "cpu", []column{weirWorker}, kafkaWorker, atMost(8), aim{}},
	{"kill", "worker killed with -9, at 500 changes/s, and started: gap", "s", killed, "gap", bothWorkers, kafkaWorker, atMost(1), aim{}},
	{"kill", "… events sent again", "", killed, "again", bothWorkers, kafkaWorker, atMost(500), aim{}},
}}

var (
	workerStart = &measurement{name: "start", worker: measureWorkerStart}
	snapshot    = &measurement{name: "snapshot", worker: measureSnapshot}
	stream      = &measurement{name: "stream", worker: measureStream}
	latency     = &measurement{name: "latency", worker: measureLatency}
	sqlSink     = &measurement{name: "sql", worker: measureSQL}
	mirror      = &measurement{name: "mirror", worker: measureMirror}
	searchSink  = &measurement{name: "opensearch", worker: measureSearch}
	killed      = &measurement{name: "kill", worker: measureKill} // the last: what it starts is cold
)

// workers takes one worker after the other through its measurements, against the same node and the same servers. After one that failed a
// new worker goes on with the next.
func (r *run) workers(ctx context.Context, chosen []figure) error {
	return r.withCluster(theWeir, func(node *cluster) (err error) {
		s, err := newSite(ctx, r, node)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		var needed []*measurement
		for _, f := range chosen {
			if r.measured[f.from] == nil {
				r.measured[f.from] = map[column][]values{}
				needed = append(needed, f.from)
			}
		}
		for _, c := range bothWorkers {
			if c == kafkaWorker && r.alone {
				continue
			}
			if err := r.memory.fill(ctx); err != nil {
				return err
			}
			s.column = c
			if s.worker, err = newWorker(c, r.binary, r.dir, node.bootstrap()[0]); err != nil {
				return err
			}
			for _, m := range needed {
				i := slices.IndexFunc(chosen, func(f figure) bool { return f.from == m })
				if !slices.Contains(chosen[i].columns, c) {
					continue
				}
				if made := r.make(ctx, task{m, c}, func() (values, error) {
					if err := s.started(ctx); err != nil {
						return nil, err
					}
					return m.worker(ctx, s)
				}); made {
					continue
				}
				if err := errors.Join(ctx.Err(), s.worker.kill()); err != nil {
					return err
				}
			}
			if err := s.worker.kill(); err != nil {
				return err
			}
		}
		return nil
	})
}

// measureWorkerStart starts the worker a second time: the first makes the topics that it needs.
func measureWorkerStart(ctx context.Context, s *site) (values, error) {
	if err := s.worker.stop(); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := s.worker.start(ctx); err != nil {
		return nil, err
	}
	took := time.Since(began).Seconds()
	select {
	case <-time.After(s.r.sizes.idle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	used, err := usageOf(s.worker.pid())
	if err != nil {
		return nil, err
	}
	return values{"start": took, "rss": used.rss}, nil
}
