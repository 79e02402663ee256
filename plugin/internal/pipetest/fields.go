// SPDX-License-Identifier: Apache-2.0

package pipetest

import (
	"context"
	"encoding/json"
	"maps"
	"time"
)

// Fields are fields of the input.
type Fields map[string]any

// Without returns the fields without one, for a config that leaves it out.
func (f Fields) Without(name string) Fields {
	f = maps.Clone(f)
	delete(f, name)
	return f
}

// With sets some fields.
func (f Fields) With(more Fields) Fields {
	maps.Copy(f, more)
	return f
}

// Input returns the fields of an input that reads chats of this server as fast as
// it can and retries after milliseconds, with some fields changed.
func (k *Kommo) Input(changed Fields) Fields {
	f := Fields{
		"base_url":            k.URL,
		"scope_id":            k.ScopeID(),
		"channel_secret":      Secret,
		"requests_per_second": 0,
		"backoff":             Fields{"initial_interval": "1ms", "max_interval": "20ms"},
	}
	maps.Copy(f, changed)
	return f
}

// Account returns the fields of an input that lists this server's chats as fast
// as it can and retries after milliseconds, with some fields changed.
func (k *Kommo) Account(changed Fields) Fields {
	f := Fields{
		"api_url":             k.URL,
		"access_token":        AccessToken,
		"requests_per_second": 0,
		"checkpoint_interval": "1ms",
		"backoff":             Fields{"initial_interval": "1ms", "max_interval": "20ms"},
	}
	maps.Copy(f, changed)
	return f
}

// Options are what surrounds the input.
type Options struct {
	Write       func(ctx context.Context, batch []Message) error // nil: acknowledge
	Bad         func(chat string) bool                           // which chats the output rejects, one by one; nil: none
	MaxInFlight int                                              // of the output; 0: 64
	batching    Fields                                           // of the output
	Mapping     string                                           // a processor of the input; empty: none
	Cache       *Cache                                           // labelled progress
	Limit       func() (time.Duration, error)                    // labelled shared
	Queue       *Queue                                           // the input test_queue

	key      string                              // of Message.Chat; empty: kommo_chat_id
	messages func(chat string) []json.RawMessage // of the server; nil: those of a chat
}
