// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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
// updated: every chat, once. It has to remember them all. The zero value is
// ready.
type firsts struct {
	named [shards]map[chatID]bool // whether it was acknowledged as well
	dirty [shards]bool            // has something acknowledged that is not saved
}

// wanted notes a chat, and reports whether it has to be named.
func (f *firsts) wanted(id chatID) bool {
	shard := &f.named[id.shard()]
	if _, ok := (*shard)[id]; ok {
		return false
	}
	if *shard == nil {
		*shard = map[chatID]bool{}
	}
	(*shard)[id] = false
	return true
}

func (f *firsts) acked(id chatID) {
	f.named[id.shard()][id] = true
	f.dirty[id.shard()] = true
}

// restore takes what was acknowledged in an earlier run.
func (f *firsts) restore(ids []chatID) {
	for _, id := range ids {
		f.wanted(id)
		f.named[id.shard()][id] = true
	}
}

// shard returns what was acknowledged of a shard, in order.
func (f *firsts) shard(n int) []chatID {
	var ids []chatID
	for id, acked := range f.named[n] {
		if acked {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b chatID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}
