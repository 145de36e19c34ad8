package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// outputFormat is the value of --output.
type outputFormat string

const (
	outputTable outputFormat = "table"
	outputJSON  outputFormat = "json"
)

func (f *outputFormat) String() string { return string(*f) }
func (f *outputFormat) Type() string   { return "table|json" }
func (f *outputFormat) Set(s string) error {
	if s != string(outputTable) && s != string(outputJSON) {
		return fmt.Errorf("use %s or %s", outputTable, outputJSON)
	}
	*f = outputFormat(s)
	return nil
}

// printer writes a command's results.
type printer struct {
	w        io.Writer
	terminal bool
	json     bool
	compact  bool // JSON documents are one line each
}

func (o *options) printer(cmd *cobra.Command) *printer {
	w := cmd.OutOrStdout()
	return &printer{w: w, terminal: isTerminal(w), json: o.output == outputJSON}
}

// text writes whole lines. On a terminal, control characters other than line ends and tabs are escaped.
func (p *printer) text(b []byte) error {
	if p.terminal {
		b = appendEscaped(nil, b, "\n\t")
	}
	_, err := p.w.Write(b)
	return err
}

// document writes v as one JSON document, indented unless it shall be a line.
func (p *printer) document(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if !p.compact {
		e.SetIndent("", "  ")
	}
	if err := e.Encode(v); err != nil {
		return err
	}
	return p.text(b.Bytes())
}

// line writes a line of text.
func (p *printer) line(format string, args ...any) error {
	return p.text(fmt.Appendf(nil, format+"\n", args...))
}

// table collects rows and aligns their columns.
type table struct {
	heads []string
	rows  [][]string
}

// newTable begins a table. A column whose head ends in ? is left out if it has nothing to say.
func newTable(heads ...string) *table { return &table{heads: heads} }

// row adds a row. Empty cells become "-", so that a row has as many words as there are columns.
func (t *table) row(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = escape(fmt.Sprint(cell))
	}
	t.rows = append(t.rows, row)
}

func (p *printer) table(t *table) error {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	heads := make([]string, len(t.heads))
	for i, head := range t.heads {
		heads[i] = strings.TrimSuffix(head, "?")
	}
	for _, row := range append([][]string{heads}, t.rows...) {
		var cells []string
		for i, text := range row {
			if strings.HasSuffix(t.heads[i], "?") && !t.says(i) {
				continue
			}
			if text == "" {
				text = "-"
			}
			cells = append(cells, text)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return p.text(b.Bytes())
}

// says tells whether a column has something in it.
func (t *table) says(column int) bool {
	return slices.ContainsFunc(t.rows, func(row []string) bool { return row[column] != "" })
}

// printEach writes descriptions as one JSON list, or as text with an empty line between them.
func printEach[T any](p *printer, described []T, print func(*printer, T) error) error {
	if p.json {
		return p.document(described)
	}
	for i, d := range described {
		if i > 0 {
			if err := p.line(""); err != nil {
				return err
			}
		}
		if err := print(p, d); err != nil {
			return err
		}
	}
	return nil
}

// printDone writes what was done, unless nothing was because all of it failed. It gives what failed.
func printDone[T any](p *printer, done []T, failed error, print func(*printer, []T) error) error {
	if failed != nil && len(done) == 0 && !p.json {
		return failed
	}
	return joined(failed, print(p, done))
}

// number shows an offset or count that may not be known.
func number(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// numbers shows a list of ids.
func numbers(ids []int32) string {
	var b []byte
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return string(b)
}

// orEmpty makes an absent list an empty one, which JSON shows as [] and not as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// pointers gives the places of a list's elements.
func pointers[T any](list []T) []*T {
	all := make([]*T, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return all
}

// plural gives "1 record" or "2 records".
func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// wordOf makes a number with a unit one word, as a cell of a table should be.
func wordOf(s string) string { return strings.ReplaceAll(s, " ", "") }

// escape makes text safe to show on one line.
func escape(s string) string { return string(appendEscaped(nil, []byte(s), "")) }

// oneLine makes an error's text one safe line.
func oneLine(s string) string { return escape(strings.Join(strings.Fields(s), " ")) }

// appendEscaped appends src with everything escaped that is not printable, except the characters of keep.
func appendEscaped(dst, src []byte, keep string) []byte {
	for len(src) > 0 {
		r, size := utf8.DecodeRune(src)
		switch {
		case r == utf8.RuneError && size == 1:
			dst = fmt.Appendf(dst, `\x%02x`, src[0])
		case unicode.IsPrint(r), strings.ContainsRune(keep, r):
			dst = append(dst, src[:size]...)
		default:
			quoted := strconv.QuoteRune(r)
			dst = append(dst, quoted[1:len(quoted)-1]...)
		}
		src = src[size:]
	}
	return dst
}

// isTerminal tells whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}
