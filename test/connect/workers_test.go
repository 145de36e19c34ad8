package connect

import (
	"fmt"
	"testing"
)

// TestWorkerLost: of three workers one is killed and stays away. After the delay the others have its tasks; what the others had
// goes on meanwhile; nothing is lost.
func TestWorkerLost(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	broker := startBroker(t)
	var workers []*process
	for range 3 {
		workers = append(workers, startWorker(t, broker.kafka, "scheduled.rebalance.max.delay.ms=3000", "session.timeout.ms=6000"))
	}
	var ledgers []*ledger
	for i := range 4 {
		l := newLedger(t, pg, fmt.Sprintf("lost%d", i), 100)
		ledgers = append(ledgers, l)
		workers[i%3].connector(l.database, pg.props(l.database))
	}
	shared := func(among []*process) bool {
		have := map[string]int{}
		for _, l := range ledgers {
			task := among[0].task(l.database)
			if task.State != "RUNNING" || task.Details.LagMS == nil {
				return false
			}
			have[task.Worker]++
		}
		for _, w := range among {
			if have[w.rest] == 0 {
				return false
			}
		}
		return len(have) == len(among)
	}
	await(t, "all three to have tasks that follow the changes", func() bool { return shared(workers) })
	victim, left := workers[2], workers[:2]
	stay := map[string]int64{}
	for _, l := range ledgers {
		if task := left[0].task(l.database); task.Worker != victim.rest {
			stay[l.database] = task.Details.Records
		}
		l.writes(50)
	}
	for _, l := range ledgers {
		await(t, "changes", func() bool { return l.wrote() > 50 })
	}
	victim.kill()
	await(t, "the others to have all tasks", func() bool {
		for name, records := range stay {
			task := left[0].task(name)
			known := task.Details.LagMS != nil // the worker that has it was there to be asked
			if task.State != "RUNNING" || known && task.Details.Records < records {
				t.Fatalf("%s was disturbed: %+v", name, task)
			}
			stay[name] = max(records, task.Details.Records)
		}
		return shared(left)
	})
	for _, l := range ledgers {
		l.end()
		out := l.settle(broker.kafka)
		t.Logf("%s: %d changes, %d events, of which %d again", l.database, l.wrote(), out.events, out.again)
		if _, stayed := stay[l.database]; stayed && out.again > 0 {
			t.Errorf("%s stayed where it was, and %d events came twice", l.database, out.again)
		}
	}
}
