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

	// Token is the bearer token. Required. It is in no error.
	Token string

	// Call sends the requests. nil means one with apicall's defaults, which limits
	// nothing.
	Call *apicall.Caller
}

// Client lists chats. It is safe for concurrent use; make it with [NewClient].
type Client struct {
	call      *apicall.Caller
	base      *url.URL
	authorize func(http.Header) // hides the token from %v
}

// NewClient checks conf and returns a Client. An error names the configuration
// field: api_url or access_token.
func NewClient(conf Config) (*Client, error) {
	base, err := apicall.ParseURL("api_url", conf.URL,
		"want the account's address, as in https://example.kommo.com", "carry access_token")
	if err != nil {
		return nil, err
	}
	switch {
	case conf.Token == "":
		return nil, errors.New("access_token: it is empty: want a token of an integration in this account")
	case strings.ContainsFunc(conf.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, errors.New("access_token: it has a space or another character that no token has: want the token alone, without Bearer")
	}
	if conf.Call == nil {
		conf.Call = apicall.New(apicall.Config{URLField: "api_url"})
	}
	header := []string{"Bearer " + conf.Token}
	return &Client{
		call:      conf.Call,
		base:      base,
		authorize: func(h http.Header) { h["Authorization"] = header },
	}, nil
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
	target := c.base.JoinPath(path)
	target.RawQuery = "limit=" + strconv.Itoa(limit) + "&page=" + strconv.Itoa(page)

	var got Page
	err := c.call.Get(ctx,
		func(ctx context.Context) (*http.Request, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
			if err != nil {
				return nil, err
			}
			req.Header.Set("Accept", "application/hal+json, application/json")
			req.Header.Set("User-Agent", userAgent)
			c.authorize(req.Header)
			return req, nil
		},
		func(resp *apicall.Response) (err error) {
			got = Page{}
			if resp.Status != http.StatusNoContent {
				if got, err = DecodePage(resp.Body, embedded); err != nil {
					return err
				}
			}
			if got.Date, err = http.ParseTime(resp.Header.Get("Date")); err != nil {
				got.Date = resp.Received
			}
			return nil
		})
	if err != nil {
		return Page{}, explain(ctx, from, page, err)
	}
	return got, nil
}
