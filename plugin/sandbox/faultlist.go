// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// SetFaults switches these faults on and all others off. On an error nothing
// changes.
func (s *Server) SetFaults(faults ...Fault) error {
	for i, f := range faults {
		if err := f.Validate(); err != nil {
			return fmt.Errorf("fault %d: %w", i, err)
		}
	}
	s.faults.set(faults, false)
	return nil
}

// AddFault switches one more fault on.
func (s *Server) AddFault(f Fault) error {
	if err := f.Validate(); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	s.faults.set([]Fault{f}, true)
	return nil
}

// ClearFaults switches all faults off.
func (s *Server) ClearFaults() { s.faults.set(nil, false) }

// Faults returns the faults that are on; After, Count, Starts and Lasts are what is
// left of them.
func (s *Server) Faults() []Fault {
	l := &s.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	now, on := time.Now(), []Fault{}
	for _, f := range l.on {
		if f.over(now) {
			continue
		}
		f.Starts = max(f.starts.Sub(now), 0)
		if f.Lasts > 0 {
			f.Lasts = min(f.Lasts, f.ends().Sub(now))
		}
		on = append(on, f.Fault)
	}
	return on
}

// stage is the point of a request at which a fault is looked at.
type stage int

const (
	stageClock stage = iota
	stageDelay
	stageFront
	stagePage
	stageView
)

func (f Fault) stage() stage {
	switch f.Kind {
	case FaultClock, FaultDateOff, FaultNoDate, FaultCachedDate:
		return stageClock
	case FaultDelay:
		return stageDelay
	case FaultForeign, FaultCutLength, FaultCutChunked, FaultCutJSON, FaultHuge, FaultBomb:
		return stagePage
	case FaultHideItems, FaultPageCap, FaultIgnoreLimit, FaultOldestFirst, FaultNullItems, FaultDuplicates, FaultNoID,
		FaultNoMsec, FaultStamp, FaultBigItems, FaultPastEnd, FaultNext, FaultNewestFirst, FaultNoOrder, FaultFilterIgnored,
		FaultFilterOff, FaultLate, FaultDelivery, FaultWholeChat:
		return stageView
	case FaultStatus:
		if f.Status == 400 || f.Status == 402 || f.Status == 404 {
			return stagePage
		}
	}
	return stageFront
}

// has reports whether a call can have this fault.
func (f Fault) has(endpoint Endpoint) bool {
	messages := endpoint == EndpointTalkMessages
	timeline := messages || endpoint == EndpointEvents
	single := endpoint == EndpointTalk || endpoint == EndpointAccount
	switch f.Kind {
	case FaultForeign, FaultBomb, FaultIgnoreLimit, FaultPastEnd:
		return endpoint == EndpointHistory
	case FaultNoID, FaultNoMsec, FaultBigItems:
		return endpoint == EndpointHistory || messages
	case FaultOldestFirst, FaultNullItems, FaultDuplicates:
		return endpoint == EndpointHistory || timeline
	case FaultNewestFirst, FaultNoOrder, FaultFilterIgnored, FaultFilterOff, FaultLate:
		return timeline
	case FaultDelivery, FaultWholeChat:
		return messages
	case FaultNext:
		return endpoint != EndpointHistory && !single
	case FaultHideItems, FaultPageCap, FaultStamp:
		return !single
	}
	return true
}

func (f Fault) concerns(request Request) bool {
	if f.Endpoint != "" && f.Endpoint != request.Endpoint || !f.has(request.Endpoint) {
		return false
	}
	if len(f.Talks) > 0 && !slices.Contains(f.Talks, request.Talk) {
		return false
	}
	if f.Chat == "" && len(f.Chats) == 0 {
		return true
	}
	return request.Chat != "" && (f.Chat == request.Chat || slices.Contains(f.Chats, request.Chat))
}

// switchedOn is a fault and when it begins to strike.
type switchedOn struct {
	Fault
	starts time.Time
}

func (f switchedOn) ends() time.Time { return f.starts.Add(f.Lasts) }

func (f switchedOn) over(now time.Time) bool { return f.Lasts > 0 && !now.Before(f.ends()) }

// faultList is the switched-on faults.
type faultList struct {
	mu     sync.Mutex
	on     []switchedOn
	random *rand.Rand
}

func (l *faultList) seed(seed uint64) { l.random = rand.New(rand.NewPCG(seed, 0)) }

func (l *faultList) set(faults []Fault, keep bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !keep {
		l.on = nil
	}
	now := time.Now()
	for _, f := range faults {
		f.Chats, f.Messages = slices.Clone(f.Chats), slices.Clone(f.Messages)
		f.Talks = slices.Clone(f.Talks)
		l.on = append(l.on, switchedOn{f, now.Add(f.Starts)})
	}
}

// takeOne returns the first fault of a stage that strikes.
func (l *faultList) takeOne(request Request, at stage) (Fault, bool) {
	if struck := l.take(request, at, 1); len(struck) > 0 {
		return struck[0], true
	}
	return Fault{}, false
}

// takeAll returns every fault of a stage that strikes.
func (l *faultList) takeAll(request Request, at stage) []Fault { return l.take(request, at, -1) }

func (l *faultList) take(request Request, at stage, most int) (struck []Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.on) == 0 {
		return nil
	}
	now, kept := time.Now(), l.on[:0]
	for _, f := range l.on {
		spent := f.over(now)
		if !spent && len(struck) != most && !now.Before(f.starts) && f.stage() == at && f.concerns(request) {
			switch {
			case f.After > 0:
				f.After--
			case f.Probability == 0 || l.random.Float64() < f.Probability:
				struck = append(struck, f.Fault)
				spent = f.Count == 1
				f.Count = max(f.Count-1, 0)
			}
		}
		if !spent {
			kept = append(kept, f)
		}
	}
	clear(l.on[len(kept):])
	l.on = kept
	return struck
}
