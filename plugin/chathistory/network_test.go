// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// proxy is an HTTP proxy that counts what goes through it.
type proxy struct {
	*httptest.Server
	forwarded, tunnels atomic.Int64
	user               atomic.Value // of the last request
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	p := &proxy{}
	forward := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.user.Store(r.Header.Get("Proxy-Authorization"))
		if r.Method != http.MethodConnect {
			p.forwarded.Add(1)
			forward.ServeHTTP(w, r)
			return
		}
		p.tunnels.Add(1)
		to, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			http.Error(w, "no way there", http.StatusBadGateway)
			return
		}
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("taking over the connection: %v", err)
			return
		}
		_, _ = io.WriteString(from, "HTTP/1.1 200 Connection established\r\n\r\n")
		for _, c := range [][2]net.Conn{{from, to}, {to, from}} {
			go func() { // until either side has closed its connection
				_, _ = io.Copy(c[0], c[1])
				_ = c[0].Close()
			}()
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// tlsKommo is a sandbox that speaks TLS, and its certificate.
func tlsKommo(t *testing.T) (k *pipetest.Kommo, cert string) {
	t.Helper()
	k = pipetest.UnstartedKommo(t, sandbox.Config{})
	k.HTTP.StartTLS()
	k.URL = k.HTTP.URL
	return k, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.HTTP.Certificate().Raw}))
}

func TestProxyURL_EveryRequestGoesThroughIt(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(120)
	p := newProxy(t)
	through, err := url.Parse(p.URL)
	assert.NoError(t, err)
	through.User = url.UserPassword("me", "a-password-of-the-proxy")
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "proxy_url": through.String()}, pipetest.Options{})
	s.Ended()
	s.Delivers(chat)
	assert.Equal(t, int64(k.Requests()), p.forwarded.Load())
	assert.Contains(t, p.user.Load(), "Basic ")
	assert.NotContains(t, s.Logs.String(), "a-password-of-the-proxy")
}

func TestProxyURL_TLSGoesThroughATunnel(t *testing.T) {
	t.Parallel()
	k, cert := tlsKommo(t)
	chat := k.Chat(120)
	p := newProxy(t)
	s := k.Start(t, pipetest.Fields{
		"chats": []string{chat}, "proxy_url": p.URL, "tls": pipetest.Fields{"enabled": true, "root_cas": cert},
	}, pipetest.Options{})
	s.Ended()
	s.Delivers(chat)
	assert.Positive(t, p.tunnels.Load())
	assert.Zero(t, p.forwarded.Load())
}

func TestProxyURL_OneThatIsGoneIsSaid(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	p := newProxy(t)
	p.Close()
	s := k.Start(t, pipetest.Fields{
		"chats": []string{chat}, "proxy_url": strings.Replace(p.URL, "http://", "http://me:a-password-of-the-proxy@", 1),
	}, pipetest.Options{})
	s.Until("it is said", func() bool { return s.Logs.Has(slog.LevelWarn, "check base_url, proxy_url and the network") })
	assert.NotContains(t, s.Logs.String(), "a-password-of-the-proxy")
	assert.Zero(t, k.Requests())
}

func TestTLS_RootCAs(t *testing.T) {
	t.Parallel()
	k, cert := tlsKommo(t)
	chat := k.Chat(3)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "tls": pipetest.Fields{"enabled": true, "root_cas": cert}}, pipetest.Options{})
	s.Ended()
	s.Delivers(chat)
}

func TestTLS_AnUnknownCertificateIsSaid(t *testing.T) {
	t.Parallel()
	k, _ := tlsKommo(t)
	s := k.Start(t, pipetest.Fields{"chats": []string{k.Chat(3)}}, pipetest.Options{})
	s.Until("it is said", func() bool { return s.Logs.Has(slog.LevelWarn, "certificate signed by unknown authority") })
	assert.Zero(t, k.Requests())
}

func TestTLS_VerificationCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	k, _ := tlsKommo(t)
	chat := k.Chat(3)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "tls": pipetest.Fields{"enabled": true, "skip_cert_verify": true}}, pipetest.Options{})
	s.Ended()
	s.Delivers(chat)
}
