// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// synthetic is a run of n messages computed from their index, so that a chat of
// a million messages costs as much memory as one of ten.
type synthetic struct {
	n           int
	chatHash    uint64
	start, step int64 // unix ms, ms
}

func newSynthetic(chat string, n int, start time.Time, step time.Duration) synthetic {
	return synthetic{n: n, chatHash: syntheticHash(chat), start: start.UnixMilli(), step: step.Milliseconds()}
}

func syntheticHash(chat string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(chat))
	return h.Sum64()
}

// SyntheticID returns the message id of the i-th message, oldest 0, of the
// synthetic chat with that id.
func SyntheticID(chat string, i int) string {
	return string(appendSyntheticID(nil, syntheticHash(chat), i))
}

// A synthetic id looks like a UUID: 16 digits for the chat, 12 for the index.
func appendSyntheticID(dst []byte, chatHash uint64, i int) []byte {
	dst = appendHex(dst, chatHash>>32, 8)
	dst = append(dst, '-')
	dst = appendHex(dst, chatHash>>16, 4)
	dst = append(dst, "-4"...)
	dst = appendHex(dst, chatHash>>4, 3)
	dst = append(dst, "-8"...)
	dst = appendHex(dst, chatHash, 3)
	dst = append(dst, '-')
	return appendHex(dst, uint64(i), 12) //nolint:gosec // an index is not negative
}

func appendHex(dst []byte, v uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[v>>shift&15])
	}
	return dst
}

// index returns the index of the message with an id.
func (s synthetic) index(id string) (int, bool) {
	digits := id[strings.LastIndexByte(id, '-')+1:]
	i, err := strconv.ParseInt(digits, 16, 64)
	if err != nil || i < 0 || i >= int64(s.n) {
		return 0, false
	}
	return int(i), string(appendSyntheticID(nil, s.chatHash, int(i))) == id
}

// at returns the time of the i-th message in unix ms.
func (s synthetic) at(i int) int64 { return s.start + int64(i)*s.step }

// appendItem appends the i-th message: about 840 bytes, shaped like the ones in
// the vendor's sample. Every third comes from the client and has no receiver.
func (s synthetic) appendItem(dst []byte, i int) []byte {
	ms := s.at(i)
	dst = append(dst, `{"timestamp":`...)
	dst = strconv.AppendInt(dst, seconds(ms), 10)
	dst = append(dst, `,"msec_timestamp":`...)
	dst = strconv.AppendInt(dst, ms, 10)
	if i%3 == 0 {
		dst = append(dst, syntheticIncoming...)
	} else {
		dst = append(dst, syntheticOutgoing...)
	}
	dst = append(dst, `,"message":{"id":"`...)
	dst = appendSyntheticID(dst, s.chatHash, i)
	dst = append(dst, `","client_id":"`...)
	dst = strconv.AppendInt(dst, int64(i), 10)
	dst = append(dst, `","type":"text","text":"Message `...)
	dst = strconv.AppendInt(dst, int64(i), 10)
	if i%3 == 0 {
		dst = append(dst, syntheticLongText...)
	} else {
		dst = append(dst, syntheticShortText...)
	}
	return append(dst, `","media":"","thumbnail":"","file_name":"","file_size":0,"media_group_id":""}}`...)
}

// The fixed parts of a synthetic message. The text of a message without receiver
// is longer by about as much as the receiver would take.
const (
	syntheticClient = `{"id":"1c5b1ae5-27a1-4a0b-9d4d-3f1b7f0b5f01","name":"Анна Петрова","client_id":"sk-1376265f-86df-4c49-a0c3-a4816df41af8","avatar":"https://images.example.com/users/avatar.png","phone":"+15550100199","email":"anna@example.com"}`
	syntheticAgent  = `{"id":"76fc2bea-902f-425c-9a3d-dcdac4766090","name":"Support desk","client_id":"sk-agent-17","avatar":"https://images.example.com/agents/17.png","phone":"","email":"desk@example.com"}`

	syntheticIncoming = `,"sender":` + syntheticClient
	syntheticOutgoing = `,"sender":` + syntheticAgent + `,"receiver":` + syntheticClient

	syntheticShortText = `: thank you, we have your order and will write again once it is on its way. ` +
		`If anything changes until then, just answer here and we see to it at once.`
	syntheticLongText = `: good morning, я хотел бы узнать, когда придёт мой заказ. The page says \"in transit\" since Monday, ` +
		`and the parcel has not moved since then. Could you ask the carrier what is going on? Спасибо заранее 🙏 ` +
		`My order is number 4711, in case that helps you to find it sooner.`
)

// seconds returns a time in ms in whole seconds, rounded down also before 1970.
func seconds(ms int64) int64 {
	at := ms / 1000
	if ms%1000 < 0 {
		at--
	}
	return at
}

// Synthetic makes or replaces a chat of n messages that are computed from their
// index when they are asked for: the i-th, oldest 0, has the time start + i×step
// (whole milliseconds) and the id SyntheticID(chat, i). Such a chat grows and
// shrinks like any other; only Insert among its computed messages has to store
// those above the place.
func (s *Server) Synthetic(chatID string, n int, start time.Time, step time.Duration) error {
	if n < 0 {
		return fmt.Errorf("messages of chat %s: want 0 or more, got %d", chatID, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.ensureChat(chatID)
	*c = chat{base: newSynthetic(chatID, n, start, step)}
	return nil
}

// SyntheticChat returns the id of the i-th chat, 0 the first, of those that the
// program kommo-sandbox computes. It can be made in a shell:
// printf '00000000-0000-4000-8000-%012d' $((i+1)).
func SyntheticChat(i int) string {
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1)
}
