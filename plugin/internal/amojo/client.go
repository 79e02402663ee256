// SPDX-License-Identifier: Apache-2.0

package amojo

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
	// DefaultBaseURL is the API of Kommo accounts. Those of amoCRM are at
	// https://amojo.amocrm.ru and https://amojo.amocrm.com (chats-api.md, The
	// history call).
	DefaultBaseURL = "https://amojo.kommo.com"

	// MaxLimit is the most items that a page can have (chats-api.md, The history
	// call).
	MaxLimit = 50

	userAgent = "kommo-connect"
)

// Config configures a [Client].
type Config struct {
	// BaseURL is the API's address: http or https, a host, perhaps a path, nothing
	// else. "" means [DefaultBaseURL].
	BaseURL string

	// ScopeID is {channel_id}_{amojo_id}, as returned by the channel's connect
	// call. Required.
	ScopeID string

	// Secret is the channel's secret, used as it is. Required. It is in no error.
	Secret string

	// Call sends the requests. nil means one with apicall's defaults, which limits
	// nothing.
	Call *apicall.Caller

	// Now is the local clock, by which requests are dated. nil means [time.Now].
	Now func() time.Time
}

// Client reads pages of chat history. It is safe for concurrent use; make it
// with [NewClient].
type Client struct {
	call      *apicall.Caller
	base      *url.URL
	path, raw string // up to the chat's id, as it is and escaped
	clock     *clock
	sign      func(date, path string) string // hides the secret from %v
	keep      func(context.Context) context.Context
}

// NewClient checks conf and returns a Client. An error names the configuration
// field: base_url, scope_id or channel_secret.
//
// The layers of a call, from the outside:
//
//	clock    History: after a refusal by a server whose clock differs, once more,
//	         or twice where the clock was corrected before
//	retry    apicall.Caller, and in it, for each attempt:
//	limiter  may take long, so it comes before the date is taken
//	timeout  of one attempt, limiter not counted
//	signing  innermost: each attempt has its own Date and X-Signature
func NewClient(conf Config) (*Client, error) {
	if conf.BaseURL == "" {
		conf.BaseURL = DefaultBaseURL
	}
	base, err := apicall.ParseURL("base_url", conf.BaseURL,
		"want https:// and a host, as in "+DefaultBaseURL, "are signed with channel_secret")
	if err != nil {
		return nil, err
	}
	if err := validateScopeID(conf.ScopeID); err != nil {
		return nil, err
	}
	if conf.Secret == "" {
		return nil, errors.New("channel_secret: it is empty: want the secret of the channel, as given when it was registered")
	}
	if conf.Call == nil {
		conf.Call = apicall.New(apicall.Config{})
	}
	if conf.Now == nil {
		conf.Now = time.Now
	}
	const before, after = "/v2/origin/custom/", "/chats/"
	return &Client{
		call:  conf.Call,
		base:  base,
		path:  strings.TrimRight(base.Path, "/") + before + conf.ScopeID + after,
		raw:   strings.TrimRight(base.EscapedPath(), "/") + before + url.PathEscape(conf.ScopeID) + after,
		clock: &clock{local: conf.Now},
		sign: func(date, path string) string {
			return Sign(conf.Secret, http.MethodGet, emptyMD5, contentType, date, path)
		},
		keep: func(ctx context.Context) context.Context { return apicall.WithSecret(ctx, conf.Secret) },
	}, nil
}

func validateScopeID(s string) error {
	channel, account, ok := strings.Cut(s, "_")
	switch {
	case s == "":
		return errors.New("scope_id: it is empty: want {channel_id}_{amojo_id}, as returned by the channel's connect call")
	case !ok || channel == "" || account == "":
		return fmt.Errorf("scope_id: want {channel_id}_{amojo_id}, as returned by the channel's connect call, got %q", s)
	case strings.ContainsAny(s, "/?#") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("scope_id: it has a character that no id has, want {channel_id}_{amojo_id}, got %q", s)
	}
	return nil
}

// History returns the page of chat chatID that begins offset items after its
// newest, with at most limit items, newest first (chats-api.md, The history
// call). offset is 0 or more, limit 1 to [MaxLimit]. A chat that does not exist,
// one without messages and a page past the end are an empty Page.
//
// The Caller given to [NewClient] tries again where that can help. An error is a
// [*RefusedError] for a 403 or 401, an [*Error] for a 400, 404 or other 4xx, or wraps an
// error of package apicall, whose Retryable says if it is worth trying again. It
// is ctx.Err() when ctx ends.
func (c *Client) History(ctx context.Context, chatID string, offset, limit int) (Page, error) {
	if limit < 1 || limit > MaxLimit {
		return Page{}, fmt.Errorf("reading the history of chat %q: limit: want 1..%d, got %d", chatID, MaxLimit, limit)
	}
	return c.HistoryBeyond(ctx, chatID, offset, limit)
}

