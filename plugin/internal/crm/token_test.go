// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestNewTokenFile_Errors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := NewTokenFile("")
	require.ErrorContains(t, err, "access_token_file: it is empty")
	_, err = NewTokenFile(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "access_token_file: "+filepath.Join(dir, "none")+": no such file")
	_, err = NewTokenFile(dir)
	require.ErrorContains(t, err, "it is not a file")
	path := filepath.Join(dir, "token")
	for content, want := range map[string]string{
		"": "it is empty", " \n\t": "it is empty", "\ufeff\n": "it is empty", "Bearer s3cr3t": "want the token alone, without Bearer", "s3cr3t\ns3cr3t": "a space or another character",
		"s3cr3t\x00": "another character", strings.Repeat("s3cr3t", 20_000): "it is longer than 65536 bytes",
	} {
		write(t, path, content)
		_, err = NewTokenFile(path)
		require.ErrorContains(t, err, want, content)
		require.ErrorContains(t, err, "access_token_file: "+path+": ")
		assert.NotContains(t, err.Error(), "s3cr3t")
	}
}

func TestTokenFile_IsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "\ufeff one\r\n")
	f, err := NewTokenFile(path)
	require.NoError(t, err)
	want := func(token, failure string) {
		t.Helper()
		got, err := f.Token()
		require.NoError(t, err)
		assert.Equal(t, token, got)
		if failure == "" {
			assert.NoError(t, f.Err())
		} else {
			assert.ErrorContains(t, f.Err(), failure)
		}
	}
	want("one", "")
	write(t, path, "two") // of the same length, and perhaps in the same instant
	want("two", "")
	write(t, path, "")
	want("two", "it is empty")
	require.NoError(t, os.Remove(path))
	want("two", "no such file")
	other := path + ".new"
	write(t, other, "three")
	require.NoError(t, os.Rename(other, path))
	want("three", "")
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", f, f, f), "three")
}

// rotating is an API that takes one token, which changes.
type rotating struct {
	accepted atomic.Pointer[string]
	requests atomic.Int32
	refused  func() // on the way
}

func (r *rotating) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.requests.Add(1)
	if req.Header.Get("Authorization") != "Bearer "+*r.accepted.Load() {
		if r.refused != nil {
			r.refused()
		}
		w.WriteHeader(401)
		return
	}
	fmt.Fprint(w, `{"_embedded":{"events":[]}}`)
}

func TestClient_TakesANewToken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "one")
	api := &rotating{}
	accept := func(token string) { api.accepted.Store(&token) }
	accept("one")
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	tokens, err := NewTokenFile(path)
	require.NoError(t, err)
	c, err := NewClient(Config{URL: server.URL, Tokens: tokens, Call: apicall.New(apicall.Config{MaxAttempts: 1})})
	require.NoError(t, err)
	ask := func() error {
		_, err := c.Events(t.Context(), EventQuery{Page: 1, Limit: 1})
		return err
	}
	require.NoError(t, ask())
	accept("two")
	write(t, path, "two")
	require.NoError(t, ask(), "the next request has the new one")
	assert.Equal(t, int32(2), api.requests.Load())

	// The token is replaced while the request with the old one is under way.
	accept("three")
	api.refused = sync.OnceFunc(func() { write(t, path, "three") })
	require.NoError(t, ask())
	assert.Equal(t, int32(4), api.requests.Load())

	accept("four")
	err = ask()
	require.ErrorContains(t, err, "access_token has expired, was revoked")
	assert.Equal(t, int32(5), api.requests.Load(), "the same token is not sent twice")
	require.NoError(t, os.Remove(path))
	err = ask()
	require.ErrorContains(t, err, "access_token has expired or was revoked, and the file gives no new one: access_token_file: "+path)
	assert.NotContains(t, err.Error(), "three")
}
