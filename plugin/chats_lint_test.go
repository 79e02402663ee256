// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestChats_Lint(t *testing.T) {
	t.Parallel()
	const head = "kommo_chats:\n  api_url: https://example.kommo.com\n  access_token: t\n"
	for name, tc := range map[string]struct {
		conf string
		want string // empty: no lint
	}{
		"minimal":                      {head, ""},
		"origins":                      {head + "  origins: [ a ]\n", ""},
		"origins, contact_chats":       {head + "  source: contact_chats\n  origins: [ a ]\n", "contact_chats tells no origin: remove origins, or set source to talks"},
		"no origins, contact_chats":    {head + "  source: contact_chats\n  origins: []\n", ""},
		"updated_since, contact_chats": {head + "  source: contact_chats\n  updated_since: 2024-01-01T00:00:00Z\n", "contact_chats tells no time of update: remove updated_since, or set source to talks"},
		"source":                       {head + "  source: leads\n", "value leads is not a valid option for this field"},
		"page_size 0":                  {head + "  page_size: 0\n", "want 1 to 250, the most the API gives in a page"},
		"page_size 251":                {head + "  page_size: 251\n", "want 1 to 250, the most the API gives in a page"},
		"burst 0":                      {head + "  burst: 0\n", "want 1 or more"},
		"requests_per_second -1":       {head + "  requests_per_second: -1\n", "want 0 or more, where 0 means no limit"},
		"no url":                       {"kommo_chats: { access_token: t }", "field api_url is required"},
		"no token":                     {"kommo_chats: { api_url: https://example.kommo.com }", "field access_token is required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := lints(t, tc.conf)
			if tc.want == "" {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Contains(t, got[0], tc.want)
		})
	}
}

func TestChats_ConfigErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		changed fields
		want    string
	}{
		"api_url":              {fields{"api_url": "example.kommo.com"}, "api_url: its scheme is neither http nor https"},
		"api_url, empty":       {fields{"api_url": ""}, "api_url: it is empty"},
		"api_url, user":        {fields{"api_url": "https://u:p@example.kommo.com"}, "api_url: it names a user"},
		"access_token":         {fields{"access_token": ""}, "access_token: it is empty"},
		"access_token, Bearer": {fields{"access_token": "Bearer x"}, "access_token: it has a space"},
		"page_size":            {fields{"page_size": 251}, "page_size: want 1 to 250"},
		"updated_since":        {fields{"updated_since": "yesterday"}, "updated_since: want a time in RFC 3339"},
		"poll_interval":        {fields{"poll_interval": "0s"}, "poll_interval: want 1ms or more"},
		"origins":              {fields{"source": "contact_chats", "origins": []string{"a"}}, "origins: contact_chats tells no origin: remove origins, or set source to talks"},
		"origins, empty":       {fields{"origins": []string{""}}, "origins: entry 1 is empty"},
		"checkpoint_cache":     {fields{"checkpoint_cache": "none"}, "checkpoint_cache: there is no cache resource with the label"},
		"checkpoint_cache_key": {fields{"checkpoint_cache_key": ""}, "checkpoint_cache_key: want a prefix for the keys, as in kommo_chats"},
		"rate_limit":           {fields{"rate_limit": "none"}, "rate_limit: there is no rate limit resource with the label"},
		"proxy_url":            {fields{"proxy_url": "gopher://x"}, "proxy_url"},
		"backoff":              {fields{"backoff": fields{"initial_interval": "0s"}}, "backoff: want an initial_interval above 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kommo{url: "https://example.kommo.com"}
			text, err := yaml.Marshal(fields{"input": fields{"kommo_chats": k.account(tc.changed)}, "output": fields{"drop": fields{}}})
			require.NoError(t, err)
			b := service.NewStreamBuilder()
			require.NoError(t, b.SetLoggerYAML("level: NONE"))
			b.DisableLinting()
			require.NoError(t, b.SetYAML(string(text)))
			s, err := b.Build()
			if err == nil {
				err = s.Run(t.Context())
			}
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), accessToken)
		})
	}
}

func TestChats_ProxyAndTLS(t *testing.T) {
	t.Parallel()
	k := newAccount(t, sandbox.Config{})
	k.talks(3)
	var proxied atomic.Int64
	target, err := url.Parse(k.url)
	require.NoError(t, err)
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.Transport = &http.Transport{DisableKeepAlives: true}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "example.kommo.com", r.Host)
		proxied.Add(1)
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	s := k.lists(t, fields{"api_url": "http://example.kommo.com", "proxy_url": proxy.URL}, options{})
	s.ended()
	assert.Len(t, s.named(), 3)
	assert.Equal(t, int64(1), proxied.Load())

	secure := unstartedKommo(t, sandbox.Config{AccessToken: accessToken})
	secure.http.StartTLS()
	secure.url = secure.http.URL
	secure.talks(2)
	s = secure.lists(t, fields{"tls": fields{"enabled": true, "skip_cert_verify": true}}, options{})
	s.ended()
	assert.Len(t, s.named(), 2)
}
