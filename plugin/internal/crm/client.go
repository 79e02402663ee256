// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

const (
	// MaxLimit is the most entries that a page can have (chats-api.md, Finding
	// chats).
	MaxLimit = 250

	userAgent = "kommo-connect"
)

// Source is one of the API's lists of chats.
type Source string

// The lists of chats.
const (
	// Talks lists conversations: GET /api/v4/talks.
	Talks Source = "talks"
	// ContactChats lists the chats of contacts: GET /api/v4/contacts/chats.
	ContactChats Source = "contact_chats"
)

// path and embedded are the list's place in the API, and its name in the answer.
func (s Source) path() (path, embedded string, ok bool) {
	switch s {
	case Talks:
		return "/api/v4/talks", "talks", true
	case ContactChats:
		return "/api/v4/contacts/chats", "chats", true
	}
	return "", "", false
}

// Config configures a [Client].
type Config struct {
	// URL is the account's address, https://{subdomain}.kommo.com: http or https,
	// a host, perhaps a path, nothing else. Required.
	URL string

	// Token is the bearer token, without Bearer. It is in no error. Required without
	// Tokens.
	Token string

	// Tokens gives the bearer token of each request instead, as a [TokenFile] does.
	Tokens TokenSource

	// Call sends the requests. nil means one with apicall's defaults, which limits
	// nothing.
	Call *apicall.Caller
}

// Client lists chats and reads talks. It is safe for concurrent use; make it with [NewClient].
type Client struct {
	call   *apicall.Caller
	base   *url.URL
	tokens TokenSource
}

// NewClient checks conf and returns a Client. An error names the configuration
// field: api_url or access_token.
func NewClient(conf Config) (*Client, error) {
	base, err := apicall.ParseURL("api_url", conf.URL,
		"want the account's address, as in https://example.kommo.com", "carry access_token")
	if err != nil {
		return nil, err
	}
	if conf.Tokens == nil {
		if conf.Tokens, err = NewToken(conf.Token); err != nil {
			return nil, err
		}
	}
	if conf.Call == nil {
		conf.Call = apicall.New(apicall.Config{URLField: "api_url"})
	}
	return &Client{call: conf.Call, base: base, tokens: conf.Tokens}, nil
}

// Host is the account's host, in lower case, with its port if the URL has one.
func (c *Client) Host() string { return strings.ToLower(c.base.Host) }

// List returns one page of a list, in the API's own order. page counts from 1,
// limit is 1 to [MaxLimit]. A page past the end is empty.
//
// The Caller given to [NewClient] tries again where that can help. An error is a
// [*RefusedError] for a 4xx other than 429 and the few that pass, or wraps an error of package apicall,
// whose Retryable says if it is worth trying again. It is ctx.Err() when ctx
// ends.
func (c *Client) List(ctx context.Context, from Source, page, limit int) (Page, error) {
	path, embedded, ok := from.path()
	switch {
	case !ok:
		return Page{}, fmt.Errorf("listing chats: want %s or %s, got %q", Talks, ContactChats, string(from))
	case page < 1:
		return Page{}, fmt.Errorf("listing %s: page: want 1 or more, got %d", from, page)
	case limit < 1 || limit > MaxLimit:
		return Page{}, fmt.Errorf("listing %s: limit: want 1..%d, got %d", from, MaxLimit, limit)
	}
	var got Page
	err := c.get(ctx, call{doing: "listing " + string(from), page: page, contacts: from == ContactChats},
		path, "limit="+strconv.Itoa(limit)+"&page="+strconv.Itoa(page),
		func() { got = Page{} },
		func(body []byte) (err error) {
			got, err = DecodePage(body, embedded)
			return err
		},
		func(date time.Time) { got.Date = date })
	if err != nil {
		return Page{}, err
	}
	return got, nil
}

// get makes one call. For each attempt that is answered it calls reset, and then, unless
// it is a 204, decode with the body, and date with the server's time. Behind the first page one
// without a list is past the end.
func (c *Client) get(ctx context.Context, of call, path, query string, reset func(), decode func(body []byte) error, date func(time.Time)) error {
	target := c.base.JoinPath(path)
	target.RawQuery = query
	used := ""
	ask := func() error {
		return c.call.Get(ctx,
			func(ctx context.Context) (*http.Request, error) {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
				if err != nil {
					return nil, err
				}
				if used, err = c.tokens.Token(); err != nil {
					return nil, err
				}
				req.Header.Set("Accept", "application/hal+json, application/json")
				req.Header.Set("User-Agent", userAgent)
				req.Header["Authorization"] = []string{"Bearer " + used}
				return req, nil
			},
			func(resp *apicall.Response) error {
				reset()
				if resp.Status != http.StatusNoContent {
					err := decode(resp.Body)
					if _, is := errors.AsType[noListError](err); is && of.page > 1 {
						reset()
						err = nil
					}
					if err != nil {
						return err
					}
				}
				at, err := http.ParseTime(resp.Header.Get("Date"))
				if err != nil {
					at = resp.Received
				}
				date(at)
				return nil
			})
	}
	err := ask()
	var tokenErr error
	if status, ok := errors.AsType[*apicall.StatusError](err); ok && status.Status == http.StatusUnauthorized {
		// The token may have been replaced between the request and its refusal.
		token, again := c.tokens.Token()
		if again == nil && token != used {
			err = ask()
		}
		if file, ok := c.tokens.(*TokenFile); ok {
			tokenErr = file.Err()
		}
	}
	if err != nil {
		return of.explain(ctx, err, tokenErr)
	}
	return nil
}
