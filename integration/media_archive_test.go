// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const mediaArchive = "examples/media-archive/pipeline.yaml"

// mediaHost serves files by their path, and says what it was asked for.
type mediaHost struct {
	*httptest.Server
	mu      sync.Mutex
	files   map[string][]byte
	refuses map[string]int // paths, and the status of the answer
	delay   time.Duration
	fetched map[string]int // how many GETs of a path were answered whole
	at      int            // how many GETs there are now
	most    int
	sent    int // bytes
}

func startMediaHost(t *testing.T) *mediaHost {
	t.Helper()
	h := &mediaHost{files: map[string][]byte{}, refuses: map[string]int{}, fetched: map[string]int{}}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *mediaHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	file, known := h.files[r.URL.Path]
	status := h.refuses[r.URL.Path]
	delay := h.delay
	if r.Method == http.MethodGet {
		h.at++
		h.most = max(h.most, h.at)
	}
	h.mu.Unlock()
	defer func() {
		if r.Method == http.MethodGet {
			h.mu.Lock()
			h.at--
			h.mu.Unlock()
		}
	}()
	switch {
	case status != 0:
		http.Error(w, "the link "+r.URL.String()+" is not valid", status)
	case !known:
		http.NotFound(w, r)
	case strings.HasPrefix(r.URL.Path, "/endless/"):
		// It heeds no range, and says no length.
		w.Header().Set("Content-Type", "video/mp4")
		_ = http.NewResponseController(w).Flush()
		for r.Method == http.MethodGet && r.Context().Err() == nil {
			n, err := w.Write(make([]byte, 1<<16))
			h.mu.Lock()
			h.sent += n
			h.mu.Unlock()
			if err != nil {
				return
			}
		}
	default:
		time.Sleep(delay)
		w.Header().Set("Content-Type", "image/jpeg")
		if r.Method == http.MethodGet {
			h.mu.Lock()
			h.fetched[r.URL.Path]++
			h.sent += len(file)
			h.mu.Unlock()
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
	}
}

// put adds a file, and returns its link.
func (h *mediaHost) put(path string, content []byte) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[path] = content
	return h.URL + path + "?signature=kept-out-of-the-log"
}

func (h *mediaHost) refuse(path string, status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuses[path] = status
}

// attached adds a message with an attachment to a talk.
func (s *sandbox) attached(t *testing.T, talk int, id, link string, at time.Time) {
	t.Helper()
	s.post(t, fmt.Sprintf("/sandbox/talks/%d/messages?at=%s", talk, at.Format(time.RFC3339)), map[string]any{
		"id": id, "chat_id": "chat", "type": "incoming", "message_type": "picture", "created_at": at.Unix(),
		"author": map[string]any{"id": "client", "type": "external"}, "attachment": map[string]any{"type": "picture", "link": link, "file_name": "box.jpg"},
	})
}

// archivedMessage is what the archive says of a message.
type archivedMessage struct {
	MessageID   string `json:"message_id"`
	Outcome     string `json:"media_outcome"`
	Status      int    `json:"media_status"`
	SHA256      string `json:"media_sha256"`
	Size        int    `json:"media_size"`
	ContentType string `json:"media_content_type"`
	FileName    string `json:"media_file_name"`
}

// archived returns the records of an archive that are whole, by their messages' ids.
func archived(t *testing.T, dir string) map[string]archivedMessage {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "messages", "*.json"))
	require.NoError(t, err)
	records := map[string]archivedMessage{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		var r archivedMessage
		if json.Unmarshal(content, &r) == nil {
			records[r.MessageID] = r
		}
	}
	return records
}

func sum(content []byte) string {
	hash := sha256.Sum256(content)
	return hex.EncodeToString(hash[:])
}

// newArchive returns the environment of an archive in an empty folder.
func newArchive(t *testing.T, api *sandbox, host *mediaHost) (e env, dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"files", "messages"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	return readAccount(t, api).with(env{
		"KOMMO_ARCHIVE_DIR": dir, "KOMMO_HTTP_ADDRESS": "127.0.0.1:0", "KOMMO_MEDIA_LINKS": "^" + host.URL + "/", "KOMMO_MEDIA_MAX_BYTES": "100000",
	}), dir
}

