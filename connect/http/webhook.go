package http

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/weir/weir/connect/convert"
	"github.com/weir/weir/connect/sdk"
)

// Webhook is a source that listens for others to post records to it. Who posts is answered when the record is durable in its topic, and
// not before; who gets no answer, or another than 200, has to post again.
type Webhook struct{}

// Info implements sdk.Connector.
func (Webhook) Info() sdk.Info {
	return sdk.Info{Class: "weir.http.WebhookSource", Aliases: []string{"WebhookSource"}, Version: "1.0.0",
		Doc: "What others post to an address becomes records; a post is answered when its record is durable."}
}

var webhookOptions = ordered([]sdk.Option{
	required(checked(option("Webhook", "listen", sdk.StringOption, "", sdk.High, "The address to listen at, as host:port. An empty host: all interfaces."), func(_ sdk.Values, v any) error {
		s, _ := v.(string)
		if _, port, err := net.SplitHostPort(s); err != nil || port == "" {
			return fmt.Errorf("Invalid value %s for configuration listen: it must be host:port", s)
		}
		return nil
	})),
	required(option("Webhook", "topic", sdk.StringOption, "", sdk.High, "The topic of the records.")),
	checked(option("Webhook", "path", sdk.StringOption, "/", sdk.Medium, "The path to post to; others are not found."), func(_ sdk.Values, v any) error {
		if s, _ := v.(string); !strings.HasPrefix(s, "/") {
			return fmt.Errorf("Invalid value %s for configuration path: it must begin with /", s)
		}
		return nil
	}),
	checked(option("Webhook", "format", sdk.StringOption, "json", sdk.Medium, "What a body becomes: json (a value; what is no JSON is refused), text or bytes."), sdk.OneOf("json", "text", "bytes")),
	option("Webhook", "key.header", sdk.StringOption, "", sdk.Low, "The request's header that becomes the record's key."),
	option("Webhook", "headers", sdk.ListOption, "", sdk.Low, "The request's headers that become headers of the record."),
	checked(option("Webhook", "max.body.bytes", sdk.IntOption, "1048576", sdk.Medium, "How many bytes a body may have."), within(1, 1<<30)),
	checked(option("Webhook", "max.requests", sdk.IntOption, "256", sdk.Low, "How many requests may wait at once; others are answered 503."), within(1, 1_000_000)),
	checked(option("Webhook", "timeout.ms", sdk.IntOption, "30000", sdk.Low, "How long it may take until a record is durable; then the answer is 503, and the record may come twice."), sdk.AtLeast(1)),
	checked(option("Security", "auth", sdk.StringOption, "none", sdk.High, "How posts prove that they may: none, token (auth.secret is in auth.header, alone or after Bearer) or hmac (auth.header has the body's HMAC-SHA256 with auth.secret, in hexadecimal digits, as GitHub sends it)."), sdk.OneOf("none", "token", "hmac")),
	option("Security", "auth.header", sdk.StringOption, noValue, sdk.Medium, "The header for that: Authorization with token, X-Hub-Signature-256 with hmac, without it."),
	option("Security", "auth.secret", sdk.PasswordOption, noValue, sdk.Medium, "The secret for that."),
})

// Options implements sdk.Connector.
func (Webhook) Options() []sdk.Option { return webhookOptions }

// Validate implements sdk.Validator.
func (Webhook) Validate(_ context.Context, v sdk.Values) (wrong []sdk.OptionError) {
	if !strings.EqualFold(v.String("auth"), "none") && v.String("auth.secret") == "" {
		wrong = append(wrong, sdk.OptionError{Option: "auth.secret", Err: fmt.Errorf("auth.secret has to be set with auth=%s", v.String("auth"))})
	}
	for _, name := range append([]string{v.String("key.header"), v.String("auth.header")}, v.List("headers")...) {
		if name != "" && !httpguts.ValidHeaderFieldName(name) {
			wrong = append(wrong, sdk.OptionError{Option: "headers", Err: fmt.Errorf("%q is no name of a header", name)})
		}
	}
	return wrong
}

