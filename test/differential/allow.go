package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// allowance is what may differ: the lines of the tables in docs/differences.md.
type allowance struct {
	rows    []*row
	several bool // it is of clusters: only the lines below that heading must be of use
}

// ofClusters is the heading of what differs only between clusters.
const ofClusters = "## Several nodes"

// row is one line of the table. Its cells hold code in backquotes, in which * stands for anything.
type row struct {
	text        string
	where       []*regexp.Regexp // any of them
	kafka, weir *regexp.Regexp   // nil: any value
	used        int
	several     bool // it stands under ofClusters
}

var code = regexp.MustCompile("`([^`]+)`")

// readAllowance reads the tables of a page whose first column is named "Where".
func readAllowance(path string, several bool) (*allowance, error) {
	page, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseAllowance(string(page), several)
}

func parseAllowance(page string, several bool) (*allowance, error) {
	a := &allowance{several: several}
	in, below := false, false
	for number, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "## ") {
			below = line == ofClusters
		}
		if !strings.HasPrefix(line, "|") {
			in = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case cells[0] == "Where":
			in = true
			continue
		case !in || strings.HasPrefix(cells[0], "---"):
			continue
		case len(cells) != 4 || cells[3] == "":
			return nil, fmt.Errorf("line %d has not four cells (where, Apache Kafka, Weir, why): %s", number+1, line)
		}
		r := &row{text: line, kafka: value(cells[1]), weir: value(cells[2]), several: below}
		for _, m := range code.FindAllStringSubmatch(cells[0], -1) {
			r.where = append(r.where, glob(m[1]))
		}
		if len(r.where) == 0 {
			return nil, fmt.Errorf("line %d names no field in backquotes: %s", number+1, line)
		}
		a.rows = append(a.rows, r)
	}
	return a, nil
}

// value reads a cell that may hold a value.
func value(cell string) *regexp.Regexp {
	if m := code.FindStringSubmatch(cell); m != nil {
		return glob(m[1])
	}
	return nil
}

func glob(text string) *regexp.Regexp {
	return regexp.MustCompile("^(?s:" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*") + ")$")
}

// allows tells whether a difference is listed.
func (a *allowance) allows(d difference) bool {
	for _, r := range a.rows {
		if (a.several || !r.several) && r.matches(d) {
			r.used++
			return true
		}
	}
	return false
}

func (r *row) matches(d difference) bool {
	if r.kafka != nil && !r.kafka.MatchString(d.values[kafka]) || r.weir != nil && !r.weir.MatchString(d.values[weir]) {
		return false
	}
	for _, where := range r.where {
		if where.MatchString(d.path) || where.MatchString(d.field()) {
			return true
		}
	}
	return false
}

// unused gives the lines that allowed nothing.
func (a *allowance) unused() (out []string) {
	for _, r := range a.rows {
		if r.used == 0 && r.several == a.several {
			out = append(out, r.text)
		}
	}
	return out
}
