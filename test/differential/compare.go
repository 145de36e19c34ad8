package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// difference is a place in which two answers are not the same.
type difference struct {
	path   string // Metadata.Topics[orders].Partitions[0].LeaderEpoch
	values [2]string
}

var index = regexp.MustCompile(`\[[^\]]*\]`)

// field is the path without what stands in brackets.
func (d difference) field() string { return index.ReplaceAllString(d.path, "") }

// oneSided tells that only one of the two has something.
func (d difference) oneSided() bool { return d.values[kafka] == "absent" || d.values[weir] == "absent" }

// lastKey is the name of the last element on a path.
func lastKey(path string) string { return path[strings.LastIndex(path, "[")+1:] }

func (d difference) String() string {
	return fmt.Sprintf("%s\n    Kafka: %s\n    Weir:  %s", d.path, d.values[kafka], d.values[weir])
}

// comparison walks through two values of the same type.
type comparison struct {
	pairs   *pairs
	several bool // of clusters: leader epochs only tell how often there was another leader
	found   []difference
}

func (c *comparison) differ(path string, k, w any) {
	c.found = append(c.found, difference{path, [2]string{show(k), show(w)}})
}

// show writes a value as the table of differences does.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return v
	case [16]byte:
		return base64.RawURLEncoding.EncodeToString(v[:])
	case reflect.Value:
		return show(v.Interface())
	case *string:
		if v == nil {
			return "null"
		}
		return *v
	}
	if v := reflect.ValueOf(v); v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "null"
		}
		return show(v.Elem())
	} else if v.Kind() == reflect.Slice && v.IsNil() {
		return "null"
	} else if v.Kind() == reflect.Struct {
		return jsonOf(v.Interface())
	}
	return fmt.Sprintf("%+v", v)
}

// jsonOf writes a request, an answer or a part of one.
func jsonOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(b), `,"UnknownTags":{}`, "")
}

var tagsType = reflect.TypeFor[kmsg.Tags]()

var controllerText = regexp.MustCompile(`Local controller \d+ `)

// sameButController tells whether two messages differ only in who the controller is.
func sameButController(k, w string) bool {
	return controllerText.ReplaceAllString(k, "") == controllerText.ReplaceAllString(w, "")
}

// walk compares. name is that of the field, which tells what kind of value it is.
func (c *comparison) walk(path, name string, k, w reflect.Value) {
	if epochs[name] && k.Kind() == reflect.Int32 && c.several {
		if (k.Int() < 0) != (w.Int() < 0) {
			c.differ(path, k, w)
		}
		return
	}
	if epochs[name] && k.Kind() == reflect.Int32 {
		if w.Int() != weirEpoch(k.Int()) {
			c.differ(path, k, w)
		}
		return
	}
	if c.several && name == "ControllerID" && k.Int() >= 0 && w.Int() >= 0 { // it may be any
		return
	}
	if kind := kindOf(name, k); kind != "" {
		if !c.pairs.same(kind, show(k), show(w)) {
			c.differ(path, c.pairs.label(kind, show(k), kafka), c.pairs.label(kind, show(w), weir))
		}
		return
	}
	switch k.Kind() {
	case reflect.Pointer:
		if k.IsNil() || w.IsNil() {
			if k.IsNil() != w.IsNil() {
				c.differ(path, k, w)
			}
			return
		}
		c.walk(path, name, k.Elem(), w.Elem())
	case reflect.Struct:
		if k.Type() == tagsType {
			if kt, wt := tags(k), tags(w); kt != wt {
				c.differ(path, kt, wt)
			}
			return
		}
		for i := range k.NumField() {
			f := k.Type().Field(i)
			if f.IsExported() && !(f.Name == "Version" && i == 0) {
				c.walk(path+"."+f.Name, f.Name, k.Field(i), w.Field(i))
			}
		}
	case reflect.Slice:
		c.slices(path, name, k, w)
	case reflect.String:
		if c.pairs.translateText(k.String()) != w.String() && !(c.several && sameButController(k.String(), w.String())) {
			c.differ(path, k, w)
		}
	default:
		if k.Interface() != w.Interface() {
			c.differ(path, k, w)
		}
	}
}

func tags(v reflect.Value) string {
	t := v.Addr().Interface().(*kmsg.Tags)
	var out []string
	t.Each(func(key uint32, value []byte) { out = append(out, fmt.Sprintf("%d:%x", key, value)) })
	return strings.Join(out, " ")
}

