// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

const (
	crashKills    = 20
	crashMessages = 5000 // in each chat
	// crashInterval is the checkpoint_interval, and crashSlack what a write may
	// take beyond it on a busy machine. What was acknowledged longer before a kill
	// than both together must never come again.
	crashInterval = 100 * time.Millisecond
	crashSlack    = 1400 * time.Millisecond
)

// TestCrash_KilledManyTimesNothingIsMissingAndLittleComesAgain kills the binary
// while it reads into a file.
//
// What may come again is known exactly. After each kill the checkpoint of a chat
// says where the next run begins in it: at the message behind, neither earlier
// nor later. And by then the checkpoint covers every batch that was acknowledged
// more than crashInterval and crashSlack before. A batch is known to be
// acknowledged when the chat's next batch shows in the file.
func TestCrash_KilledManyTimesNothingIsMissingAndLittleComesAgain(t *testing.T) {
	t.Parallel()
	c := newCrash(t, 6, crashMessages)
	random := rand.New(rand.NewPCG(7, 11))

	kills := 0
	for run := 0; kills < crashKills; run++ {
		require.Less(t, run, 2*crashKills, "runs that end before they can be killed")
		// From before anything was read to well into the chats, and now and then long
		// enough for the checkpoints to fall behind, if they could.
		d := time.Duration(random.IntN(1800)) * time.Millisecond
		if run%5 == 4 {
			d += 2 * time.Second
		}
		if c.runFor(d) {
			kills++
		}
	}
	c.runToItsEnd()

	repeated := 0
	for chat, ids := range c.order {
		for i, n := range c.times[chat] {
			require.Positive(t, n, "message %d of %d of chat %s is missing", i, len(ids), chat)
			repeated += n - 1
		}
	}
	t.Logf("%d kills, %d of %d messages came again", kills, repeated, 6*crashMessages)
	for _, key := range c.checkpoints() {
		assert.False(t, strings.HasSuffix(key, ".next"), "at rest there is no spare: %s", key)
	}

	// One more run finds nothing to do.
	c.runToItsEnd()
	assert.Zero(t, c.last, "messages of a run with nothing to read")
}

// crash is a pipeline that is killed and started again.
type crash struct {
	t           *testing.T
	kommo       *sandbox.Server
	env         map[string]string
	config      string
	cache, file string

	order map[string]map[string]int // chat to message id to its place, oldest 0
	times map[string][]int          // chat to how often each message came, by place
	read  int64                     // bytes of file that were looked at
	torn  map[string]bool           // chats whose checkpoint is torn
	last  int                       // messages of the last run
}

// crashLine is a line of the file.
type crashLine struct {
	Chat  string `json:"chat"`
	ID    string `json:"id"`
	First bool   `json:"first"` // of its batch
	seen  time.Time
}

func newCrash(t *testing.T, chats, messages int) *crash {
	t.Helper()
	kommo, err := sandbox.New(sandbox.Config{Secret: testSecret})
	require.NoError(t, err)
	server := httptest.NewServer(kommo)
	t.Cleanup(server.Close)

	c := &crash{
		t: t, kommo: kommo, cache: t.TempDir(), file: filepath.Join(t.TempDir(), "out.jsonl"),
		order: map[string]map[string]int{}, times: map[string][]int{},
	}
	noon := time.Date(2026, time.March, 3, 12, 0, 0, 0, time.UTC)
	var ids []string
	for i := range chats {
		chat := sandbox.SyntheticChat(i)
		ids = append(ids, chat)
		c.order[chat], c.times[chat] = make(map[string]int, messages), make([]int, messages)
		for m := range messages {
			id := sandbox.SyntheticID(chat, m)
			c.order[chat][id] = m
			// Three messages share each second.
			kommo.Append(chat, sandbox.Text(id, noon.Add(time.Duration(m/3)*time.Second), "text"))
		}
	}
	c.env = map[string]string{
		"KOMMO_BASE_URL": server.URL, "KOMMO_CHANNEL_SECRET": testSecret, "KOMMO_RATE": "200",
	}
	c.config = writeConfig(t, fmt.Sprintf(`
http: { enabled: false }
input:
  kommo_chat_history:
    base_url: ${KOMMO_BASE_URL}
    scope_id: %s
    channel_secret: ${KOMMO_CHANNEL_SECRET}
    chats: [ %s ]
    page_size: 10
    max_buffered_pages: 3
    requests_per_second: ${KOMMO_RATE}
    checkpoint_cache: progress
    checkpoint_interval: %s
pipeline:
  processors:
    - mapping: 'root = { "chat": @kommo_chat_id, "id": @kommo_message_id, "first": batch_index() == 0 }'
output:
  file: { path: %q, codec: lines }
cache_resources:
  - label: progress
    file: { directory: %q }
`, kommo.ScopeID(), strings.Join(ids, ", "), crashInterval, c.file, c.cache))
	return c
}

