// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a server repeats of a request is in no error, whatever form it gives it.
func TestGet_NothingThatWasSentComesBack(t *testing.T) {
	const (
		token     = "4bf92f3577b34da6a3ce929d0e0e4736a3ce929d"
		secret    = "fb50586ff7b68cd831fe0ef356345903f644c0d2"
		uuid      = "30477717-9f3c-4d3f-8101-60327e14dc4a"
		capitals  = "ORIGIN_SECRET_OF_SOMEBODY"
		traceable = "463ac35c9f6413ad48485a3953bb6124"
	)
	ask := func(a answer) string {
		s := &server{answers: []answer{a}}
		err := s.caller(Config{MaxAttempts: 1}).Get(WithSecret(t.Context(), secret), func(ctx context.Context) (*http.Request, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.somebodys.example/chats/"+uuid+"?key=0463ac35c9f6413ad", http.NoBody)
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("X-Other", capitals)
			return req, err
		}, decodeJSON)
		require.Error(t, err)
		return err.Error()
	}
	assert.Contains(t, ask(answer{status: 500, body: `{"trace_id":"` + traceable + `"}`}), traceable)
	for _, piece := range []string{token[:16], token[8:40], secret[:32], strings.ToUpper(secret[4:20]), uuid, "463ac35c9f6413ad", capitals} {
		for _, field := range []string{"trace_id", "error_type", "error_code"} {
			assert.NotContains(t, ask(answer{status: 500, body: `{"` + field + `":"` + piece + `"}`}), piece, field)
		}
		for _, to := range []string{"https://%s", "https://%s.example/", "https://%s.somebodys.example", "https://%s.api.somebodys.example", "%s://api.somebodys.example"} {
			text := ask(answer{status: 302, header: map[string]string{"Location": fmt.Sprintf(to, piece)}})
			assert.NotContains(t, strings.ToLower(text), strings.ToLower(piece), to)
		}
	}
}

func TestGet_ARedirectNamesNoPhoneNumber(t *testing.T) {
	for _, to := range []string{
		"https://79161234567.example", "https://79161234567.api.example:8443", "https://a7916-123-4567.api.example", "http://79161234567", "tel:+79161234567",
		"https://api.example:79161234567/", "https://x.y.z79161234567.api.example/", "//79161234567@elsewhere.example", "a79161234567://api.example",
	} {
		s := &server{answers: []answer{{status: 302, header: map[string]string{"Location": to}}}}
		err := s.caller(Config{}).Get(t.Context(), build, decodeJSON)
		require.ErrorIs(t, err, ErrRedirect)
		assert.NotRegexp(t, "7916|4567", err.Error(), to)
	}
}

// net/http makes a proxy's own words an error.
func TestGet_WhatAProxySaysIsNotRepeated(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{407: "put them into proxy_url", 502: "the proxy can't be used"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				fmt.Fprintf(conn, "HTTP/1.1 %d go away %s\r\n\r\n", status, secretText)
			}
			_ = conn.Close()
		}()
		transport, err := NewTransport("http://somebody:pa55@"+listener.Addr().String(), nil)
		require.NoError(t, err)
		t.Cleanup(transport.CloseIdleConnections)
		err = New(Config{HTTP: &http.Client{Transport: transport}, MaxAttempts: 1}).Get(t.Context(), build, decodeJSON)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, fmt.Sprintf("the proxy answered with status %d", status))
		assert.NotContains(t, err.Error(), secretText)
		assert.NotContains(t, err.Error(), "pa55")
	}
}
