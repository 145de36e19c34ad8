package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir/weir/connect/convert"
	"github.com/weir/weir/connect/sdk"
)

// Sink posts the values of records to a web service.
type Sink struct{}

// Info implements sdk.Connector.
func (Sink) Info() sdk.Info {
	return sdk.Info{Class: "io.aiven.kafka.connect.http.HttpSinkConnector", Aliases: []string{"HttpSinkConnector", "HttpSink"}, Version: "0.8.0",
		Doc: "The values of records are posted to a web service, one by one or in batches."}
}

const (
	groupConnection = "Connection"
	groupBatching   = "Batching"
	groupDelivery   = "Delivery"
	groupTimeout    = "Timeout"
)

var sinkOptions = sync.OnceValue(func() []sdk.Option {
	return ordered([]sdk.Option{
		required(checked(option(groupConnection, "http.url", sdk.StringOption, "", sdk.High, "The address to post to."), webAddress)),
		required(checked(option(groupConnection, "http.authorization.type", sdk.StringOption, "", sdk.High, "How requests are authorized: none, static (http.headers.authorization) or oauth2 (client credentials)."), sdk.OneOf("none", "static", "oauth2"))),
		option(groupConnection, "http.headers.authorization", sdk.PasswordOption, noValue, sdk.Medium, "The header Authorization, with http.authorization.type=static."),
		option(groupConnection, "http.headers.content.type", sdk.StringOption, noValue, sdk.Low, "The header Content-Type; without it application/json if values are no text or bytes."),
		checked(option(groupConnection, "http.headers.additional", sdk.ListOption, "", sdk.Low, "Further headers, as name:value,name:value."), headerList),
		option(groupConnection, "http.ssl.trust.all.certs", sdk.BooleanOption, "false", sdk.Low, "Whether any certificate of the service is trusted. For tests only."),
		{Name: "http.proxy.host", Kind: sdk.StringOption, NoDefault: true, Importance: sdk.Low, Group: groupConnection, Doc: "Not supported.", Unsupported: "set HTTPS_PROXY in the environment of the worker"},
		{Name: "http.proxy.port", Kind: sdk.IntOption, NoDefault: true, Importance: sdk.Low, Group: groupConnection, Doc: "Not supported.", Unsupported: "set HTTPS_PROXY in the environment of the worker"},
		checked(option(groupConnection, "oauth2.access.token.url", sdk.StringOption, noValue, sdk.Medium, "Where access tokens are fetched, with http.authorization.type=oauth2."), webAddress),
		option(groupConnection, "oauth2.client.id", sdk.StringOption, noValue, sdk.Medium, "The client id for that."),
		option(groupConnection, "oauth2.client.secret", sdk.PasswordOption, noValue, sdk.Medium, "The client secret for that."),
		checked(option(groupConnection, "oauth2.client.authorization.mode", sdk.StringOption, "HEADER", sdk.Medium, "Where id and secret go: HEADER (Basic) or URL (parameters)."), sdk.OneOf("HEADER", "URL")),
		option(groupConnection, "oauth2.client.scope", sdk.StringOption, noValue, sdk.Low, "The scope of tokens."),
		option(groupConnection, "oauth2.response.token.property", sdk.StringOption, "access_token", sdk.Low, "The field of the answer that has the token."),
		option(groupBatching, "batching.enabled", sdk.BooleanOption, "false", sdk.High, "Whether a request has many records."),
		checked(option(groupBatching, "batch.max.size", sdk.IntOption, "500", sdk.Medium, "How many records a request has at most."), within(1, 1_000_000)),
		option(groupBatching, "batch.prefix", sdk.StringOption, "", sdk.Medium, `What comes before the first record of a batch. \n and the like may be in it.`),
		option(groupBatching, "batch.suffix", sdk.StringOption, noValue, sdk.Medium, "What comes after the last record of a batch; a line feed without it."),
		option(groupBatching, "batch.separator", sdk.StringOption, noValue, sdk.Medium, "What comes between the records of a batch; a line feed without it."),
		checked(option(groupDelivery, "kafka.retry.backoff.ms", sdk.LongOption, noValue, sdk.Medium, "How long nothing is sent after an error that passes, in milliseconds, before it is tried again, until it succeeds; max.retries and retry.backoff.ms do not count then."), sdk.AtLeast(0)),
		checked(option(groupDelivery, "max.retries", sdk.IntOption, "1", sdk.Medium, "How often records are sent again after an error that passes, before the task fails, which then starts again by itself. If it is not set: until they are taken."), sdk.AtLeast(0)),
		checked(option(groupDelivery, "retry.backoff.ms", sdk.IntOption, "3000", sdk.Medium, "How long nothing is sent after an error that passes. A header Retry-After of the service counts, if it is longer."), sdk.AtLeast(0)),
		checked(option(groupTimeout, "http.timeout", sdk.IntOption, "30", sdk.Low, "How many seconds the service may take to answer."), sdk.AtLeast(1)),
	})
})

// Options implements sdk.Connector.
func (Sink) Options() []sdk.Option { return sinkOptions() }

