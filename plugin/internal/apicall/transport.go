// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// maxIdleConns is how many idle connections are kept to a host: with fewer than
// there are calls side by side, most calls would begin with a TLS handshake.
const maxIdleConns = 64

// maxHeader bounds the head of an answer, in bytes. Go allows 10 MiB, and each of
// many calls side by side may get one.
const maxHeader = 256 << 10

// NewTransport returns a transport for many calls to one host: connections are
// kept open, HTTP/2 is used where the server speaks it, gzip is decoded.
//
// proxyURL is an http, https or socks5 URL, and may name a user and password; ""
// means the proxy of the environment, as of [http.ProxyFromEnvironment].
// tlsConf is nil for Go's defaults, and must not be changed afterwards. The error
// of an unusable proxyURL does not repeat it.
func NewTransport(proxyURL string, tlsConf *tls.Config) (*http.Transport, error) {
	t := newTransport()
	t.TLSClientConfig = tlsConf
	if proxyURL != "" {
		proxy, err := url.Parse(proxyURL)
		if err != nil || proxy.Host == "" {
			return nil, errors.New("reading proxy_url: want http://host:port, https://host:port or socks5://host:port")
		}
		switch proxy.Scheme {
		case "http", "https", "socks5", "socks5h":
		default:
			return nil, errors.New("reading proxy_url: its scheme must be http, https or socks5")
		}
		t.Proxy = http.ProxyURL(proxy)
	}
	return t, nil
}

func newTransport() *http.Transport {
	// net/http would make the proxy's own words the error.
	connected := func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			return proxyError{resp.StatusCode}
		}
		return nil
	}
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: connected,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           4 * maxIdleConns,
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,

		MaxResponseHeaderBytes: maxHeader,
	}
}
