package weirtest

import (
	"bytes"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Requests and answers of Kafka name the same things by the same names: an answer has an entry for each topic and partition,
// each group or resource of its request, and in it the error. So one function makes the error answers of all APIs.

// identities are the fields that say what an entry is about.
var identities = []string{"Topic", "TopicID", "Partition", "Group", "Key", "ResourceType", "ResourceName", "MemberID", "InstanceID", "SessionID"}

// otherNames are lists of requests that are called otherwise in the answer.
var otherNames = map[string][]string{
	"Topics":       {"Topics", "TopicNames"},
	"Coordinators": {"CoordinatorKeys"},
	"Results":      {"Creations", "Filters"},
}

// errorAnswer gives a request's answer with an error everywhere. False: its version has no place for one.
func errorAnswer(req kmsg.Request, code int16) (kmsg.Response, bool) {
	build := func(code int16) kmsg.Response {
		resp := req.ResponseKind()
		fill(reflect.ValueOf(resp).Elem(), reflect.ValueOf(req).Elem(), code)
		if f, ok := resp.(*kmsg.FetchResponse); ok && len(f.Topics) > 0 {
			f.ErrorCode = 0 // there it is about the session
		}
		return resp
	}
	resp := build(code)
	return resp, !bytes.Equal(resp.AppendTo(nil), build(0).AppendTo(nil))
}

// fill gives a part of an answer the identity of its part of the request, and the error, down to the smallest parts.
func fill(out, in reflect.Value, code int16) {
	if f := out.FieldByName("ErrorCode"); f.IsValid() {
		f.SetInt(int64(code))
	}
	for _, name := range identities {
		if to, from := out.FieldByName(name), in.FieldByName(name); to.IsValid() && from.IsValid() {
			assign(to, from)
		}
	}
	for i := range out.NumField() {
		list := out.Field(i)
		if list.Kind() != reflect.Slice || list.Type().Elem().Kind() != reflect.Struct {
			continue
		}
		for e := range entries(in, out.Type().Field(i).Name) {
			entry := reflect.New(list.Type().Elem())
			entry.MethodByName("Default").Call(nil)
			if e.Kind() == reflect.Struct {
				fill(entry.Elem(), e, code)
			} else {
				fillScalar(entry.Elem(), e, code)
			}
			if holdsError(entry.Elem().Type()) {
				list.Set(reflect.Append(list, entry.Elem()))
			}
		}
	}
}

// fillScalar is fill for a request that has only a name or a number for the part.
func fillScalar(out, in reflect.Value, code int16) {
	if f := out.FieldByName("ErrorCode"); f.IsValid() {
		f.SetInt(int64(code))
	}
	for _, name := range identities {
		if to := out.FieldByName(name); to.IsValid() && assign(to, in) {
			return
		}
	}
}

// entries gives the elements of the list in a request that a list in its answer is about.
func entries(in reflect.Value, name string) func(func(reflect.Value) bool) {
	names := otherNames[name]
	if names == nil {
		names = []string{name}
	}
	return func(yield func(reflect.Value) bool) {
		if dirs := in.FieldByName("Dirs"); name == "Topics" && dirs.IsValid() { // AlterReplicaLogDirs asks by folder
			for i := range dirs.Len() {
				for e := range entries(dirs.Index(i), name) {
					if !yield(e) {
						return
					}
				}
			}
		}
		for _, name := range names {
			list := in.FieldByName(name)
			if !list.IsValid() || list.Kind() != reflect.Slice {
				continue
			}
			for i := range list.Len() {
				if !yield(list.Index(i)) {
					return
				}
			}
		}
	}
}

// assign copies a value, also a string to where it may be null. False: it does not fit.
func assign(to, from reflect.Value) bool {
	switch {
	case from.Type() == to.Type():
		to.Set(from)
	case to.Kind() == reflect.Pointer && to.Type().Elem() == from.Type():
		to.Set(reflect.New(from.Type()))
		to.Elem().Set(from)
	case from.Kind() == reflect.Pointer && from.Type().Elem() == to.Type():
		if !from.IsNil() {
			to.Set(from.Elem())
		}
	default:
		return false
	}
	return true
}

// holdsError tells whether a type has a place for an error.
func holdsError(t reflect.Type) bool {
	if _, ok := t.FieldByName("ErrorCode"); ok {
		return true
	}
	for f := range t.Fields() {
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct && holdsError(f.Type.Elem()) {
			return true
		}
	}
	return false
}
