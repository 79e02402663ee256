// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inputFields is the public contract of kommo_chat_history.
var inputFields = []string{
	"base_url", "scope_id", "channel_secret", "chats", "page_size", "poll_interval", "start_from", "since", "lookback",
	"parallel_chats", "checkpoint_limit", "preserve_order", "max_buffered_pages", "requests_per_second", "burst",
	"rate_limit", "timeout", "backoff", "checkpoint_cache", "checkpoint_cache_key", "checkpoint_interval",
	"proxy_url", "tls", "auto_replay_nacks",
}

func TestBinary_ListsTheInput(t *testing.T) {
	t.Parallel()
	r := run(t, nil, "list", "inputs")
	require.Zero(t, r.code, r)
	assert.Contains(t, r.stdout, "- kommo_chat_history\n")
}

func TestBinary_CreatesTheInput(t *testing.T) {
	t.Parallel()
	r := run(t, nil, "create", "kommo_chat_history")
	require.Zero(t, r.code, r)
	assert.Contains(t, r.stdout, "kommo_chat_history:")
	for _, f := range inputFields {
		assert.Contains(t, r.stdout, " "+f+":", "create shows every field")
	}
}

func TestBinary_JSONSchemaHasEveryField(t *testing.T) {
	t.Parallel()
	r := run(t, nil, "list", "--format", "jsonschema")
	require.Zero(t, r.code, r.stderr)
	input := findObject(t, r.stdout, "kommo_chat_history")
	properties, ok := input["properties"].(map[string]any)
	require.True(t, ok, "kommo_chat_history has properties")
	for _, f := range inputFields {
		assert.Contains(t, properties, f)
	}
}

// The engine's JSON schema has no descriptions, of any component. Its full list has.
func TestBinary_DescribesEveryField(t *testing.T) {
	t.Parallel()
	r := run(t, nil, "list", "--format", "json-full")
	require.Zero(t, r.code, r.stderr)
	var list struct {
		Inputs []struct {
			Name   string
			Config struct {
				Children []struct{ Name, Description string }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &list))
	described := map[string]string{}
	for _, input := range list.Inputs {
		if input.Name == "kommo_chat_history" {
			for _, field := range input.Config.Children {
				described[field.Name] = field.Description
			}
		}
	}
	for _, f := range inputFields {
		assert.NotEmpty(t, described[f], "description of %s", f)
	}
}

// findObject returns the object that stands under key, anywhere in a document.
func findObject(t *testing.T, document, key string) map[string]any {
	t.Helper()
	var doc any
	require.NoError(t, json.Unmarshal([]byte(document), &doc))
	var find func(v any) map[string]any
	find = func(v any) map[string]any {
		switch v := v.(type) {
		case map[string]any:
			if o, ok := v[key].(map[string]any); ok {
				return o
			}
			for _, child := range v {
				if o := find(child); o != nil {
					return o
				}
			}
		case []any:
			for _, child := range v {
				if o := find(child); o != nil {
					return o
				}
			}
		}
		return nil
	}
	o := find(doc)
	require.NotNil(t, o, "the document has no object %q", key)
	return o
}
