package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// A row is a figure with what was measured.
type row struct {
	Name   string               `json:"name"`
	Title  string               `json:"title"`
	Unit   string               `json:"unit"`
	Values map[string][]float64 `json:"values"` // by column; Kafka is measured twice
	Failed map[string]bool      `json:"failed"` // a measurement of the column failed
	Base   string               `json:"compared_with"`
	Ratio  map[string]float64   `json:"ratio"`
	Aim    string               `json:"aim"`
	Met    map[string]bool      `json:"met"`

	base column
}

func newRow(f figure, title string, measured map[column][]float64, failed map[column]bool) row {
	r := row{Name: f.name, Title: title, Unit: f.unit, Values: map[string][]float64{}, Failed: map[string]bool{}, Base: columnKeys[f.base], base: f.base,
		Ratio: map[string]float64{}, Met: map[string]bool{}, Aim: f.aim.text(f.unit)}
	if f.relaxed != (aim{}) {
		r.Aim += "; relaxed " + f.relaxed.text(f.unit)
	}
	for c, of := range measured {
		r.Values[columnKeys[c]] = of
	}
	for c := range failed {
		r.Failed[columnKeys[c]] = true
	}
	base := mean(measured[f.base])
	for c, a := range map[column]aim{weirSynced: f.aim, weirRelaxed: f.relaxed, weirWorker: f.aim} {
		if of := measured[c]; len(of) > 0 {
			if len(measured[f.base]) > 0 && base > 0 {
				r.Ratio[columnKeys[c]] = mean(of) / base
			}
			if a != (aim{}) && (!a.relative || base > 0) {
				r.Met[columnKeys[c]] = a.met(mean(of), base)
			}
		}
	}
	return r
}

func mean(of []float64) float64 {
	sum := 0.0
	for _, v := range of {
		sum += v
	}
	return sum / max(float64(len(of)), 1)
}

// number gives three digits.
func number(v float64) string {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	digits := max(2-int(math.Floor(math.Log10(math.Abs(v)))), 0)
	scale := math.Pow(10, float64(digits))
	return strconv.FormatFloat(math.Round(v*scale)/scale, 'f', -1, 64)
}

// quiet is how much two runs may differ before both are shown.
const quiet = .15

func cell(of []float64, failed bool) string {
	if failed {
		return strings.Join(append(texts(of), "failed"), ", ")
	}
	if len(of) == 2 && math.Abs(of[0]-of[1]) > quiet*max(of[0], of[1]) {
		return strings.Join(texts(of), ", ")
	}
	if len(of) == 0 {
		return ""
	}
	return number(mean(of))
}

func texts(of []float64) (all []string) {
	for _, v := range of {
		all = append(all, number(v))
	}
	return all
}

// both gives what there is of Weir's columns.
func both[T any](of map[string]T, text func(T) string) string {
	var all []string
	for _, c := range []column{weirSynced, weirRelaxed, weirWorker} {
		if v, ok := of[columnKeys[c]]; ok {
			all = append(all, text(v))
		}
	}
	return strings.Join(all, "; ")
}

func writeTable(w io.Writer, of suite, f facts, quick bool, rows []row) {
	line := func(cells ...string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	if quick {
		fmt.Fprint(w, "**A quick run, with small sizes: it shows that everything works, and its figures mean nothing.**\n\n")
	}
	head := []string{"Figure", "Unit"}
	for _, c := range of.columns {
		head = append(head, columnNames[c])
	}
	line(append(head, "Ratio", "Aim", "Met")...)
	line(strings.Split(strings.Repeat("---,", len(head)+2)+"---", ",")...)
	for _, r := range rows {
		cells := []string{r.Title, r.Unit}
		for _, c := range of.columns {
			cells = append(cells, cell(r.Values[columnKeys[c]], r.Failed[columnKeys[c]]))
		}
		ratio := both(r.Ratio, func(v float64) string { return number(v) + " ×" })
		if r.base == kafkaSynced && ratio != "" {
			ratio += " (of fsynced)"
		}
		line(append(cells, ratio, r.Aim, both(r.Met, func(met bool) string {
			if met {
				return "yes"
			}
			return "no"
		}))...)
	}
	fmt.Fprintf(w, "\n%s, %d cores, %.0f GB, %s, %s; the disk itself syncs 1 KB in %s ms (p50).\nWeir %s; Apache Kafka %s on %s.\n`%s`, %s.\n",
		f.CPU, f.Cores, f.Memory, f.Kernel, f.Files, number(f.SyncMs), f.Weir, f.Kafka, f.Java, f.Command, f.Date)
}

func writeJSON(path string, f facts, quick bool, rows []row) error {
	text, err := json.MarshalIndent(struct {
		facts
		Quick   bool  `json:"quick"`
		Figures []row `json:"figures"`
	}{f, quick, rows}, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if path == "-" {
		_, err = os.Stdout.Write(text)
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// around gives what stands before and after a table in a page.
func around(place string) (begins, ends string) {
	return "<!-- " + place + " begins -->\n", "<!-- " + place + " ends -->"
}

func writePage(path, place, table string) error {
	tableBegins, tableEnds := around(place)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the table: lines %q and %q", path, tableBegins, tableEnds)
	}
	return os.WriteFile(path, []byte(before+tableBegins+table+tableEnds+after), 0o644)
}
