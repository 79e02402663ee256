// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	scopeID = "f90ba33d-c9d9-44da-b76c-c349b0ecbe41_af9945ff-1490-4cad-807d-945c15d88bec"
	secret  = "integration-secret"
)

// sandbox is a running kommo-sandbox.
type sandbox struct {
	url string
}

// startSandbox starts a server of the Chats API with the chats that the flags ask for.
func startSandbox(t *testing.T, flags ...string) *sandbox {
	t.Helper()
	cmd := exec.Command(binary(t, "kommo-sandbox"), append([]string{"--listen", "127.0.0.1:0"}, flags...)...)
	cmd.Env = append(os.Environ(), "KOMMO_SCOPE_ID="+scopeID, "KOMMO_CHANNEL_SECRET="+secret)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "the sandbox's first line")
	return &sandbox{url: strings.TrimSpace(line)}
}

// seedFile writes chats to a file for --seed.
func seedFile(t *testing.T, chats map[string][]any) string {
	t.Helper()
	content, err := json.Marshal(chats)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "seed.json")
	require.NoError(t, os.WriteFile(path, content, 0o644))
	return path
}

// item is a message from the client.
func item(id, kind, text string, at time.Time, more map[string]any) map[string]any {
	message := map[string]any{"id": id, "type": kind, "text": text}
	maps.Copy(message, more)
	return map[string]any{
		"timestamp": at.Unix(), "msec_timestamp": at.UnixMilli(),
		"sender":  map[string]any{"id": "client-1", "name": "Анна", "phone": "+7 916 123-45-67", "email": "anna@example.com"},
		"message": message,
	}
}

// chats returns the ids of the sandbox's chats, as KOMMO_CHATS wants them.
func (s *sandbox) chats(t *testing.T) string {
	t.Helper()
	var ids []string
	for id := range s.messages(t) {
		ids = append(ids, id)
	}
	return strings.Join(ids, ",")
}

// messages returns the ids of all messages, by chat, oldest first.
func (s *sandbox) messages(t *testing.T) map[string][]string {
	t.Helper()
	var list struct{ Chats []struct{ ID string } }
	s.get(t, "/sandbox/chats", &list)
	messages := map[string][]string{}
	for _, chat := range list.Chats {
		var items struct {
			Messages []struct{ Message struct{ ID string } }
		}
		s.get(t, "/sandbox/chats/"+url.PathEscape(chat.ID)+"/messages", &items)
		for _, item := range items.Messages {
			messages[chat.ID] = append(messages[chat.ID], item.Message.ID)
		}
	}
	return messages
}

// append adds a text message to a chat and returns its id.
func (s *sandbox) append(t *testing.T, chat, text string) string {
	t.Helper()
	response, err := http.Post(s.url+"/sandbox/chats/"+url.PathEscape(chat)+"/messages?text="+url.QueryEscape(text), "", nil)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	ids := s.messages(t)[chat]
	return ids[len(ids)-1]
}

func (s *sandbox) get(t *testing.T, path string, into any) {
	t.Helper()
	response, err := http.Get(s.url + path)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(content))
	require.NoError(t, json.Unmarshal(content, into))
}

func count(messages map[string][]string) int {
	n := 0
	for _, ids := range messages {
		n += len(ids)
	}
	return n
}
