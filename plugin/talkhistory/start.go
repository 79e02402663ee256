// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
)

// start is where an account begins that is read from its latest message: what was sent
// before Time in talks that were opened until then is left out, for good. The zero value
// leaves out nothing.
type start struct {
	checkpoint.Versioned
	Time int64 `json:"time"` // Unix seconds, of the server
}

const (
	startVersion = 1
	startName    = "latest" // no checkpoint of the feed has it
)

func decodeStart(value []byte) (start, error) {
	var s start
	if err := checkpoint.Decode(value, startVersion, &s); err != nil {
		return start{}, fmt.Errorf("where the account begins: %w", err)
	}
	if s.Time <= 0 {
		return start{}, errors.New("where the account begins: decoding a checkpoint: it has no time")
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
	value, err := checkpoint.Encode(s)
	if err != nil {
		return start{}, err
	}
	if err := in.starts.Save(ctx, startName, value); err != nil {
		return start{}, &feed.StoreError{Err: err}
	}
	return s, nil
}

// latest asks what time it is.
func (in *input) latest(ctx context.Context) (start, error) {
	events, err := in.client.Events(ctx, crm.EventQuery{Page: 1, Limit: 1})
	if err != nil {
		return start{}, err
	}
	return start{Versioned: checkpoint.Versioned{Version: startVersion}, Time: events.Date.Unix()}, nil
}

// openings remembers of talks whether they were opened before the account's start, some
// 65,000 of either. It is safe for concurrent use.
type openings struct {
	mu           sync.Mutex
	early, later component.Recent
}

func (o *openings) of(talk string) (early, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	early = o.early.Has(talk)
	return early, early || o.later.Has(talk)
}

func (o *openings) add(talk string, early bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if early {
		o.early.Add(talk)
	} else {
		o.later.Add(talk)
	}
}

// sinceStart is a pass of an account that has a start. A talk is asked for when it was opened
// before it is read for the first time: no list of talks and no order of their ids tells
// which were there at the start.
type sinceStart struct {
	account *account
	start   chat.Start
	pass    func(chat.Start) chat.Pass
}

// Run implements chat.Pass.
func (p *sinceStart) Run(ctx context.Context) (chat.Result, error) {
	early, known := p.account.openings.of(p.start.Chat)
	if !known {
		var err error
		if early, err = p.look(ctx); err != nil {
			return chat.Result{}, err
		}
		p.account.openings.add(p.start.Chat, early)
	}
	if from := time.Unix(p.account.start.Time, 0); early && from.After(p.start.Since) {
		p.start.Since = from
	}
	return p.pass(p.start).Run(ctx)
}

// look asks whether the talk was opened before the start. One that does not tell was.
func (p *sinceStart) look(ctx context.Context) (early bool, err error) {
	err = p.start.Call(ctx, func(ctx context.Context) error {
		opened, err := p.account.in.source.opened(ctx, p.start.Chat)
		early = opened <= p.account.start.Time
		return err
	})
	return early, err
}
