package connect

import (
	"syscall"
	"testing"
	"time"
)

// streams waits until a task follows the changes.
func streams(t *testing.T, p *process, name string) {
	t.Helper()
	await(t, name+" to follow the changes", func() bool {
		task := p.task(name)
		return task.State == "RUNNING" && task.Details.LagMS != nil
	})
}

// TestWorkerKilled: a worker, or the node with its worker in it, is killed while changes are followed, and started again. What comes
// again is what was sent after the last positions were kept, at most; all the rest comes once.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	for _, kind := range []string{"worker", "node"} {
		t.Run(kind, func(t *testing.T) {
			var victim *process
			if kind == "worker" {
				victim = startWorker(t, startBroker(t).kafka)
			} else {
				victim = startNode(t)
			}
			l := newLedger(t, pg, "killed_"+kind, 100)
			victim.connector("c", pg.props(l.database))
			streams(t, victim, "c")
			l.writes(200)
			const kills = 5
			for range kills {
				at := l.wrote()
				await(t, "changes", func() bool { return l.wrote() > at+200 })
				victim.kill()
				begun := time.Now()
				victim.start()
				await(t, "records after the kill", func() bool { return victim.task("c").Details.Records > 0 })
				t.Logf("killed after %d changes; its successor moves records after %v", l.wrote(), time.Since(begun).Round(time.Millisecond))
			}
			l.end()
			out := l.settle(victim.kafka)
			t.Logf("%d changes, %d events, of which %d again in %d places", l.wrote(), out.events, out.again, out.back)
			if out.back > kills {
				t.Errorf("events came again %d times, with %d kills", out.back, kills)
			}
		})
	}
}

// TestWorkerKilledInSnapshot: a worker that is killed while it reads tables begins with them anew, and loses no change meanwhile.
func TestWorkerKilledInSnapshot(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	victim := startWorker(t, startBroker(t).kafka)
	l := newLedger(t, pg, "insnapshot", 200_000)
	victim.connector("c", pg.props(l.database))
	l.writes(200)
	kills := 0
	for range 3 {
		await(t, "rows", func() bool { d := victim.task("c").Details; return d.Records > 1000 || d.LagMS != nil })
		if victim.task("c").Details.LagMS == nil {
			kills++
		}
		victim.kill()
		victim.start()
	}
	if kills == 0 {
		t.Fatal("each snapshot was over before the kill")
	}
	streams(t, victim, "c")
	l.end()
	out := l.settle(victim.kafka)
	t.Logf("%d kills within snapshots: %d rows read, %d events in all, of which %d again", kills, out.reads, out.events, out.again)
}

// TestDatabaseKilled: the database is killed 20 times in a row under writes, and started again. Nobody has to do anything, nothing is
// lost, and since the worker has not forgotten where it is, nothing comes twice.
func TestDatabaseKilled(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	node := startNode(t)
	l := newLedger(t, pg, "dbkilled", 100)
	node.connector("c", pg.props(l.database))
	streams(t, node, "c")
	l.writes(200)
	for range 20 {
		at, moved := l.wrote(), node.task("c").Details.Records
		await(t, "changes", func() bool { return l.wrote() > at+30 })
		await(t, "events", func() bool { return node.task("c").Details.Records > moved })
		pg.stop(syscall.SIGKILL)
		pg.start()
	}
	l.end()
	out := l.settle(node.kafka)
	t.Logf("%d changes, %d events, of which %d again", l.wrote(), out.events, out.again)
	if out.again > 0 {
		t.Errorf("%d events came twice", out.again)
	}
	if task := node.task("c"); task.State != "RUNNING" {
		t.Errorf("the task is %+v", task)
	}
}

// TestDatabaseKilledInSnapshot: the same while tables are read.
func TestDatabaseKilledInSnapshot(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	node := startNode(t)
	l := newLedger(t, pg, "dbsnapshot", 200_000)
	node.connector("c", pg.props(l.database))
	l.writes(200)
	kills := 0
	for range 3 {
		moved := node.task("c").Details.Records
		await(t, "rows", func() bool { d := node.task("c").Details; return d.Records > moved+1000 || d.LagMS != nil })
		if node.task("c").Details.LagMS == nil {
			kills++
		}
		pg.stop(syscall.SIGKILL)
		pg.start()
	}
	if kills == 0 {
		t.Fatal("each snapshot was over before the kill")
	}
	streams(t, node, "c")
	l.end()
	out := l.settle(node.kafka)
	t.Logf("%d kills within snapshots: %d rows read, %d events in all, of which %d again", kills, out.reads, out.events, out.again)
}
