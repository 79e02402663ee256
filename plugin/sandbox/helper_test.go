// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, time.March, 3, 12, 0, 0, 0, time.UTC)

// newServer has a clock that stands at noon, unless config has another.
func newServer(tb testing.TB, config Config) *Server {
	tb.Helper()
	if config.Now == nil {
		config.Now = func() time.Time { return noon }
	}
	s, err := New(config)
	require.NoError(tb, err)
	return s
}

func historyPath(chat string) string {
	return "/v2/origin/custom/" + DemoScopeID + "/chats/" + url.PathEscape(chat) + "/history"
}

// signed returns a request that is right in every way at a time.
func signed(target string, at time.Time) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	date := at.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000")
	path, _, _ := strings.Cut(target, "?")
	r.Header.Set("Date", date)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-MD5", "d41d8cd98f00b204e9800998ecf8427e")
	r.Header.Set("X-Signature", sign(DemoSecret, "GET", "d41d8cd98f00b204e9800998ecf8427e", "application/json", date, path))
	return r
}

func serve(s http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// page asks for a page, well signed at noon.
func page(s *Server, chat string, offset, limit int) *httptest.ResponseRecorder {
	return serve(s, signed(fmt.Sprintf("%s?offset=%d&limit=%d", historyPath(chat), offset, limit), noon))
}

// items returns the items of a 200, newest first.
func items(tb testing.TB, w *httptest.ResponseRecorder) []json.RawMessage {
	tb.Helper()
	require.Equal(tb, http.StatusOK, w.Code, w.Body.String())
	var body struct{ Messages []json.RawMessage }
	require.NoError(tb, json.Unmarshal(w.Body.Bytes(), &body), w.Body.String())
	return body.Messages
}

func texted(raw []json.RawMessage) []string {
	out := make([]string, len(raw))
	for i, item := range raw {
		out[i] = string(item)
	}
	return out
}

// numbers fills a chat with the bare numbers 0 to n-1, n-1 the newest.
func numbers(s *Server, chat string, n int) {
	for i := range n {
		s.Append(chat, json.RawMessage(fmt.Sprint(i)))
	}
}

// live serves s over TCP, and sends signed requests to it.
func live(t *testing.T, s *Server) func(chat string) (*http.Response, []byte, error) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(chat string) (*http.Response, []byte, error) {
		r := signed(historyPath(chat)+"?offset=0&limit=50", noon)
		target, err := url.Parse(server.URL + r.RequestURI)
		require.NoError(t, err)
		r.URL, r.RequestURI, r.Host = target, "", ""
		response, err := client.Do(r)
		if err != nil {
			return nil, nil, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return response, body, err
	}
}