// Validate implements sdk.Validator. It sends nothing.
func (Sink) Validate(_ context.Context, v sdk.Values) (wrong []sdk.OptionError) {
	need := func(why string, names ...string) {
		for _, name := range names {
			if v.String(name) == "" {
				wrong = append(wrong, sdk.OptionError{Option: name, Err: fmt.Errorf("%s has to be set with http.authorization.type=%s", name, why)})
			}
		}
	}
	switch strings.ToLower(v.String("http.authorization.type")) {
	case "static":
		need("static", "http.headers.authorization")
	case "oauth2":
		need("oauth2", "oauth2.access.token.url", "oauth2.client.id", "oauth2.client.secret")
	}
	return wrong
}

// NewTask implements sdk.Sink.
func (Sink) NewTask() sdk.SinkTask { return &sinkTask{} }

type sinkTask struct {
	c      sdk.SinkContext
	client *http.Client
	url    string
	header http.Header
	json   convert.Converter
	tokens *tokens // nil: requests need none

	most                      int // records of a request
	batching                  bool
	prefix, separator, suffix string
	pause                     time.Duration
	retries                   int // < 0: for ever

	done map[sdk.TopicPartition]int64 // what is before was sent, or refused
	wait time.Time                    // nothing is sent before
	why  error                        // what went wrong last
	size int                          // of the last body
	send []*sdk.Record                // that are to be sent
}

