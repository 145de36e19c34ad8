package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir/weir/connect/sdk"
)

const started = reads + "\n" + `printf '{"type":"done","seq":2}\n'`

// TestMisbehaviour: whatever a source does that it may not ends its task with one sentence that says what that was.
func TestMisbehaviour(t *testing.T) {
	short := map[string]string{"process.timeout.ms": "300", "process.stop.timeout.ms": "300", "process.message.max.bytes": "2000"}
	for _, test := range []struct {
		name  string
		lines []string // after start
		want  string
	}{
		{"no JSON", []string{says("Traceback (most recent call last):")}, `it sends what is not right: no object at byte 0; it begins with "Traceback (most recent call last):"`},
		{"half a message", []string{"printf '{\"type\":'"}, "the process connector ended: it ended with exit code 0, and has logged nothing"},
		{"two values", []string{says(`{"type":"records","seq":3} 4`)}, "something after the end at byte 27"},
		{"another type", []string{says(`{"type":"record","seq":3}`)}, `it sends a message of the type "record", which there is not`},
		{"no type", []string{says(`{"seq":3}`)}, "a message without a type"},
		{"another seq", []string{says(`{"type":"records","seq":9}`)}, `"records" with seq 9, where the answer to poll with seq 3 is wanted`},
		{"another answer", []string{says(`{"type":"done","seq":3}`)}, `"done" as the answer to poll, which is "records"`},
		{"a question too late", []string{says(`{"type":"position","partition":{}}`)}, "a question for a position, which it may only before it has answered start, as a source"},
		{"an unknown cause", []string{says(`{"type":"error","seq":3,"cause":"sad","error":"x"}`)}, `cause: there is no cause "sad"`},
		{"an unknown schema", []string{says(`{"type":"records","seq":3,"topic":"t","records":[{"valueSchema":7,"value":1}]}`)}, "records: record 0: valueSchema: there is no schema with the id 7"},
		{"a wrong schema", []string{says(`{"type":"schema","id":1,"schema":{"type":"number"}}`)}, "a schema that is not right (id 1): Unknown schema type: number"},
		{"a schema's number", []string{says(`{"type":"schema","id":0,"schema":{"type":"int8"}}`)}, "a schema with the id 0: ids are from 1 to 10000"},
		{"a value of another type", []string{says(`{"type":"schema","id":1,"schema":{"type":"int8"}}`), says(`{"type":"records","seq":3,"topic":"t","records":[{"value":300,"valueSchema":1}]}`)}, "record 0: valueSchema: a NUMBER that is no INT8 of the schema"},
		{"no topic", []string{says(`{"type":"records","seq":3,"records":[{"value":1}]}`)}, "a record without a topic"},
		{"a mistyped field", []string{says(`{"type":"records","seq":3,"topic":"t","records":[{"vaule":1}]}`)}, "record 0: vaule: there is no such field"},
		{"no partition of Kafka's", []string{says(`{"type":"records","seq":3,"topic":"t","records":[{"partition":-1}]}`)}, "partition: there is no partition -1"},
		{"half a position", []string{says(`{"type":"records","seq":3,"topic":"t","records":[{"value":1}],"positions":[{"offset":{}}]}`)}, "positions: one has a partition and an offset"},
		{"a long line", []string{"i=0; while [ $i -lt 3000 ]; do printf x; i=$((i+1)); done"}, "a line of more than 2000 bytes: let it send smaller batches, or set process.message.max.bytes higher"},
		{"an endless line", []string{"exec cat /dev/zero"}, "a line of more than 2000 bytes"},
		{"a large whole number", []string{says(`{"type":"records","seq":3,"topic":"t","records":[{"value":9223372036854775808}]}`)}, "a whole number that does not fit in 64 bits"},
		{"a crash", []string{"echo 'it began' >&2", "echo 'no such thing: s3cret' >&2", "exit 3"}, "the process connector ended: it ended with exit code 3; the last line of its log: no such thing: [hidden]"},
		{"a signal", []string{"kill -9 $$"}, "it was ended by the signal killed"},
		{"it says no more", []string{"exec >&-", "exec sleep 60"}, "the process connector has closed its standard output and goes on; a connector's process has to end then"},
		{"it hangs", []string{"exec sleep 60"}, "the process connector hangs: it has not answered poll for 300ms (process.timeout.ms); it was ended"},
		{"too many notes", []string{`i=0; while [ $i -lt 30 ]; do printf '{"type":"note","note":"x"}\n'; i=$((i+1)); done; sleep 60`}, "more than 10 notes in a second"},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := maps.Clone(short)
			if !strings.Contains(test.want, "hangs") {
				delete(config, "process.timeout.ms")
			}
			task, err := sourceOf(t, &fakeContext{}, config, append([]string{helloOf("source", ""), started, reads}, test.lines...)...)
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = task.Poll(soon(t))
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if cause := sdk.CauseOf(err); cause != sdk.Unknown {
				t.Errorf("cause %s", cause)
			}
			if err := task.Stop(); err != nil {
				t.Errorf("it was told twice: %v", err)
			}
		})
	}
}

