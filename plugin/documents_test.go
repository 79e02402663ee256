// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// kommo_message makes documents of what kommo_talk_history reads.
func TestDocuments_OfTalks(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	k.SetTalk(sandbox.Talk{ID: 5, ChatID: "chat", Origin: "waba", ContactID: 7, EntityID: 8, EntityType: "lead", UpdatedAt: pipetest.Noon.Unix()})
	require.NoError(t, k.AppendTalk(5, sandbox.TalkReply("m", pipetest.Noon, "private words")))
	conf := k.Account(fields{"discover": "talks"})
	s := k.Run(t, fields{"kommo_talk_history": conf, "processors": []fields{{"kommo_message": fields{}}}}, options{})
	s.Ended()
	require.Len(t, s.Out.Delivered(), 1)
	var doc map[string]any
	require.NoError(t, json.Unmarshal([]byte(s.Out.Delivered()[0].Body), &doc))
	for key, want := range map[string]any{
		"talk_id": 5.0, "contact_id": 7.0, "entity_id": 8.0, "entity_type": "lead", "origin": "waba", "message_id": "m", "direction": "outgoing",
		"sender_type": "internal", "sender_user_id": 504141.0, "receiver_type": "external", "agent_type": "user", "sent_at": "2026-03-03T12:00:00.000Z",
	} {
		assert.Equal(t, want, doc[key], key)
	}
}

// A token that has been replaced in its file goes on without a restart.
func TestTalks_ATokenFromAFile(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	require.NoError(t, k.AppendTalk(5, sandbox.TalkText("a", time.Now(), "private words")))
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(k.IssueToken(sandbox.Claims{Scopes: []string{"crm", "list_external_messages"}})+"\n"), 0o600))
	conf := k.Account(fields{"access_token_file": file, "poll_interval": "10ms"}).Without("access_token")
	s := k.Run(t, fields{"kommo_talk_history": conf}, options{})
	s.Until("the first is delivered", func() bool { return len(s.Out.Delivered()) == 1 })
	k.RevokeTokens()
	require.NoError(t, k.AppendTalk(5, sandbox.TalkText("b", time.Now(), "private words, too")))
	s.Until("it is refused", func() bool { return s.Metrics.Get("kommo_talk_history_api_up") == 0 })
	require.NoError(t, os.WriteFile(file, []byte(k.IssueToken(sandbox.Claims{})), 0o600))
	s.Until("the second is delivered", func() bool { return len(s.Out.Delivered()) == 2 })
}
