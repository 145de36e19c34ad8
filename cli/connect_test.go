package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir/weir/connect"
	"github.com/weir/weir/connect/sdk"
)

// idle is a source that waits, or fails if it is told so.
type idle struct{}

func (idle) Info() sdk.Info { return sdk.Info{Class: "test.IdleSource", Version: "7"} }

func (idle) Options() []sdk.Option {
	return []sdk.Option{
		{Name: "topic", Kind: sdk.StringOption, Required: true, Importance: sdk.High, Doc: "The topic. It is not written."},
		{Name: "fail", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Doc: "What to fail with."},
		{Name: "queue", Kind: sdk.IntOption, Default: "5", Importance: sdk.Low, Doc: "Nothing.", NoEffect: "there is no queue"},
		{Name: "key", Kind: sdk.PasswordOption, Default: "none", Importance: sdk.High, Doc: "Another secret."},
		{Name: "never", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.High, Doc: "What others do.", Unsupported: "it is for others"},
		{Name: "password", Kind: sdk.PasswordOption, NoDefault: true, Importance: sdk.Low, Doc: "A secret."},
	}
}

func (idle) Validate(_ context.Context, v sdk.Values) []sdk.OptionError {
	if v.String("topic") == "forbidden" {
		return []sdk.OptionError{{Option: "topic", Err: errors.New("the topic forbidden is not for you")}}
	}
	return nil
}

func (idle) NewTask() sdk.SourceTask { return &idleTask{} }

type idleTask struct{}

func (*idleTask) Start(_ context.Context, _ sdk.SourceContext, v sdk.Values) error {
	if text := v.String("fail"); text != "" {
		return sdk.Misconfigured("%s", text)
	}
	return nil
}

func (*idleTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	<-ctx.Done()
	return nil, nil
}

func (*idleTask) Stop() error { return nil }

