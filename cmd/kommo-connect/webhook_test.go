// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// vendorPatience is how long Kommo waits for the answer to a webhook.
const vendorPatience = 5 * time.Second

// webhooks is examples/webhook as it runs against a sandbox. Everything that the
// sandbox had at the start has been read.
type webhooks struct {
	*service
	kommo *sandbox.Server
	chats []string
	url   string
	http  string // where metrics are
}

func startWebhooks(t *testing.T, sweepInterval string) *webhooks {
	t.Helper()
	if _, err := os.Stat("/dev/stdout"); err != nil {
		t.Skip("there is no /dev/stdout to print to")
	}
	kommo, err := sandbox.New(sandbox.Config{Secret: testSecret})
	require.NoError(t, err)
	chats := kommo.Seed(1, 3, 60)
	server := httptest.NewServer(kommo)
	t.Cleanup(server.Close)

	address := freeAddress(t)
	w := &webhooks{kommo: kommo, chats: chats, url: "http://" + address + "/kommo", http: freeAddress(t)}
	w.service = start(t, map[string]string{
		"KOMMO_SCOPE_ID":            kommo.ScopeID(),
		"KOMMO_CHANNEL_SECRET":      testSecret,
		"KOMMO_BASE_URL":            server.URL,
		"KOMMO_API_URL":             server.URL,
		"KOMMO_ACCESS_TOKEN":        sandbox.DemoAccessToken,
		"KOMMO_ORIGIN":              sandbox.DemoOrigin,
		"KOMMO_REQUESTS_PER_SECOND": "1000",
		"KOMMO_SWEEP_INTERVAL":      sweepInterval,
		"KOMMO_WEBHOOK_ADDRESS":     address,
		"KOMMO_HTTP_ADDRESS":        w.http,
		"KOMMO_CHECKPOINT_DIR":      t.TempDir(),
		"KOMMO_OUTPUT_FILE":         "/dev/stdout",
	}, strings.Fields("streams --no-api -o examples/webhook/service.yaml -r examples/webhook/resources.yaml "+
		"examples/webhook/receive.yaml examples/webhook/read.yaml")...)
	w.waitFor(t, func() bool { return w.messages() == 180 }, "all messages of the first sweep")
	w.waitFor(t, func() bool { return w.stdout.count("Receiving HTTP messages at") == 1 }, "the webhook's server")
	return w
}

// messages returns how many messages have come out.
func (w *webhooks) messages() int { return w.stdout.count(`"message_id":`) }

// say adds a message to a chat without telling anybody.
func (w *webhooks) say(chat, text string) {
	w.kommo.Append(chat, sandbox.Text("5f0c9a1e-0000-4000-8000-"+hex.EncodeToString([]byte(text))[:12], time.Now(), text))
}

// send posts a webhook that names the chat, signed with a secret, and returns the
// answer's status and how long it took.
func (w *webhooks) send(t *testing.T, chat, secret string) (int, time.Duration) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"account_id": "af9945ff-1490-4cad-807d-945c15d88bec",
		"time":       time.Now().Unix(),
		"message":    map[string]any{"conversation": map[string]any{"id": chat}, "message": map[string]any{"id": "m", "text": "Привет"}},
	})
	require.NoError(t, err)
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(body)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url, strings.NewReader(string(body)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Signature", hex.EncodeToString(mac.Sum(nil)))
	began := time.Now()
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode, time.Since(began)
}

func TestWebhook_IsAnsweredBeforeItsChatIsRead(t *testing.T) {
	t.Parallel()
	w := startWebhooks(t, "1h")
	answered := make(chan struct{})
	w.kommo.OnRequest(func(sandbox.Request) { <-answered })
	w.say(w.chats[1], "told by a webhook")

	status, took := w.send(t, w.chats[1], testSecret)
	close(answered)
	assert.Equal(t, http.StatusOK, status)
	assert.Less(t, took, vendorPatience)
	w.waitFor(t, func() bool { return w.stdout.count("told by a webhook") == 1 }, "the webhook's message")

	assert.Zero(t, w.interrupt(t), w.stdout.String())
	assert.Equal(t, 181, w.messages(), "nothing is read twice")
	assert.NotContains(t, w.stdout.String()+w.stderr.String(), testSecret)
}

func TestWebhook_WrongSignatureGetsForbiddenAndGoesNowhere(t *testing.T) {
	t.Parallel()
	w := startWebhooks(t, "1h")
	w.kommo.ResetLedger()
	w.say(w.chats[0], "not to be read")
	for _, secret := range []string{"another secret", strings.ToUpper(testSecret), sandbox.DemoSecret} {
		status, _ := w.send(t, w.chats[0], secret)
		assert.Equal(t, http.StatusForbidden, status)
	}

	// What was accepted before would have been read before.
	w.say(w.chats[1], "told by a webhook")
	status, _ := w.send(t, w.chats[1], testSecret)
	assert.Equal(t, http.StatusOK, status)
	w.waitFor(t, func() bool { return w.stdout.count("told by a webhook") == 1 }, "the genuine webhook's message")

	ledger := w.kommo.Ledger()
	assert.Zero(t, ledger.Chats[w.chats[0]].Requests, "requests for the chat of the wrong signatures")
	assert.Positive(t, ledger.Chats[w.chats[1]].Requests)
	assert.Zero(t, w.stdout.count("not to be read"))
}

func TestWebhook_SweepRepairsOneThatNeverCame(t *testing.T) {
	t.Parallel()
	w := startWebhooks(t, "500ms")
	w.say(w.chats[2], "told by nobody")
	w.waitFor(t, func() bool { return w.stdout.count("told by nobody") == 1 }, "the message of the sweep")
}

// A chat that the API rejects must not hold up the next, nor be asked for without end.
func TestWebhook_ChatThatFailsIsLeftToTheSweep(t *testing.T) {
	t.Parallel()
	w := startWebhooks(t, "1h")
	w.kommo.ResetLedger()
	require.NoError(t, w.kommo.SetFaults(sandbox.Fault{Kind: sandbox.FaultStatus, Status: http.StatusNotFound, Chat: w.chats[0]}))
	status, _ := w.send(t, w.chats[0], testSecret)
	assert.Equal(t, http.StatusOK, status)
	w.say(w.chats[1], "told by a webhook")
	status, _ = w.send(t, w.chats[1], testSecret)
	assert.Equal(t, http.StatusOK, status)
	w.waitFor(t, func() bool { return w.stdout.count("told by a webhook") == 1 }, "the next webhook's message")
	w.waitFor(t, func() bool { return w.stdout.count("A chat could not be read") == 1 }, "a log line of the chat that failed")
	assert.Equal(t, 1, w.kommo.Ledger().Chats[w.chats[0]].Requests)
}