// Split implements sdk.Splitter: only one task can listen at an address.
func (Webhook) Split(context.Context, sdk.Values, int) ([]map[string]string, error) {
	return make([]map[string]string, 1), nil
}

// NewTask implements sdk.Source.
func (Webhook) NewTask() sdk.SourceTask { return &webhookTask{} }

// post is one that waits for its answer.
type post struct {
	record *sdk.Record
	done   chan struct{} // closed when it is durable
}

type webhookTask struct {
	path, topic, format, key string
	headers                  []string
	most                     int64
	timeout                  time.Duration
	auth, authHeader         string
	secret                   []byte

	jsons  sync.Pool // converters, which are for one goroutine each
	server *http.Server
	logger *slog.Logger
	posts  chan *post
	slots  chan struct{} // has one for each request that waits
	ended  chan struct{} // closed by Stop: what waits is not waited for any more
	end    sync.Once
	failed chan error // why the server ended

	mu    sync.Mutex
	polls [][]*post // on their way to the topic
}

// Start implements sdk.SourceTask.
func (t *webhookTask) Start(ctx context.Context, c sdk.SourceContext, v sdk.Values) error {
	t.ended = make(chan struct{})
	if wrong := (Webhook{}).Validate(ctx, v); len(wrong) > 0 {
		return sdk.Misconfigured("%w", wrong[0])
	}
	t.path, t.topic, t.format, t.key, t.headers = v.String("path"), v.String("topic"), strings.ToLower(v.String("format")), v.String("key.header"), v.List("headers")
	t.most, t.timeout, t.logger = v.Int("max.body.bytes"), v.Milliseconds("timeout.ms"), c.Logger()
	t.auth, t.authHeader, t.secret = strings.ToLower(v.String("auth")), v.String("auth.header"), []byte(v.String("auth.secret"))
	if t.authHeader == "" {
		t.authHeader = map[string]string{"token": "Authorization", "hmac": "X-Hub-Signature-256"}[t.auth]
	}
	t.posts, t.slots, t.failed = make(chan *post), make(chan struct{}, v.Int("max.requests")), make(chan error, 1)
	t.jsons.New = func() any {
		json, err := convert.New("org.apache.kafka.connect.json.JsonConverter", map[string]string{"schemas.enable": "false"}, false)
		if err != nil {
			panic("BUG: there is no JSON converter: " + err.Error())
		}
		return json
	}
	l, err := net.Listen("tcp", v.String("listen"))
	if errors.Is(err, syscall.EADDRINUSE) { // a predecessor of this task gives it up soon
		return sdk.Retry(fmt.Errorf("the address %s is taken: choose another one for listen, or end who has it, such as another connector (%w)", v.String("listen"), err))
	}
	if err != nil {
		return sdk.Misconfigured("The address %s cannot be listened at: correct listen (%w)", v.String("listen"), err)
	}
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: t.timeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(t.logger.Handler(), slog.LevelDebug)}
	go func() {
		if err := t.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.failed <- fmt.Errorf("it cannot be listened at %s any more: %w", l.Addr(), err)
		}
	}()
	return nil
}

// ServeHTTP implements http.Handler.
func (t *webhookTask) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	code, text := t.serve(r)
	switch code {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n")
}

// serve takes a request, and gives its answer when that is known.
func (t *webhookTask) serve(r *http.Request) (code int, text string) {
	switch {
	case r.URL.Path != t.path:
		return http.StatusNotFound, "nothing is here"
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "only POST is taken"
	case t.auth == "token" && !t.tokenRight(r.Header.Get(t.authHeader)):
		return http.StatusUnauthorized, "the secret is missing or wrong"
	case r.ContentLength > t.most:
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("at most %d bytes are taken", t.most)
	}
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	default:
		return http.StatusServiceUnavailable, "too many requests wait"
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, t.most+1))
	switch {
	case err != nil:
		return http.StatusBadRequest, "the body cannot be read"
	case int64(len(body)) > t.most:
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("at most %d bytes are taken", t.most)
	case t.auth == "hmac" && !t.signatureRight(body, r.Header.Get(t.authHeader)):
		return http.StatusUnauthorized, "the signature is missing or wrong"
	}
	record, err := t.record(r, body)
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	return t.deliver(r.Context(), &post{record, make(chan struct{})})
}

