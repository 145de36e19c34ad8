package sim

import (
	"os"
	"runtime/debug"
	"strconv"
	"testing"
)

// TestMain collects garbage less often: a run makes little that lives long.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text, ok := os.LookupEnv(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestSeeds runs seeds one after the other. How to choose them is in the package comment.
func TestSeeds(t *testing.T) {
	first, count := number(t, "SIM_FIRST", 1), number(t, "SIM_SEEDS", 250)
	if one, ok := os.LookupEnv("SIM_SEED"); ok {
		first, count = number(t, "SIM_SEED", 0), 1
		t.Logf("only seed %s", one)
	}
	o := Options{}
	if name := os.Getenv("SIM_TRACE"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		o.Trace = f
	}
	var sum Result
	for o.Seed = first; o.Seed < first+count; o.Seed++ {
		r, err := Run(o)
		if err != nil {
			t.Fatal(err)
		}
		sum.Events += r.Events
		sum.Took += r.Took
		sum.Acked += r.Acked
		sum.Read += r.Read
		sum.Faults += r.Faults
		sum.Terms += r.Terms
	}
	t.Logf("%d seeds, %v simulated: %d events, %d faults, %d terms, %d records acknowledged, %d read",
		count, sum.Took, sum.Events, sum.Faults, sum.Terms, sum.Acked, sum.Read)
}

// TestSameSeedSameRun runs a few seeds twice.
func TestSameSeedSameRun(t *testing.T) {
	for seed := range uint64(5) {
		once, err := Run(Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Run(Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		if once != again {
			t.Fatalf("seed %d ran as %+v, and then as %+v", seed, once, again)
		}
	}
}
