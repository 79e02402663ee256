// SPDX-License-Identifier: Apache-2.0

package pipetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// What every server here takes. No log may show it.
const (
	Secret      = "5ecre7-of-the-channel-that-no-log-may-show"
	AccessToken = "t0ken-of-the-account-that-no-log-may-show"

	// patience is how long a test waits for what must happen. It is reached only
	// where that does not happen.
	patience = 30 * time.Second
)

// Noon is when the first message of chats made by these tests was sent.
var Noon = time.Date(2026, time.March, 3, 12, 0, 0, 0, time.UTC)

// Kommo is a sandbox behind a real listener.
type Kommo struct {
	*sandbox.Server
	URL  string
	bell *bell
	HTTP *httptest.Server

	mu         sync.Mutex
	signatures map[string]bool // of all requests
	open       int             // connections
}

// NewKommo starts a sandbox with a configuration.
func NewKommo(t *testing.T, config sandbox.Config) *Kommo {
	t.Helper()
	k := UnstartedKommo(t, config)
	k.HTTP.Start()
	k.URL = k.HTTP.URL
	return k
}

// NewAccount starts a sandbox whose talks are all made by the test.
func NewAccount(t *testing.T, config sandbox.Config) *Kommo {
	t.Helper()
	config.AccessToken = AccessToken
	return NewKommo(t, config)
}

// UnstartedKommo is one whose server the test starts, for instance with TLS. It then
// sets URL.
func UnstartedKommo(t *testing.T, config sandbox.Config) *Kommo {
	t.Helper()
	config.Secret = cmp.Or(config.Secret, Secret)
	server, err := sandbox.New(config)
	require.NoError(t, err)
	k := &Kommo{Server: server, bell: newBell(), signatures: map[string]bool{}}
	k.HTTP = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.mu.Lock()
		k.signatures[r.Header.Get("X-Signature")] = true
		k.mu.Unlock()
		defer k.bell.ring()
		server.ServeHTTP(w, r)
	}))
	k.HTTP.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	k.HTTP.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		k.mu.Lock()
		switch s {
		case http.StateNew:
			k.open++
		case http.StateClosed, http.StateHijacked:
			k.open--
		}
		k.mu.Unlock()
		k.bell.ring()
	}
	t.Cleanup(k.HTTP.Close)
	return k
}

// Connections returns how many connections are open.
func (k *Kommo) Connections() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.open
}

// Chat makes a chat with n text messages, one a second, and returns its id.
func (k *Kommo) Chat(n int) string {
	id := ChatID(int(chats.Add(1)))
	k.Append(id)
	for i := range n {
		k.Say(id, Noon.Add(time.Duration(i)*time.Second))
	}
	return id
}

// Say appends a message sent at a time, and returns its id.
func (k *Kommo) Say(chat string, at time.Time) string {
	n := Said.Add(1)
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)
	text := fmt.Sprintf("private words, number %d", n)
	if n%2 == 0 {
		k.Append(chat, sandbox.Reply(id, at, text))
	} else {
		k.Append(chat, sandbox.Text(id, at, text))
	}
	return id
}

var chats atomic.Int64

// Said counts the messages that were appended, of all tests.
var Said atomic.Int64

// ChatID returns an id that no other number has.
func ChatID(n int) string { return fmt.Sprintf("c4a70000-0000-4000-8000-%012d", n) }

// Pages returns the requests for a chat, in order of arrival.
func (k *Kommo) Pages(chat string) []sandbox.PageRequest { return k.Ledger().Chats[chat].Pages }

// Requests returns how many there were.
func (k *Kommo) Requests() int { return k.Ledger().Requests }

// Fail switches faults on.
func (k *Kommo) Fail(t *testing.T, faults ...sandbox.Fault) {
	t.Helper()
	require.NoError(t, k.SetFaults(faults...))
}

// private lists what no log may show of what went over the wire: signatures, and
// the texts and phone numbers of all messages.
func (k *Kommo) private() []string {
	k.mu.Lock()
	out := slices.Collect(maps.Keys(k.signatures))
	k.mu.Unlock()
	for _, chat := range k.Chats() {
		for _, raw := range k.Messages(chat) {
			var item sandbox.Item
			if json.Unmarshal(raw, &item) != nil {
				continue
			}
			out = append(out, item.Message.Text)
			for _, p := range []*sandbox.Party{item.Sender, item.Receiver} {
				if p != nil {
					out = append(out, p.Phone)
				}
			}
			if c := item.Message.Contact; c != nil {
				out = append(out, c.Phone)
			}
		}
	}
	for _, talk := range k.Talks() {
		for _, raw := range k.TalkMessages(talk.ID) {
			var item sandbox.TalkMessage
			if json.Unmarshal(raw, &item) == nil {
				out = append(out, item.Text)
			}
		}
	}
	slices.Sort(out)
	// Words too short to mean anything by themselves turn up anywhere.
	return slices.DeleteFunc(slices.Compact(out), func(s string) bool { return len(s) < 6 })
}

// Key returns the key of a chat's checkpoint, as the documentation has it.
func (k *Kommo) Key(chat string) string { return "kommo_chat_history." + k.ScopeID() + "." + chat }

// hostKey is the server's host as keys of checkpoints have it.
func (k *Kommo) hostKey() string {
	return strings.NewReplacer(".", "=2e", ":", "=3a").Replace(strings.TrimPrefix(k.URL, "http://"))
}