func TestMediaArchive_EveryAttachmentOnceAlsoWhenItIsKilled(t *testing.T) {
	const talks, perTalk, atATime = 20, 20, 3
	api, host := startSandbox(t, "--synthetic-talks", "talks=20,messages=3"), startMediaHost(t)
	host.delay = 20 * time.Millisecond
	random := rand.NewChaCha8([32]byte{1})
	long := time.Now().Add(-100 * 24 * time.Hour)
	want := map[string]string{} // hashes
	for talk := 1; talk <= talks; talk++ {
		for i := range perTalk {
			content := make([]byte, 1+(talk*perTalk+i)*200)
			_, _ = random.Read(content)
			if i%5 == 4 { // the same picture again, under a link of its own
				content = []byte("logo")
			}
			id := fmt.Sprintf("m-%d-%d", talk, i)
			api.attached(t, talk, id, host.put(fmt.Sprintf("/files/%d/%d", talk, i), content), long.Add(time.Duration(i)*time.Minute))
			want[id] = sum(content)
		}
	}

	e, dir := newArchive(t, api, host)
	e = e.with(env{"KOMMO_MEDIA_AT_A_TIME": fmt.Sprint(atATime)})
	kept := func() int {
		n := 0
		for _, r := range archived(t, dir) {
			if r.Outcome == "kept" {
				n++
			}
		}
		return n
	}
	kills := 0
	for _, part := range []int{3, 2} {
		run := startPipeline(t, mediaArchive, e)
		eventually(t, "a part of the attachments", func() bool { return kept() >= len(want)/part })
		run.kill()
		kills++
	}
	require.Less(t, kept(), len(want), "it is killed in the middle")
	// What a crash has torn is made whole.
	logo := filepath.Join(dir, "files", sum([]byte("logo")))
	require.NoError(t, os.WriteFile(logo, []byte("lo"), 0o644))
	run := startPipeline(t, mediaArchive, e)
	eventually(t, "all attachments", func() bool { return kept() == len(want) })

	link := host.put("/files/new", []byte("a new one"))
	api.attached(t, 1, "new", link, time.Now())
	want["new"] = sum([]byte("a new one"))
	eventually(t, "the new one", func() bool { return kept() == len(want) })
	run.stop(t)

	files := map[string]bool{}
	for id, r := range archived(t, dir) {
		require.Equal(t, want[id], r.SHA256, id)
		require.Equal(t, "image/jpeg", r.ContentType)
		require.Equal(t, "box.jpg", r.FileName)
		content, err := os.ReadFile(filepath.Join(dir, "files", r.SHA256))
		require.NoError(t, err)
		require.Equal(t, r.SHA256, sum(content), id)
		require.Len(t, content, r.Size)
		files[r.SHA256] = true
	}
	entries, err := os.ReadDir(filepath.Join(dir, "files"))
	require.NoError(t, err)
	require.Len(t, entries, len(files), "equal contents are one file")

	again := 0
	for _, n := range host.fetched {
		again += n - 1
	}
	t.Logf("%d attachments, %d of them fetched again after %d kills; at most %d at a time", len(want), again, kills, host.most)
	require.Len(t, host.fetched, len(want))
	require.LessOrEqual(t, again, kills*atATime, "only what a kill met is fetched again")
	require.LessOrEqual(t, host.most, atATime)

	// Reading all anew fetches nothing.
	host.mu.Lock()
	clear(host.fetched)
	host.mu.Unlock()
	run = startPipeline(t, mediaArchive, e.with(env{"KOMMO_CHECKPOINT_DIR": t.TempDir()}))
	api.attached(t, 2, "last", host.put("/files/last", []byte("the last one")), time.Now())
	eventually(t, "the last one", func() bool { return archived(t, dir)["last"].Outcome == "kept" })
	run.stop(t)
	require.Equal(t, map[string]int{"/files/last": 1}, host.fetched)
}

func TestMediaArchive_WhatCanNotBeKeptIsReportedAndNotFatal(t *testing.T) {
	api, host := startSandbox(t, "--synthetic-talks", "talks=6,messages=1"), startMediaHost(t)
	long := time.Now().Add(-100 * 24 * time.Hour)
	host.put("/forbidden", []byte("x"))
	host.refuse("/forbidden", http.StatusForbidden)
	host.put("/away", []byte("x"))
	host.refuse("/away", http.StatusServiceUnavailable)
	host.put("/endless/video", nil)
	for id, link := range map[string]string{
		"expired":   host.URL + "/forbidden?signature=kept-out-of-the-log",
		"deleted":   host.URL + "/nowhere",
		"large":     host.put("/large", make([]byte, 100_001)),
		"fits":      host.put("/fits", make([]byte, 100_000)),
		"endless":   host.URL + "/endless/video",
		"empty":     host.put("/empty", nil),
		"elsewhere": "http://127.0.0.1:1/metadata",
		"a/../b":    host.put("/odd", []byte("odd")),
	} {
		api.attached(t, 1, id, link, long)
	}
	api.attached(t, 2, "old and away", host.URL+"/away?signature=kept-out-of-the-log", long)
	api.attached(t, 3, "new and away", host.URL+"/away", time.Now().Add(-time.Minute))
	api.attached(t, 4, "beside it", host.put("/beside", []byte("beside")), time.Now().Add(-time.Minute))

	e, dir := newArchive(t, api, host)
	run := startPipeline(t, mediaArchive, e)
	eventually(t, "all but what may come yet", func() bool { return len(archived(t, dir)) == 10 })
	for id, want := range map[string]archivedMessage{
		"expired":      {Outcome: "gone", Status: 403},
		"deleted":      {Outcome: "gone", Status: 404},
		"large":        {Outcome: "too_large", Status: 206, Size: 100_001},
		"fits":         {Outcome: "kept", Status: 206, Size: 100_000, SHA256: sum(make([]byte, 100_000)), ContentType: "image/jpeg"},
		"endless":      {Outcome: "unknown_size", Status: 200},
		"empty":        {Outcome: "empty", Status: 200},
		"elsewhere":    {Outcome: "not_allowed"},
		"a/../b":       {Outcome: "kept", Status: 206, Size: 3, SHA256: sum([]byte("odd")), ContentType: "image/jpeg"},
		"old and away": {Outcome: "unreachable", Status: 503},
		"beside it":    {Outcome: "kept", Status: 206, Size: 6, SHA256: sum([]byte("beside")), ContentType: "image/jpeg"},
	} {
		want.MessageID, want.FileName = id, "box.jpg"
		assert.Equal(t, want, archived(t, dir)[id])
	}
	require.Less(t, host.sent, 300_000, "bytes that were fetched")

	eventually(t, "a rejection of what may come yet", func() bool {
		return strings.Contains(strings.Join(run.lines(t), "\n"), "an attachment of message new and away can't be fetched now")
	})
	require.NotContains(t, archived(t, dir), "new and away")
	host.refuse("/away", 0)
	eventually(t, "the file whose server is back", func() bool { return archived(t, dir)["new and away"].Outcome == "kept" })
	run.stop(t)
	log := strings.Join(run.lines(t), "\n")
	require.Contains(t, log, "The attachment of message expired is not kept: gone, status 403, unknown bytes")
	require.NotContains(t, log, "kept-out-of-the-log", "a link in the log")
}
