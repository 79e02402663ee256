// SPDX-License-Identifier: Apache-2.0

package component

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// The fields of the CRM API's token. They are a public contract.
const (
	FieldAccessToken     = "access_token"
	FieldAccessTokenFile = "access_token_file"
)

// TokenFields returns those fields. needs says what the token has to be for.
func TokenFields(needs string) []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringField(FieldAccessToken).
			Description("A token of an integration in that account" + needs + ". Use a long-lived one: others expire after a day, and this input can't renew them. Either this or `" + FieldAccessTokenFile + "` is required.").
			Optional().
			Secret(),
		service.NewStringField(FieldAccessTokenFile).
			Description("A file that holds the token and nothing else. It is read again for each request, so that a new token needs no restart. While it can't be read or is empty, the last token goes on to be used.").
			Optional().
			Example("/run/secrets/kommo-access-token"),
	}
}

// TokenConfig is where the token comes from. A component embeds it in its
// configuration.
type TokenConfig struct {
	token func() string // a function, so that %v does not show it
	file  string
}

// Token reads those fields.
func (r *FieldReader) Token() TokenConfig {
	token := r.Text(FieldAccessToken)
	c := TokenConfig{token: func() string { return token }, file: r.Text(FieldAccessTokenFile)}
	switch {
	case token != "" && c.file != "":
		r.Fail(fmt.Errorf("both %s and %s give a token: remove one of them", FieldAccessToken, FieldAccessTokenFile))
	case token == "" && c.file == "":
		r.Fail(fmt.Errorf("%s: it is empty: want a token of an integration in this account, or %s with the path of a file that holds one", FieldAccessToken, FieldAccessTokenFile))
	case c.file != "" && r.Linting:
	default:
		_, err := c.Source()
		r.Fail(err)
	}
	return c
}

// Source returns the source of tokens for [crm.Config]. An error names the field.
func (c TokenConfig) Source() (crm.TokenSource, error) {
	if c.file != "" {
		file, err := crm.NewTokenFile(c.file)
		if err != nil {
			return nil, err
		}
		return file, nil
	}
	return crm.NewToken(c.token())
}

// CompleteToken is an Input.Complete: it adds a token where one may be there, but is
// empty because of a variable. emptied says that some variable is not set.
func CompleteToken(config, written map[string]any, emptied bool) {
	if config[FieldAccessToken] != nil || config[FieldAccessTokenFile] != nil {
		return
	}
	_, token := written[FieldAccessToken]
	_, file := written[FieldAccessTokenFile]
	if token || file || emptied {
		config[FieldAccessToken] = "token"
	}
}

// CheckClaims says what a token tells of itself that will have every request refused, or
// nil: that it has expired, or lacks one of the scopes that are needed. A token that is
// no JWT tells nothing.
func CheckClaims(client *crm.Client, now time.Time, scopes ...string) error {
	claims, err := client.Claims()
	if err != nil {
		return err
	}
	if claims.Expired(now) {
		return fmt.Errorf("%s: it expired at %s: make a new one, a long-lived one if possible", FieldAccessToken, claims.Expires.UTC().Format(time.RFC3339))
	}
	var missing []string
	for _, scope := range scopes {
		if claims.Lacks(scope) {
			missing = append(missing, scope)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s: it lacks the scope %s", FieldAccessToken, strings.Join(missing, ", "))
	if missing[0] == crm.ScopeMessages {
		text += `: enable "External chat history" in the integration's scopes`
	} else {
		text += ": enable it in the integration's scopes"
	}
	return errors.New(text + ", and make a new token")
}
