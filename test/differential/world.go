package main

import (
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// world is the two brokers, and what is known of them.
type world struct {
	addresses [2][]string // of the nodes
	pid       [2]string   // files with the process of the last node of clusters
	stop      func()      // ends both
	allowed   *allowance
	verbose   bool
	pairs     *pairs
	conns     map[string]*[2]net.Conn
	ranges    map[int16][2]int16 // of versions that both advertise
	now       int64              // milliseconds; records' times are near it

	scenario string
	about    string // what the next request is about; it stands in brackets behind the API
	seed     uint64
	step     int

	unsettled [2]string          // topics of both that were told to differ
	disagreed map[[2]string]bool // configurations on which they will not agree

	known map[string]int // differences that are listed, by field
	fresh []*fresh       // those that are not
}

// fresh is a difference that is not listed, and how often it was met.
type fresh struct {
	difference
	where, request string
	count          int
}

func newWorld(addresses [2][]string, allowed *allowance, verbose bool) *world {
	w := &world{
		addresses: addresses, allowed: allowed, verbose: verbose, pairs: newPairs(), conns: map[string]*[2]net.Conn{},
		ranges: map[int16][2]int16{}, now: time.Now().UnixMilli(), known: map[string]int{}, disagreed: map[[2]string]bool{},
	}
	for i := range byte(20) { // ids that nobody gave mean the same to both
		made := show([16]byte{i + 1})
		w.pairs.same("topic id", made, made)
	}
	return w
}

// begin starts a scenario.
func (w *world) begin(name string, seed uint64) {
	w.scenario, w.seed, w.step = name, seed, 0
	for name := range w.conns {
		w.hangUp(name)
	}
}

// hangUp closes a connection.
func (w *world) hangUp(name string) {
	if pair := w.conns[name]; pair != nil {
		for _, c := range pair {
			if c != nil {
				_ = c.Close()
			}
		}
		delete(w.conns, name)
	}
}

// several tells whether each of the two is a cluster.
func (w *world) several() bool { return len(w.addresses[kafka]) > 1 }

// nodeOf tells to which node a connection goes by its name: "node 2" and the like, and all others to the first one.
func nodeOf(conn string) int {
	var node int
	if n, _ := fmt.Sscanf(conn, "node %d", &node); n == 1 {
		return node - 1
	}
	return 0
}

// dial gives the connection of a name to each broker.
func (w *world) dial(name string) *[2]net.Conn {
	pair := w.conns[name]
	if pair == nil {
		pair = &[2]net.Conn{}
		w.conns[name] = pair
	}
	for side := range pair {
		if pair[side] == nil {
			c, err := net.DialTimeout("tcp", w.addresses[side][nodeOf(name)], patience)
			if err != nil {
				w.gone(fmt.Errorf("%s is gone: %w", names[side], err))
			}
			pair[side] = c
		}
	}
	return pair
}

// exchange is one request on its way to both brokers.
type exchange struct {
	w           *world
	conn        string
	label       string
	req         kmsg.Request // as Kafka gets it
	correlation int32
	probed      bool
}

// versions gives the versions of an API that both speak.
func (w *world) versions(key kmsg.Key) []int16 {
	var out []int16
	r, ok := w.ranges[int16(key)]
	for v := r[0]; ok && v <= r[1]; v++ {
		out = append(out, v)
	}
	return out
}

// newest gives the newest version of an API that both speak.
func (w *world) newest(key kmsg.Key) int16 { return w.ranges[int16(key)][1] }

// ask asks both brokers and compares the answers. It gives Kafka's; nil: there is none.
func (w *world) ask(req kmsg.Request, version int16) kmsg.Response {
	return w.send("main", req, version).compare()
}

// askAbout is ask; when the condition holds, what is asked about is told with the differences.
func (w *world) askAbout(condition bool, about string, req kmsg.Request, version int16) kmsg.Response {
	if condition {
		w.about = about
		defer func() { w.about = "" }()
	}
	return w.ask(req, version)
}

// send sends a request to both brokers.
func (w *world) send(conn string, req kmsg.Request, version int16) *exchange {
	req.SetVersion(version)
	w.step++
	x := &exchange{w: w, conn: conn, req: req, correlation: int32(w.step), label: fmt.Sprintf("%s %d", kmsg.NameForKey(req.Key()), version)}
	if p, ok := req.(*kmsg.ProduceRequest); ok && p.Acks == 0 {
		x.probed = true
	}
	var frames [2][]byte
	frames[kafka] = frameOf(req, x.correlation)
	frames[weir] = frameOf(w.forWeir(req), x.correlation)
	x.write(frames)
	return x
}

// forWeir gives a request in which Kafka's values are replaced by Weir's.
func (w *world) forWeir(req kmsg.Request) kmsg.Request {
	copied := kmsg.RequestForKey(req.Key())
	copied.SetVersion(req.GetVersion())
	if err := copied.ReadFrom(req.AppendTo(nil)); err != nil {
		panic(fmt.Sprintf("%s %d cannot be read again: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err))
	}
	w.pairs.translate("", reflect.ValueOf(copied).Elem())
	if w.several() {
		w.pairs.translateEpochs(reflect.ValueOf(copied).Elem())
	}
	return copied
}

func (x *exchange) write(frames [2][]byte) {
	pair := x.w.dial(x.conn)
	for side, c := range pair {
		b := frames[side]
		if x.probed {
			b = append(b[:len(b):len(b)], probeFrame()...)
		}
		_ = c.SetWriteDeadline(time.Now().Add(patience))
		_, _ = c.Write(b) // a connection that is closed shows when it is read
	}
}

// results waits for both.
func (x *exchange) results() (out [2]outcome) {
	pair := x.w.dial(x.conn)
	for side, c := range pair {
		out[side] = await(c, x.correlation, x.probed)
		if x.req != nil {
			out[side].decode(x.req)
		}
		if out[side].fate != answered && out[side].fate != silent {
			_ = c.Close()
			pair[side] = nil
		}
	}
	return out
}

// compare waits for both answers and notes how they differ. It gives Kafka's.
func (x *exchange) compare() kmsg.Response {
	both := x.results()
	x.w.note(x, both)
	return both[kafka].resp
}

// note compares two outcomes.
func (w *world) note(x *exchange, both [2]outcome) {
	api := "Frame"
	if x.req != nil {
		api = kmsg.NameForKey(x.req.Key())
	}
	if w.about != "" {
		api += "[" + w.about + "]"
	}
	c := &comparison{pairs: w.pairs, several: w.several()}
	if both[kafka].fate != both[weir].fate {
		c.differ(api+".connection", says(both[kafka]), says(both[weir]))
	} else if what := gaveUp(both); what != "" {
		c.differ(api+"."+what, codesOf(both[kafka]), codesOf(both[weir]))
	} else if both[kafka].resp != nil {
		c.walk(api, "", reflect.ValueOf(both[kafka].resp).Elem(), reflect.ValueOf(both[weir].resp).Elem())
	}
	if w.verbose {
		fmt.Printf("-- %s step %d (%s): %s\n", w.scenario, w.step, x.conn, x.describe())
		for side, o := range both {
			fmt.Printf("   %-5s %s\n", names[side], brief(o))
		}
	}
	for _, d := range c.found {
		w.met(x, d)
	}
}

// gaveUp tells that Kafka failed, or that its time was up, where Weir has an answer: then all fields differ.
func gaveUp(both [2]outcome) string {
	if both[kafka].resp == nil {
		return ""
	}
	k, w := map[int64]bool{}, map[int64]bool{}
	errorCodes(reflect.ValueOf(both[kafka].resp), k)
	errorCodes(reflect.ValueOf(both[weir].resp), w)
	for code, what := range map[int64]string{-1: "failure", 7: "timeout"} {
		if k[code] && !w[code] {
			return what
		}
	}
	return ""
}

// codesOf says which error codes are in an answer.
func codesOf(o outcome) string {
	found := map[int64]bool{}
	errorCodes(reflect.ValueOf(o.resp), found)
	return strings.Trim(fmt.Sprint(slices.Sorted(maps.Keys(found))), "[]")
}

// errorCodes gathers the error codes of an answer.
func errorCodes(v reflect.Value, into map[int64]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			errorCodes(v.Elem(), into)
		}
	case reflect.Slice:
		for i := range v.Len() {
			errorCodes(v.Index(i), into)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Name == "ErrorCode" {
				into[v.Field(i).Int()] = true
			} else if f.IsExported() {
				errorCodes(v.Field(i), into)
			}
		}
	}
}

func says(o outcome) string {
	if o.err != nil {
		return fmt.Sprintf("%s: %v", o.fate, o.err)
	}
	return o.fate
}

func brief(o outcome) string {
	if o.resp == nil {
		return says(o)
	}
	return jsonOf(o.resp)
}

func (x *exchange) describe() string {
	if x.req == nil {
		return x.label
	}
	return x.label + " " + jsonOf(x.req)
}

// met notes a difference, if it is not listed.
func (w *world) met(x *exchange, d difference) {
	if w.allowed.allows(d) {
		w.known[d.field()]++
		return
	}
	for _, f := range w.fresh {
		if f.field() == d.field() && (f.values == d.values || strings.HasSuffix(d.path, ".order") || d.oneSided() && lastKey(f.path) == lastKey(d.path)) {
			f.count++
			return
		}
	}
	where := fmt.Sprintf("%s, step %d", w.scenario, w.step)
	if w.seed != 0 {
		where = fmt.Sprintf("seed %d, step %d", w.seed, w.step)
	}
	w.fresh = append(w.fresh, &fresh{d, where, x.describe(), 1})
}

// report says what was found. all: everything was played, so that each line of the table should have been of use.
func (w *world) report(all bool) error {
	for _, f := range w.fresh {
		request := f.request
		if len(request) > 1500 {
			request = request[:1500] + "…"
		}
		fmt.Printf("\n%s\n  first in %s, met %d times\n  request: %s\n", f.difference, f.where, f.count, request)
	}
	unused := w.allowed.unused()
	if all {
		for _, line := range unused {
			fmt.Printf("\ndocs/differences.md lists what is no difference: %s\n", line)
		}
	} else {
		unused = nil
	}
	listed := 0
	for _, n := range w.known {
		listed += n
	}
	fmt.Printf("\n%d differences that docs/differences.md lists, %d kinds of differences that it does not\n", listed, len(w.fresh))
	if len(w.fresh)+len(unused) > 0 {
		return fmt.Errorf("the answers differ")
	}
	return nil
}

// ready learns what both speak, and waits until both are ready for groups and producers.
func (w *world) ready() error {
	var spoken [2]map[int16][2]int16
	for side := range w.addresses {
		resp, err := w.alone(side, kmsg.NewPtrApiVersionsRequest(), 0)
		if err != nil {
			return err
		}
		spoken[side] = map[int16][2]int16{}
		for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
			spoken[side][k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
		for deadline := time.Now().Add(30 * time.Second); ; <-time.After(50 * time.Millisecond) {
			resp, err := w.alone(side, listGroups(), 4)
			find := kmsg.NewPtrFindCoordinatorRequest()
			find.CoordinatorKeys = []string{"a", "b", "c", "d", "e", "f", "g", "h"}
			found, err2 := w.alone(side, find, 4)
			if err != nil || err2 != nil {
				return fmt.Errorf("%v %v", err, err2)
			}
			missing := resp.(*kmsg.ListGroupsResponse).ErrorCode
			began, err3 := w.alone(side, kmsg.NewPtrInitProducerIDRequest(), 4)
			if err3 != nil {
				return err3
			}
			if code := began.(*kmsg.InitProducerIDResponse).ErrorCode; code != 0 {
				missing = code
			}
			for _, c := range found.(*kmsg.FindCoordinatorResponse).Coordinators {
				if c.ErrorCode != 0 {
					missing = c.ErrorCode
				}
			}
			if missing == 0 {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s is not ready for groups and producers after 30 s: error %d", names[side], missing)
			}
		}
	}
	for key, k := range spoken[kafka] {
		if v, both := spoken[weir][key]; both && max(k[0], v[0]) <= min(k[1], v[1]) {
			w.ranges[key] = [2]int16{max(k[0], v[0]), min(k[1], v[1])}
		}
	}
	w.ranges[0] = [2]int16{3, w.ranges[0][1]} // 0 to 2 are only advertised
	return nil
}

func listGroups() kmsg.Request { return kmsg.NewPtrListGroupsRequest() }

// alone asks one of the two.
func (w *world) alone(side int, req kmsg.Request, version int16) (kmsg.Response, error) {
	return w.aloneAt(side, 0, req, version)
}

// aloneAt is alone for another node, the first being 0.
func (w *world) aloneAt(side, node int, req kmsg.Request, version int16) (kmsg.Response, error) {
	req.SetVersion(version)
	c, err := net.DialTimeout("tcp", w.addresses[side][node], patience)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Write(frameOf(req, 1)); err != nil {
		return nil, err
	}
	o := await(c, 1, false)
	o.decode(req)
	if o.resp == nil {
		return nil, fmt.Errorf("%s: %s %s", names[side], kmsg.NameForKey(req.Key()), says(o))
	}
	return o.resp, nil
}
