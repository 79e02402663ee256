// SPDX-License-Identifier: Apache-2.0

// The bearer tokens of the CRM calls.
//
// Documented (chats-api.md, "Messages of every channel", row "host, auth"; "Finding
// chats", row "limits"): a token is a JWT with scopes; reading the messages of a talk
// needs list_external_messages, and without it the answer is 403 Invalid scope; an
// expired one is 401. Known: talks and events need no scope but crm.
//
// Assumed: the names of the other claims, which are those of amoCRM's tokens. The
// signature of a token made here is random: the server knows its tokens by heart.

package sandbox

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The scopes that the calls need.
const (
	// ScopeCRM is for every call of the CRM.
	ScopeCRM = "crm"
	// ScopeMessages is for the messages of a talk.
	ScopeMessages = "list_external_messages"
)

// demoAccountID is the account's number.
const demoAccountID = 31337

// Claims are what a token says of itself.
type Claims struct {
	// Scopes are what it may be used for. Nil: ScopeCRM and ScopeMessages. One that
	// has none is of an empty slice.
	Scopes []string
	// Expires is when it ends. Zero: in a year, by the real clock.
	Expires time.Time
}

// NewToken returns a token that says this of itself, a JWT as the vendor's. A server
// takes it if it is Config.AccessToken; see [Server.IssueToken] for more than one.
func NewToken(c Claims) string {
	if c.Scopes == nil {
		c.Scopes = []string{ScopeCRM, ScopeMessages}
	}
	now := time.Now()
	if c.Expires.IsZero() {
		c.Expires = now.AddDate(1, 0, 0)
	}
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString(encode(v)) }
	signature := make([]byte, 256)
	rand.Read(signature)
	return part(map[string]string{"typ": "JWT", "alg": "RS256"}) + "." + part(map[string]any{
		"aud": newID(), "jti": newID(), "iat": now.Unix(), "nbf": now.Unix(), "exp": c.Expires.Unix(), "sub": "504141", "grant_type": "",
		"account_id": demoAccountID, "base_domain": "kommo.com", "version": 2, "scopes": c.Scopes,
	}) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// tokens are those that were issued, besides Config.AccessToken.
type tokens struct {
	mu     sync.Mutex
	issued []string
}

// IssueToken makes a token that the server takes besides Config.AccessToken, until
// it expires by the server's clock or is revoked.
func (s *Server) IssueToken(c Claims) string {
	if c.Expires.IsZero() {
		c.Expires = s.config.Now().AddDate(1, 0, 0)
	}
	token := NewToken(c)
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	s.tokens.issued = append(s.tokens.issued, token)
	return token
}

// RevokeTokens makes the server forget every token that it has issued.
func (s *Server) RevokeTokens() {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	s.tokens.issued = nil
}

// Reasons for a refusal of a CRM call, as Ledger.RefusedCRM counts them.
const (
	refusedToken     = "token"
	refusedExpired   = "expired"
	refusedMethod    = "method"
	refusedParameter = "parameter"
)

// tokenRefusal returns why a request may not have this call, or "".
func (s *Server) tokenRefusal(x *exchange) string {
	got, ok := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer ")
	if !ok || !s.knows(got) {
		return refusedToken
	}
	claims, ok := readClaims(got)
	switch {
	case !ok:
		return "" // a token that says nothing of itself may do everything
	case !x.now.Before(claims.Expires):
		return refusedExpired
	case !slices.Contains(claims.Scopes, ScopeCRM),
		x.request.Endpoint == EndpointTalkMessages && !slices.Contains(claims.Scopes, ScopeMessages):
		return refusedScope
	}
	return ""
}

func (s *Server) knows(token string) bool {
	same := func(a string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(token)) == 1 }
	if same(s.config.AccessToken) {
		return true
	}
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	return slices.ContainsFunc(s.tokens.issued, same)
}

// readClaims reports whether a token is a JWT that expires.
func readClaims(token string) (Claims, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expires int64    `json:"exp"`
		Scopes  []string `json:"scopes"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Expires == 0 {
		return Claims{}, false
	}
	return Claims{Scopes: claims.Scopes, Expires: time.Unix(claims.Expires, 0)}, true
}

// answerTokenRefusal answers in the words of the CRM.
func (s *Server) answerTokenRefusal(x *exchange, reason string) {
	s.ledger.refuseCRM(reason)
	if reason == refusedScope {
		writeInvalidScope(x)
		return
	}
	writeProblem(x, http.StatusUnauthorized, "the access token is missing, wrong or expired")
}
