// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// start is a first listing by something other than the feed. The feed goes on from the
// moment at which it began, so that nothing that happens meanwhile is missed.
type start struct {
	conf    Config
	origins []string
	since   int64
	value   value
	feed    *Events
	loaded  bool

	mu    sync.Mutex
	state startJSON // what is saved
	dirty bool
	ended bool // a listing has ended since the Store was looked at
}

// startJSON is the checkpoint of a first listing.
type startJSON struct {
	checkpoint.Versioned
	Origins []string `json:"origins,omitempty"`
	Since   int64    `json:"since,omitempty"`

	// Anchor is where the feed goes on, in Unix time. Required.
	Anchor int64 `json:"anchor"`
	// Next is the id that comes next, and Highest the last one that exists.
	Next    int64 `json:"next,omitempty"`
	Highest int64 `json:"highest,omitempty"`
	// Done says that all of it was named and acknowledged.
	Done bool `json:"done"`
}

func decodeStart(b []byte) (startJSON, error) {
	var j startJSON
	if err := checkpoint.Decode(b, checkpointVersion, &j); err != nil {
		return startJSON{}, err
	}
	if j.Anchor <= 0 || j.Next < 0 || j.Highest < 0 {
		return startJSON{}, errors.New("decoding a checkpoint: it does not say when the listing began")
	}
	return j, nil
}

func newStart(conf Config) *start {
	feed := NewEvents(conf)
	return &start{conf: conf, origins: feed.origins, since: feed.since, feed: feed, value: value{store: conf.Store, name: NameStart}}
}

// load reads the Store until it has been read once.
func (s *start) load(ctx context.Context) error {
	if s.loaded {
		return nil
	}
	b, err := s.value.load(ctx)
	if err != nil {
		return err
	}
	s.loaded = true
	if b == nil {
		return nil
	}
	j, torn := decodeStart(b)
	switch {
	case torn != nil && s.conf.Hooks.Corrupt != nil:
		s.conf.Hooks.Corrupt(s.value.name, torn)
	case torn != nil:
	case !slices.Equal(j.Origins, s.origins) || j.Since > s.since:
		if s.conf.Hooks.Restarted != nil {
			s.conf.Hooks.Restarted(s.value.name)
		}
	default:
		s.mu.Lock()
		s.state = j
		s.mu.Unlock()
		s.feed.from = j.Anchor
	}
	return nil //nolint:nilerr // a torn value is told of, and the account is listed from its beginning
}

// anchor notes the moment at which the first listing begins.
func (s *start) anchor(at int64) {
	s.feed.from = max(at-lag, 1)
	s.change(func(j *startJSON) { j.Anchor = s.feed.from })
}

func (s *start) change(f func(*startJSON)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.state
	f(&s.state)
	s.dirty = s.dirty || was.Anchor != s.state.Anchor || was.Next != s.state.Next || was.Highest != s.state.Highest || was.Done != s.state.Done
}

// now returns how far the listing is. Anchor is 0 before it begins.
func (s *start) now() startJSON {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// then asks the feed.
func (s *start) then(ctx context.Context) (*Batch, error) {
	b, err := s.feed.Next(ctx)
	if err == nil && b.Done {
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
	}
	return b, err
}

// save writes both checkpoints.
func (s *start) save(ctx context.Context) error {
	if s.conf.Store == nil {
		return nil
	}
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	lost := false
	if ended {
		var err error
		if lost, err = s.value.lost(ctx); err != nil {
			return err
		}
		if lost && s.conf.Hooks.Lost != nil {
			s.conf.Hooks.Lost(s.value.name)
		}
	}
	s.mu.Lock()
	dirty, j := s.dirty || lost, s.state
	s.dirty, s.ended = false, s.ended && !ended
	s.mu.Unlock()
	if dirty && j.Anchor > 0 {
		j.Version, j.Origins, j.Since = checkpointVersion, s.origins, s.since
		b, err := checkpoint.Encode(j)
		if err != nil {
			return err
		}
		if err := s.value.save(ctx, b); err != nil {
			s.mu.Lock()
			s.dirty = true
			s.mu.Unlock()
			return err
		}
	}
	return s.feed.Save(ctx)
}

// wanted reports whether a talk is of interest, and turns it into a Talk.
func (s *start) wanted(e *crm.Entry) (Talk, bool) {
	t := talkOf(e)
	return t, crm.CheckTalkID(t.ID) == nil && (t.Updated == 0 || t.Updated >= s.since) &&
		(len(s.origins) == 0 || slices.Contains(s.origins, t.Origin))
}

func talkOf(e *crm.Entry) Talk {
	at := max(e.UpdatedAt, 0)
	for at > 1e11 {
		at /= 1000
	}
	return Talk{
		ID: e.TalkID.Text, Origin: e.Origin, ChatID: e.ChatID, ContactID: e.ContactID.Text,
		EntityID: e.EntityID.Text, EntityType: e.EntityType, Updated: at, Raw: e.Raw,
	}
}
