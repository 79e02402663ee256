// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// chatID is a chat's UUID, or where the id is none the start of its SHA-256. It
// takes less than half of the memory of the text.
type chatID [16]byte

func chatIDOf(s string) (id chatID) {
	if len(s) == 36 {
		if n, err := hex.Decode(id[:], []byte(strings.ReplaceAll(s, "-", ""))); err == nil && n == len(id) {
			return id
		}
	}
	sum := sha256.Sum256([]byte(s))
	copy(id[:], sum[:])
	return id
}

// shards is into how many values the checkpoint of firsts is divided, so that one
// new chat among a million writes a value of some 340 kB and not of 22 MB.
const shards = 64

func (id chatID) shard() int { return int(id[15]) % shards }

// firsts decides what is new in a list whose rows do not tell when they were
// updated: every chat, once. It has to remember them all. The Lister's mu guards
// it.
type firsts struct {
	name  string                  // begins those of its values in the Store
	chats [shards]map[chatID]bool // whether it was acknowledged as well
	dirty [shards]bool            // has something acknowledged that is not saved
}

func (*firsts) begin()                     {}
func (*firsts) look(*Page) (refuted bool)  { return false }
func (*firsts) chosen(*Page) (enough bool) { return false }
func (*firsts) mark(*place)                {}
func (*firsts) progress() progress         { return progress{} }
func (*firsts) end(bool)                   {}
func (*firsts) covered(*pending)           {}

// One row may have been added since the last page was read. Chats that were passed
// over come in a later listing by themselves.
func (*firsts) overlooked(rows []Row) bool { return len(rows) > 1 }
func (*firsts) distrust() bool             { return false }

func (f *firsts) wanted(r *Row, _ *Page, p *pending) bool {
	id := chatIDOf(r.Chat)
	if !f.note(id) {
		return false
	}
	p.chats = append(p.chats, id)
	return true
}

// note notes a chat, and reports whether it is new.
func (f *firsts) note(id chatID) bool {
	shard := &f.chats[id.shard()]
	if _, ok := (*shard)[id]; ok {
		return false
	}
	if *shard == nil {
		*shard = map[chatID]bool{}
	}
	(*shard)[id] = false
	return true
}

func (f *firsts) acked(p *pending, row int) {
	id := p.chats[row]
	f.chats[id.shard()][id] = true
	f.dirty[id.shard()] = true
}

func (f *firsts) values() []string {
	names := make([]string, shards)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%02d", f.name, i)
	}
	return names
}

func (f *firsts) restore(_ int, value []byte) (progress, error) {
	ids, err := decodeShard(value)
	for _, id := range ids {
		f.note(id)
		f.chats[id.shard()][id] = true
	}
	return progress{}, err
}

func (f *firsts) unsaved(i int) func() ([]byte, error) {
	if !f.dirty[i] {
		return nil
	}
	f.dirty[i] = false
	ids := f.shard(i)
	return func() ([]byte, error) { return encodeShard(ids) }
}

func (f *firsts) spoiled(i int) { f.dirty[i] = true }

// shard returns what was acknowledged of a shard, in order.
func (f *firsts) shard(n int) []chatID {
	var ids []chatID
	for id, acked := range f.chats[n] {
		if acked {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b chatID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}
