package sim

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
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
	if _, one := os.LookupEnv("SIM_SEED"); one {
		first, count = number(t, "SIM_SEED", 0), 1
	}
	if shares := uint64(runtime.GOMAXPROCS(0)); count >= 1000 && shares > 1 {
		share(t, first, count, shares)
		return
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
		sum.GivenUp += r.GivenUp
	}
	t.Logf("seeds %d to %d, %v simulated: %d events, %d faults, %d terms, %d records acknowledged, %d read, %d partitions given up",
		first, first+count-1, sum.Took, sum.Events, sum.Faults, sum.Terms, sum.Acked, sum.Read, sum.GivenUp)
	if count >= 100 && (sum.Acked == 0 || sum.Read == 0 || sum.Faults == 0 || count >= 250 && sum.GivenUp == 0) {
		t.Error("nothing happened that could have gone wrong")
	}
}

// share runs many seeds in several processes, since a process can only do one at a time.
func share(t *testing.T, first, count, shares uint64) {
	for i := range shares {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			from, to := count*i/shares, count*(i+1)/shares
			cmd := exec.Command(os.Args[0], "-test.run", "^TestSeeds$", "-test.v", "-test.timeout", "0")
			cmd.Env = append(os.Environ(), fmt.Sprintf("SIM_FIRST=%d", first+from), fmt.Sprintf("SIM_SEEDS=%d", to-from), "GOMAXPROCS=1")
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Error(err)
			}
		})
	}
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
