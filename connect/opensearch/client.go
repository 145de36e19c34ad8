package opensearch

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// client asks servers. Each lane has its own line, which is for one goroutine.
type client struct {
	s     *settings
	http  *http.Client
	lines []line
}

type line struct {
	at     int // the server to ask
	zip    *gzip.Writer
	zipped bytes.Buffer
	answer bytes.Buffer
}

// answer is a server's. Its body is good until the next question of the line.
type answer struct {
	from   string
	status int
	body   []byte
}

func newClient(s *settings) *client {
	t := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: s.connectIn}).DialContext,
		TLSClientConfig:     s.tls,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     s.idle,
		MaxIdleConnsPerHost: s.requests,
		DisableCompression:  !s.gzip,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      16 << 10,
	}
	if s.proxy != nil {
		t.Proxy = http.ProxyURL(s.proxy)
	}
	c := &client{s: s, http: &http.Client{Transport: t}, lines: make([]line, s.requests)}
	for i := range c.lines {
		c.lines[i].at = i % len(s.urls)
	}
	return c
}

func (c *client) close() { c.http.CloseIdleConnections() }

// next turns a line to the next server.
func (c *client) next(l int) { c.lines[l].at = (c.lines[l].at + 1) % len(c.s.urls) }

// passBy turns a line to the next server if this one, or what is in front of it, is in trouble.
func (c *client) passBy(l int, a answer) {
	if a.status > 500 {
		c.next(l)
	}
}

// ask sends a request and waits for the answer, for as long as ctx says. The error is one that passes.
func (c *client) ask(ctx context.Context, l int, method, path string, body []byte) (answer, error) {
	on := &c.lines[l]
	server := c.s.urls[on.at].String()
	if c.s.gzip && body != nil {
		body = on.compress(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, server+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("%s cannot be asked", server)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		if c.s.gzip {
			req.Header.Set("Content-Encoding", "gzip")
		}
	}
	if c.s.user != "" {
		req.SetBasicAuth(c.s.user, c.s.password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, unreachable(server, err)
	}
	defer func() { _ = resp.Body.Close() }()
	on.answer.Reset()
	if _, err := io.Copy(&on.answer, resp.Body); err != nil {
		return answer{}, unreachable(server, err)
	}
	return answer{from: server, status: resp.StatusCode, body: on.answer.Bytes()}, nil
}

// unreachable words why a server gives no answer.
func unreachable(server string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s does not answer in time", server)
	}
	return fmt.Errorf("%s does not answer: %w", server, err)
}

func (l *line) compress(body []byte) []byte {
	l.zipped.Reset()
	if l.zip == nil {
		l.zip, _ = gzip.NewWriterLevel(&l.zipped, gzip.BestSpeed)
	} else {
		l.zip.Reset(&l.zipped)
	}
	_, _ = l.zip.Write(body)
	_ = l.zip.Close()
	return l.zipped.Bytes()
}

// insist asks until there is an answer that is not about a passing trouble, max.retries times. It is for requests other than bulks.
func (c *client) insist(ctx context.Context, method, path string, body []byte) (answer, error) {
	for tries := 0; ; tries++ {
		limit, cancel := context.WithTimeout(ctx, max(c.s.readIn, 30*time.Second))
		a, err := c.ask(limit, 0, method, path, body)
		cancel()
		switch {
		case err != nil:
			c.next(0)
		case a.status == 429 || a.status >= 500:
			err = troubled(a)
			c.passBy(0, a)
		case a.status == 401 || a.status == 403:
			return a, notAllowed(c.s, a)
		default:
			return a, nil
		}
		if ctx.Err() != nil {
			return a, ctx.Err()
		}
		if tries >= c.s.retries {
			return a, sdk.Retry(err)
		}
		if err := pause(ctx, c.s.backoff, tries); err != nil {
			return a, err
		}
	}
}

func troubled(a answer) error {
	return fmt.Errorf("%s answers with HTTP status %d: %v", a.from, a.status, why(a.body))
}

func notAllowed(s *settings, a answer) error {
	if a.status == 401 {
		return sdk.Misconfigured("%s does not let the user %q in: check connection.username and connection.password", a.from, s.user)
	}
	return sdk.Misconfigured("%s does not allow the user %q what the connector has to do: %v; give the user the permission", a.from, s.user, why(a.body))
}

// pauseMost is the longest that is waited before something is tried again.
const pauseMost = 10 * time.Second

// pause waits before something is tried again, each time twice as long.
func pause(ctx context.Context, first time.Duration, tries int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(first<<min(tries, 16), pauseMost)):
		return nil
	}
}
