// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func control(s *Server, method, path, body string) *httptest.ResponseRecorder {
	return serve(s, httptest.NewRequest(method, "/sandbox/"+path, strings.NewReader(body)))
}

func TestControl_Messages(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	odd := `{ "b":1.0, "message":{"id":"m 1"} }`
	assert.Equal(t, `{"id":"a b","messages":1}`, control(s, "POST", "chats/a%20b/messages", odd).Body.String())
	assert.Equal(t, `{"id":"a b","messages":3}`, control(s, "POST", "chats/a%20b/messages", `[null, 2]`).Body.String())
	assert.Equal(t, []string{odd, "null", "2"}, texted(s.Messages("a b")))
	assert.Equal(t, `{"messages":[`+odd+`,null,2]}`, control(s, "GET", "chats/a%20b/messages", "").Body.String())
	assert.Equal(t, 204, control(s, "PUT", "chats/a%20b/messages/m%201", `{"message":{"id":"m 1","text":"edited"}}`).Code)
	assert.Contains(t, control(s, "GET", "chats/a%20b/messages", "").Body.String(), "edited")
	assert.Equal(t, 400, control(s, "PUT", "chats/a%20b/messages/m%201", `[1,2]`).Code)
	assert.Equal(t, 404, control(s, "PUT", "chats/a%20b/messages/none", `{}`).Code)
	assert.Equal(t, 204, control(s, "DELETE", "chats/a%20b/messages/m%201", "").Code)
	assert.Equal(t, 404, control(s, "DELETE", "chats/a%20b/messages/m%201", "").Code)

	assert.Equal(t, 200, control(s, "POST", "chats/c/messages?text=hi", "").Code)
	var item Item
	require.NoError(t, json.Unmarshal(s.Messages("c")[0], &item))
	assert.Equal(t, "hi", item.Message.Text)
	assert.Len(t, item.Message.ID, 36)
	assert.Equal(t, noon.UnixMilli(), item.MsecTimestamp)

	assert.Equal(t, `{"chats":[{"id":"a b","messages":2},{"id":"c","messages":1}],"scope_id":"`+DemoScopeID+`"}`,
		control(s, "GET", "chats", "").Body.String())

	assert.Equal(t, 200, control(s, "POST", "chats/c/messages?text=early&at=2026-03-03T11:00:00Z", "").Code)
	require.NoError(t, json.Unmarshal(s.Messages("c")[1], &item))
	assert.Equal(t, noon.Add(-time.Hour).UnixMilli(), item.MsecTimestamp)
	assert.Equal(t, 400, control(s, "POST", "chats/c/messages?text=early&at=noon", "").Code)

	for _, bad := range []string{"", "{", "[1,]", "1 2", "nonsense"} {
		assert.Equal(t, 400, control(s, "POST", "chats/d/messages", bad).Code, bad)
	}
	assert.NotContains(t, s.Chats(), "d")
}

func TestControl_MessagesOfATime(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{Order: OrderTime})
	s.Append("a", Text("m1", noon, "x"), Text("m2", noon.Add(time.Minute), "x"))
	assert.Equal(t, 200, control(s, "POST", "chats/a/messages?at=2026-03-03T12:00:30Z", `{"message":{"id":"late"}}`).Code)
	assert.Equal(t, []string{"m1", "late", "m2"}, ids(s.Messages("a")))
}

func TestControl_Talks(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	assert.Equal(t, `{"talks":[]}`, control(s, "GET", "talks", "").Body.String())
	assert.Equal(t, 204, control(s, "POST", "talks", `[{"talk_id":7,"chat_id":"foreign","origin":"waba","updated_at":1},{"talk_id":8}]`).Code)
	assert.Equal(t, 204, control(s, "POST", "talks", `{"talk_id":8,"updated_at":9999999999}`).Code)
	assert.Equal(t, []Talk{{ID: 8, UpdatedAt: 9999999999}, {ID: 7, ChatID: "foreign", Origin: "waba", UpdatedAt: 1}}, s.Talks())
	assert.Contains(t, control(s, "GET", "talks", "").Body.String(), `"origin":"waba"`)
	assert.Equal(t, 400, control(s, "POST", "talks", `7`).Code)
}

