// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// rereads are fields with which an Options.Queue names a chat, or a chat, a bar and what
// kommo_reread says.
func rereads(h *history) fields {
	return fields{"checkpoint_cache": "progress", h.Noun + "_id": "${! content() }", h.Queue: fields{
		"test_queue": fields{},
		"processors": []fields{{"mapping": `let parts = content().string().split("|")
root = $parts.index(0)
meta kommo_reread = if $parts.length() > 1 { $parts.index(1) } else { deleted() }`}},
	}}
}

// ids returns the ids of what came of a chat.
func ids(messages []message) (out []string) {
	for _, m := range messages {
		out = append(out, m.ID)
	}
	return out
}

func TestRereads_FromATimeOrAll(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reread string
		from   int // the first message that comes again
	}{
		"all":            {"all", 0},
		"a time":         {pipetest.Noon.Add(100 * time.Second).Format(time.RFC3339), 100},
		"another zone":   {pipetest.Noon.Add(100 * time.Second).In(time.FixedZone("", 7200)).Format(time.RFC3339Nano), 100},
		"before it":      {"0001-01-01T00:00:00Z", 0},
		"with spaces":    {" all\n", 0},
		"after the last": {pipetest.Noon.Add(time.Hour).Format(time.RFC3339), 300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{}, func(t *testing.T, h *history) {
				t.Helper()
				chat, other := h.Chat(300), h.Chat(5)
				cache, q := pipetest.NewCache(), pipetest.NewQueue(h.Kommo)
				s := h.Start(t, nil, rereads(h), options{Cache: cache, Queue: q})
				q.Name(chat)
				q.Name(other)
				s.Delivers(chat, other)
				s.Until("it is read", func() bool { return len(q.Answered(chat)) == 1 && len(q.Answered(other)) == 1 })
				was := cache.Value(h.Key(chat))

				all := ids(s.Out.Of(chat))
				late := h.Say(chat, pipetest.Noon.Add(2*time.Hour))
				naming := chat + "|" + c.reread
				q.Name(naming)
				s.Until("it is read again", func() bool { return len(q.Answered(naming)) == 1 })
				assert.Equal(t, []error{nil}, q.Answered(naming))
				assert.Equal(t, append(all[c.from:], late), ids(s.Out.Of(chat))[300:])
				assert.Len(t, s.Out.Of(other), 5)
				assert.NotEqual(t, was, cache.Value(h.Key(chat)))

				// It goes on from there.
				q.Name(chat)
				q.End()
				s.Ended()
				assert.Len(t, s.Out.Of(chat), 300+301-c.from)
				assert.Empty(t, s.Logs.Complaints())
			})
		})
	}
}

func TestRereads_AWrongTimeIsSaidAndReadsNothing(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"", " ", "ALL", "yesterday", "2024-01-01", "1700000000", "null", time.Now().Add(time.Hour).Format(time.RFC3339)} {
		t.Run(wrong, func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{}, func(t *testing.T, h *history) {
				t.Helper()
				chat := h.Chat(3)
				q := pipetest.NewQueue(h.Kommo)
				s := h.Start(t, nil, rereads(h), options{Cache: pipetest.NewCache(), Queue: q})
				naming := chat + "|" + wrong
				q.Name(naming)
				s.Until("it is answered", func() bool { return len(q.Answered(naming)) == 1 })
				require.ErrorContains(t, q.Answered(naming)[0], "kommo_reread")
				require.ErrorContains(t, q.Answered(naming)[0], "in RFC 3339")
				assert.True(t, s.Logs.Has(slog.LevelError, "A message of "+h.Queue+" is rejected: the metadata kommo_reread is "), s.Logs)
				assert.Zero(t, h.Requests())
			})
		})
	}
}

// The naming message is answered when all of it was delivered and saved; in between the
// checkpoint stays where it was, and after a crash the same message does it all again.
func TestRereads_SurviveACrash(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat := h.Chat(60)
		cache, q := pipetest.NewCache(), pipetest.NewQueue(h.Kommo)
		conf := rereads(h).With(fields{"page_size": 10, "max_buffered_pages": 1, "checkpoint_interval": "0s"})
		s := h.Start(t, nil, conf, options{Cache: cache, Queue: q})
		q.Name(chat)
		q.End()
		s.Ended()
		s.Delivers(chat)
		was := cache.Value(h.Key(chat))

		q = pipetest.NewQueue(h.Kommo)
		written := 0
		s = h.Start(t, nil, conf, options{Cache: cache, Queue: q, Write: func(ctx context.Context, batch []message) error {
			if written += len(batch); written > 30 {
				return pipetest.HoldAll(ctx, batch)
			}
			return nil
		}})
		late := h.Say(chat, pipetest.Noon.Add(time.Hour))
		q.Name(chat + "|all")
		s.Until("some of it is out for good", func() bool { return s.Out.Out() > 30 })
		assert.Empty(t, q.Answered(chat+"|all"))
		assert.Equal(t, was, cache.Value(h.Key(chat)))
		s.Crash()
		assert.Equal(t, was, cache.Value(h.Key(chat)))
		require.Len(t, q.Answered(chat+"|all"), 1, "it is rejected, so that it comes again")
		require.Error(t, q.Answered(chat + "|all")[0])

		q = pipetest.NewQueue(h.Kommo)
		s = h.Start(t, nil, conf, options{Cache: cache, Queue: q})
		q.Name(chat + "|all")
		q.End()
		s.Ended()
		s.Delivers(chat)
		assert.Equal(t, []error{nil}, q.Answered(chat+"|all"))
		assert.Contains(t, cache.Value(h.Key(chat)), late)
	})
}

