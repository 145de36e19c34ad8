package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir/weir/internal/kept"
)

// patience is for how long tests wait for what has to come.
const patience = 120 * time.Second

// weirBinary is the weir that is tested.
var weirBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "weir-test-")
	if err != nil {
		panic(err)
	}
	weirBinary = filepath.Join(dir, "weir")
	if out, err := exec.Command("go", "build", "-o", weirBinary, "../../cmd/weir").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building weir: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// freePort gives a port that nobody uses.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// output gathers what processes print.
type output = kept.Text

// process is a weir that runs, with a REST API of Connect.
type process struct {
	t     testing.TB
	args  []string
	env   []string
	rest  string // host:port of the REST API
	kafka string
	dir   string
	cmd   *exec.Cmd
	out   *output // of all its lives
}

// startBroker starts a node that runs no connectors: workers do.
func startBroker(t testing.TB) *process {
	t.Helper()
	p := &process{t: t, out: &output{}, kafka: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	p.args = []string{"serve", "--set", "log.dirs=" + t.TempDir(), "--set", "listeners=PLAINTEXT://" + p.kafka, "--set", "connect.listener=", "--set", "http.listener=",
		"--set", "group.initial.rebalance.delay.ms=0"}
	p.lives()
	return p
}

// startNode starts a node that runs connectors.
func startNode(t testing.TB, env ...string) *process {
	t.Helper()
	p := &process{t: t, env: env, out: &output{}, dir: t.TempDir(), rest: fmt.Sprintf("127.0.0.1:%d", freePort(t)), kafka: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	worker := filepath.Join(p.dir, "worker.properties")
	if err := os.WriteFile(worker, []byte("config.providers=env\nconfig.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.args = []string{"serve", "--set", "log.dirs=" + p.dir + "/data", "--set", "listeners=PLAINTEXT://" + p.kafka, "--set", "connect.listener=" + p.rest, "--set", "http.listener=",
		"--set", "group.initial.rebalance.delay.ms=0", "--set", "connect.config=" + worker}
	p.lives()
	return p
}

// startWorker starts a worker by itself.
func startWorker(t testing.TB, kafka string, options ...string) *process {
	t.Helper()
	port := freePort(t)
	p := &process{t: t, kafka: kafka, out: &output{}, rest: fmt.Sprintf("127.0.0.1:%d", port)}
	p.args = []string{"connect", "worker", "-b", kafka, "--set", "listeners=http://" + p.rest, "--set", "rest.advertised.host.name=127.0.0.1", "--set", "offset.storage.partitions=5"}
	for _, o := range options {
		p.args = append(p.args, "--set", o)
	}
	p.lives()
	return p
}

func (p *process) lives() {
	p.t.Helper()
	p.t.Cleanup(func() {
		p.kill()
		if p.t.Failed() {
			p.t.Logf("%v said:\n%s", p.args[:2], p.out)
		}
	})
	p.start()
}

// start starts it, and waits until its REST API answers.
func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(weirBinary, p.args...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	await(p.t, "it to be ready", func() bool {
		if p.rest == "" {
			return strings.Contains(p.out.String(), "Weir is ready")
		}
		status, _ := p.ask("GET", "/connectors", nil)
		return status == 200
	})
}

// kill ends it as a crash does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// ask sends a request to the REST API; status 0: there was no answer.
func (p *process) ask(method, path string, body any) (status int, answer string) {
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			p.t.Fatal(err)
		}
		send = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.rest+path, send)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// connector creates one.
func (p *process) connector(name string, config map[string]string) {
	p.t.Helper()
	if status, answer := p.ask("PUT", "/connectors/"+name+"/config", config); status != 201 {
		p.t.Fatalf("creating %s: %d %s", name, status, answer)
	}
}

// taskStatus is what is told of a task.
type taskStatus struct {
	ID                   int
	State, Trace, Worker string
	Details              struct {
		Records int64
		LagMS   *int64 `json:"lag_ms"`
		Cause   string
		Stuck   bool
	}
}

// tasks gives the states of a connector's tasks.
func (p *process) tasks(name string) []taskStatus {
	_, answer := p.ask("GET", "/connectors/"+name+"/status?details=true", nil)
	var told struct {
		Tasks []struct {
			taskStatus
			WorkerID string `json:"worker_id"`
		}
	}
	_ = json.Unmarshal([]byte(answer), &told)
	var out []taskStatus
	for _, task := range told.Tasks {
		task.taskStatus.Worker = task.WorkerID
		out = append(out, task.taskStatus)
	}
	return out
}

// task gives the state of the only task of a connector.
func (p *process) task(name string) taskStatus {
	if all := p.tasks(name); len(all) > 0 {
		return all[0]
	}
	return taskStatus{}
}

// await waits until something is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// consumer gives a client that reads a topic from its start.
func consumer(t testing.TB, kafka, topic string) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(20*time.Millisecond), kgo.MetadataMaxAge(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// cli runs a command of weir.
func (p *process) cli(args ...string) (string, error) {
	cmd := exec.Command(weirBinary, args...)
	cmd.Env = append(os.Environ(), "WEIR_CONNECT_URL=http://"+p.rest)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// says tells whether a text has all parts.
func says(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
