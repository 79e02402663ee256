// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const accessToken = "kommo-sandbox-demo-token" // what the sandbox takes where it is told nothing else

// accountMessage is what is compared of a message of any channel: what the sandbox has, with what arrived.
type accountMessage struct {
	Talk     int    `json:"talk_id"`
	Chat     string `json:"chat_id"`
	ID       string `json:"message_id"`
	Type     string `json:"type"`
	Text     string `json:"text"`
	SentAtMS int64  `json:"sent_at_ms"`
	MediaURL string `json:"media_url"`
}

// startAccount starts a sandbox with the conversations of the demo's account, and as many more talks of other channels.
func startAccount(t *testing.T, talks, messages int) *sandbox {
	t.Helper()
	s := startSandbox(t, "--account")
	first := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	var list []map[string]any
	for i := range talks {
		list = append(list, map[string]any{
			"talk_id": 1000 + i, "chat_id": fmt.Sprintf("chat-of-%d", 1000+i), "contact_id": 5000 + i, "entity_id": 7000 + i, "entity_type": "lead",
			"status": "in_work", "origin": "waba", "is_in_work": true, "created_at": first.Unix(), "updated_at": first.Unix(),
		})
	}
	s.post(t, "/sandbox/talks", list)
	for i := range talks {
		var items []map[string]any
		for k := range messages {
			at := first.Add(time.Duration(k*talks+i) * time.Second)
			items = append(items, map[string]any{
				"id": fmt.Sprintf("m-%d-%d", 1000+i, k), "chat_id": list[i]["chat_id"], "type": "incoming", "message_type": "text",
				"author": map[string]any{"id": fmt.Sprintf("client-%d", i), "type": "external", "name": "Анна Петрова"},
				"text":   fmt.Sprintf("Message %d <of> talk %d", k, 1000+i), "created_at": at.Unix(), "msec_created_at": at.UnixMilli(),
			})
		}
		s.post(t, fmt.Sprintf("/sandbox/talks/%d/messages?at=%s", 1000+i, first.Format(time.RFC3339)), items)
	}
	return s
}

// readAccount is the environment of a pipeline that reads a whole account.
func readAccount(t *testing.T, s *sandbox) env {
	t.Helper()
	return env{
		"KOMMO_API_URL": s.url, "KOMMO_ACCESS_TOKEN": accessToken, "KOMMO_CHECKPOINT_DIR": t.TempDir(),
		"KOMMO_REQUESTS_PER_SECOND": "500", "KOMMO_POLL_INTERVAL": "300ms",
	}
}

// accountMessages returns all messages of all talks that have one, by talk, oldest first.
func (s *sandbox) accountMessages(t *testing.T) map[int][]accountMessage {
	t.Helper()
	var list struct {
		Talks []struct {
			ID int `json:"talk_id"`
		}
	}
	s.get(t, "/sandbox/talks", &list)
	talks := map[int][]accountMessage{}
	for _, talk := range list.Talks {
		var items struct {
			Messages []struct {
				ID            string
				ChatID        string `json:"chat_id"`
				MessageType   string `json:"message_type"`
				Text          string
				CreatedAt     int64 `json:"created_at"`
				MsecCreatedAt int64 `json:"msec_created_at"`
				Attachment    struct{ Link string }
			}
		}
		s.get(t, fmt.Sprintf("/sandbox/talks/%d/messages", talk.ID), &items)
		for _, m := range items.Messages {
			if m.MsecCreatedAt == 0 {
				m.MsecCreatedAt = 1000 * m.CreatedAt
			}
			talks[talk.ID] = append(talks[talk.ID], accountMessage{talk.ID, m.ChatID, m.ID, m.MessageType, m.Text, m.MsecCreatedAt, m.Attachment.Link})
		}
	}
	return talks
}

// inTalk adds a text message to a talk, which the feed announces now.
func (s *sandbox) inTalk(t *testing.T, talk int, text string) {
	t.Helper()
	s.post(t, fmt.Sprintf("/sandbox/talks/%d/messages?text=%s", talk, url.QueryEscape(text)), nil)
}

// opens adds a talk with a first message.
func (s *sandbox) opens(t *testing.T, talk int, text string) {
	t.Helper()
	now := time.Now().Unix()
	s.post(t, "/sandbox/talks", map[string]any{
		"talk_id": talk, "chat_id": fmt.Sprintf("chat-of-%d", talk), "contact_id": 1, "entity_id": 2, "entity_type": "lead", "status": "in_work",
		"origin": "telegram", "is_in_work": true, "created_at": now, "updated_at": now,
	})
	s.inTalk(t, talk, text)
}

func (s *sandbox) post(t *testing.T, path string, body any) {
	t.Helper()
	var content bytes.Buffer
	if body != nil {
		require.NoError(t, json.NewEncoder(&content).Encode(body))
	}
	response, err := http.Post(s.url+path, "application/json", &content)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Less(t, response.StatusCode, 300, path)
}

// readMessages reads flat messages.
func readMessages[T ~[]byte | ~string](t *testing.T, documents []T) []accountMessage {
	t.Helper()
	messages := make([]accountMessage, len(documents))
	for i, document := range documents {
		require.NoError(t, json.Unmarshal([]byte(document), &messages[i]))
	}
	return messages
}

// byTalk returns messages by their talk in the order in which they came, of equal ids the first, and how many it left out.
func byTalk(messages []accountMessage) (talks map[int][]accountMessage, repeated int) {
	talks = map[int][]accountMessage{}
	seen := map[string]bool{}
	for _, m := range messages {
		if seen[m.ID] {
			repeated++
			continue
		}
		seen[m.ID] = true
		talks[m.Talk] = append(talks[m.Talk], m)
	}
	return talks, repeated
}
