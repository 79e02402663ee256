// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// soon is how long before its end a token should be replaced.
const soon = 14 * 24 * time.Hour

// checkToken judges what the token says of itself.
func (c *checker) checkToken() {
	claims, err := c.crm.Claims()
	if err != nil {
		c.add("token.expiry", Error, "unreadable", said{full: err.Error(), public: "the token's file can't be read"}, "")
		return
	}
	const another = "make a new one, a long-lived one, and put it in place of this"
	switch left := time.Until(claims.Expires); {
	case claims.Expires.IsZero():
		c.ok("token.expiry", "not_told", "the token does not tell when it ends")
	case left <= 0:
		c.add("token.expiry", Error, "expired", say("the token expired at %s", claims.Expires.UTC().Format(time.RFC3339)), another)
	case left < soon:
		c.add("token.expiry", Warning, "soon", say("the token expires in %s, at %s", roundTime(left), claims.Expires.UTC().Format(time.RFC3339)), another)
	default:
		c.ok("token.expiry", "valid", "the token is valid for %d days, until %s", int(left/(24*time.Hour)), claims.Expires.UTC().Format(time.DateOnly))
	}
	switch {
	case claims.Scopes == nil:
		c.ok("token.scopes", "not_told", "the token does not tell its scopes")
	case claims.Lacks(crm.ScopeMessages):
		c.add("token.scopes", Warning, "no_messages", say("the token lacks the scope %s (it has %s), so kommo_talk_history can't read messages with it; kommo_chats can list", crm.ScopeMessages, namesOf(claims.Scopes)),
			`enable "External chat history" in the integration's scopes, and make a new token`)
	default:
		c.ok("token.scopes", "messages", "the token has the scope %s", crm.ScopeMessages)
	}
}

// namesOf leaves out scopes that do not look like one, and for others all that are not
// well known.
func namesOf(scopes []string) said {
	var names, known []string
	for _, s := range scopes {
		if len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == "" {
			names = append(names, s)
		}
		if slices.Contains([]string{"crm", "notifications", "push_notifications", "files", "files_delete", "mail", "chats"}, s) {
			known = append(known, s)
		}
	}
	return said{full: strings.Join(names, ", "), public: strings.Join(known, ", ")}
}
