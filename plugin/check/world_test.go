// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// Of world: which talk has the most messages, and which chat.
const (
	mainTalk  = 7
	otherTalk = 8 // of the same chat
	someoneS  = "Somebody Withaname"
)

var mainChat = sandbox.SyntheticChat(0)

// world is a sandbox in which everything can be seen that can be: several channels,
// talks and chats, one talk and one chat of more than a page of the smaller kind, and the
// newest messages half a minute old.
func world(t *testing.T, config sandbox.Config) *sandbox.Server {
	t.Helper()
	s, err := sandbox.New(config)
	require.NoError(t, err)
	now := time.Now()
	origins := []string{"waba", "instagram_business", "telegram", "com.somebodys.channel"}
	for i := range 8 {
		own := 3
		if i == 0 {
			own = 75
		}
		for m := range own {
			at := now.Add(-30*time.Second - time.Duration(own-m)*4*time.Second - time.Duration(i)*time.Minute + 250*time.Millisecond)
			s.Append(sandbox.SyntheticChat(i), sandbox.Text(fmt.Sprintf("own-%d-%d", i, m), at, "words that are "+someoneS+"'s"))
		}
	}
	for id := 5; id < 12; id++ {
		n, chat := 4, fmt.Sprintf("00000000-0000-4000-b000-%012d", id)
		back := time.Duration(id) * time.Hour
		switch id {
		case mainTalk:
			n, back = 60, 0
		case otherTalk:
			n, chat = 10, fmt.Sprintf("00000000-0000-4000-b000-%012d", mainTalk)
		}
		first := now.Add(-30*time.Second - back - time.Duration(n)*4*time.Second)
		s.SetTalk(sandbox.Talk{
			ID: id, ChatID: chat, ContactID: 100 + id, EntityID: 200 + id, EntityType: "lead", Status: "in_work", Origin: origins[id%len(origins)],
			CreatedAt: first.Unix(), UpdatedAt: first.Unix(),
		})
		for m := range n {
			at := first.Add(time.Duration(m+1)*4*time.Second + 250*time.Millisecond)
			item := sandbox.TalkText(fmt.Sprintf("talk-%d-%d", id, m), at, "words")
			if m%2 == 1 {
				item = sandbox.TalkReply(fmt.Sprintf("talk-%d-%d", id, m), at, "words")
			}
			require.NoError(t, s.AppendTalkAt(id, at, item))
		}
	}
	return s
}

// both is what to check of a world: account and channel.
func both(server *httptest.Server) Config {
	return Config{
		APIURL: server.URL, AccessToken: sandbox.DemoAccessToken, Talks: []string{strconv.Itoa(mainTalk)},
		BaseURL: server.URL, ScopeID: sandbox.DemoScopeID, ChannelSecret: sandbox.DemoSecret, Chats: []string{mainChat},
		Timeout: 10 * time.Second, Within: 10 * time.Minute, firstRetry: time.Millisecond,
	}
}

// checked runs a check of a sandbox.
func checked(t *testing.T, s *sandbox.Server, change ...func(*Config)) *Report {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	conf := both(server)
	for _, f := range change {
		f(&conf)
	}
	report, err := Run(t.Context(), conf)
	require.NoError(t, err)
	return report
}

// answers are the findings, by id and answer.
func answers(r *Report) map[string]bool {
	all := map[string]bool{}
	for _, f := range r.Findings {
		all[f.ID+" "+f.Answer] = true
	}
	return all
}

// unannounced are the messages of world's talks but those that are named.
func unannounced(named ...int) (ids []string) {
	for chat := range 8 {
		for m := range 75 {
			ids = append(ids, fmt.Sprintf("own-%d-%d", chat, m))
		}
	}
	for id := 5; id < 12; id++ {
		for m := 0; m < 60 && !slices.Contains(named, id); m++ {
			ids = append(ids, fmt.Sprintf("talk-%d-%d", id, m))
		}
	}
	return ids
}
