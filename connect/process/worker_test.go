package process_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/connect"
	"github.com/weir/weir/connect/host"
	"github.com/weir/weir/connect/process"
	"github.com/weir/weir/connect/sdk"
	"github.com/weir/weir/connect/sdk/kit"
	"github.com/weir/weir/internal/kept"
	"github.com/weir/weir/weirtest"
)

// patience bounds what tests wait for.
const patience = 60 * time.Second

// workerOf tells the test's own program to be a worker, with these options.
const workerOf = "WEIR_TEST_WORKER"

func TestMain(m *testing.M) {
	if text := os.Getenv(workerOf); text != "" {
		var options map[string]string
		if err := json.Unmarshal([]byte(text), &options); err != nil {
			panic(err)
		}
		w, err := connect.New(connect.Config{Options: options, Logger: slog.Default()})
		if err != nil {
			panic(err)
		}
		w.Start()
		fmt.Println("http://" + w.Addr())
		select {}
	}
	os.Exit(m.Run())
}

// logs gathers what a worker logs.
type logs = kept.Text

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// examples copies the programs of the example to a folder of the test's own, by which their processes are known.
func examples(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3, in which the example connectors are written: apt-get install python3")
	}
	folder := t.TempDir()
	for _, name := range []string{"sqlite_source.py", "sqlite_sink.py"} {
		b, err := os.ReadFile(filepath.Join("..", "..", "examples", "process", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// sqlite runs statements in a database, and gives the rows of the last.
func sqlite(t testing.TB, database string, statements ...string) string {
	t.Helper()
	const program = `import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=30)
with db:
    for statement in sys.argv[2:]:
        rows = db.execute(statement).fetchall()
print(json.dumps(rows))`
	out, err := exec.Command("python3", append([]string{"-c", program, database}, statements...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// rows adds rows with the numbers from a first one to the one before the last.
func rows(from, to int) string {
	return fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %d) INSERT INTO orders SELECT i, 'order ' || i FROM n", from, to)
}

// processes gives those that run a program of a folder.
func processes(t testing.TB, program string) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(all) == 0 {
		t.Skip("there is no /proc, in which the test looks for processes")
	}
	for _, name := range all {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(program)) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// handler takes requests to a worker.
type handler func(method, path string, body any) (int, string)

func (h handler) create(t testing.TB, name string, config map[string]string) {
	t.Helper()
	if status, text := h("PUT", "/connectors/"+name+"/config", config); status/100 != 2 {
		t.Fatalf("%d %s", status, text)
	}
}

// startWorker starts one in the test's process.
func startWorker(t testing.TB, node *weirtest.Node, options map[string]string) (handler, *logs) {
	t.Helper()
	all := map[string]string{"bootstrap.servers": node.Addr(), "listeners": "", "group.id": "g",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false"}
	for name, value := range options {
		all[name] = value
	}
	l := &logs{}
	w, err := connect.New(connect.Config{Options: all, Logger: slog.New(slog.NewTextHandler(l, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w.Start()
	t.Cleanup(func() {
		w.Stop()
		if t.Failed() {
			t.Logf("the worker logged:\n%s", l)
		}
	})
	return func(method, path string, body any) (int, string) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r := connect.Request{Method: method, Path: path, Type: "application/json"}
		if body != nil {
			var err error
			if r.Body, err = json.Marshal(body); err != nil {
				t.Fatal(err)
			}
		}
		answer := w.Handle(ctx, r)
		return answer.Status, string(answer.Body)
	}, l
}

// TestKilled: rows of a database come through a topic into another, with both connectors in processes that are killed again and again.
func TestKilled(t *testing.T) {
	folder := examples(t)
	node := weirtest.Start(t, weirtest.Topic("orders", 2))
	h, log := startWorker(t, node, map[string]string{"plugin.path": folder + ", " + t.TempDir()})
	in, out := filepath.Join(t.TempDir(), "in.db"), filepath.Join(t.TempDir(), "out.db")
	sqlite(t, in, "CREATE TABLE orders (id INTEGER PRIMARY KEY, text TEXT)")
	h.create(t, "from", map[string]string{"connector.class": "SqliteSource", "database": in, "table": "orders", "topic": "orders", "batch.size": "50"})
	h.create(t, "to", map[string]string{"connector.class": "org.example.SqliteSink", "database": out, "topics": "orders", "tasks.max": "2"})
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	moved := func() (all int64) {
		ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		ends.Each(func(o kadm.ListedOffset) { all += o.Offset })
		return all
	}
	const each, kills = 10_000, 2
	for i := range kills + 1 {
		before := moved()
		sqlite(t, in, rows(1+i*each, 1+(i+1)*each))
		if i == kills {
			break
		}
		for _, program := range []string{"sqlite_source.py", "sqlite_sink.py"} {
			pids := []int{}
			eventually(t, program+" is at work", func() bool {
				pids = processes(t, filepath.Join(folder, program))
				return len(pids) > 0 && moved() > before
			})
			for _, pid := range pids {
				if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && bytes.Contains(b, []byte(".db")) {
					t.Errorf("the configuration is in the arguments: %q", b)
				}
			}
			if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := fmt.Sprint((kills + 1) * each)
	eventually(t, "all rows are there", func() bool {
		return strings.HasPrefix(sqlite(t, out, "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, value TEXT)", "SELECT count(*) FROM records"), "[["+want+"]")
	})
	if got := sqlite(t, out, `SELECT count(*) FROM records WHERE json_extract(value, '$.text') = 'order ' || key AND json_extract(value, '$.id') = CAST(key AS INTEGER)`); got != "[["+want+"]]" {
		t.Errorf("%s of %s are as they were", got, want)
	}
	for _, name := range []string{"from", "to"} {
		eventually(t, name+" runs again", func() bool {
			_, text := h("GET", "/connectors/"+name+"/status", nil)
			return strings.Count(text, "RUNNING") >= 2 && !strings.Contains(text, "FAILED")
		})
	}
	for _, text := range []string{"it was ended by the signal killed", "the connector says: writing to records in", "connector=to", "task=from-0 cause=unknown in=1s"} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("%q is not in the log", text)
		}
	}
	if status, text := h("DELETE", "/connectors/to", nil); status/100 != 2 {
		t.Fatal(status, text)
	}
	eventually(t, "no process is left of what was deleted", func() bool { return len(processes(t, filepath.Join(folder, "sqlite_sink.py"))) == 0 })
}

// TestWorkerKilled: a worker that is killed leaves no process behind, also none that does not look at its standard input.
func TestWorkerKilled(t *testing.T) {
	folder := examples(t)
	node := weirtest.Start(t)
	in := filepath.Join(t.TempDir(), "in.db")
	sqlite(t, in, "CREATE TABLE orders (id INTEGER PRIMARY KEY, text TEXT)", rows(1, 11))
	deaf := `#!/bin/sh
read -r line || exit 0
echo '{"type":"hello","seq":1,"protocol":1,"connectors":[{"class":"org.example.Deaf","kind":"source","version":"1","options":[{"name":"topic"}]}]}'
read -r line || exit 0
echo '{"type":"done","seq":2}'
while :; do sleep 0.1; done
`
	if err := os.WriteFile(filepath.Join(folder, "deaf"), []byte(deaf), 0o755); err != nil {
		t.Fatal(err)
	}
	options, err := json.Marshal(map[string]string{"bootstrap.servers": node.Addr(), "listeners": "http://127.0.0.1:0", "plugin.path": folder})
	if err != nil {
		t.Fatal(err)
	}
	worker := exec.Command(os.Args[0])
	worker.Env = append(os.Environ(), workerOf+"="+string(options))
	log := &logs{}
	worker.Stderr = log
	stdout, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = worker.Process.Kill()
		_ = worker.Wait()
	}()
	address := make([]byte, 100)
	n, err := stdout.Read(address)
	if err != nil {
		t.Fatal(err, log)
	}
	url := strings.TrimSpace(string(address[:n]))
	for _, body := range []string{
		`{"name": "from", "config": {"connector.class": "SqliteSource", "database": "` + in + `", "table": "orders", "topic": "orders"}}`,
		`{"name": "deaf", "config": {"connector.class": "Deaf", "topic": "orders"}}`,
	} {
		eventually(t, "a connector is created", func() bool {
			answer, err := post(url+"/connectors", body)
			return err == nil && answer == http.StatusCreated
		})
	}
	if got := node.Consume("orders", 10); len(got) != 10 {
		t.Fatal(got)
	}
	eventually(t, "both run", func() bool { return len(processes(t, folder)) == 2 })
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its process is gone", func() bool { return len(processes(t, folder)) == 0 })
}

// TestPlugins: what can be used in plugin.path is a plugin like any other, and what cannot is told of in one line and does no harm.
func TestPlugins(t *testing.T) {
	folder := t.TempDir()
	hello := func(more string) string {
		return "#!/bin/sh\nread -r line\necho '" + `{"type":"hello","seq":1,"protocol":1,"connectors":[` + more + "]}'\n"
	}
	one := func(class string) string { return `{"class":"` + class + `","kind":"sink","version":"1"}` }
	for name, file := range map[string]struct {
		mode os.FileMode
		text string
	}{
		"a-good":     {0o755, hello(`{"class":"org.example.Good","kind":"source","version":"1.2","doc":"Good.","uses":["validate","split"],"defaults":{"value.converter":"org.apache.kafka.connect.storage.StringConverter"},"options":[{"name":"password","type":"PASSWORD","required":true,"doc":"A secret."},{"name":"mode","default":"a","values":["a","b"]},{"name":"header.*"}]}`) + "read -r line || exit 0\ncase \"$line\" in *s3cret*) ;; *) exit 1 ;; esac\ncase \"$line\" in\n*validate*) echo '" + `{"type":"done","seq":2,"errors":[{"option":"password","error":"s3cret does not let me in"}]}` + "' ;;\n*split*) echo '" + `{"type":"error","seq":2,"cause":"configuration","error":"there is nothing"}` + "' ;;\nesac\n"},
		"b-same":     {0o755, hello(one("org.example.Good"))},
		"c-ours":     {0o755, hello(one("org.example.Other") + "," + one("org.example.Other"))},
		"d-empty":    {0o755, hello("")},
		"e-newer":    {0o755, "#!/bin/sh\nread -r line\necho '" + `{"type":"hello","seq":1,"protocol":2,"connectors":[` + one("N") + "]}'\n"},
		"f-crashes":  {0o755, "#!/bin/sh\necho 'no module named x' >&2\nexit 1\n"},
		"g-none":     {0o755, "\x7fELF"},
		"h-text":     {0o644, hello(one("org.example.Unseen"))},
		"l-java.jar": {0o755, "PK"},
		".hidden":    {0o755, hello(one("org.example.Hidden"))},
		"i-option":   {0o755, hello(`{"class":"O","kind":"sink","version":"1","options":[{"name":"n","type":"INT","default":"many"}]}`)},
		"j-uses":     {0o755, hello(`{"class":"O","kind":"sink","version":"1","uses":["commit"]}`)},
		"k-reserved": {0o755, hello(`{"class":"O","kind":"sink","version":"1","options":[{"name":"process.timeout.ms"}]}`)},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(file.text), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	h, log := startWorker(t, weirtest.Start(t), map[string]string{"plugin.path": folder + "," + filepath.Join(folder, "missing")})
	_, listed := h("GET", "/connector-plugins", nil)
	for class, want := range map[string]bool{`"class":"org.example.Good","type":"source","version":"1.2"`: true, "org.example.Other": true, "Unseen": false, "Hidden": false, `"N"`: false, `"O"`: false} {
		if strings.Contains(listed, class) != want {
			t.Errorf("%s is listed: %v", class, !want)
		}
	}
	if n := strings.Count(listed, "org.example."); n != 2 {
		t.Errorf("%d are listed: %s", n, listed)
	}
	for _, want := range []string{
		"b-same class=org.example.Good other=" + folder + "/a-good", "c-ours class=org.example.Other", "it has 0 connectors; there have to be 1 to 100", "it speaks version 2 of the protocol, and this worker version 1",
		"it ended with exit code 1; the last line of its log: no module named x", "g-none cannot be started: exec format error", "missing: no such file",
		`its default is not right: Invalid value many`, `it uses \"commit\", which a sink may not: choose of validate, split, flush, partitions`, `option \"process.timeout.ms\": there are two of it`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s is not in the log", want)
		}
	}
	if strings.Contains(log.String(), "l-java.jar") {
		t.Error("a jar was asked what it is")
	}
	if t.Failed() {
		t.Fatal(log)
	}
	_, options := h("GET", "/connector-plugins/Good/config", nil)
	for _, want := range []string{`"name":"password","type":"PASSWORD","required":true`, `"name":"process.timeout.ms"`, `"documentation":"A secret."`} {
		if !strings.Contains(options, want) {
			t.Errorf("%s is not in %s", want, options)
		}
	}
	_, valid := h("PUT", "/connector-plugins/Good/config/validate", map[string]string{"name": "g", "connector.class": "Good", "password": "s3cret", "header.a": "b", "mode": "b"})
	if !strings.Contains(valid, `"error_count":1`) || !strings.Contains(valid, `[hidden] does not let me in`) || strings.Contains(valid, "s3cret") {
		t.Errorf("validation: %s", valid)
	}
	if _, wrong := h("PUT", "/connector-plugins/Good/config/validate", map[string]string{"name": "g", "connector.class": "Good", "password": "s3cret", "mode": "c", "heaven": "1"}); !strings.Contains(wrong, `"error_count":2`) {
		t.Errorf("validation: %s", wrong)
	}
	if strings.Contains(log.String(), "s3cret") {
		t.Error("a password is in the log")
	}
}

// TestDivided: a connector is asked how to divide its work, again and again, and whether positions are right.
func TestDivided(t *testing.T) {
	folder := t.TempDir()
	parts := filepath.Join(folder, "parts")
	text := "#!/bin/sh\nread -r line\necho '" + `{"type":"hello","seq":1,"protocol":1,"connectors":[{"class":"org.example.Parts","kind":"source","version":"1","uses":["split","offsets"],"options":[{"name":"part.*"}]}]}` + `'
read -r line || exit 0
case "$line" in
*'"type":"split"'*'"most":3'*) echo '{"type":"done","seq":2,"tasks":'$(cat ` + parts + `)'}'; exit ;;
*'"type":"offsets"'*'"offset":{"n":-1}'*) echo '{"type":"error","seq":2,"error":"n may not be below zero"}'; exit ;;
*'"type":"offsets"'*) echo '{"type":"done","seq":2}'; exit ;;
esac
part=${line#*'"part.name":"'}
echo "part ${part%%\"*}" >&2
echo '{"type":"done","seq":2}'
while read -r line; do :; done
`
	divide := func(answer string) {
		if err := os.WriteFile(parts+"-new", []byte(answer), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(parts+"-new", parts); err != nil {
			t.Fatal(err)
		}
	}
	divide(`[{"part.name":"one"},{"part.name":"two"}]`)
	if err := os.WriteFile(filepath.Join(folder, "program"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	h, log := startWorker(t, weirtest.Start(t), map[string]string{"plugin.path": folder})
	h.create(t, "parts", map[string]string{"connector.class": "Parts", "tasks.max": "3", "process.split.interval.ms": "100"})
	tasks := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprint("the tasks are ", want), func() bool {
			_, configs := h("GET", "/connectors/parts/tasks", nil)
			for _, part := range want {
				if !strings.Contains(configs, `"part.name":"`+part+`"`) || !strings.Contains(log.String(), "the connector says: part "+part) {
					return false
				}
			}
			return strings.Count(configs, "part.name") == len(want)
		})
	}
	tasks("one", "two")
	divide(`[{"part.name":"three"}]`)
	tasks("three")
	if status, text := h("PUT", "/connectors/parts/stop", nil); status/100 != 2 {
		t.Fatal(status, text)
	}
	var answer string
	for offset, want := range map[string]string{`{"n":-1}`: "n may not be below zero", `{"n":1}`: "The offsets for this connector have been altered successfully"} {
		eventually(t, want, func() bool {
			_, answer = h("PATCH", "/connectors/parts/offsets", json.RawMessage(`{"offsets":[{"partition":{"p":1},"offset":`+offset+`}]}`))
			return strings.Contains(answer, want)
		})
	}
}

// TestRefused: a record that a sink refuses is in the dead-letter topic, and the others arrive.
func TestRefused(t *testing.T) {
	folder := examples(t)
	node := weirtest.Start(t, weirtest.Topic("orders", 1))
	h, _ := startWorker(t, node, map[string]string{"plugin.path": folder})
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addr()), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(),
		&kgo.Record{Key: []byte("1"), Value: []byte("11")}, &kgo.Record{Value: []byte("22")}, &kgo.Record{Key: []byte("3"), Value: []byte("33")}, &kgo.Record{Key: []byte("1")},
	).FirstErr(); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.db")
	h.create(t, "to", map[string]string{"connector.class": "SqliteSink", "database": out, "topics": "orders", "errors.tolerance": "all",
		"errors.deadletterqueue.topic.name": "refused", "errors.deadletterqueue.topic.replication.factor": "1", "errors.deadletterqueue.context.headers.enable": "true"})
	if got := node.Consume("refused", 1); got[0] != "22" {
		t.Errorf("refused: %v", got)
	}
	eventually(t, "the others are there", func() bool {
		return sqlite(t, out, "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, value TEXT)", "SELECT * FROM records") == `[["3", "33"]]`
	})
}

// TestCrash: the example, crashed as the kit does it, loses nothing.
func TestCrash(t *testing.T) {
	all, err := process.Describe(filepath.Join(examples(t), "sqlite_source.py"))
	if err != nil {
		t.Fatal(err)
	}
	in := filepath.Join(t.TempDir(), "in.db")
	sqlite(t, in, "CREATE TABLE orders (id INTEGER PRIMARY KEY, text TEXT)", rows(1, 3001))
	var want []string
	for i := range 3000 {
		want = append(want, fmt.Sprintf("{id=%d, text=order %d}", i+1, i+1))
	}
	k := kit.New(t, kit.Topic("orders", 1))
	source := all[0].(sdk.Source)
	k.Crash(source, map[string]string{"database": in, "table": "orders", "topic": "orders", "batch.size": "20"}, func() bool {
		at := k.Positions(source)
		return len(at) == 1 && fmt.Sprint(at[0].Offset["rowid"]) == "3000"
	})
	if err := kit.Delivered(want, k.Values("orders")); err != nil {
		t.Error(err)
	}
}

// TestNode: the worker in a node has the programs of the node's plugin.path.
func TestNode(t *testing.T) {
	folder := t.TempDir()
	text := "#!/bin/sh\nread -r line\necho '" + `{"type":"hello","seq":1,"protocol":1,"connectors":[{"class":"org.example.InNode","kind":"source","version":"1"}]}` + "'\n"
	if err := os.WriteFile(filepath.Join(folder, "program"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w, err := connect.InNode(nil)(host.Host{Listener: listener, PluginPath: []string{folder}, Logger: slog.New(slog.DiscardHandler), Exists: func(string) bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	w.Start()
	defer w.Stop()
	answer, err := http.Get("http://" + listener.Addr().String() + "/connector-plugins")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil || !bytes.Contains(b, []byte("org.example.InNode")) {
		t.Errorf("%s %v", b, err)
	}
}

// TestSecrets: what a program repeats of what it was told, in its log, in its errors or where it may not, is seen by nobody.
func TestSecrets(t *testing.T) {
	const secret = `s3cret "of" <nobody>\\`
	t.Setenv("WEIR_TEST_SECRET", secret)
	for _, leak := range []string{
		`printf '%s\n' "$line" >&2; exit 1`,
		`printf 'x%s\n' "${line#*token}"`,
		`token=${line#*'"token":'}; printf '{"type":"error","seq":2,"cause":"configuration","error":%s}\n' "${token%%\}*}"; read -r line`,
	} {
		folder := t.TempDir()
		text := "#!/bin/sh\nread -r line || exit 0\necho '" + `{"type":"hello","seq":1,"protocol":1,"connectors":[{"class":"org.example.Leak","kind":"source","version":"1","options":[{"name":"password","type":"PASSWORD"},{"name":"token"}]}]}` +
			"'\nread -r line || exit 0\n" + leak + "\n"
		if err := os.WriteFile(filepath.Join(folder, "leak"), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		h, log := startWorker(t, weirtest.Start(t), map[string]string{"plugin.path": folder})
		h.create(t, "leak", map[string]string{"connector.class": "Leak", "password": "passw0rd \"x\"", "token": "${env:WEIR_TEST_SECRET}"})
		var status string
		eventually(t, "it has failed", func() bool {
			_, status = h("GET", "/connectors/leak/status", nil)
			return strings.Contains(status, "FAILED")
		})
		for _, part := range []string{"s3cret", "nobody", "passw0rd"} {
			if strings.Contains(status+log.String(), part) {
				t.Errorf("%s: %s is seen in %s\n%s", leak, part, status, log)
			}
		}
		if !strings.Contains(status, "[hidden]") {
			t.Errorf("%s: status %s", leak, status)
		}
	}
}

func post(url, body string) (int, error) {
	answer, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}