func TestControl_Faults(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	w := control(s, "PUT", "faults", `{"status":429,"retry_after":"2s","retry_after_date":true,"count":3}`)
	assert.Equal(t, 200, w.Code, w.Body.String())
	want := Fault{Kind: FaultStatus, Status: 429, RetryAfter: 2 * time.Second, RetryAfterDate: true, Count: 3}
	assert.Equal(t, []Fault{want}, s.Faults())
	page(s, "a", 0, 1)
	assert.JSONEq(t, `[{"kind":"status","status":429,"retry_after":"2s","retry_after_date":true,"count":2}]`, control(s, "GET", "faults", "").Body.String())
	control(s, "POST", "faults", `[{"kind":"html"}]`)
	assert.Len(t, s.Faults(), 2)
	for _, bad := range []string{`{"kind":"x"}`, `[{"kind":"html"},{"status":7}]`, `{"kind":"html","colour":1}`, `{"kind":"delay","delay":5}`} {
		assert.Equal(t, 400, control(s, "PUT", "faults", bad).Code, bad)
	}
	assert.Len(t, s.Faults(), 2)
	control(s, "PUT", "faults", `[{"kind":"html"}]`)
	assert.Len(t, s.Faults(), 1)
	assert.Equal(t, 204, control(s, "DELETE", "faults", "").Code)
	assert.Equal(t, "[]", control(s, "GET", "faults", "").Body.String())
}

func TestControl_Ledger(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 1)
	page(s, "a", 0, 50)
	serve(s, httptest.NewRequest("GET", historyPath("a"), nil))
	var got struct {
		Requests      int
		ByStatus      map[string]int `json:"by_status"`
		Refused       map[string]int
		PeakPerSecond int `json:"peak_per_second"`
		First         time.Time
		Chats         map[string]ChatLedger
	}
	require.NoError(t, json.Unmarshal(control(s, "GET", "ledger", "").Body.Bytes(), &got))
	assert.Equal(t, 2, got.Requests)
	assert.Equal(t, map[string]int{"200": 1, "403": 1}, got.ByStatus)
	assert.Equal(t, map[string]int{"content_type": 1}, got.Refused)
	assert.Positive(t, got.PeakPerSecond)
	assert.False(t, got.First.IsZero())
	assert.Equal(t, ChatLedger{Requests: 2}, got.Chats["a"])
	require.NoError(t, json.Unmarshal(control(s, "GET", "ledger?chat=a", "").Body.Bytes(), &got))
	assert.Len(t, got.Chats["a"].Pages, 2)
	assert.Equal(t, 204, control(s, "DELETE", "ledger", "").Code)
	assert.Zero(t, s.Ledger().Requests)
}

func TestControl_Paths(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	assert.Equal(t, `{"status":"ok"}`, control(s, "GET", "health", "").Body.String())
	for _, path := range []string{"", "nothing", "chats/a", "chats//messages", "chats/a/messages/b/c", "ledger/x"} {
		assert.Equal(t, 404, control(s, "GET", path, "").Code, path)
	}
	for _, path := range []string{"health", "chats", "chats/a/messages", "talks", "faults", "ledger"} {
		assert.Equal(t, 405, control(s, "PATCH", path, "").Code, path)
	}
	assert.Zero(t, s.Ledger().Requests, "control is no part of the account")
}

func TestSecretsAreInNoAnswer(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{Secret: "s3cr3t-of-the-channel", AccessToken: "t0k3n-of-the-account"})
	for _, path := range []string{
		"/sandbox/health", "/sandbox/chats", "/sandbox/ledger", "/sandbox/faults", "/sandbox/x", "/x", "/api/v4/talks",
		"/api/v4/contacts/chats", historyPath("a") + "?limit=x", historyPath("a") + "?limit=1",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			w := serve(s, httptest.NewRequest(method, path, strings.NewReader("{}")))
			for _, secret := range []string{"s3cr3t", "t0k3n"} {
				assert.NotContains(t, w.Body.String(), secret, path)
				for _, values := range w.Header() {
					assert.NotContains(t, strings.Join(values, " "), secret, path)
				}
			}
		}
	}
}
