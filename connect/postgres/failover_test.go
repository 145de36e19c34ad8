package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/weir/weir/connect/sdk"
)

// TestGap: whatever keeps a task from reading on where it was is found, told, and can be decided by the options that may.
func TestGap(t *testing.T) {
	at := func(read lsn) place { return place{commit: read, at: read - 1, event: "COMMIT"} }
	here, before := home{"7", 1}, home{"7", 2}
	ready := func(from lsn) slot { return slot{slotReady, from} }
	for name, test := range map[string]struct {
		p        place
		was      home
		is       standing
		says     string // "": there is none
		strategy string // with which it goes on all the same
	}{
		"all as it was":                  {at(100), here, standing{here, 120, 0, ready(100)}, "", ""},
		"the slot is behind":             {at(100), here, standing{here, 120, 0, ready(50)}, "", ""},
		"a snapshot, and no change yet":  {place{at: 100, snapshot: "INITIAL", completed: true}, here, standing{here, 120, 0, ready(100)}, "", ""},
		"positions of Debezium":          {at(100), home{}, standing{here, 120, 0, ready(100)}, "", ""},
		"promoted, with the slot":        {at(100), here, standing{before, 200, 100, ready(90)}, "", ""},
		"a history that is not known":    {at(100), here, standing{before, 200, 0, ready(90)}, "", ""},
		"the slot is gone":               {at(100), here, standing{here, 120, 0, slot{state: slotMissing}}, `"s" does not exist any more: the changes since 0/64 are lost. Reset`, ""},
		"promoted, without the slot":     {at(100), here, standing{before, 200, 110, slot{state: slotMissing}}, `"s" does not exist since a standby was promoted (timeline 1 became 2): the changes since 0/64 are lost. Reset`, ""},
		"the slot is invalid":            {at(100), here, standing{here, 120, 0, slot{state: slotLost}}, "max_slot_wal_keep_size", ""},
		"the slot was made anew":         {at(100), here, standing{here, 120, 0, ready(101)}, `"s" begins at 0/65, and changes were read up to 0/64 only: somebody has made the slot anew`, "trust_slot trust_greater_lsn"},
		"promoted, and made anew":        {at(100), here, standing{before, 200, 110, ready(120)}, "only since a standby was promoted (timeline 1 became 2)", "trust_slot trust_greater_lsn"},
		"a slot later than the snapshot": {place{at: 100, snapshot: "INITIAL", completed: true}, here, standing{here, 120, 0, ready(101)}, `"s" begins at`, "trust_slot trust_greater_lsn"},
		"the standby was behind":         {at(100), here, standing{before, 90, 80, ready(70)}, "(timeline 1 became 2) was behind: it has the log up to 0/50 only, and changes were read up to 0/64", "trust_slot"},
		"behind, but farther since":      {at(100), here, standing{before, 300, 99, ready(70)}, "was behind: it has the log up to 0/63 only", "trust_slot"},
		"an older copy":                  {at(100), home{}, standing{here, 99, 0, ready(70)}, "ends at 0/63, and changes were read up to 0/64", "trust_slot"},
		"another database":               {at(100), here, standing{home{"8", 1}, 200, 0, ready(70)}, "at h:5 is another database (system identifier 8) than the one whose changes were read up to 0/64 (7)", ""},
	} {
		o := &options{slot: "s", pg: &pgconn.Config{Host: "h", Port: 5}}
		g := find(o, test.p, test.was, test.is)
		if (g == nil) != (test.says == "") {
			t.Errorf("%s: found %v, want %q", name, g, test.says)
			continue
		}
		if g == nil {
			continue
		}
		if err := g.err(); sdk.CauseOf(err) != sdk.Lost || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "Reset the connector's offsets") {
			t.Errorf("%s: says %v (%s), want %q", name, err, sdk.CauseOf(err), test.says)
		}
		for _, strategy := range []string{"no_validation", "trust_offset", "trust_slot", "trust_greater_lsn"} {
			if got, want := g.trusted(strategy), strings.Contains(test.strategy, strategy); got != want {
				t.Errorf("%s: with %s it goes on: %v, want %v", name, strategy, got, want)
			}
		}
	}
}

