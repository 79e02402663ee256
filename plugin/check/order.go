// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"strings"
)

func (c *checker) judgeOrder(l *list, entries []entry) {
	id := l.id + ".order"
	word, seen := orderOf(entries)
	switch {
	case !seen:
		c.unseen(id, "too few entries with different times")
	case word == newestFirst, word == oldestFirst && l.linked:
		c.ok(id, word, "%s", strings.ReplaceAll(word, "_", " "))
	case word == roughlyNewest, word == roughlyOldest:
		c.ok(id, word, "%s: some times go the other way, as when messages come late or clocks differ", strings.ReplaceAll(word, "_", " "))
	case word == oldestFirst:
		c.add(id, Error, word, say("oldest first: kommo_chat_history rests on newest first"), "send the report")
	case l.linked:
		c.add(id, Warning, word, say("in no order by time"), allowed)
	default:
		c.add(id, Error, word, say("in no order by time: kommo_chat_history rests on newest first"), "send the report")
	}
}

// Orders.
const (
	newestFirst   = "newest_first"
	oldestFirst   = "oldest_first"
	roughlyNewest = "roughly_newest_first"
	roughlyOldest = "roughly_oldest_first"
	noOrder       = "none"
)

// orderOf says how entries are ordered by time. seen is false for too few.
func orderOf(entries []entry) (word string, seen bool) {
	var at []int64
	for _, e := range entries {
		if e.at != 0 && e.wrong == "" {
			at = append(at, e.at)
		}
	}
	ups, downs := 0, 0
	for i := 1; i < len(at); i++ {
		switch cmp.Compare(at[i], at[i-1]) {
		case 1:
			ups++
		case -1:
			downs++
		}
	}
	switch {
	case ups+downs < 2:
		return "", false
	case ups == 0:
		return newestFirst, true
	case downs == 0:
		return oldestFirst, true
	}
	switch off := displaced(at); {
	case off < 0.15:
		return roughlyNewest, true
	case off > 0.85:
		return roughlyOldest, true
	}
	return noOrder, true
}

// displaced is how far times are from going down: 0 if they do, 1 if they go up, and about
// a half if they do neither.
func displaced(at []int64) float64 {
	wrong, pairs := 0, 0
	for i := range at {
		for j := i + 1; j < len(at); j++ {
			if at[i] != at[j] {
				pairs++
			}
			if at[i] < at[j] {
				wrong++
			}
		}
	}
	return float64(wrong) / float64(max(pairs, 1))
}
