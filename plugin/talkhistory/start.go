// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
)

// start is where an account begins that is read from its latest message: what was sent
// before Time in talks up to Talk is left out, for good. The zero value leaves out
// nothing.
//
// The ids of talks grow, so a higher one belongs to a talk that was opened later.
type start struct {
	Version int   `json:"version"`
	Time    int64 `json:"time"` // Unix seconds, of the server
	Talk    int64 `json:"talk"`
}

const (
	startVersion = 1
	startName    = "latest" // no checkpoint of the feed has it
)

func decodeStart(value []byte) (start, error) {
	var s start
	if err := json.Unmarshal(value, &s); err != nil {
		return start{}, fmt.Errorf("decoding where the account begins: %w", err)
	}
	if s.Version != startVersion || s.Time <= 0 || s.Talk < 0 {
		return start{}, errors.New("decoding where the account begins: it is not of this version")
	}
	return s, nil
}

func checkStart(value []byte) error {
	_, err := decodeStart(value)
	return err
}

// findStart returns the start that was kept, or makes one of now and keeps it.
func (in *input) findStart(ctx context.Context) (start, error) {
	if in.starts != nil {
		value, err := in.starts.Load(ctx, startName)
		if err == nil {
			s, err := decodeStart(value)
			if err == nil {
				return s, nil
			}
			// Unlike a checkpoint it can't be found again; what comes from now on is not lost.
			in.report.startCorrupt(err)
		} else if !errors.Is(err, checkpoint.ErrNone) {
			return start{}, &feed.StoreError{Err: err}
		}
	}
	s, err := in.latest(ctx)
	if err != nil || in.starts == nil {
		return s, err
	}
	value, err := json.Marshal(s)
	if err != nil {
		return start{}, err
	}
	if err := in.starts.Save(ctx, startName, value); err != nil {
		return start{}, &feed.StoreError{Err: err}
	}
	return s, nil
}

// latest asks what there is now: the server's time, and the newest talk, which is among
// those that were updated last or that wrote last.
func (in *input) latest(ctx context.Context) (start, error) {
	talks, err := in.client.List(ctx, crm.Talks, 1, crm.MaxLimit)
	if err != nil {
		return start{}, err
	}
	s := start{Version: startVersion, Time: talks.Date.Unix()}
	for i := range talks.Entries {
		s.Talk = max(s.Talk, talks.Entries[i].ID.Number)
	}
	events, err := in.client.Events(ctx, crm.EventQuery{Page: 1, Limit: 100, Order: "desc", To: s.Time})
	if err != nil {
		return start{}, err
	}
	for i := range events.Events {
		if n, err := strconv.ParseInt(events.Events[i].TalkID, 10, 64); err == nil {
			s.Talk = max(s.Talk, n)
		}
	}
	return s, nil
}

// since returns from when on the messages of a talk are delivered.
func (a *account) since(talk string) time.Time {
	since := a.in.conf.Since
	if a.start.Time == 0 {
		return since
	}
	if n, err := strconv.ParseInt(talk, 10, 64); err == nil && n > a.start.Talk {
		return since
	}
	if from := time.Unix(a.start.Time, 0); from.After(since) {
		return from
	}
	return since
}
