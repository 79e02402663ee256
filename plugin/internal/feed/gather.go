// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// gathered are the talks that will be named next. The zero value is ready.
type gathered struct {
	talks  []*Talk // in the order in which they were met
	byID   map[string]*Talk
	events int
}

// add takes an event of a talk, made at a time.
func (g *gathered) add(e *crm.Event, at int64) {
	g.events++
	t := g.byID[e.TalkID]
	if t == nil {
		t = &Talk{ID: e.TalkID, Origin: e.Origin, EntityID: e.EntityID, EntityType: e.EntityType, Event: true}
		if g.byID == nil {
			g.byID = map[string]*Talk{}
		}
		g.byID[t.ID] = t
		g.talks = append(g.talks, t)
	}
	if t.Raw == nil || at >= t.Updated {
		t.Updated = max(t.Updated, at)
		t.Raw = bytes.Clone(e.Raw) // e's keeps the whole page
		t.Origin = cmp.Or(e.Origin, t.Origin)
		if e.EntityID != "" {
			t.EntityID, t.EntityType = e.EntityID, e.EntityType
		}
	}
	if e.MessageID == "" {
		return
	}
	t.Announced = append(t.Announced, Announced{ID: e.MessageID, At: at})
	if len(t.Announced) >= 2*MaxAnnounced {
		t.trim()
	}
}

// trim leaves the newest, in order.
func (t *Talk) trim() {
	slices.SortStableFunc(t.Announced, func(a, b Announced) int { return cmp.Compare(a.At, b.At) })
	if extra := len(t.Announced) - MaxAnnounced; extra > 0 {
		t.Left += extra
		t.Announced = slices.Clone(t.Announced[extra:])
	}
}

// take returns what was gathered, and forgets it.
func (g *gathered) take() []*Talk {
	talks := g.talks
	for _, t := range talks {
		t.trim()
	}
	*g = gathered{}
	return talks
}