// connectWorker starts a worker, and gives the address of its REST API.
func connectWorker(t *testing.T) string {
	t.Helper()
	c := newCluster(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w, err := connect.New(connect.Config{
		Options:    map[string]string{"bootstrap.servers": c.seed, "offset.storage.file.filename": filepath.Join(t.TempDir(), "offsets")},
		Connectors: []sdk.Connector{idle{}}, Logger: slog.New(slog.DiscardHandler), Listener: l, Standalone: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Start()
	t.Cleanup(w.Stop)
	return "http://" + w.Addr()
}

// TestConnect walks through the commands, in the order in which they depend on each other.
func TestConnect(t *testing.T) {
	url := connectWorker(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.json", `{"name":"good","config":{"connector.class":"IdleSource","topic":"t","tasks.max":1}}`)
	flat := file("flat.json", `{"name":"flat","connector.class":"IdleSource","topic":"t","fail":"the moon is missing: hang it up"}`)
	props := file("props.properties", "name=props\nconnector.class=test.IdleSource\ntopic=forbidden\n")
	typo := file("typo.json", `{"name":"typo","config":{"connector.class":"IdleSource","topic":"t","pasword":"x"}}`)
	queued := file("queued.json", `{"name":"queued","config":{"connector.class":"IdleSource","topic":"t","queue":"7"}}`)
	nameless := file("nameless.json", `{"connector.class":"IdleSource","topic":"t"}`)
	offsets := file("offsets.json", `{"offsets":[{"partition":{"a":1},"offset":{"b":2}}]}`)
	made := filepath.Join(dir, "made.json")
	for _, test := range []struct {
		args []string
		code int
		out  []string // what is in the output
		err  []string // and in the errors
	}{
		{args: []string{"list"}, out: []string{"CONNECTOR  TYPE  STATE  TASKS  FAILED  CLASS"}},
		{args: []string{"list", "-o", "json"}, out: []string{"[]"}},
		{args: []string{"plugins"}, out: []string{"test.IdleSource  source  7"}},
		{args: []string{"plugins", "--all"}, out: []string{"JsonConverter", "RegexRouter"}},
		{args: []string{"plugins", "IdleSource"}, out: []string{"topic", "(required)", "The topic\n"}},
		{args: []string{"plugins", "Nope"}, code: 1, err: []string{"Unknown plugin Nope."}},
		{args: []string{"validate", good}, out: []string{"Nothing is wrong with it."}},
		{args: []string{"validate", queued}, out: []string{"Nothing is wrong with it."}, err: []string{"queue has no effect here: there is no queue"}},
		{args: []string{"validate", props}, code: 1, out: []string{"topic", "the topic forbidden is not for you"}},
		{args: []string{"validate", typo}, code: 1, out: []string{"pasword", "did you mean password?"}},
		{args: []string{"validate", typo, "-o", "json"}, code: 1, out: []string{`"option": "pasword"`}},
		{args: []string{"create", good}, out: []string{"Connector good is created"}},
		{args: []string{"create", good}, code: 1, err: []string{"Connector good already exists"}},
		{args: []string{"create", "--update", good, "-o", "json"}, out: []string{`"name": "good"`}},
		{args: []string{"create", props}, code: 1, err: []string{"1 error(s): the topic forbidden is not for you\n"}},
		{args: []string{"create", nameless}, code: 1, err: []string{"it has no name"}},
		{args: []string{"create", filepath.Join(dir, "nope")}, code: 1, err: []string{"no such file"}},
		{args: []string{"create", flat}, out: []string{"Connector flat is created"}},
		{args: []string{"list"}, out: []string{"flat       source  RUNNING", "good       source  RUNNING"}},
		{args: []string{"status", "good"}, out: []string{"good       0     RUNNING"}},
		{args: []string{"status", "flat"}, out: []string{"FAILED", "configuration", "the moon is missing: hang it up"}},
		{args: []string{"status", "flat", "-o", "json"}, out: []string{`"cause": "configuration"`, `the moon is missing: hang it up"`}},
		{args: []string{"status", "nope"}, code: 1, err: []string{"No status found for connector nope"}},
		{args: []string{"config", "good"}, out: []string{"topic            t\n"}},
		{args: []string{"config", "good", "--set", "topic=other", "--set", "password=hush"}, out: []string{"topic            other\n"}},
		{args: []string{"config", "good", "--unset", "password", "-o", "json"}, out: []string{`"topic": "other"`}},
		{args: []string{"config", "good", "--set", "topic"}, code: 2, err: []string{"name=value"}},
		{args: []string{"config", "good", "--set", "tasks.max=none"}, code: 1, err: []string{"Not a number of type INT"}},
		{args: []string{"pause", "good", "nope"}, code: 1, out: []string{"good: paused\n"}, err: []string{"nope: Unknown connector nope"}},
		{args: []string{"status", "good"}, out: []string{"good       0     PAUSED"}},
		{args: []string{"resume", "good", "-o", "json"}, out: []string{`"good"`}},
		{args: []string{"restart", "good"}, out: []string{"good: restarting\n"}},
		{args: []string{"restart", "flat", "--failed"}, out: []string{"flat: restarting\n"}},
		{args: []string{"restart", "good", "--task", "0"}, out: []string{"good: restarting\n"}},
		{args: []string{"restart", "good", "--task", "9"}, code: 1, err: []string{"Unknown task: good-9"}},
		{args: []string{"restart", "good", "--task", "0", "--failed"}, code: 2, err: []string{"--task does not go with"}},
		{args: []string{"offsets", "good", "--reset"}, code: 1, err: []string{"must be in the STOPPED state"}},
		{args: []string{"stop", "good"}, out: []string{"good: stopped\n"}},
		{args: []string{"offsets", "good", "--set", offsets}, out: []string{"altered successfully"}},
		{args: []string{"offsets", "good"}, out: []string{`{"a":1}    {"b":2}`}},
		{args: []string{"offsets", "good", "--reset"}, out: []string{"reset successfully"}},
		{args: []string{"offsets", "good", "-o", "json"}, out: []string{`"offsets": []`}},
		{args: []string{"new", "IdleSource", "--name", "made", "--set", "topic=t", "--file", made}, out: []string{"Connector made is created"}, err: []string{"Written to "}},
		{args: []string{"new", "IdleSource", "--name", "made2", "--file", made}, code: 1, out: []string{"topic", "Missing required configuration"}},
		{args: []string{"validate", made}, out: []string{"Nothing is wrong with it."}},
		{args: []string{"delete", "--yes", "good", "made", "nope"}, code: 1, out: []string{"Deleted connector good.\n", "Deleted connector made.\n"}, err: []string{"Connector nope not found"}},
		{args: []string{"delete", "--yes", "--if-exists", "nope"}, out: []string{"There is no connector nope."}},
	} {
		args := append(append([]string{"connect"}, test.args...), "--url", url)
		var got ran
		missing := func() string {
			for _, want := range test.out {
				if !strings.Contains(got.out, want) {
					return want
				}
			}
			for _, want := range test.err {
				if !strings.Contains(got.err, want) {
					return want
				}
			}
			return ""
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			got = weir(t.Context(), strings.NewReader(""), args...)
			reads := test.args[0] == "status" || test.args[0] == "list" // what was asked for before may take a moment
			if !reads || missing() == "" || time.Now().After(end) {
				break
			}
		}
		if m := missing(); got.code != test.code || m != "" {
			t.Fatalf("weir %s\nexit code %d, want %d; %q is missing in\n%s%s", strings.Join(args, " "), got.code, test.code, m, got.out, got.err)
		}
	}
	b, err := os.ReadFile(made)
	if err != nil || !json.Valid(b) || !bytes.Contains(b, []byte(`"topic": "t"`)) {
		t.Errorf("%s: %v", b, err)
	}
}

// TestConnectWithoutWorker says what to do when no worker answers.
func TestConnectWithoutWorker(t *testing.T) {
	got := weir(t.Context(), strings.NewReader(""), "connect", "list", "--url", "http://"+closedPort(t))
	if got.code != 1 || !strings.Contains(got.err, "no worker of Kafka Connect answers at http://127.0.0.1:") || !strings.Contains(got.err, "`weir serve` runs one") {
		t.Errorf("%+v", got)
	}
	fake := newCluster(t)
	got = weir(t.Context(), strings.NewReader(""), "connect", "list", "--timeout", "1s", "--url", "http://"+fake.seed)
	if got.code != 1 || got.err == "" {
		t.Errorf("%+v", got)
	}
}