// One that is asked for while the chat is read, or while what was read of it is out, follows.
func TestRereads_WaitForWhatIsOut(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat, last := h.Chat(60), h.Chat(1)
		g, q := pipetest.NewGate(t), pipetest.NewQueue(h.Kommo)
		s := h.Start(t, nil, rereads(h), options{Cache: pipetest.NewCache(), Queue: q, Write: g.Hold})
		q.Name(chat)
		s.Until("it is out", func() bool { return s.Out.Out() > 0 })
		from := pipetest.Noon.Add(50 * time.Second)
		for i := range 3 {
			q.Name(fmt.Sprintf("%s|%s", chat, from.Add(time.Duration(i)*time.Second).Format(time.RFC3339)))
		}
		q.Name(last) // what is read of it shows that all before it was taken over
		q.End()
		s.Until("all is named", func() bool { return h.Asked(last) > 0 })
		g.Open()
		s.Ended()
		all := ids(s.Out.Of(chat))
		var want []string
		want = append(append(want, all[:60]...), all[50:60]...)
		assert.Equal(t, want, all, "three at once are one")
	})
}

// What was deleted before a reread, and not told yet, is told after it.
func TestRereads_LeaveDeletionsToBeTold(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat, sent, _ := conversation(h)
		cache, conf := pipetest.NewCache(), rereads(h)
		conf["changes"], conf["lookback"] = true, "1h"
		var deleted []string
		run := func(name string) {
			q := pipetest.NewQueue(h.Kommo)
			s := h.Start(t, nil, conf, options{Cache: cache, Queue: q})
			q.Name(name)
			q.End()
			s.Ended()
			for _, m := range s.Out.Of(chat) {
				if m.Meta["kommo_operation"] == "delete" {
					deleted = append(deleted, m.ID)
				}
			}
		}
		run(chat)
		require.True(t, h.Remove(chat, sent[12]))
		run(chat + "|all")
		require.True(t, h.Remove(chat, sent[20]))
		run(chat)
		run(chat)
		assert.ElementsMatch(t, []string{sent[12], sent[20]}, deleted)
	})
}

