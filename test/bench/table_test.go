package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRow(t *testing.T) {
	f := figure{title: "rate", unit: "MB/s", base: kafka, aim: timesAtLeast(1.3), relaxed: timesAtLeast(1.8)}
	r := newRow(f, f.title, map[column][]float64{kafka: {90, 110}, weirSynced: {130}, weirRelaxed: {170}}, nil)
	var out strings.Builder
	writeTable(&out, brokers, facts{}, false, []row{r})
	want := "| rate | MB/s | 90, 110 |  | 130 | 170 | 1.3 ×; 1.7 × | ≥ 1.3 ×; relaxed ≥ 1.8 × | yes; no |"
	if lines := strings.Split(out.String(), "\n"); lines[2] != want {
		t.Errorf("have %s\nwant %s", lines[2], want)
	}
}

func TestRowWithFailures(t *testing.T) {
	r := run{measured: map[*measurement]map[column][]values{
		manyPartitions: {kafka: {{"create": 9}}, weirSynced: {nil}},
		produce1K:      {kafka: {nil, {"mb/s": 100}}, weirSynced: {{"mb/s": 130}}},
	}}
	rows := r.rows([]figure{
		{title: "create", unit: "s", from: manyPartitions, value: "create", aim: atMost(3)},
		{title: "restart", unit: "s", from: manyPartitions, value: "clean", aim: atMost(.5)},
		{title: "rate", unit: "MB/s", from: produce1K, value: "mb/s", aim: timesAtLeast(1.3)},
	})
	var out strings.Builder
	writeTable(&out, brokers, facts{}, false, rows)
	for i, want := range []string{
		"| create | s | 9 |  | failed |  |  | ≤ 3 s |  |",
		"| restart | s | failed |  | failed |  |  | ≤ 0.5 s |  |",
		"| rate | MB/s | 100, failed |  | 130 |  | 1.3 × | ≥ 1.3 × | yes |",
	} {
		if got := strings.Split(out.String(), "\n")[2+i]; got != want {
			t.Errorf("have %s\nwant %s", got, want)
		}
	}
}

func TestAim(t *testing.T) {
	for _, c := range []struct {
		aim         aim
		value, base float64
		met         bool
	}{
		{atMost(5), 5, 0, true}, {atMost(5), 5.1, 0, false}, {times(.5), 50, 100, true}, {times(.5), 51, 100, false},
		{timesAtLeast(4), 400, 100, true}, {timesAtLeast(4), 399, 100, false},
	} {
		if c.aim.met(c.value, c.base) != c.met {
			t.Errorf("%s, %v beside %v: met is not %v", c.aim.text("s"), c.value, c.base, c.met)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", .0255: "0.0255", 1.2345: "1.23", 12.345: "12.3", 123.45: "123", 123456: "123456"} {
		if got := number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestPageHasRoomForTheTables(t *testing.T) {
	text, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "page.md")
	for _, table := range []string{"| first |\n", "| second |\n"} {
		for _, of := range []suite{brokers, clusters, workers} {
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := writePage(path, of.place, table); err != nil {
				t.Fatal(err)
			}
			begins, ends := around(of.place)
			if text, err = os.ReadFile(path); err != nil || !strings.Contains(string(text), begins+table+ends) {
				t.Fatalf("%v\n%s", err, text)
			}
		}
	}
	if strings.Contains(string(text), "| first |") {
		t.Error("a table before is still there")
	}
}
