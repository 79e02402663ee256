// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"crypto/tls"
	"net/http"
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
