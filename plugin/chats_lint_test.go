// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

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
	assert.Equal(t, int64(2), proxied.Load(), "and one looks behind the short page")

	secure := unstartedKommo(t, sandbox.Config{AccessToken: accessToken})
	secure.http.StartTLS()
	secure.url = secure.http.URL
	secure.talks(2)
	s = secure.lists(t, fields{"tls": fields{"enabled": true, "skip_cert_verify": true}}, options{})
	s.ended()
	assert.Len(t, s.named(), 2)
}
