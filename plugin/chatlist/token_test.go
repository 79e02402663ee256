// SPDX-License-Identifier: Apache-2.0

package chatlist_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// The token is revoked, and a new one is put into the file: the input goes on.
func TestTokenFile_IsReadAgain(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"talks", "contact_chats", "events", "talk_ids"} {
		k := pipetest.NewAccount(t, sandbox.Config{})
		k.SetTalk(talk(1))
		path := filepath.Join(t.TempDir(), "token")
		require.NoError(t, os.WriteFile(path, []byte("old-t0ken\n"), 0o600))
		conf := k.Account(pipetest.Fields{"source": source, "access_token_file": path, "poll_interval": "1ms"}).Without("access_token")
		s := k.Run(t, pipetest.Fields{"kommo_chats": conf}, pipetest.Options{})
		s.Until("it is refused", func() bool { return s.Logs.Has(8, "access_token has expired, was revoked") })
		require.NoError(t, os.WriteFile(path, []byte(pipetest.AccessToken), 0o600))
		before := k.Ledger().ByStatus[200] + k.Ledger().ByStatus[204]
		s.Until("it goes on", func() bool { return k.Ledger().ByStatus[200]+k.Ledger().ByStatus[204] > before+3 })
		s.Stop()
		assert.NotContains(t, s.Logs.String(), "old-t0ken")
	}
}

func TestToken_ThatHasExpiredIsReportedAtTheStart(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	token := sandbox.NewToken(sandbox.Claims{Scopes: []string{"crm"}, Expires: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)})
	s := k.Lists(t, pipetest.Fields{"access_token": token}, pipetest.Options{})
	s.Until("it is told", func() bool { return s.Logs.Has(8, "access_token: it expired at 2024-01-01T00:00:00Z: make a new one") })
	s.Stop()
	assert.NotContains(t, s.Logs.String(), token)
}