// HistoryBeyond is [Client.History] with a limit of up to [MaxItems]. Whether the API
// gives more than [MaxLimit], fewer or an error is not known (chats-api.md, The history
// call, row "default limit"): this is for finding out.
func (c *Client) HistoryBeyond(ctx context.Context, chatID string, offset, limit int) (Page, error) {
	switch {
	case chatID == "", chatID == ".", chatID == "..":
		return Page{}, fmt.Errorf("reading the history of chat %q: want the chat's id in the Chats API", chatID)
	case offset < 0:
		return Page{}, fmt.Errorf("reading the history of chat %q: offset: want 0 or more, got %d", chatID, offset)
	case limit < 1 || limit > MaxItems:
		return Page{}, fmt.Errorf("reading the history of chat %q: limit: want 1..%d, got %d", chatID, MaxItems, limit)
	}
	target := *c.base
	target.Path = c.path + chatID + "/history"
	target.RawPath = c.raw + url.PathEscape(chatID) + "/history"
	target.RawQuery = "limit=" + strconv.Itoa(limit) + "&offset=" + strconv.Itoa(offset)
	path := target.EscapedPath() // what is sent is what is signed, whatever the chat's id

	var page Page
	var signed time.Time
	date := c.clock.now
	build := func(ctx context.Context) (*http.Request, error) {
		signed = date()
		return c.request(ctx, &target, path, signed), nil
	}
	decode := func(resp *apicall.Response) (err error) {
		page = Page{}
		if resp.Status != http.StatusNoContent {
			if page, err = DecodePage(resp.Body); err != nil {
				return err
			}
		}
		if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			page.Date = at
		}
		return nil
	}

	ctx = c.keep(ctx)
	err := c.call.Get(ctx, build, decode)
	if refused := refusal(err); refused != nil && !refused.Foreign {
		for _, offset := range c.clock.others(refused.Date, signed) {
			date = func() time.Time { return c.clock.at(offset) }
			var again *apicall.StatusError
			err = c.call.Get(ctx, build, decode)
			if again = refusal(err); again == nil {
				if err == nil {
					c.clock.set(offset)
				}
				break
			}
			if again.Foreign {
				break // a block, which no date helps against
			}
		}
	}
	if err != nil {
		return Page{}, c.explain(ctx, chatID, err)
	}
	return page, nil
}

// refusal returns the 403 that err is, or nil.
func refusal(err error) *apicall.StatusError {
	if status, ok := errors.AsType[*apicall.StatusError](err); ok && status.Status == http.StatusForbidden {
		return status
	}
	return nil
}

// request is signed for the given moment. The keys of the header are in Go's
// canonical form.
func (c *Client) request(ctx context.Context, target *url.URL, path string, at time.Time) *http.Request {
	date := dateHeader(at)
	req := &http.Request{
		Method: http.MethodGet,
		URL:    target,
		Host:   target.Host,
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Date":         {date},
			"Content-Type": {contentType},
			"Content-Md5":  {emptyMD5},
			"X-Signature":  {c.sign(date, path)},
			"Accept":       {"application/json"},
			"User-Agent":   {userAgent},
		},
	}
	return req.WithContext(ctx)
}

// explain gives an error the type and the text for this API.
func (c *Client) explain(ctx context.Context, chatID string, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return ctx.Err()
	}
	if status, ok := errors.AsType[*apicall.StatusError](err); ok {
		switch {
		case status.Status == http.StatusForbidden, status.Status == http.StatusUnauthorized:
			refused := &RefusedError{Host: status.Host, ChatID: chatID, Reason: reasonOf(status), Err: status}
			if !status.Date.IsZero() {
				refused.ClockKnown, refused.ClockSkew = true, c.clock.skew(status.Date).Round(time.Second)
			}
			return refused
		case status.Status >= 400 && !status.Passing():
			return &Error{Host: status.Host, ChatID: chatID, Err: status}
		}
	}
	return fmt.Errorf("reading the history of chat %q: %w", chatID, err)
}

// Host is the API's host, in lower case, with its port if the URL has one.
func (c *Client) Host() string { return strings.ToLower(c.base.Host) }
