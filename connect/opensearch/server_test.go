package opensearch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a real OpenSearch, with a folder and a port of its own.
type server struct {
	dir, url string
	port     int
	settings []string
	cmd      *exec.Cmd
}

var shared struct {
	sync.Once
	*server
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		shared.server.remove()
	}
	os.Exit(code)
}

// serverFor gives the server that tests share, each with its own indices.
func serverFor(t testing.TB) *server {
	t.Helper()
	wanted(t)
	shared.Do(func() { shared.server, shared.err = startServer() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// ownServer starts a server that a test may stop.
func ownServer(t testing.TB, settings ...string) *server {
	t.Helper()
	wanted(t)
	s, err := startServer(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

func wanted(t testing.TB) {
	t.Helper()
	if os.Getenv("TEST_OPENSEARCH") == "" {
		t.Skip("it needs a real OpenSearch, which takes a while to start: run it by make opensearch")
	}
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("OpenSearch cannot be run: apt-get install openjdk-17-jdk-headless maven")
		}
	}
}

func startServer(settings ...string) (*server, error) {
	dir, err := os.MkdirTemp("", "weir-opensearch")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	s := &server{dir: dir, port: port, url: fmt.Sprintf("http://127.0.0.1:%d", port), settings: settings}
	script := filepath.Join("..", "..", "test", "opensearch", "run.sh")
	if out, err := exec.Command(script, "fetch").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("OpenSearch cannot be fetched: %w\n%s", err, out)
	}
	return s, s.start()
}

// start runs the server and waits until it answers.
func (s *server) start() error {
	script, err := filepath.Abs(filepath.Join("..", "..", "test", "opensearch", "run.sh"))
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	s.cmd = exec.Command(script, append([]string{"serve", s.dir, fmt.Sprint(s.port)}, s.settings...)...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for range 1200 {
		if status, _ := s.ask("GET", "/_cluster/health?wait_for_status=yellow", ""); status == 200 {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	text, _ := os.ReadFile(s.dir + "/log")
	return fmt.Errorf("OpenSearch does not answer:\n%s", text[max(0, len(text)-2000):])
}

// kill ends the server at once, as a crash does.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) remove() {
	s.kill()
	_ = os.RemoveAll(s.dir)
}

// ask gives the answer to a request; status 0: none.
func (s *server) ask(method, path, body string) (status int, answer []byte) {
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = resp.Body.Close() }()
	answer, _ = io.ReadAll(resp.Body)
	return resp.StatusCode, answer
}

func (s *server) must(t testing.TB, method, path, body string) []byte {
	t.Helper()
	status, answer := s.ask(method, path, body)
	if status < 200 || status > 299 {
		t.Fatalf("%s %s: status %d, %s", method, path, status, answer)
	}
	return answer
}

// documents gives all of an index by their ids, as JSON.
func (s *server) documents(t testing.TB, index string) map[string]string {
	t.Helper()
	s.must(t, "POST", "/"+index+"/_refresh", "")
	var found struct {
		Hits struct {
			Hits []struct {
				ID     string          `json:"_id"`
				Source json.RawMessage `json:"_source"`
			}
		}
	}
	if err := json.Unmarshal(s.must(t, "GET", "/"+index+"/_search?size=10000", ""), &found); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, h := range found.Hits.Hits {
		var b bytes.Buffer
		_ = json.Compact(&b, h.Source)
		out[h.ID] = b.String()
	}
	return out
}

func decode(t testing.TB, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}
