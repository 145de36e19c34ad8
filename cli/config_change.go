package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// configEdit is a configuration that is to be set or, without a value, unset.
type configEdit struct {
	name  string
	value *string
}

// parseEdits reads configurations to set, as key=value, and to unset.
func parseEdits(flag string, sets, unsets []string) ([]configEdit, error) {
	var edits []configEdit
	for _, set := range sets {
		name, value, err := keyValue(flag, set)
		if err != nil {
			return nil, err
		}
		value = plainValue(name, value)
		edits = append(edits, configEdit{name, &value})
	}
	for _, name := range unsets {
		if name == "" || strings.Contains(name, "=") {
			return nil, usagef("%q is not the name of a configuration to unset", name)
		}
		edits = append(edits, configEdit{name: name})
	}
	for i, e := range edits {
		if slices.ContainsFunc(edits[:i], func(before configEdit) bool { return before.name == e.name }) {
			return nil, usagef("configuration %q is given twice", e.name)
		}
	}
	return edits, nil
}

func editNames(edits []configEdit) []string {
	names := make([]string, len(edits))
	for i, e := range edits {
		names[i] = e.name
	}
	return names
}

// unitsHelp is what the help of commands that set configurations says about values.
const unitsHelp = `Values of configurations in ms may be durations (90s, 1h30m, 7d), and those in bytes may be sizes
(512KiB, 64MiB, 1GiB).`

var sizeText = regexp.MustCompile(`^([0-9]+)(K|M|G|T)iB$`)

// plainValue makes a duration or a size the plain number that a configuration in ms or in bytes wants. Whatever else it is
// left to the broker to judge.
func plainValue(name, value string) string {
	switch unitOf(name) {
	case "ms":
		if d, err := parseAge(value); err == nil {
			return strconv.FormatInt(d.Milliseconds(), 10)
		}
	case "bytes":
		if n, ok := parseSize(value); ok {
			return strconv.FormatInt(n, 10)
		}
	}
	return value
}

// parseSize gives the bytes of a size with a unit, as 64MiB.
func parseSize(text string) (int64, bool) {
	parts := sizeText.FindStringSubmatch(text)
	if parts == nil {
		return 0, false
	}
	shift := 10 * (1 + strings.Index("KMGT", parts[2]))
	n, err := strconv.ParseInt(parts[1], 10, 64)
	return n << shift, err == nil && n<<shift>>shift == n
}

// sizeValue is the value of a flag that is a size: 1000, 512KiB.
type sizeValue int64

func (v *sizeValue) String() string {
	n, unit := int64(*v), ""
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatInt(n, 10) + unit
}

func (v *sizeValue) Type() string { return "size" }

func (v *sizeValue) Set(text string) error {
	n, ok := parseSize(text)
	if !ok {
		var err error
		if n, err = strconv.ParseInt(text, 10, 64); err != nil || n < 0 {
			return errors.New("use a number of bytes, or a size such as 512KiB, 64MiB, 1GiB")
		}
	}
	*v = sizeValue(n)
	return nil
}

// change is what became of a setting. Its JSON names are documented in the help.
type change struct {
	Topic  string  `json:"topic,omitempty"`
	Name   string  `json:"name"`
	Before *string `json:"before"`
	After  *string `json:"after"`
	secret bool
	// toDefault: what counts now is the default, which the cluster does not tell while the setting has another value.
	toDefault bool
}

// changesOf says what edits change.
func changesOf(of configResource, entries []configEntry, edits []configEdit) []change {
	changes := []change{}
	for _, edit := range edits {
		ch := change{Name: edit.name, After: edit.value}
		if of.kind == kmsg.ConfigResourceTypeTopic {
			ch.Topic = of.name
		}
		if i := slices.IndexFunc(entries, func(e configEntry) bool { return e.Name == edit.name }); i >= 0 {
			e := entries[i]
			ch.Before, ch.secret = e.Value, e.Secret
			if edit.value == nil {
				ch.After, ch.toDefault = e.without(of)
			}
		}
		changes = append(changes, ch)
	}
	return changes
}

// without gives the value that counts when the resource's own is unset. isDefault: it is a default that the cluster does not tell.
func (e configEntry) without(of configResource) (value *string, isDefault bool) {
	if e.Source != of.ownSource() {
		return e.Value, false // it has none of its own
	}
	for _, s := range e.Synonyms {
		if s.Source != e.Source {
			return inUnitOf(e.Name, s), false
		}
	}
	return nil, of != clusterResource
}

// ownSource is the source of values that are set for the resource itself.
func (r configResource) ownSource() string {
	switch {
	case r == clusterResource:
		return "cluster"
	case r.kind == kmsg.ConfigResourceTypeBroker:
		return "broker"
	case r.kind == kmsg.ConfigResourceTypeTopic:
		return "topic"
	}
	return "group"
}

// inUnitOf gives a synonym's value in the unit of a name: that of retention.ms may be log.retention.hours.
func inUnitOf(name string, s configSynonym) *string {
	units := map[string]time.Duration{"ms": time.Millisecond, "minutes": time.Minute, "hours": time.Hour}
	from, to := units[unitOf(s.Name)], units[unitOf(name)]
	if from == to || from == 0 || to == 0 || s.Value == nil {
		return s.Value
	}
	n, err := strconv.ParseInt(*s.Value, 10, 32)
	if err != nil || n < 0 {
		return s.Value
	}
	value := strconv.FormatInt(n*int64(from/to), 10)
	return &value
}

// unitOf gives the end of a configuration's name, which tells its unit if it has one.
func unitOf(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// alterConfigs sets and unsets configurations; with validateOnly it only asks whether they would be taken.
func (c *client) alterConfigs(ctx context.Context, of []configResource, edits []configEdit, validateOnly bool) error {
	if len(edits) == 0 {
		return nil
	}
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.ValidateOnly = validateOnly
	for _, r := range of {
		resource := kmsg.NewIncrementalAlterConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = r.kind, r.name
		for _, edit := range edits {
			config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			config.Name, config.Value, config.Op = edit.name, edit.value, kmsg.IncrementalAlterConfigOpSet
			if edit.value == nil {
				config.Op = kmsg.IncrementalAlterConfigOpDelete
			}
			resource.Configs = append(resource.Configs, config)
		}
		request.Resources = append(request.Resources, resource)
	}
	response, err := request.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	var failed []error
	for _, answer := range response.Resources {
		if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
			failed = append(failed, c.resourceError(ctx, configResource{answer.ResourceType, answer.ResourceName}, err, answer.ErrorMessage))
		}
	}
	if len(response.Resources) < len(of) {
		failed = append(failed, errors.New("the cluster did not say of every configuration whether it was changed"))
	}
	return joined(failed...)
}

// printChanges shows what was changed, or would be.
func printChanges(p *printer, changes []change) error {
	if p.json {
		return p.document(changes)
	}
	t := newTable("TOPIC?", "SETTING", "BEFORE", "AFTER")
	for _, ch := range changes {
		after := valueText(ch.After, ch.secret)
		if ch.toDefault {
			after = "(default)"
		}
		t.row(ch.Topic, ch.Name, valueText(ch.Before, ch.secret), after)
	}
	return p.table(t)
}

// dryRunHint says after a dry run that it was one.
func dryRunHint(what string) string { return fmt.Sprintf("Nothing was changed: %s does it.", what) }
