package main

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"strings"
)

// pairs knows which value of Kafka's belongs to which of Weir's, by kind.
type pairs struct {
	weirOf  map[[2]string]string
	kafkaOf map[[2]string]string
	order   map[[2]string]int // the how manieth pair of its kind, by Kafka's value
	counts  map[string]int
	epochs  int64    // of a cluster: how far Weir's leader epochs are beyond Kafka's, beside the one that they always are
	texts   []string // Kafka's and Weir's values in turn, for those long enough to be found in messages
}

func newPairs() *pairs {
	return &pairs{weirOf: map[[2]string]string{}, kafkaOf: map[[2]string]string{}, order: map[[2]string]int{}, counts: map[string]int{}}
}

// kindOf tells by a field's name that its values are not the same in both brokers.
func kindOf(name string, v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return kindOf(name, v.Elem())
	case reflect.Array:
		switch name {
		case "TopicID":
			return "topic id"
		case "ReplicaDirectoryID":
			return "directory id"
		}
	case reflect.String:
		switch name {
		case "MemberID", "LeaderID":
			return "member"
		case "ClusterID":
			return "cluster"
		case "Dir":
			return "directory"
		}
	case reflect.Int64:
		switch name {
		case "ProducerID":
			return "producer"
		case "LogAppendTime", "LastFetchTimestamp", "LastCaughtUpTimestamp":
			return "moment"
		case "TotalBytes", "UsableBytes":
			return "space"
		}
	case reflect.Uint16:
		if name == "Port" {
			return "port"
		}
	case reflect.Int32:
		switch name {
		case "SessionID":
			return "session"
		case "Port":
			return "port"
		}
	}
	return ""
}

// epochs are fields that hold leader epochs. Kafka's begin at 0, Weir's at 1: they are terms of Raft.
var epochs = map[string]bool{
	"LeaderEpoch": true, "CurrentLeaderEpoch": true, "LastFetchedEpoch": true, "PartitionLeaderEpoch": true, "Epoch": true,
}

func weirEpoch(k int64) int64 {
	if k < 0 || k == math.MaxInt32 {
		return k
	}
	return k + 1
}

// translateEpochs turns the leader epochs of a request, which translate has turned, into those of Weir's partitions.
func (p *pairs) translateEpochs(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); !f.IsExported() {
				continue
			} else if n := v.Field(i); epochs[f.Name] && n.Kind() == reflect.Int32 && n.Int() >= 0 && n.Int() != math.MaxInt32 {
				n.SetInt(n.Int() + p.epochs)
			} else {
				p.translateEpochs(n)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			p.translateEpochs(v.Index(i))
		}
	}
}

// special values mean the same everywhere.
func special(value string) bool {
	return value == "" || value == "null" || value == "0" || value == "-1" || value == show([16]byte{})
}

// same tells whether two values belong together. Two that are both new do from now on.
func (p *pairs) same(kind, k, w string) bool {
	switch {
	case special(k) || special(w):
		return k == w
	case kind == "moment", kind == "space":
		return true
	}
	known, kOK := p.weirOf[[2]string{kind, k}]
	_, wOK := p.kafkaOf[[2]string{kind, w}]
	if !kOK && !wOK {
		p.add(kind, k, w)
		return true
	}
	return kOK && known == w
}

func (p *pairs) add(kind, k, w string) {
	p.weirOf[[2]string{kind, k}], p.kafkaOf[[2]string{kind, w}] = w, k
	p.order[[2]string{kind, k}] = p.counts[kind]
	p.counts[kind]++
	if k != w && len(k) > 8 {
		p.texts = append(p.texts, k, w)
	}
}

// label names a value in messages, so that the same difference looks the same in each run.
func (p *pairs) label(kind, value string, side int) string {
	if n, ok := p.number(kind, value, side); ok {
		return fmt.Sprintf("%s %d", kind, n)
	} else if special(value) {
		return value
	}
	return "a new " + kind
}

// number tells the how manieth of its kind a value is.
func (p *pairs) number(kind, value string, side int) (int, bool) {
	if side == weir {
		k, ok := p.kafkaOf[[2]string{kind, value}]
		if !ok {
			return 0, false
		}
		value = k
	}
	n, ok := p.order[[2]string{kind, value}]
	return n, ok
}

// translateText turns Kafka's values in a message into Weir's.
func (p *pairs) translateText(text string) string {
	if len(text) < 9 {
		return text
	}
	for i := 0; i < len(p.texts); i += 2 {
		text = strings.ReplaceAll(text, p.texts[i], p.texts[i+1])
	}
	return text
}

// translate turns the values of a request that came from Kafka into Weir's.
func (p *pairs) translate(name string, v reflect.Value) {
	if kind := kindOf(name, v); kind != "" {
		p.put(kind, v)
		return
	}
	if epochs[name] && v.Kind() == reflect.Int32 {
		v.SetInt(weirEpoch(v.Int()))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p.translate(name, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				p.translate(v.Type().Field(i).Name, v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if name == "Records" {
				p.translateBatches(v.Bytes())
			}
			return
		}
		for i := range v.Len() {
			p.translate(name, v.Index(i))
		}
	}
}

// put replaces one value.
func (p *pairs) put(kind string, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	w, ok := p.weirOf[[2]string{kind, show(v)}]
	if !ok {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(w)
	case reflect.Int32, reflect.Int64:
		var n int64
		if _, err := fmt.Sscan(w, &n); err != nil {
			panic(err)
		}
		v.SetInt(n)
	case reflect.Array:
		v.Set(reflect.ValueOf(bytes16(w)))
	}
}

// bytes16 reads what show wrote of an id.
func bytes16(text string) (out [16]byte) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	copy(out[:], b)
	return out
}