// deliver hands over a record, and waits until it is durable.
func (t *webhookTask) deliver(ctx context.Context, p *post) (int, string) {
	timer := time.NewTimer(t.timeout)
	defer timer.Stop()
	out := t.posts
	for {
		select {
		case out <- p:
			out = nil
		case <-p.done:
			return http.StatusOK, "ok"
		case <-timer.C:
			return http.StatusServiceUnavailable, "it takes too long; post it again"
		case <-t.ended:
			return http.StatusServiceUnavailable, "this task ends; post it again"
		case <-ctx.Done():
			return http.StatusServiceUnavailable, "the client has gone"
		}
	}
}

func (t *webhookTask) tokenRight(header string) bool {
	given := []byte(strings.TrimPrefix(header, "Bearer "))
	return subtle.ConstantTimeCompare(given, t.secret) == 1
}

func (t *webhookTask) signatureRight(body []byte, header string) bool {
	given, err := hex.DecodeString(strings.TrimPrefix(header, "sha256="))
	sum := hmac.New(sha256.New, t.secret)
	sum.Write(body)
	return err == nil && hmac.Equal(given, sum.Sum(nil))
}

// record makes the record of a request.
func (t *webhookTask) record(r *http.Request, body []byte) (*sdk.Record, error) {
	out := &sdk.Record{Topic: t.topic, Partition: -1, Timestamp: time.Now()}
	switch t.format {
	case "json":
		json := t.jsons.Get().(convert.Converter)
		defer t.jsons.Put(json)
		var err error
		if out.ValueSchema, out.Value, err = json.To(t.topic, body); err != nil || len(body) == 0 {
			return nil, errors.New("the body is no JSON")
		}
	case "text":
		out.ValueSchema, out.Value = sdk.StringSchema, string(body)
	default:
		out.ValueSchema, out.Value = sdk.BytesSchema, body
	}
	if key := r.Header.Get(t.key); t.key != "" && key != "" {
		out.KeySchema, out.Key = sdk.StringSchema, key
	}
	for _, name := range t.headers {
		if value := r.Header.Get(name); value != "" {
			out.Headers = append(out.Headers, sdk.Header{Key: name, Schema: sdk.StringSchema, Value: value})
		}
	}
	return out, nil
}

// atOnce is how many records a poll gives at most.
const atOnce = 1000

// Poll implements sdk.SourceTask.
func (t *webhookTask) Poll(ctx context.Context) ([]*sdk.Record, error) {
	var poll []*post
	select {
	case p := <-t.posts:
		poll = append(poll, p)
	case err := <-t.failed:
		return nil, err
	case <-time.After(sdk.PollWithin):
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for more := true; more && len(poll) < atOnce; {
		select {
		case p := <-t.posts:
			poll = append(poll, p)
		default:
			more = false
		}
	}
	records := make([]*sdk.Record, len(poll))
	for i, p := range poll {
		records[i] = p.record
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.polls = append(t.polls, poll)
	return records, nil
}

// Durable implements sdk.Durable.
func (t *webhookTask) Durable(polls int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, poll := range t.polls[:polls] {
		for _, p := range poll {
			close(p.done)
		}
	}
	t.polls = t.polls[polls:]
}

// lastAnswers is how long Stop waits for answers to be sent.
const lastAnswers = time.Second

// Stop implements sdk.SourceTask. Those who still wait are told to post again.
func (t *webhookTask) Stop() error {
	t.end.Do(func() { close(t.ended) })
	if t.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	if err := t.server.Shutdown(ctx); err != nil {
		return t.server.Close()
	}
	return nil
}