// recipe returns the input that a section of docs/read-again.md shows, for a server, with the addresses
// of its control inputs on a free port.
func recipe(t *testing.T, k *pipetest.Kommo, section string, nth int) (input fields, address string) {
	t.Helper()
	page, err := os.ReadFile("../docs/read-again.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(page), "\n## "+section+"\n")
	require.True(t, found, section)
	text, _, _ = strings.Cut(text, "\n## ")
	blocks := strings.Split(text, "```yaml\n")
	require.Greater(t, len(blocks), nth)
	block, _, _ := strings.Cut(blocks[nth], "```")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = listener.Addr().String()
	require.NoError(t, listener.Close())
	for from, to := range map[string]string{
		"${KOMMO_API_URL}": k.URL, "${KOMMO_ACCESS_TOKEN}": pipetest.AccessToken,
		"${KOMMO_SCOPE_ID}": k.ScopeID(), "${KOMMO_CHANNEL_SECRET}": pipetest.Secret,
		"127.0.0.1:4196": address, "rate_limit: kommo": "rate_limit: shared", "30s": "20ms",
		"kommo_chat_history:": "kommo_chat_history:\n    base_url: " + k.URL,
	} {
		block = strings.ReplaceAll(block, from, to)
	}
	var conf struct {
		Input fields `yaml:"input"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(block), &conf), block)
	return conf.Input, address
}

// ask makes a call of the control input, and returns its status.
func ask(t *testing.T, address, query, body string) int {
	t.Helper()
	for range 500 {
		answer, err := http.Post("http://"+address+"/read-again?"+query, "text/plain", strings.NewReader(body))
		if err == nil {
			_ = answer.Body.Close()
			return answer.StatusCode
		}
		time.Sleep(10 * time.Millisecond) // it does not listen yet
	}
	t.Fatal("nobody listens")
	return 0
}

// listed is an account that has chats with 3 messages each.
func listed(t *testing.T, n int) (h *history, chats []string) {
	t.Helper()
	h = &history{Name: "kommo_chat_history", List: "chats", Queue: "chats_input", Noun: "chat"}
	h.Kommo = pipetest.NewAccount(t, sandbox.Config{})
	for i := range n {
		chats = append(chats, h.Chat(3))
		h.SetTalk(sandbox.Talk{ID: i + 1, ChatID: chats[i], UpdatedAt: pipetest.Noon.Unix()})
	}
	return h, chats
}

func TestRereadRecipes_ByAnHTTPCall(t *testing.T) {
	t.Parallel()
	h, chats := listed(t, 3)
	input, address := recipe(t, h.Kommo, "By an HTTP call", 1)
	s := h.Run(t, input, options{Cache: pipetest.NewCache()})
	s.Delivers(chats...)
	assert.Equal(t, 200, ask(t, address, "kommo_reread="+pipetest.Noon.Add(time.Second).Format(time.RFC3339), chats[1]))
	assert.Len(t, s.Out.Of(chats[1]), 5)
	assert.Len(t, s.Out.Delivered(), 11)
	assert.Empty(t, s.Logs.Complaints())
	assert.NotEqual(t, 200, ask(t, address, "kommo_reread=yesterday", chats[1]))
	assert.True(t, s.Logs.Has(slog.LevelError, "A message of chats_input is rejected: the metadata kommo_reread is no time"), s.Logs)
}

func TestRereadRecipes_ForAWholeAccount(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	for talk := range 3 {
		for i := range 3 {
			require.NoError(t, k.AppendTalk(talk+1, sandbox.TalkText(fmt.Sprint(talk, i), pipetest.Noon.Add(time.Duration(i)*time.Second), "private words")))
		}
	}
	input, address := recipe(t, k, "For a whole account", 1)
	s := k.Run(t, input, options{Cache: pipetest.NewCache(), Limit: func() (time.Duration, error) { return 0, nil }})
	s.Until("all is read", func() bool { return len(s.Out.Delivered()) == 9 })
	s.Until("and saved", func() bool { return s.Metrics.Get("kommo_talk_history_chats{state=done}") == 0 })
	assert.Equal(t, 200, ask(t, address, "kommo_reread=all", "2"))
	assert.Equal(t, []string{"1 0", "1 1", "1 2"}, ids(s.Out.Delivered()[9:]))
	require.NoError(t, k.AppendTalk(2, sandbox.TalkText("new", time.Now(), "private words")))
	s.Until("it goes on", func() bool { return len(s.Out.Delivered()) == 13 })
	assert.Equal(t, "new", s.Out.Delivered()[12].ID)
}

func TestRereadRecipes_BesideAList(t *testing.T) {
	t.Parallel()
	h := &history{Name: "kommo_chat_history", Kommo: pipetest.NewKommo(t, sandbox.Config{})}
	chats := []string{"30477717-9f3c-4d3f-8101-60327e14dc48", "8e4d4baa-9e6c-4a88-838a-5f62be227bdc"}
	for _, chat := range chats {
		h.Append(chat)
		h.Say(chat, pipetest.Noon)
	}
	input, address := recipe(t, h.Kommo, "For a whole account", 2)
	s := h.Run(t, input, options{Cache: pipetest.NewCache()})
	s.Delivers(chats...)
	h.Say(chats[0], pipetest.Noon.Add(time.Second))
	s.Delivers(chats...)
	assert.Equal(t, 200, ask(t, address, "kommo_reread=all", chats[1]))
	assert.Len(t, s.Out.Of(chats[1]), 2)
	assert.Len(t, s.Out.Delivered(), 4)
}

func TestRereadRecipes_ByAFile(t *testing.T) {
	h, chats := listed(t, 3)
	cache := pipetest.NewCache()
	h.Kommo.Start(t, fields{"chats": strings.Join(chats, ","), "checkpoint_cache": "progress"}, options{Cache: cache}).Ended()
	h.Say(chats[2], pipetest.Noon.Add(time.Hour))
	input, _ := recipe(t, h.Kommo, "By a file", 1)
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("again1.txt", []byte(chats[0]+"\n"+chats[1]+"\n"), 0o600))
	s := h.Run(t, input, options{Cache: cache})
	s.Until("two come again and one goes on", func() bool { return len(s.Out.Delivered()) == 7 })
	assert.Len(t, s.Out.Of(chats[0]), 3)
	assert.Len(t, s.Out.Of(chats[1]), 3)
	assert.Len(t, s.Out.Of(chats[2]), 1)
}

func TestRereadRecipes_AllChats(t *testing.T) {
	t.Parallel()
	h, chats := listed(t, 4)
	cache := pipetest.NewCache()
	h.Kommo.Start(t, fields{"chats": strings.Join(chats, ","), "checkpoint_cache": "progress"}, options{Cache: cache}).Ended()
	input, _ := recipe(t, h.Kommo, "All chats", 1)
	s := h.Run(t, input, options{Cache: cache})
	s.Ended()
	s.Delivers(chats...)
	assert.Empty(t, s.Logs.Complaints())
}
