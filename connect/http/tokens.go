package http

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weir/weir/connect/sdk"
)

// tokens fetches access tokens by OAuth 2.0's client credentials (RFC 6749, 4.4), each until it ends.
type tokens struct {
	client          *http.Client
	url, id, secret string
	inURL           bool
	scope, property string
	token           string
	until           time.Time // zero: nobody knows
}

func newTokens(client *http.Client, v sdk.Values) *tokens {
	return &tokens{client: client, url: v.String("oauth2.access.token.url"), id: v.String("oauth2.client.id"), secret: v.String("oauth2.client.secret"),
		inURL: strings.EqualFold(v.String("oauth2.client.authorization.mode"), "URL"), scope: v.String("oauth2.client.scope"), property: v.String("oauth2.response.token.property")}
}

// forget has the next token fetched.
func (t *tokens) forget() { t.token = "" }

// early is how long before its end a token is not used any more.
const early = 10 * time.Second

func (t *tokens) get(ctx context.Context) (string, error) {
	if t.token != "" && (t.until.IsZero() || time.Now().Before(t.until)) {
		return t.token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if t.scope != "" {
		form.Set("scope", t.scope)
	}
	if t.inURL {
		form.Set("client_id", t.id)
		form.Set("client_secret", t.secret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, strings.NewReader(form.Encode()))
	if err != nil {
		return "", sdk.Misconfigured("oauth2.access.token.url cannot be used: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if !t.inURL {
		req.SetBasicAuth(url.QueryEscape(t.id), url.QueryEscape(t.secret))
	}
	res, err := t.client.Do(req)
	if err != nil {
		return "", unreached("oauth2.access.token.url", err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return "", unreached("oauth2.access.token.url", err)
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return "", fmt.Errorf("the service at oauth2.access.token.url gives no token now (%s)", res.Status)
	case res.StatusCode != http.StatusOK:
		return "", sdk.Misconfigured("The service at oauth2.access.token.url gives no token (%s): correct oauth2.client.id, oauth2.client.secret and oauth2.client.scope", res.Status)
	}
	var answer map[string]any
	if json.Unmarshal(body, &answer) != nil {
		return "", sdk.Misconfigured("The service at oauth2.access.token.url does not answer in JSON: correct it")
	}
	token, ok := answer[t.property].(string)
	if !ok || token == "" {
		return "", sdk.Misconfigured("The answer of oauth2.access.token.url has no %s: correct oauth2.response.token.property", t.property)
	}
	t.token, t.until = token, time.Time{}
	if seconds, ok := answer["expires_in"].(float64); ok {
		t.until = time.Now().Add(time.Duration(seconds)*time.Second - early)
	}
	return token, nil
}
