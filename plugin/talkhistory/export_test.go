// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"crypto/tls"
	"net/http"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
)

// RegisterTransport has every request to an http:// address answered by rt, in
// inputs that are built from now on.
func RegisterTransport(rt http.RoundTripper) {
	component.NewTransport = func(proxyURL string, tlsConf *tls.Config) (*http.Transport, error) {
		t, err := apicall.NewTransport(proxyURL, tlsConf)
		if err == nil {
			t.RegisterProtocol("http", rt)
		}
		return t, err
	}
}
