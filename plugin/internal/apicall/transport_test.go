// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewTransport(t *testing.T) {
	conf := &tls.Config{ServerName: "x"}
	tr, err := NewTransport("http://user:pass@proxy.example:3128", conf)
	require.NoError(t, err)
	proxy, err := tr.Proxy(&http.Request{})
	require.NoError(t, err)
	assert.Equal(t, "proxy.example:3128", proxy.Host)
	assert.Same(t, conf, tr.TLSClientConfig)
	assert.GreaterOrEqual(t, tr.MaxIdleConnsPerHost, 64)

	for _, bad := range []string{"proxy.example:3128", "http://", "ftp://user:pass@h", "http://user:pass@h:x", "://"} {
		_, err := NewTransport(bad, nil)
		require.ErrorContains(t, err, "proxy_url", bad)
		assert.NotContains(t, err.Error(), "pass")
	}
}

// The texts of net/http that the advice goes by, from net/http itself.
func TestGet_AdviceForWhatListensThere(t *testing.T) {
	t.Parallel()
	quiet := func(s *httptest.Server) *httptest.Server {
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		t.Cleanup(s.Close)
		return s
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/header" {
			w.Header().Set("X-Long", strings.Repeat("a", 4*maxHeader))
		}
	})
	plain, secure := quiet(httptest.NewUnstartedServer(handler)), quiet(httptest.NewUnstartedServer(handler))
	plain.Start()
	secure.StartTLS()
	for name, tc := range map[string]struct {
		url, proxy, want string
	}{
		"https to a port without TLS": {strings.Replace(plain.URL, "http:", "https:", 1), "", "does not speak TLS: check the scheme and the port in base_url"},
		"http to a port with TLS":     {strings.Replace(secure.URL, "https:", "http:", 1), "", "status 400 Bad Request: check "},
		"a certificate of its own":    {secure.URL, "", "add its authority to tls.root_cas"},
		"a long head":                 {plain.URL + "/header", "", "check base_url, proxy_url and the network: net/http: "},
		"a proxy that is none":        {secure.URL, secure.URL, "check base_url"},
		"a name that is none":         {"http://no-such-host.invalid", "", "base_url, proxy_url and the network"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transport, err := NewTransport(tc.proxy, nil)
			require.NoError(t, err)
			defer transport.CloseIdleConnections()
			err = New(Config{HTTP: &http.Client{Transport: transport}, MaxAttempts: 1}).Get(t.Context(), func(ctx context.Context) (*http.Request, error) {
				return http.NewRequestWithContext(ctx, http.MethodGet, tc.url, http.NoBody)
			}, func(*Response) error { return nil })
			require.ErrorContains(t, err, tc.want)
			assert.Less(t, len(err.Error()), 600)
		})
	}
}
