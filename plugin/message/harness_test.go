// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/kommo-connect/kommo-connect/plugin/message"
)

// T is a test, a benchmark or a case of a property.
type T interface {
	require.TestingT
	Helper()
	Context() context.Context
}

// owned returns a processor as a pipeline has it.
func owned(t T, yaml string) *service.OwnedProcessor {
	t.Helper()
	spec := service.NewConfigSpec().Field(service.NewProcessorField("of"))
	conf, err := spec.ParseYAML("of: { "+yaml+" }", nil)
	require.NoError(t, err)
	p, err := conf.FieldProcessor("of")
	require.NoError(t, err)
	return p
}

// processor returns the processor with some of its fields.
func processor(t T, yaml string) *service.OwnedProcessor {
	t.Helper()
	return owned(t, "kommo_message: {"+yaml+"}")
}

// metadata is what the input gives a message.
type metadata map[string]any

var fromChat = metadata{"kommo_scope_id": "scope", "kommo_chat_id": "chat"}

func newMessage(item string, meta metadata) *service.Message {
	m := service.NewMessage([]byte(item))
	for key, value := range meta {
		m.MetaSetMut(key, value)
	}
	return m
}

// process returns what the processor makes of an item; with an error, what it was.
func process(t T, p *service.OwnedProcessor, m *service.Message) (*service.Message, error) {
	t.Helper()
	batch, err := p.Process(t.Context(), m)
	require.NoError(t, err)
	require.Len(t, batch, 1)
	return batch[0], batch[0].GetError()
}

// flat returns the document that the processor makes of an item.
func flat(t T, p *service.OwnedProcessor, item string, meta metadata) map[string]any {
	t.Helper()
	m, err := process(t, p, newMessage(item, meta))
	require.NoError(t, err)
	content, err := m.AsBytes()
	require.NoError(t, err)
	require.NotRegexp(t, surrogate, string(content), "some readers refuse half a pair, so there is none that is escaped")
	return body(t, m)
}

var surrogate = regexp.MustCompile(`(^|[^\\])(\\\\)*\\u[dD][89a-fA-F]`)

func body(t T, m *service.Message) map[string]any {
	t.Helper()
	content, err := m.AsBytes()
	require.NoError(t, err)
	require.True(t, utf8.Valid(content), "bytes that are not UTF-8")
	return object(t, string(content))
}

// object decodes a document. Numbers stay as they are written.
func object(t T, content string) map[string]any {
	t.Helper()
	require.True(t, json.Valid([]byte(content)), content)
	decoder := json.NewDecoder(strings.NewReader(content))
	decoder.UseNumber()
	var v map[string]any
	require.NoError(t, decoder.Decode(&v), content)
	return v
}

func mapping(t T) *bloblang.Executor {
	t.Helper()
	content, err := os.ReadFile("testdata/mapping.blobl")
	require.NoError(t, err)
	m, err := bloblang.Parse(string(content))
	require.NoError(t, err)
	return m
}

// text is the opposite of object.
func text(t T, v any) string {
	t.Helper()
	content, err := json.Marshal(v)
	require.NoError(t, err)
	return string(content)
}
