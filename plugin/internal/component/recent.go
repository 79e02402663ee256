// SPDX-License-Identifier: Apache-2.0

package component

import "hash/maphash"

// Recent remembers, as hashes, which texts were added last: some 65,000 of them. The
// zero value is ready.
type Recent struct {
	seed       maphash.Seed
	now, older map[uint64]struct{}
}

// Add remembers a text.
func (r *Recent) Add(text string) {
	if r.now == nil {
		r.seed, r.now = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	if len(r.now) >= 1<<15 {
		r.older, r.now = r.now, map[uint64]struct{}{}
	}
	r.now[maphash.String(r.seed, text)] = struct{}{}
}

// Has tells whether a text is remembered.
func (r *Recent) Has(text string) bool {
	if r.now == nil {
		return false
	}
	id := maphash.String(r.seed, text)
	_, now := r.now[id]
	_, older := r.older[id]
	return now || older
}

// Remove forgets a text.
func (r *Recent) Remove(text string) {
	if r.now == nil {
		return
	}
	id := maphash.String(r.seed, text)
	delete(r.now, id)
	delete(r.older, id)
}
