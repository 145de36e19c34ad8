package config

import (
	_ "embed"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/weir/weir/internal/nearest"
)

// Type is an option's type, by Kafka's number in DescribeConfigs.
type Type int8

// The types of options.
const (
	Boolean Type = iota + 1
	String
	Int
	Short
	Long
	Double
	List
	Class
	Password
)

var typeNames = []string{"", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}

func (t Type) String() string { return strings.ToLower(typeNames[t]) }

// Option is a row of a table.
type Option struct {
	Name        string
	Type        Type
	Default     *string // nil: null
	Used        bool    // it means something in Weir
	Dynamic     bool    // it can be changed while the broker runs
	Sensitive   bool
	Least, Most string // bounds; "": none
	Allowed     []string
	Doc         string
	Synonyms    []string // of a topic's or group's: broker options that are its default, the strongest first
}

// Table is a set of options.
type Table struct {
	Options []*Option // by name
	byName  map[string]*Option
}

// Find gives an option by its name; nil: there is none.
func (t *Table) Find(name string) *Option { return t.byName[name] }

//go:embed broker.tsv
var brokerTSV string

//go:embed topic.tsv
var topicTSV string

//go:embed group.tsv
var groupTSV string

// The tables.
var (
	BrokerOptions = sync.OnceValue(func() *Table { return parseTable(brokerTSV) })
	TopicOptions  = sync.OnceValue(func() *Table { return parseTable(topicTSV) })
	GroupOptions  = sync.OnceValue(func() *Table { return parseTable(groupTSV) })
)

func parseTable(text string) *Table {
	t := &Table{byName: map[string]*Option{}}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		o := &Option{
			Name: f[0], Used: strings.Contains(f[3], "u"), Dynamic: strings.Contains(f[3], "d"), Sensitive: strings.Contains(f[3], "s"),
			Least: f[4], Most: f[5], Doc: f[7],
		}
		for i, name := range typeNames {
			if name == f[1] {
				o.Type = Type(i)
			}
		}
		if f[2] != `\N` {
			o.Default = &f[2]
		}
		if f[6] != "" {
			o.Allowed = strings.Split(f[6], ",")
		}
		if len(f) > 8 && f[8] != "" {
			o.Synonyms = strings.Split(f[8], ",")
		}
		t.Options = append(t.Options, o)
		t.byName[o.Name] = o
	}
	return t
}

// gzipLevelName is an option with a gap in its range.
const gzipLevelName = "compression.gzip.level"

// throttledSuffix ends the names of options that list replicas.
const throttledSuffix = ".replication.throttled.replicas"

var replica = regexp.MustCompile(`^[0-9]+:[0-9]+$`)

func isNoReplica(item string) bool { return !replica.MatchString(item) }

// Check tells what is wrong with a value, in Kafka's words; nil: nothing.
func (o *Option) Check(value string) error {
	value = strings.TrimSpace(value)
	switch o.Type {
	case Boolean:
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return o.invalid(value, "Expected value to be either true or false")
		}
	case Int, Short, Long:
		n, err := strconv.ParseInt(value, 10, bits(o.Type))
		if err != nil {
			return o.invalid(value, "Not a number of type "+strings.ToUpper(o.Type.String()))
		}
		if o.Name == gzipLevelName && n != -1 && (n < 1 || n > 9) {
			return o.invalid(value, "Value must be between 1 and 9 or equal to -1")
		}
		if o.Least != "" && float64(n) < number(o.Least) {
			return o.invalid(value, "Value must be at least "+o.Least)
		}
		if o.Most != "" && float64(n) > number(o.Most) {
			return o.invalid(value, "Value must be no more than "+o.Most)
		}
	case Double:
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(n) {
			return o.invalid(value, "Not a number of type DOUBLE")
		}
		if o.Least != "" && n < number(o.Least) {
			return o.invalid(value, "Value must be at least "+o.Least)
		}
		if o.Most != "" && n > number(o.Most) {
			return o.invalid(value, "Value must be no more than "+o.Most)
		}
	case List:
		items := SplitList(value)
		for _, item := range items {
			if len(o.Allowed) > 0 && !contains(o.Allowed, item) {
				return o.invalid(item, "String must be one of: "+strings.Join(o.Allowed, ", "))
			}
		}
		if strings.HasSuffix(o.Name, throttledSuffix) && value != "*" && slices.ContainsFunc(items, isNoReplica) {
			return o.invalid("["+strings.Join(items, ", ")+"]", o.Name+" must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...")
		}
	case String:
		if o.Name == perAddressName {
			_, err := PerAddress(value)
			return err
		}
		if len(o.Allowed) > 0 && !contains(o.Allowed, value) {
			return o.invalid(value, "String must be one of: "+strings.Join(o.Allowed, ", "))
		}
	}
	return nil
}

func (o *Option) invalid(value, why string) error {
	if o.Sensitive {
		value = "[hidden]"
	}
	return fmt.Errorf("Invalid value %s for configuration %s: %s", value, o.Name, why)
}

func bits(t Type) int {
	switch t {
	case Int:
		return 32
	case Short:
		return 16
	}
	return 64
}

func number(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("BUG: bound " + s + " of an option is not a number")
	}
	return n
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// SplitList splits a list's value into its items.
func SplitList(value string) []string {
	var out []string
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// nearest gives the known name that is closest to a mistyped one; "": none is close.
func (t *Table) nearest(name string) string {
	names := make([]string, len(t.Options))
	for i, o := range t.Options {
		names[i] = o.Name
	}
	best, _ := nearest.Name(name, names)
	return best
}
