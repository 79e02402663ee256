// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// carried is what a request carried, and what it was signed with: tokens, signatures, ids.
// What a server says is told only where it repeats none of it.
type carried []string

type secretKey struct{}

// secret is not a string, so that no context shows it.
type secret struct{ text string }

// WithSecret returns a context whose calls repeat nothing of a secret, though no request
// carries it. What they do carry they don't repeat in any case.
func WithSecret(ctx context.Context, text string) context.Context {
	return context.WithValue(ctx, secretKey{}, &secret{text})
}

func carriedBy(ctx context.Context, req *http.Request) (c carried) {
	if s, ok := ctx.Value(secretKey{}).(*secret); ok {
		c = append(c, bare(s.text))
	}
	for _, values := range req.Header {
		for _, value := range values {
			c = append(c, bare(value))
		}
	}
	query, _ := url.QueryUnescape(req.URL.RawQuery) // "" for one that nobody can read
	return append(c, bare(req.URL.Path), bare(query))
}

// shortest is the length of a piece, in bytes, that tells something of what it is from.
const shortest = 8

// has reports whether a text is a piece of what was carried, however it is written.
func (c carried) has(text string) bool {
	text = bare(text)
	if len(text) < shortest {
		return false
	}
	for _, s := range c {
		if strings.Contains(s, text) {
			return true
		}
	}
	return false
}

// Repeats reports whether a text is a piece of others, as an answer's may be of a token or a
// secret. A text of few bytes tells nothing, and is none.
func Repeats(text string, others ...string) bool {
	var c carried
	for _, s := range others {
		c = append(c, bare(s))
	}
	return c.has(text)
}

// bare leaves out what only sets pieces apart.
func bare(s string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' {
			return -1
		}
		return r
	}, s))
}
