// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// A chat that grows between two requests, on a server that is unwell at first.
func Example() {
	s, err := sandbox.New(sandbox.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Date(2026, time.March, 3, 12, 0, 0, 0, time.UTC)
	s.Append("chat", sandbox.Text("m1", at, "Hello"), sandbox.Reply("m2", at.Add(time.Second), "Good day"))
	if err := s.SetFaults(sandbox.Fault{Kind: sandbox.FaultStatus, Status: 503, Count: 1}); err != nil {
		fmt.Println(err)
		return
	}
	s.OnRequest(func(r sandbox.Request) {
		s.Append(r.Chat, sandbox.Text(fmt.Sprintf("late-%d", r.N), at.Add(time.Minute), "One more thing"))
	})

	server := httptest.NewServer(s)
	defer server.Close()
	for range 2 {
		response, err := server.Client().Get(server.URL + "/v2/origin/custom/" + s.ScopeID() + "/chats/chat/history?limit=50")
		if err != nil {
			fmt.Println(err)
			return
		}
		response.Body.Close()
		fmt.Println(response.StatusCode)
	}
	fmt.Println(s.Len("chat"), "messages,", s.Ledger().Refused)
	// Output:
	// 503
	// 403
	// 4 messages, map[content_type:1]
}