// TestErrors: the causes that a process gives are those of its errors.
func TestErrors(t *testing.T) {
	for _, cause := range causes {
		task, err := sourceOf(t, &fakeContext{}, nil, helloOf("source", ""), started, reads, says(fmt.Sprintf(`{"type":"error","seq":3,"cause":%q,"error":"the password s3cret is wrong"}`, cause)), reads)
		if err != nil {
			t.Fatal(err)
		}
		_, err = task.Poll(soon(t))
		if sdk.CauseOf(err) != cause || err.Error() != "the password [hidden] is wrong" {
			t.Errorf("%s: %v (%s)", cause, err, sdk.CauseOf(err))
		}
	}
}

// TestSource: what a source says arrives, with schemas, wherever they stand, and positions; and what it is told.
func TestSource(t *testing.T) {
	c := &fakeContext{kept: map[string]any{"line": int64(7)}}
	out := filepath.Join(t.TempDir(), "heard")
	task, err := sourceOf(t, c, map[string]string{"password": "s3cret", "file": "a"},
		helloOf("source", `,"uses":["commit","durable"],"options":[{"name":"password","type":"PASSWORD"},{"name":"file"},{"name":"size","default":5}]`),
		"read -r start || exit 0; printf '%s\\n' \"$start\" >"+out, "echo 'WARN the password is s3cret' >&2",
		says(`{"type":"position","partition":{"file":"a"}}`), "read -r position; printf '%s\\n' \"$position\" >>"+out,
		says(`{"type":"note","note":"a note"}`),
		`printf '{"type":"done","seq":2}\n'`, reads,
		says(`{"type":"schema","id":4,"schema":{"type":"struct","optional":false,"fields":[{"field":"n","type":"int32"},{"field":"b","type":"bytes","optional":true}]}}`),
		says(`{"type":"records","seq":3,"topic":"t","lag":1500,"new":[1],"records":[{"value":{"n":1,"b":"AQI="},"valueSchema":4},{"topic":"u","partition":3,"timestamp":12,"keySchema":null,"key":"k","headers":[{"key":"h","value":[1.5,true,null]}]}],"positions":[{"partition":{"file":"a"},"offset":{"line":9}}]}`),
		reads, says(`{"type":"records","seq":4,"records":[],"positions":[{"partition":{"file":"b"},"offset":{"line":1}},{"partition":{"file":"a"},"offset":null}]}`),
		reads, says(`{"type":"records","seq":5,"topic":"t","records":[{"value":1}],"positions":[{"partition":{"file":"a"},"offset":{"line":10}}]}`),
		`while read -r more; do case "$more" in *poll*) ;; *) printf '%s\n' "$more" >>`+out+`;; esac; done`,
	)
	if err != nil {
		t.Fatal(err)
	}
	first, err := task.Poll(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	schema := sdk.NewStructure("", sdk.Field{Name: "n", Schema: sdk.Int32Schema}, sdk.Field{Name: "b", Schema: sdk.OptionalBytesSchema})
	at := &sdk.Position{Partition: map[string]any{"file": "a"}, Offset: map[string]any{"line": int64(9)}}
	want := []*sdk.Record{
		{Topic: "t", Partition: -1, ValueSchema: schema, Value: &sdk.Struct{Schema: schema, Values: []any{int32(1), []byte{1, 2}}}, At: at},
		{Topic: "u", Partition: 3, Timestamp: time.UnixMilli(12), Key: "k", Headers: []sdk.Header{{Key: "h", Value: []any{1.5, true, nil}}}},
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if lag, known := task.Lag(time.Now()); lag != 1500*time.Millisecond || !known {
		t.Errorf("lag %v %v", lag, known)
	}
	task.Durable(1)
	if err := task.Acknowledged(soon(t), []sdk.Position{*at}); err != nil {
		t.Fatal(err)
	}
	if none, err := task.Poll(soon(t)); len(none) != 0 || err != nil {
		t.Errorf("%v %v", none, err)
	}
	second, err := task.Poll(soon(t)) // two positions wait for records, and there is one
	if err != nil || len(second) != 1 || second[0].At == nil || len(task.carried) != 1 {
		t.Errorf("%v %v, and carried %v", second, err, task.carried)
	}
	if err := task.Stop(); err != nil {
		t.Error(err)
	}
	heard, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	wantHeard := `{"type":"start","seq":2,"class":"org.example.Fake","connector":"fake","task":2,"run":"run","config":{"file":"a","password":"s3cret",` +
		`"process.message.max.bytes":"8388608","process.stop.timeout.ms":"3000","process.timeout.ms":"60000","size":"5"}}
{"type":"position","offset":{"line":7}}
{"type":"durable","seq":3}
{"type":"commit","positions":[{"partition":{"file":"a"},"offset":{"line":9}}]}
`
	if diff := cmp.Diff(wantHeard, string(heard)); diff != "" {
		t.Errorf("it heard (-want +got)\n%s", diff)
	}
	if log := c.log(); !strings.Contains(log, `level=WARN msg="the connector says: the password is [hidden]" program=`) {
		t.Errorf("logged %s", log)
	}
	if diff := cmp.Diff([]string{"a note"}, c.notes); diff != "" {
		t.Error(diff)
	}
}

// TestWindow: a source is asked for no more batches than it may have that are not durable.
func TestWindow(t *testing.T) {
	task, err := sourceOf(t, &fakeContext{}, nil, helloOf("source", ""), started,
		`seq=3; while read line; do printf '{"type":"records","seq":%d,"topic":"t","records":[{"value":%d}]}\n' $seq $seq; seq=$((seq+1)); done`)
	if err != nil {
		t.Fatal(err)
	}
	for range mostOpen {
		if got, err := task.Poll(soon(t)); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if got, err := task.Poll(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one too many: %v %v", got, err)
	}
	if task.ahead != 0 {
		t.Errorf("%d were asked for", task.ahead)
	}
	task.Durable(2)
	for i := range 2 {
		got, err := task.Poll(soon(t))
		if err != nil || len(got) != 1 || got[0].Value != int64(3+mostOpen+i) {
			t.Error(got, err)
		}
	}
}

// TestEnd: how a process ends when it has to.
func TestEnd(t *testing.T) {
	for _, test := range []struct{ name, line, want string }{
		{"well", "exit 0", ""},
		{"with an exit code", "echo 'the file cannot be closed' >&2; exit 4", "the source did not end well: the process connector ended: it ended with exit code 4; the last line of its log: the file cannot be closed"},
		{"not", "exec sleep 60", "the source did not end well: the process connector has not ended 200ms after its standard input did (process.stop.timeout.ms); it was killed"},
		{"with others left behind", "sleep 60 & exit 0", ""},
	} {
		task, err := sourceOf(t, &fakeContext{}, map[string]string{"process.stop.timeout.ms": "200"}, helloOf("source", ""), started,
			"while read -r line; do :; done", test.line)
		if err != nil {
			t.Fatal(err)
		}
		err = task.Stop()
		if text := fmt.Sprint(err); err == nil && test.want != "" || err != nil && text != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
		if pid := task.c.cmd.Process.Pid; syscall.Kill(-pid, 0) == nil {
			for end := time.Now().Add(patience); syscall.Kill(-pid, 0) == nil; time.Sleep(time.Millisecond) { // killed, and not gone at once
				if time.Now().After(end) {
					t.Fatalf("%s: something is left behind", test.name)
				}
			}
		}
	}
}

// TestBytes: a source is asked for nothing more while so many bytes are not durable.
func TestBytes(t *testing.T) {
	task, err := sourceOf(t, &fakeContext{}, nil, helloOf("source", ""), started, "while read -r line; do :; done")
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(2) {
		if _, err := task.take(&message{seq: i, size: mostOpenBytes / 2, lag: -1, records: []*sdk.Record{{}}}, true); err != nil {
			t.Fatal(err)
		}
	}
	task.ahead = 0
	if err := task.ask(soon(t)); err != nil || task.ahead != 0 {
		t.Errorf("%d were asked for, %v", task.ahead, err)
	}
	task.Durable(1)
	if err := task.ask(soon(t)); err != nil || task.ahead != mostAhead {
		t.Errorf("%d were asked for, %v", task.ahead, err)
	}
}

func sinkRecords(topic string, from, to int64) (out []*sdk.Record) {
	for i := from; i < to; i++ {
		tp := sdk.TopicPartition{Topic: topic, Partition: 1}
		out = append(out, &sdk.Record{Topic: topic, Partition: 1, Offset: i, From: tp, KeySchema: sdk.Int64Schema, Key: i, Value: strings.Repeat("x", 1000), Timestamp: time.UnixMilli(5)})
	}
	return out
}

// TestSinkMisbehaviour: what a sink does that it may not ends its task with one sentence, and so do causes that do not pass.
func TestSinkMisbehaviour(t *testing.T) {
	for _, test := range []struct {
		name, answer string // to put, with seq 3; or, after a good one, to flush, with seq 4
		flush        bool
		want         string
	}{
		{"no such record", `{"type":"done","seq":3,"refused":[{"record":1,"error":"x"}]}`, false, "a refusal of a record that there is not (record 1 of 1, offset -1)"},
		{"a refusal of nothing", `{"type":"done","seq":3,"refused":[{"error":"x"}]}`, false, "a refusal of a record that there is not"},
		{"a refusal without a reason", `{"type":"done","seq":3,"refused":[{"record":0}]}`, false, "refused: one has to say why (error)"},
		{"records of a sink", `{"type":"records","seq":3,"records":[]}`, false, `"records" as the answer to put, which is "done"`},
		{"half an offset", `{"type":"done","seq":3,"rewind":[{"topic":"t","partition":1}]}`, false, "rewind: one has a topic, a partition and an offset"},
		{"a place that was not put", `{"type":"done","seq":4,"offsets":[{"topic":"t","partition":7,"offset":1}]}`, true, "that it is done with t-7, of which it was given nothing"},
		{"an error", `{"type":"error","seq":4,"cause":"configuration","error":"there is no table"}`, true, "there is no table"},
	} {
		answers := []string{reads, reads, says(test.answer), "exec sleep 60"} // a schema and a put
		if test.flush {
			answers = []string{reads, reads, says(`{"type":"done","seq":3}`), reads, says(test.answer), "exec sleep 60"}
		}
		task, err := sinkOf(t, &fakeContext{}, map[string]string{"process.stop.timeout.ms": "100"}, append([]string{helloOf("sink", `,"uses":["flush"]`), started}, answers...)...)
		if err != nil {
			t.Fatal(err)
		}
		if err = task.Put(soon(t), sinkRecords("t", 0, 1)); test.flush && err == nil {
			_, err = task.(sdk.Flusher).Flush(soon(t), map[sdk.TopicPartition]int64{{Topic: "t", Partition: 1}: 1})
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}

// TestSinkParts: what is much is put in parts, and what was taken is not put again when the rest is tried again.
func TestSinkParts(t *testing.T) {
	out := filepath.Join(t.TempDir(), "heard")
	task, err := sinkOf(t, &fakeContext{}, nil, helloOf("sink", ""), started,
		`puts=0
while read -r line; do
  case "$line" in *'"type":"schema"'*) continue ;; esac
  puts=$((puts+1)); seq=${line#*'"seq":'}; seq=${seq%%,*}; first=${line#*'"offset":'}
  echo "${first%%,*}" >>`+out+`
  if [ $puts = 2 ]; then echo '{"type":"error","seq":'$seq',"cause":"transient","error":"it is down"}'; else echo '{"type":"done","seq":'$seq'}'; fi
done`)
	if err != nil {
		t.Fatal(err)
	}
	records := sinkRecords("t", 0, 2500)
	if err := task.Put(soon(t), records); sdk.CauseOf(err) != sdk.Transient {
		t.Fatal(err)
	}
	if err := task.Put(soon(t), records); err != nil {
		t.Fatal(err)
	}
	if err := task.Put(soon(t), records[:10]); err != nil {
		t.Fatal(err)
	}
	heard, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(heard))
	if len(got) != 5 || got[0] != "0" || got[1] == "0" || got[2] != got[1] || got[3] == got[2] || got[4] != "0" {
		t.Errorf("puts began at %v", got)
	}
}

// TestSink: what a sink is given, its answers, and what it refuses.
func TestSink(t *testing.T) {
	c := &fakeContext{tolerate: true}
	out := filepath.Join(t.TempDir(), "heard")
	hears := "while " + "read -r line || exit 0; do printf '%s\\n' \"$line\" >>" + out + `; case "$line" in *'"type":"schema"'*) ;; *) break ;; esac; done`
	task, err := sinkOf(t, c, nil, helloOf("sink", `,"uses":["flush","partitions"]`), started,
		hears, says(`{"type":"done","seq":3,"rewind":[{"topic":"t","partition":1,"offset":40}]}`),
		hears, says(`{"type":"done","seq":4,"refused":[{"record":1,"error":"too large"}]}`),
		hears, says(`{"type":"done","seq":5,"offsets":[{"topic":"t","partition":1,"offset":41}],"refused":[{"topic":"t","partition":1,"offset":40,"error":"late"}]}`),
		hears, says(`{"type":"error","seq":6,"cause":"transient","error":"it is down"}`),
		hears, says(`{"type":"done","seq":7}`), reads)
	if err != nil {
		t.Fatal(err)
	}
	tp := sdk.TopicPartition{Topic: "t", Partition: 1}
	full := task.(flusher)
	if err := full.Assigned(soon(t), []sdk.TopicPartition{tp}); err != nil {
		t.Fatal(err)
	}
	records := []*sdk.Record{
		{Topic: "moved", Partition: 1, From: tp, Offset: 40, KeySchema: sdk.StringSchema, Key: "k\n", Value: map[string]any{"a": int64(1)}},
		{Topic: "t", Partition: 1, From: tp, Offset: 41, ValueSchema: sdk.BytesSchema, Value: "no bytes"},
		{Topic: "t", Partition: 1, From: tp, Offset: 42, Timestamp: time.UnixMilli(77), ValueSchema: sdk.OptionalBytesSchema, Value: []byte{1, 2}, Headers: []sdk.Header{{Key: "h", Schema: sdk.StringSchema, Value: "v"}}},
	}
	if err := task.Put(soon(t), records); err != nil {
		t.Fatal(err)
	}
	put := map[sdk.TopicPartition]int64{tp: 43}
	done, err := full.Flush(soon(t), put)
	if diff := cmp.Diff(map[sdk.TopicPartition]int64{tp: 41}, done); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if _, err := full.Flush(soon(t), put); sdk.CauseOf(err) != sdk.Transient {
		t.Error(err)
	}
	if err := full.Revoked(soon(t), []sdk.TopicPartition{tp}, true); err != nil {
		t.Error(err)
	}
	if err := task.Stop(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[sdk.TopicPartition]int64{tp: 40}, c.rewound); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"t-1@41: Invalid type for BYTES: class java.lang.String", "t-1@42: too large", "t-1@40: late"}, c.reported); diff != "" {
		t.Error(diff)
	}
	heard, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"open","seq":3,"partitions":[{"topic":"t","partition":1}]}
{"type":"schema","id":1,"schema":{"type":"string","optional":false}}
{"type":"schema","id":2,"schema":{"type":"bytes","optional":false}}
{"type":"schema","id":3,"schema":{"type":"bytes","optional":true}}
{"type":"put","seq":4,"records":[{"topic":"moved","partition":1,"offset":40,"from":{"topic":"t","partition":1},"keySchema":1,"key":"k\n","value":{"a":1}},` +
		`{"topic":"t","partition":1,"offset":42,"timestamp":77,"key":null,"valueSchema":3,"value":"AQI=","headers":[{"key":"h","schema":1,"value":"v"}]}]}
{"type":"flush","seq":5,"offsets":[{"topic":"t","partition":1,"offset":43}]}
{"type":"flush","seq":6,"offsets":[{"topic":"t","partition":1,"offset":43}]}
{"type":"close","seq":7,"lost":true,"partitions":[{"topic":"t","partition":1}]}
`
	if diff := cmp.Diff(want, string(heard)); diff != "" {
		t.Errorf("it heard (-want +got)\n%s", diff)
	}
}

// newConn makes one without a process, that has been asked for some things.
func newConn(asked ...string) *conn {
	c := &conn{
		child: &child{name: "fake", over: true, mask: func(text string) string { return text }}, limits: limits{line: defaultLine},
		parser: newParser(), answers: make(chan *message, mostDue+1), asked: make(chan map[string]any, 1),
	}
	for i, kind := range asked {
		c.due = append(c.due, request{int64(i + 1), kind})
	}
	return c
}

// TestStates: what comes in the wrong state is refused.
func TestStates(t *testing.T) {
	for _, test := range []struct {
		asked    []string
		starting bool
		lines    []string
		want     string // about the last line
	}{
		{nil, false, []string{`{"type":"done","seq":1}`}, `"done" with seq 1, and nothing was asked`},
		{[]string{"hello"}, false, []string{`{"type":"error","seq":1,"error":"x"}`}, `"error" as the answer to hello, which is "hello"`},
		{[]string{"start"}, false, []string{`{"type":"records","seq":1}`}, `"records" as the answer to start, which is "done"`},
		{[]string{"put", "put"}, false, []string{`{"type":"done","seq":2}`}, `"done" with seq 2, where the answer to put with seq 1 is wanted`},
		{[]string{"put"}, false, []string{`{"type":"done","seq":1}`, `{"type":"done","seq":1}`}, "nothing was asked"},
		{[]string{"start"}, true, []string{`{"type":"position"}`}, "a question for a position without a partition"},
		{[]string{"start"}, true, []string{`{"type":"position","partition":{}}`, `{"type":"position","partition":{}}`}, "a question for a position before the last one is answered"},
		{[]string{"start"}, true, []string{`{"type":"position","partition":[]}`}, "partition: it is no object"},
		{[]string{"start"}, true, []string{`{"type":"done","seq":1}`, `{"type":"position","partition":{}}`}, "which it may only before it has answered start"},
	} {
		c := newConn(test.asked...)
		c.starting = test.starting
		var err error
		for i, line := range test.lines {
			if err = c.hear([]byte(line)); err != nil && i < len(test.lines)-1 {
				t.Fatal(err)
			}
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v, want %s", test.lines, err, test.want)
		}
	}
}

// FuzzHear: whatever a process says, it is taken or refused in one line, and what is taken is whole.
func FuzzHear(f *testing.F) {
	for _, line := range []string{
		`{"type":"hello","seq":1,"protocol":1,"connectors":[{"class":"A","kind":"source","version":"1","uses":["split"],"options":[{"name":"a","type":"INT","default":1,"least":1},{"name":"b.*","values":["x"]}]}]}`,
		`{"type":"schema","id":2,"schema":{"type":"map","keys":{"type":"int8"},"values":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}},"optional":true}}`,
		`{"type":"records","seq":2,"topic":"t","lag":5,"records":[{"key":"k","valueSchema":1,"value":{"n":1,"at":5,"list":["a"]},"timestamp":5,"partition":1,"headers":[{"key":"h","schema":3,"value":1.5}]},{"value":{"a":[1,2.5,null,"\u00e4"]}}],"positions":[{"partition":{"a":1},"offset":{"b":2}}]}`,
		`{"type":"done","seq":3,"refused":[{"record":1,"error":"x"},{"topic":"t","partition":1,"offset":5,"error":"y"}],"offsets":[{"topic":"t","partition":1,"offset":5}],"rewind":[]}`,
		`{"type":"error","seq":4,"cause":"source gone","error":"x"}`, `{"type":"note","note":"x"}`, `{"type":"position","partition":{"a":null}}`,
		`{"type":"done","seq":5,"errors":[{"option":"a","error":"b"}],"tasks":[{"a":"b"}]}`, `[]`, ``, `{"type":1}`,
		"{\"type\":\"done\",\"a\\nb\":\x16}",
	} {
		f.Add(uint8(len(line)%6), line)
	}
	kinds := []string{"hello", "poll", "put", "start", "validate", "flush"}
	f.Fuzz(func(t *testing.T, kind uint8, line string) {
		c := newConn("hello", "poll", "put", "start", "validate", "flush")
		c.due = c.due[int(kind)%len(kinds):]
		c.starting = true
		for id, text := range []string{`{"type":"int8"}`, `{"type":"struct","fields":[{"field":"n","type":"int32"},{"field":"at","type":"int64","name":"org.apache.kafka.connect.data.Timestamp"},{"field":"list","type":"array","items":{"type":"string"}}]}`, `{"type":"double"}`} {
			s, err := c.parser.json.ParseSchema([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			c.parser.schemas[int64(id)] = s
		}
		if err := c.hear([]byte(line)); err != nil {
			if text := err.Error(); strings.ContainsAny(text, "\n\r") || len(text) > 1000 {
				t.Errorf("not one sentence: %q", text)
			}
			return
		}
		select {
		case m := <-c.answers:
			for _, r := range m.records {
				for _, v := range []struct {
					schema *sdk.Schema
					value  any
				}{{r.KeySchema, r.Key}, {r.ValueSchema, r.Value}} {
					if _, err := c.parser.json.AppendValue(nil, v.schema, v.value); err != nil && !strings.Contains(err.Error(), "ecimal") && v.value != nil {
						t.Errorf("a value was taken that cannot be written: %v", err)
					}
				}
			}
			if h, err := m.hello(); err == nil {
				_, _ = h.connectors("program")
			}
			_, _ = m.faults()
			_, _ = m.tasks()
		default:
		}
	})
}
