// SPDX-License-Identifier: Apache-2.0

package feed

import "strconv"

// talkSet is a set of talks. Their ids are given one after the other, so a million of
// them take less than 300 kB. The zero value is an empty set.
type talkSet struct{ parts map[int64]*[8]uint64 }

// place returns where the bit of a talk is. An id that crm.CheckTalkID accepts is a
// number.
func (*talkSet) place(id string) (part int64, word int, bit uint64) {
	n, _ := strconv.ParseInt(id, 10, 64)
	return n >> 9, int(n>>6) & 7, 1 << (n & 63)
}

func (s *talkSet) has(id string) bool {
	part, word, bit := s.place(id)
	p := s.parts[part]
	return p != nil && p[word]&bit != 0
}

func (s *talkSet) add(id string) {
	part, word, bit := s.place(id)
	p := s.parts[part]
	if p == nil {
		if s.parts == nil {
			s.parts = map[int64]*[8]uint64{}
		}
		p = new([8]uint64)
		s.parts[part] = p
	}
	p[word] |= bit
}
