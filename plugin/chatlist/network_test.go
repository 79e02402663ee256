// SPDX-License-Identifier: Apache-2.0

package chatlist_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestChats_ProxyAndTLS(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	addTalks(k, 3)
	var proxied atomic.Int64
	target, err := url.Parse(k.URL)
	require.NoError(t, err)
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.Transport = &http.Transport{DisableKeepAlives: true}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "example.kommo.com", r.Host)
		proxied.Add(1)
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	s := k.Lists(t, pipetest.Fields{"api_url": "http://example.kommo.com", "proxy_url": proxy.URL}, pipetest.Options{})
	s.Ended()
	assert.Len(t, s.Chats(), 3)
	assert.Equal(t, int64(2), proxied.Load(), "and one looks behind the short page")

	secure := pipetest.UnstartedKommo(t, sandbox.Config{AccessToken: pipetest.AccessToken})
	secure.HTTP.StartTLS()
	secure.URL = secure.HTTP.URL
	addTalks(secure, 2)
	s = secure.Lists(t, pipetest.Fields{"tls": pipetest.Fields{"enabled": true, "skip_cert_verify": true}}, pipetest.Options{})
	s.Ended()
	assert.Len(t, s.Chats(), 2)
}