// slices compares lists. Elements that have a name are brought together by it; that their order differs is a difference of
// its own.
func (c *comparison) slices(path, name string, k, w reflect.Value) {
	if k.IsNil() != w.IsNil() && k.Len() == w.Len() {
		c.differ(path, map[bool]string{true: "null", false: "[]"}[k.IsNil()], map[bool]string{true: "null", false: "[]"}[w.IsNil()])
		return
	}
	if k.Type().Elem().Kind() == reflect.Uint8 {
		if name == "RecordBatches" {
			c.records(path, k.Bytes(), w.Bytes())
		} else if string(k.Bytes()) != string(w.Bytes()) {
			c.differ(path, fmt.Sprintf("%x", k.Bytes()), fmt.Sprintf("%x", w.Bytes()))
		}
		return
	}
	if k.Type().Elem().Kind() != reflect.Struct {
		if show(k) != show(w) && !(name == "ISR" && sameMembers(k.Interface(), w.Interface())) {
			c.differ(path, k, w)
		}
		return
	}
	k, w = merged(k), merged(w)
	kk, wk := c.keys(k, kafka), c.keys(w, weir)
	at := map[string]int{}
	for i, key := range wk {
		at[key] = i
	}
	order, last := true, -1
	for i, key := range kk {
		place := fmt.Sprintf("%s[%s]", path, strings.TrimRight(key, "'"))
		j, there := at[key]
		if !there {
			c.differ(place, k.Index(i), "absent")
			continue
		}
		delete(at, key)
		order, last = order && j > last, j
		c.walk(place, "", k.Index(i), w.Index(j))
	}
	for j, key := range wk {
		if _, left := at[key]; left {
			c.differ(fmt.Sprintf("%s[%s]", path, strings.TrimRight(key, "'")), "absent", w.Index(j))
		}
	}
	if !order {
		c.differ(path+".order", strings.Join(kk, " "), strings.Join(wk, " "))
	}
}

// sameMembers tells whether two lists of brokers differ only in their order: that of replicas in sync has no meaning.
func sameMembers(k, w any) bool {
	a, aOK := k.([]int32)
	b, bOK := w.([]int32)
	return aOK && bOK && slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// merged brings the partitions of each topic together: an answer may name a topic several times.
func merged(list reflect.Value) reflect.Value {
	if _, ok := list.Type().Elem().FieldByName("Partitions"); !ok {
		return list
	}
	at := map[string]int{}
	out := reflect.MakeSlice(list.Type(), 0, list.Len())
	for i := range list.Len() {
		e := list.Index(i)
		key := ""
		for _, name := range []string{"Topic", "TopicID"} {
			if f := e.FieldByName(name); f.IsValid() {
				key += " " + show(f)
			}
		}
		first, ok := at[key]
		if !ok {
			at[key] = out.Len()
			out = reflect.Append(out, e)
			continue
		}
		into := out.Index(first).FieldByName("Partitions")
		if into.Kind() == reflect.Slice {
			into.Set(reflect.AppendSlice(into, e.FieldByName("Partitions")))
		}
	}
	return out
}

// hasID tells that an element names its topic by an id.
func hasID(element reflect.Value) bool {
	f := element.FieldByName("TopicID")
	return f.IsValid() && !f.IsZero()
}

// keyFields are the fields that name an element of a list, in order of preference.
var keyFields = []string{"FirstOffset", "Topic", "TopicID", "Partition", "Name", "Group", "Key", "ApiKey", "NodeID", "ReplicaID", "ResourceName", "MemberID", "Dir", "ProducerID", "RelativeOffset"}

// keys names the elements of a list; Weir's names are turned into Kafka's.
func (c *comparison) keys(list reflect.Value, side int) []string {
	seen := map[string]bool{}
	var out []string
	for i := range list.Len() {
		key := fmt.Sprint(i)
		for _, name := range keyFields {
			f := list.Index(i).FieldByName(name)
			if name == "TopicID" && f.IsValid() && f.IsZero() {
				key = "nameless"
				continue
			}
			if !f.IsValid() || name == "Topic" && (show(f) == "null" || show(f) == "" && hasID(list.Index(i))) {
				continue
			}
			key = show(f)
			if t := list.Index(i).FieldByName("Type"); name == "Name" && t.IsValid() {
				key += " " + show(t)
			}
			if kind := kindOf(name, f); kind != "" && !f.IsZero() {
				if known, ok := c.pairs.number(kind, key, side); ok {
					key = fmt.Sprintf("%s %d", kind, known)
				} else {
					key = fmt.Sprintf("a new %s", kind)
				}
			}
			break
		}
		for seen[key] {
			key += "'"
		}
		seen[key] = true
		out = append(out, key)
	}
	return out
}