// Start implements sdk.SinkTask.
func (t *sinkTask) Start(ctx context.Context, c sdk.SinkContext, v sdk.Values) (err error) {
	if wrong := (Sink{}).Validate(ctx, v); len(wrong) > 0 {
		return sdk.Misconfigured("%w", wrong[0])
	}
	t.c, t.url, t.done, t.header = c, v.String("http.url"), map[sdk.TopicPartition]int64{}, http.Header{}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if v.Bool("http.ssl.trust.all.certs") {
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	t.client = &http.Client{Transport: transport, Timeout: time.Duration(v.Int("http.timeout")) * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if t.json, err = convert.New("org.apache.kafka.connect.json.JsonConverter", map[string]string{"schemas.enable": "false"}, false); err != nil {
		return err
	}
	switch strings.ToLower(v.String("http.authorization.type")) {
	case "static":
		t.header.Set("Authorization", v.String("http.headers.authorization"))
	case "oauth2":
		t.tokens = newTokens(t.client, v)
	}
	if kind := v.String("http.headers.content.type"); kind != "" {
		t.header.Set("Content-Type", kind)
	}
	more, err := headersOf(v.List("http.headers.additional"))
	if err != nil {
		return sdk.Misconfigured("http.headers.additional: %w", err)
	}
	for _, h := range more {
		t.header.Set(h[0], h[1])
	}
	t.most, t.pause, t.retries = 1, v.Milliseconds("retry.backoff.ms"), -1
	if v.Has("kafka.retry.backoff.ms") {
		t.pause = v.Milliseconds("kafka.retry.backoff.ms")
	} else if v.Has("max.retries") {
		t.retries = int(v.Int("max.retries"))
	}
	if t.batching = v.Bool("batching.enabled"); t.batching {
		t.most = int(v.Int("batch.max.size"))
		t.prefix, t.separator, t.suffix = unescaped(v, "batch.prefix", ""), unescaped(v, "batch.separator", "\n"), unescaped(v, "batch.suffix", "\n")
	}
	return nil
}

// Retries implements sdk.Retrying. Where tries are counted, each has to send something.
func (t *sinkTask) Retries(error) (most int, wait time.Duration) {
	if t.retries < 0 {
		return -1, -1
	}
	return t.retries, max(0, time.Until(t.wait))
}

// patience is how long a Put waits until it may send again; if it takes longer, the runtime waits.
const patience = time.Second

// Put implements sdk.SinkTask. After an error that passes it is given the same records: what was sent of them is not sent again.
func (t *sinkTask) Put(ctx context.Context, records []*sdk.Record) error {
	if left := time.Until(t.wait); left > patience {
		return sdk.Retry(fmt.Errorf("nothing is sent for another %s: %w", left.Round(time.Second), t.why))
	} else if left > 0 {
		select {
		case <-time.After(left):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.send = t.send[:0]
	for _, r := range records {
		if r.Offset >= t.done[r.From] {
			t.send = append(t.send, r)
		}
	}
	for rest := t.send; len(rest) > 0; {
		n := min(t.most, len(rest))
		if err := t.post(ctx, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// post sends records in one request. If the service refuses it, the records that are to blame are found by sending halves.
func (t *sinkTask) post(ctx context.Context, records []*sdk.Record) error {
	body, kind, err := t.bodyOf(records)
	if err == nil {
		err = t.request(ctx, body, kind)
	}
	var refused *refusal
	switch {
	case err == nil:
		t.past(records)
		return nil
	case !errors.As(err, &refused):
		return err
	case len(records) == 1:
		if err := t.c.Report(records[0], err); err != nil {
			return err
		}
		t.past(records)
		return nil
	}
	half := len(records) / 2
	if err := t.post(ctx, records[:half]); err != nil {
		return err
	}
	return t.post(ctx, records[half:])
}

// past notes that records are done.
func (t *sinkTask) past(records []*sdk.Record) {
	for _, r := range records {
		t.done[r.From] = r.Offset + 1
	}
}

// refusal is why a service takes a request never.
type refusal struct{ error }

// bodyOf makes a request's body and tells its type. The body is made anew: an answer may come while it is still being sent.
func (t *sinkTask) bodyOf(records []*sdk.Record) (_ []byte, kind string, err error) {
	b := append(make([]byte, 0, t.size), t.prefix...)
	kind = "application/json"
	for i, r := range records {
		if i > 0 {
			b = append(b, t.separator...)
		}
		switch v := r.Value.(type) {
		case nil:
			return nil, "", &refusal{errors.New("the record has no value to send")}
		case string:
			b, kind = append(b, v...), "text/plain; charset=utf-8"
		case []byte:
			b, kind = append(b, v...), "application/octet-stream"
		default:
			if b, err = t.json.From(r.Topic, r.ValueSchema, v, b); err != nil {
				return nil, "", &refusal{fmt.Errorf("the value cannot be written as JSON: %w", err)}
			}
		}
	}
	b = append(b, t.suffix...)
	t.size = len(b)
	return b, kind, nil
}

// request sends a body, with a new token if the one at hand is refused.
func (t *sinkTask) request(ctx context.Context, body []byte, kind string) error {
	for again := false; ; again = true {
		header := t.header.Clone()
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", kind)
		}
		if t.tokens != nil {
			token, err := t.tokens.get(ctx)
			if err != nil {
				return t.later(err, 0)
			}
			header.Set("Authorization", "Bearer "+token)
		}
		status, err := t.once(ctx, body, header)
		if status == http.StatusUnauthorized && t.tokens != nil && !again {
			t.tokens.forget()
			continue
		}
		return err
	}
}

// mostTold is how much of an answer is read to tell of it.
const mostTold = 300

func (t *sinkTask) once(ctx context.Context, body []byte, header http.Header) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return 0, sdk.Misconfigured("http.url cannot be used: %w", err)
	}
	req.Header = header
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	res, err := t.client.Do(req)
	if err != nil {
		return 0, t.later(unreached("http.url", err), 0)
	}
	defer func() { _ = res.Body.Close() }()
	told, _ := io.ReadAll(io.LimitReader(res.Body, mostTold))
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	return res.StatusCode, t.meaning(res, strings.TrimSpace(string(told)))
}

// meaning says what an answer means.
func (t *sinkTask) meaning(res *http.Response, told string) error {
	answer := res.Status
	if told != "" {
		answer += ": " + told
	}
	switch code := res.StatusCode; {
	case code < 300:
		return nil
	case code < 400:
		return sdk.Misconfigured("The service at http.url says that it is elsewhere (%s): set http.url to %s", res.Status, res.Header.Get("Location"))
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusProxyAuthRequired:
		return sdk.Misconfigured("The service refuses the authorization (%s): correct http.authorization.type and what belongs to it", answer)
	case code == http.StatusNotFound || code == http.StatusMethodNotAllowed || code == http.StatusGone:
		return sdk.Misconfigured("There is nothing to post to at http.url (%s): correct it", answer)
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly || code >= 500:
		return t.later(fmt.Errorf("the service does not take records now (%s)", answer), retryAfter(res.Header.Get("Retry-After"), time.Now()))
	}
	return &refusal{fmt.Errorf("the service refuses it: %s", answer)}
}

// later makes an error that passes, and sees that nothing is sent for a while.
func (t *sinkTask) later(err error, atLeast time.Duration) error {
	if sdk.CauseOf(err) == sdk.Configuration {
		return err
	}
	t.wait, t.why = time.Now().Add(max(t.pause, atLeast)), err
	return sdk.Retry(err)
}

// longest is the longest time that a service may ask to wait.
const longest = 10 * time.Minute

// retryAfter reads the header of that name: seconds, or a time.
func retryAfter(text string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if n, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(n, int(longest/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, longest))
}

// unreached says what it means that there is no answer. named is the option with the address.
func unreached(named string, err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the address, which may have a password
	}
	switch {
	case errors.As(err, &unknown), errors.As(err, &host):
		return sdk.Misconfigured("The certificate of the service at %s is not trusted: add it to those of this machine, or correct %s (%w)", named, named, err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return sdk.Misconfigured("The service at %s does not speak https: correct it", named)
	}
	return fmt.Errorf("the service at %s cannot be reached: %w", named, err)
}

// Assigned implements sdk.Partitioned.
func (t *sinkTask) Assigned(context.Context, []sdk.TopicPartition) error { return nil }

// Revoked implements sdk.Partitioned.
func (t *sinkTask) Revoked(_ context.Context, gone []sdk.TopicPartition, _ bool) error {
	for _, tp := range gone {
		delete(t.done, tp)
	}
	return nil
}

// Stop implements sdk.SinkTask.
func (t *sinkTask) Stop() error {
	if t.client != nil {
		t.client.CloseIdleConnections()
	}
	return nil
}
