package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

// server is an S3 server of others, with a folder and a port of its own.
type server struct {
	bin, dir, address string
	cmd               *exec.Cmd
	out               bytes.Buffer
}

const (
	testKey    = "weir"
	testSecret = "weirs-secret"
)

var shared struct {
	sync.Once
	*server
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		shared.stop()
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// serverFor gives the server that tests share, each with its own bucket.
func serverFor(t testing.TB) *server {
	t.Helper()
	shared.Do(func() { shared.server, shared.err = newServer() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	if shared.server == nil {
		t.Skip("there is no S3 server to test with: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	}
	return shared.server
}

// ownServer starts a server that a test may stop.
func ownServer(t testing.TB) *server {
	t.Helper()
	serverFor(t)
	s, err := newServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.stop()
		_ = os.RemoveAll(s.dir)
	})
	return s
}

func newServer() (*server, error) {
	bin, err := exec.LookPath("versitygw")
	if err != nil {
		path, _ := exec.Command("go", "env", "GOPATH").Output()
		bin = filepath.Join(strings.TrimSpace(string(path)), "bin", "versitygw")
		if _, err := os.Stat(bin); err != nil {
			return nil, nil
		}
	}
	s := &server{bin: bin}
	if s.dir, err = os.MkdirTemp("", "weir-s3"); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.address = l.Addr().String()
	_ = l.Close()
	return s, s.start()
}

func (s *server) start() error {
	s.cmd = exec.Command(s.bin, "--quiet", "--keep-alive", "--port", s.address, "--access", testKey, "--secret", testSecret, "posix", s.dir)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("the S3 server does not start: %s", s.out.String())
		}
	}
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

var buckets atomic.Int64

// bucket makes a bucket for a test, and gives the options of Confluent's connectors for it.
func (s *server) bucket(t testing.TB) (*store, map[string]string) {
	t.Helper()
	return s.bucketNamed(t, fmt.Sprintf("b%d-%s", buckets.Add(1), strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))))
}

func (s *server) bucketNamed(t testing.TB, name string) (*store, map[string]string) {
	t.Helper()
	st, err := access{bucket: name, region: "us-east-1", url: "http://" + s.address, key: testKey, secret: testSecret, pathStyle: true}.open()
	if err != nil {
		t.Fatal(err)
	}
	if err := st.core.MakeBucket(context.Background(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return st, map[string]string{
		"s3.bucket.name": name, "s3.region": "us-east-1", "store.url": "http://" + s.address, "aws.access.key.id": testKey, "aws.secret.access.key": testSecret,
		"format.class": "io.confluent.connect.s3.format.json.JsonFormat",
	}
}

// files gives what is in a bucket, by name.
func (s *store) files(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	ctx := context.Background()
	for o := range s.core.Client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		r, err := s.core.Client.GetObject(ctx, s.bucket, o.Key, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[o.Key] = b
	}
	return out
}
