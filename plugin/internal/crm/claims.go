// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ScopeMessages is the scope that reading a talk's messages needs, named External chat
// history in the integration's settings (chats-api.md, "Messages of every channel").
const ScopeMessages = "list_external_messages"

// Claims are what a token says of itself, unverified: a JWT can be read by anybody. They
// are for telling a person early what the API would say later, and for nothing else. Of a
// token that is no JWT nothing is known.
type Claims struct {
	// Expires is when the token ends; zero: not told.
	Expires time.Time
	// Scopes are what it may be used for; nil: not told.
	Scopes []string
}

// Lacks reports if the token is known not to have a scope.
func (c Claims) Lacks(scope string) bool {
	return c.Scopes != nil && !slices.Contains(c.Scopes, scope)
}

// Expired reports if the token is known to have ended by then.
func (c Claims) Expired(now time.Time) bool { return !c.Expires.IsZero() && !now.Before(c.Expires) }

// Claims reads the claims of the token that the next request has.
func (c *Client) Claims() (Claims, error) {
	token, err := c.tokens.Token()
	if err != nil {
		return Claims{}, err
	}
	return ReadClaims(token), nil
}

// ReadClaims returns what a token says of itself: exp, and scopes as a list or as words,
// or scope in their place (RFC 7519, 4.1.4; RFC 8693, 4.2). Whatever it can't read is not
// told.
func ReadClaims(token string) (c Claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > maxTokenFile {
		return c
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return c
	}
	var claims struct {
		Expires json.RawMessage `json:"exp"`
		Scopes  json.RawMessage `json:"scopes"`
		Scope   json.RawMessage `json:"scope"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return c
	}
	c.Expires = expiry(claims.Expires)
	if c.Scopes = scopes(claims.Scopes); c.Scopes == nil {
		c.Scopes = scopes(claims.Scope)
	}
	return c
}

// expiry reads a NumericDate, whole or not, that may be text.
func expiry(raw json.RawMessage) time.Time {
	text := string(raw)
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) != nil {
		return time.Time{}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds > 0 && seconds < math.MaxUint32*100) {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

func scopes(raw json.RawMessage) []string {
	if len(raw) == 0 {
		return nil
	}
	var text string
	if raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		return append([]string{}, strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })...)
	}
	var list []string
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return append([]string{}, list...)
}