// TestHistory: of a timeline's history what counts is where it left the one that is known.
func TestHistory(t *testing.T) {
	history := "1\t0/3000148\tno recovery target specified\n\n2\t1/A0\tno recovery target specified\n"
	for line, want := range map[int64]lsn{1: 0x3000148, 2: 0x1000000A0, 3: 0} {
		if got := parted(history, line); got != want {
			t.Errorf("timeline %d was left at %s, want %s", line, got, want)
		}
	}
}

// TestSlotMadeAnew: a slot that somebody dropped and made again is no place to go on from without a word, whatever happened to the task
// meanwhile. snapshot.mode and offset.mismatch.strategy say what happens.
func TestSlotMadeAnew(t *testing.T) {
	s := postgresFor(t)
	for name, test := range map[string]struct {
		options map[string]string
		want    string // the next record; "": an error
	}{
		"initial":           {map[string]string{}, ""},
		"no_data":           {map[string]string{"snapshot.mode": "no_data"}, ""},
		"when_needed":       {map[string]string{"snapshot.mode": "when_needed"}, "r 1 one"},
		"always":            {map[string]string{"snapshot.mode": "always"}, "r 1 one"},
		"trust_slot":        {map[string]string{"offset.mismatch.strategy": "trust_slot"}, "c 3 three"},
		"trust_greater_lsn": {map[string]string{"offset.mismatch.strategy": "trust_greater_lsn"}, "c 3 three"},
	} {
		t.Run(name, func(t *testing.T) {
			database := "anew_" + name
			c := s.database(t, database)
			c.run("CREATE TABLE a (id int PRIMARY KEY, v text)")
			props := s.props(database, test.options)
			r := newRunner(t, props)
			for !r.task.isStreaming() {
				r.poll(100 * time.Millisecond)
			}
			c.run("INSERT INTO a VALUES (1, 'one')")
			for len(r.taken) == 0 {
				r.poll(time.Second)
			}
			r.keep(len(r.keeps) - 1)
			r.task.disconnect()
			for c.run("SELECT active FROM pg_replication_slots WHERE slot_name = 'slot_" + database + "'")[0][0] == "t" {
				time.Sleep(10 * time.Millisecond)
			}
			c.run("SELECT pg_drop_replication_slot('slot_" + database + "')")
			c.run("INSERT INTO a VALUES (2, 'two')")
			c.run("SELECT pg_create_logical_replication_slot('slot_" + database + "', 'pgoutput')")
			c.run("INSERT INTO a VALUES (3, 'three')")
			r.crash()
			if test.want == "" {
				_, err := r.task.Poll(context.Background())
				if sdk.CauseOf(err) != sdk.Lost || !strings.Contains(err.Error(), "somebody has made the slot anew or moved it on") {
					t.Errorf("got %v", err)
				}
				return
			}
			for deadline := time.Now().Add(patience); len(r.taken) < 2; {
				r.poll(time.Second)
				if time.Now().After(deadline) {
					t.Fatal("nothing came")
				}
			}
			if r.taken[1] != test.want {
				t.Errorf("got %q, want %q", r.taken, test.want)
			}
		})
	}
}

// TestAnotherDatabase: a task that is pointed to another database says so, though all that it looks for is there.
func TestAnotherDatabase(t *testing.T) {
	one, other := postgresFor(t), ownServer(t)
	r := newRunner(t, one.props("another", nil))
	for _, s := range []*server{one, other} {
		c := s.database(t, "another")
		c.run("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'one')")
	}
	for !r.task.isStreaming() {
		r.poll(time.Second)
	}
	r.keep(len(r.keeps) - 1)
	other.session(t, "another").run("SELECT pg_create_logical_replication_slot('slot_another', 'pgoutput')")
	r.props = other.props("another", nil)
	r.crash()
	_, err := r.task.Poll(context.Background())
	if sdk.CauseOf(err) != sdk.Lost || !strings.Contains(err.Error(), "is another database (system identifier") {
		t.Errorf("got %v", err)
	}
}
