// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// Config says what to check. The fields have the names and meanings of those of the
// inputs. There is a token, a channel's secret, or both.
type Config struct {
	// APIURL is the account's address, https://{subdomain}.kommo.com.
	APIURL string
	// AccessToken or AccessTokenFile give the token of the CRM API.
	AccessToken, AccessTokenFile string
	// Talks are talks that have to answer. Empty: some are chosen.
	Talks []string
	// Origins are the channels that are wanted. Empty: all.
	Origins []string
	// Since is from when on messages are wanted. Zero: all.
	Since time.Time
	// Discover is events, talks or ids, as of kommo_talk_history; for the estimate. "":
	// events.
	Discover string

	// BaseURL is the address of the Chats API. "": that of Kommo accounts.
	BaseURL string
	// ScopeID is {channel_id}_{amojo_id}. "": made of ChannelID and what the token tells.
	ScopeID string
	// ChannelID is the first part of a scope_id, where that is not known.
	ChannelID string
	// ChannelSecret signs.
	ChannelSecret string
	// Chats are chats that have to answer. Empty: some are chosen that the token may see.
	Chats []string

	// RequestsPerSecond is how many requests are sent at most in a second. 0: no limit.
	RequestsPerSecond float64
	// SharedLimit, if set, is asked before each request until it grants one by answering 0;
	// any other answer is how long to wait before asking again.
	SharedLimit func(ctx context.Context) (time.Duration, error)
	// Timeout is how long one request may take. 0: 30 s.
	Timeout time.Duration
	// Within is how long the whole check may take. What there is no time for is said to be
	// not checked. Of both APIs, the account has two thirds of it. 0: 50 s.
	Within time.Duration
	// ProxyURL is a proxy. "": that of the environment.
	ProxyURL string
	// TLS is for both APIs. Nil: Go's defaults.
	TLS *tls.Config

	// Each, if set, is told of each finding as soon as it is there, in the report's order.
	Each func(Finding)

	firstRetry time.Duration // 0: as apicall has it
	patience   time.Duration // 0: mostPatience
	slow       time.Duration // 0: slowAnswer
}

// Bounds of the check and of one call. A person waits for this.
const (
	defaultWithin  = 50 * time.Second
	defaultTimeout = 30 * time.Second
	mostAttempts   = 3
	mostPatience   = 20 * time.Second
)

func (c *Config) account() bool {
	return c.APIURL != "" || c.AccessToken != "" || c.AccessTokenFile != ""
}

func (c *Config) channel() bool {
	return c.ChannelSecret != "" || c.ScopeID != "" || c.ChannelID != ""
}

// Validate names the first field that is wrong or missing, without the API.
func (c *Config) Validate() error {
	switch {
	case !c.account() && !c.channel():
		return errors.New("there is nothing to check: want api_url and access_token, or scope_id and channel_secret, or both")
	case c.AccessToken != "" && c.AccessTokenFile != "":
		return errors.New("both access_token and access_token_file give a token: remove one of them")
	case c.RequestsPerSecond < 0 || math.IsInf(c.RequestsPerSecond, 0) || math.IsNaN(c.RequestsPerSecond):
		return fmt.Errorf("requests_per_second: want 0 or more, where 0 means no limit, got %v", c.RequestsPerSecond)
	case c.Timeout < 0:
		return fmt.Errorf("timeout: want 0 or more, got %s", c.Timeout)
	case c.Within < 0:
		return fmt.Errorf("within: want 0 or more, got %s", c.Within)
	case c.ScopeID != "" && c.ChannelID != "":
		return errors.New("both scope_id and channel_id name the channel: remove one of them")
	case c.ChannelID != "" && !c.account():
		return errors.New("channel_id: without a token it is not known which account it is connected to: want api_url and access_token too, or scope_id")
	case strings.Contains(c.ChannelID, "_"):
		return errors.New("channel_id: it has a _, as a scope_id has: put it into scope_id")
	}
	for _, id := range c.Talks {
		if err := crm.CheckTalkID(id); err != nil {
			return fmt.Errorf("talks: %w", err)
		}
	}
	switch c.Discover {
	case "", "events", "talks", "ids":
	default:
		return fmt.Errorf("discover: want events, talks or ids, got %q", c.Discover)
	}
	if _, err := apicall.NewTransport(c.ProxyURL, nil); err != nil {
		return err
	}
	if c.account() {
		if _, err := c.crmClient(nil); err != nil {
			return err
		}
	}
	if c.channel() {
		scope := c.ScopeID
		if scope == "" {
			scope = c.ChannelID + "_account"
		}
		if _, err := c.amojoClient(scope, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) crmClient(call *apicall.Caller) (*crm.Client, error) {
	conf := crm.Config{URL: c.APIURL, Token: c.AccessToken, Call: call}
	if c.AccessTokenFile != "" {
		file, err := crm.NewTokenFile(c.AccessTokenFile)
		if err != nil {
			return nil, err
		}
		conf.Tokens = file
	}
	return crm.NewClient(conf)
}

func (c *Config) amojoClient(scope string, call *apicall.Caller) (*amojo.Client, error) {
	return amojo.NewClient(amojo.Config{BaseURL: c.BaseURL, ScopeID: scope, Secret: c.ChannelSecret, Call: call})
}
