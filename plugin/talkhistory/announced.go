// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"math"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
)

// lateFor is how long a list may lag behind the feed: what was announced and does not
// come out for longer is missing.
const lateFor = 2 * time.Minute

// named is what the input knows of the talks that are being read: the facts of each, and
// which messages were announced and have not come out. It is safe for concurrent use.
//
// A talk is in it from the moment that it is named until whatever named it was told that
// it is done, so it has no more talks than the reader.
type named struct {
	// keeps: the facts of talks that nobody reads any more are kept, of those that were
	// named last, since what changes in them comes out later.
	keeps bool

	mu          sync.Mutex
	talks       map[string]*namedTalk
	past, older map[string]facts
	came        component.Recent // which messages came out: some of them before they are announced
}

// mostFacts is of how many talks facts are kept at most.
const mostFacts = 1 << 16

type namedTalk struct {
	facts   facts
	holders int
	awaited map[string]wait // announced and not come out
	search  bool            // the next pass looks through all of the talk for them,
	last    map[string]bool // for these for the last time
}

// wait is for one message.
type wait struct {
	at   int64 // of the announcement, in Unix seconds
	late bool  // the talk was read without it
}

func newNamed(keeps bool) *named { return &named{keeps: keeps, talks: map[string]*namedTalk{}} }

// hold notes that a talk is to be read, with what is known of it and what was announced;
// before since nothing is awaited. Each hold is undone by a release.
func (n *named) hold(talk string, known facts, announced []announcement, since time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.talks[talk]
	if t == nil {
		t = &namedTalk{facts: n.kept(talk)}
		n.talks[talk] = t
	}
	t.holders++
	t.facts = known.orElse(t.facts)
	for _, a := range announced {
		if time.Unix(a.at, 0).Before(since) || n.came.Has(talk+"/"+a.message) {
			continue
		}
		if t.awaited == nil {
			t.awaited = map[string]wait{}
		}
		if _, is := t.awaited[a.message]; !is {
			t.awaited[a.message] = wait{at: a.at}
		}
	}
}

// announcement is a message that the feed has named.
type announcement struct {
	message string
	at      int64 // Unix seconds; 0: the feed does not say
}

// orElse fills what is not known.
func (f facts) orElse(o facts) facts {
	for _, p := range []struct{ to, from *string }{
		{&f.origin, &o.origin}, {&f.contactID, &o.contactID}, {&f.entityID, &o.entityID}, {&f.entityType, &o.entityType},
		{&f.chatID, &o.chatID},
	} {
		if *p.to == "" {
			*p.to = *p.from
		}
	}
	return f
}

// release undoes a hold.
func (n *named) release(talk string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.talks[talk]; t != nil {
		if t.holders--; t.holders <= 0 {
			delete(n.talks, talk)
			n.keep(talk, t.facts)
		}
	}
}

// learn notes which chat a talk's messages are of.
func (n *named) learn(talk, chatID string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.talks[talk]; t != nil {
		t.facts.chatID = chatID
	} else if f := n.kept(talk); f.chatID != chatID {
		f.chatID = chatID
		n.keep(talk, f)
	}
}

// keep keeps what is known of a talk. Caller holds mu.
func (n *named) keep(talk string, f facts) {
	if !n.keeps || f == (facts{}) {
		return
	}
	if len(n.past) >= mostFacts/2 {
		n.older, n.past = n.past, nil
	}
	if n.past == nil {
		n.past = map[string]facts{}
	}
	n.past[talk] = f
}

// kept returns what was known of a talk. Caller holds mu.
func (n *named) kept(talk string) facts {
	if f, ok := n.past[talk]; ok {
		return f
	}
	return n.older[talk]
}

// facts returns what is known of a talk.
func (n *named) facts(talk string) facts {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.talks[talk]; t != nil {
		return t.facts
	}
	return n.kept(talk)
}

// begins is called when a pass over a talk begins, with the checkpoint that it goes on
// from: what that covers has come out. What is late already is no matter of the checkpoint
// any more, which moves on without it.
func (n *named) begins(talk string, known bool, from *chat.Checkpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.talks[talk]
	if !known || t == nil || len(t.awaited) == 0 {
		return
	}
	for _, s := range from.Seen {
		delete(t.awaited, s.ID)
	}
	for id, w := range t.awaited {
		if !w.late && w.at*1000 < from.From {
			delete(t.awaited, id)
		}
	}
}

// met is called with what came out of a talk.
func (n *named) met(talk string, items []chat.Item) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.talks[talk]
	for i := range items {
		n.came.Add(talk + "/" + items[i].ID)
		if t != nil {
			delete(t.awaited, items[i].ID)
		}
	}
}

// keepFrom returns from when on the ids of what comes out of a talk are kept, in Unix
// milliseconds, so that its checkpoint does not cover what is awaited, or may still be
// announced: a crash would make it look delivered.
func (n *named) keepFrom(talk string, newest int64) int64 {
	return min(n.awaitedFrom(talk), newest-feed.Lag.Milliseconds())
}

// awaitedFrom returns when the first of what is awaited of a talk was announced, in Unix
// milliseconds.
func (n *named) awaitedFrom(talk string) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	from := int64(math.MaxInt64)
	if t := n.talks[talk]; t != nil {
		for _, w := range t.awaited {
			if w.at > 0 {
				from = min(from, w.at*1000)
			}
		}
	}
	return from
}

// search has the next pass over a talk look through all of it for what is awaited, and for
// some for the last time.
func (n *named) search(talk string, last []announcement) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.talks[talk]; t != nil {
		t.search = true
		for _, a := range last {
			if t.last == nil {
				t.last = map[string]bool{}
			}
			t.last[a.message] = true
		}
	}
}

// wanted returns what a pass has to look through all of a talk for, mostly nothing, and
// of each whether that is for the last time.
func (n *named) wanted(talk string) map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.talks[talk]
	if t == nil || !t.search {
		return nil
	}
	wanted := make(map[string]bool, len(t.awaited))
	for id := range t.awaited {
		wanted[id] = t.last[id]
	}
	t.search, t.last = false, nil
	return wanted
}

// late returns which of some announced messages have not come out, now that the talk was
// read.
func (n *named) late(talk string, announced []announcement) (late []announcement) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.talks[talk]
	if t == nil {
		return nil
	}
	for _, a := range announced {
		if w, is := t.awaited[a.message]; is {
			w.late = true
			t.awaited[a.message] = w
			late = append(late, a)
		}
	}
	return late
}

// giveUp stops to await messages. It returns those that were still awaited, so that of
// several who await one it is missing for one of them only.
func (n *named) giveUp(talk string, late []announcement) (missing []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.talks[talk]
	if t == nil {
		return nil
	}
	for _, a := range late {
		if _, is := t.awaited[a.message]; is {
			delete(t.awaited, a.message)
			missing = append(missing, a.message)
		}
	}
	return missing
}
