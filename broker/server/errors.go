package server

import "reflect"

// shape is where a type of answer has its error codes, so that they are found without looking at anything else.
type shape struct {
	of    reflect.Type
	codes []int // fields that are error codes
	lists []part
	ones  []part
}

// part is a field that is a struct, or a list of them, with error codes inside.
type part struct {
	field int
	shape *shape
}

func shapeOf(t reflect.Type) *shape {
	s := &shape{of: t}
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Name == "ErrorCode" && f.Type.Kind() == reflect.Int16:
			s.codes = append(s.codes, i)
		case f.Type.Kind() == reflect.Struct:
			if inner := shapeOf(f.Type); !inner.empty() {
				s.ones = append(s.ones, part{i, inner})
			}
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			if inner := shapeOf(f.Type.Elem()); !inner.empty() {
				s.lists = append(s.lists, part{i, inner})
			}
		}
	}
	return s
}

func (s *shape) empty() bool { return len(s.codes)+len(s.lists)+len(s.ones) == 0 }

// answer counts the errors in an answer, which is a pointer to a struct.
func (a *APIStats) answer(resp any) {
	v := reflect.ValueOf(resp).Elem()
	s := a.shape.Load()
	if s == nil || s.of != v.Type() {
		s = shapeOf(v.Type())
		a.shape.Store(s)
	}
	a.search(v, s)
}

func (a *APIStats) search(v reflect.Value, s *shape) {
	for _, i := range s.codes {
		if code := int16(v.Field(i).Int()); code != 0 {
			a.failed(code)
		}
	}
	for _, p := range s.ones {
		a.search(v.Field(p.field), p.shape)
	}
	for _, p := range s.lists {
		list := v.Field(p.field)
		for i := range list.Len() {
			a.search(list.Index(i), p.shape)
		}
	}
}

func (a *APIStats) failed(code int16) {
	a.mu.Lock()
	a.errors[code]++
	a.mu.Unlock()
}

// Errors gives how often which error was answered, by Kafka's number.
func (a *APIStats) Errors() map[int16]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[int16]int64, len(a.errors))
	for code, n := range a.errors {
		out[code] = n
	}
	return out
}