// runFor starts the binary and kills it after a while. It reports false if the
// binary had ended before.
func (c *crash) runFor(d time.Duration) (killed bool) {
	c.t.Helper()
	from := c.positions()
	s := start(c.t, c.env, "run", c.config)
	timer := time.NewTimer(d)
	defer timer.Stop()
	var lines []crashLine
	for killed = true; ; {
		lines = append(lines, c.more()...)
		select {
		case <-time.After(2 * time.Millisecond):
			continue
		case <-timer.C:
		case <-s.ended:
			killed = false
		}
		break
	}
	at := time.Now()
	_ = s.signal(os.Kill) // it may have ended this very moment
	<-s.ended
	// What was written between the last look and the kill.
	lines = append(lines, c.more()...)
	c.skipTornLine()
	if !killed {
		require.Zero(c.t, s.code(), s.stderr.String())
	}

	c.check(from, lines, s.stderr.String())
	if killed {
		c.checkAcknowledged(lines, at)
	}
	return killed
}

func (c *crash) runToItsEnd() {
	c.t.Helper()
	from := c.positions()
	c.env["KOMMO_RATE"] = "0"
	s := start(c.t, c.env, "run", c.config)
	<-s.ended
	require.Zero(c.t, s.code(), s.stderr.String())
	c.check(from, c.more(), s.stderr.String())
}

// check looks at what a run wrote, that began with these checkpoints.
func (c *crash) check(from map[string]int, lines []crashLine, log string) {
	c.t.Helper()
	c.last = len(lines)
	next := map[string]int{}
	for _, l := range lines {
		place, known := c.order[l.Chat][l.ID]
		require.True(c.t, known, "%+v", l)
		c.times[l.Chat][place]++
		want, begun := next[l.Chat]
		if !begun {
			want = from[l.Chat] + 1
			if c.torn[l.Chat] {
				// This, and only this, is when a chat may be read from its beginning.
				want = 0
				assert.Contains(c.t, log, "can't be read, so chat "+l.Chat+" is read again from its beginning")
			}
		}
		require.Equal(c.t, want, place, "chat %s, whose checkpoint was at %d", l.Chat, from[l.Chat])
		next[l.Chat] = place + 1
	}
	assert.NotContains(c.t, log, testSecret)
	assert.NotContains(c.t, log, "level=error", "a run that is killed complains of nothing")
}

// checkAcknowledged holds the checkpoints against what was acknowledged long
// enough before the kill.
func (c *crash) checkAcknowledged(lines []crashLine, killed time.Time) {
	c.t.Helper()
	stored := c.positions()
	open := map[string]int{} // the newest place of the batch that is being written
	for _, l := range lines {
		if place, more := open[l.Chat]; l.First && more && killed.Sub(l.seen) > crashInterval+crashSlack && !c.torn[l.Chat] {
			require.GreaterOrEqual(c.t, stored[l.Chat], place,
				"chat %s: message %d was acknowledged %s before the kill, and its checkpoint is at %d",
				l.Chat, place, killed.Sub(l.seen), stored[l.Chat])
		}
		open[l.Chat] = c.order[l.Chat][l.ID]
	}
}

// more returns the whole lines that were written since the last look.
func (c *crash) more() []crashLine {
	c.t.Helper()
	f, err := os.Open(c.file)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(c.t, err)
	defer func() { require.NoError(c.t, f.Close()) }()
	info, err := f.Stat()
	require.NoError(c.t, err)
	seen := time.Now()
	text := make([]byte, info.Size()-c.read)
	_, err = f.ReadAt(text, c.read)
	require.NoError(c.t, err)
	end := bytes.LastIndexByte(text, '\n') + 1
	c.read += int64(end)

	var out []crashLine
	for line := range bytes.Lines(text[:end]) {
		l := crashLine{seen: seen}
		require.NoError(c.t, json.Unmarshal(line, &l), "%q", line)
		out = append(out, l)
	}
	return out
}

// skipTornLine cuts off a line that the kill tore: what has no end was not
// acknowledged, and whoever reads the file would drop it.
func (c *crash) skipTornLine() {
	c.t.Helper()
	if _, err := os.Stat(c.file); err == nil {
		require.NoError(c.t, os.Truncate(c.file, c.read))
	}
}

// positions returns the place of the newest message that each chat's checkpoint
// covers, -1 where there is none, and notes which are torn.
func (c *crash) positions() map[string]int {
	c.t.Helper()
	c.torn = map[string]bool{}
	out := map[string]int{}
	for chat := range c.order {
		out[chat] = -1
		key := filepath.Join(c.cache, "kommo_chat_history."+c.kommo.ScopeID()+"."+chat)
		value, err := os.ReadFile(key)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(c.t, err)
		place, ok := c.place(chat, value)
		if !ok {
			// Torn: the spare counts.
			spare, err := os.ReadFile(key + ".next")
			if err != nil {
				spare = nil
			}
			place, ok = c.place(chat, spare)
		}
		if out[chat] = place; !ok {
			c.torn[chat] = true
		}
	}
	return out
}

// place decodes a checkpoint; ok is false for one that is torn.
func (c *crash) place(chat string, value []byte) (newest int, ok bool) {
	var checkpoint struct {
		Seen []struct{ ID string }
	}
	if json.Unmarshal(value, &checkpoint) != nil || len(checkpoint.Seen) == 0 {
		return -1, false
	}
	newest = -1
	for _, s := range checkpoint.Seen {
		newest = max(newest, c.order[chat][s.ID])
	}
	return newest, true
}

// checkpoints returns the keys in the cache.
func (c *crash) checkpoints() []string {
	c.t.Helper()
	entries, err := os.ReadDir(c.cache)
	require.NoError(c.t, err)
	var keys []string
	for _, e := range entries {
		keys = append(keys, e.Name())
	}
	return keys
}
