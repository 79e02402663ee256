// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
	"unsafe"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/tidwall/gjson"
)

var (
	errNotJSON = errors.New("want the JSON of an item, and this is none: put kommo_message before what encodes or replaces the body")
	errMapped  = errors.New("this is a flat message already: use kommo_message once, and before other mappings")
)

// maxDepth is how deep values may be nested, as in encoding/json.
const maxDepth = 10000

// processor is the processor kommo_message. It keeps nothing between messages.
type processor struct {
	conf   config
	schema service.ImmutableValue
}

func newProcessor(conf config) *processor {
	return &processor{conf: conf, schema: service.ImmutableAny{V: commonSchema(conf.personal)}}
}

// Process replaces the body, and changes the metadata as the spec says. No error
// repeats what the item holds. On one the message is as it was.
func (p *processor) Process(_ context.Context, m *service.Message) (service.MessageBatch, error) {
	body, err := m.AsBytes()
	if err != nil {
		return nil, fmt.Errorf("reading the item: %w", err)
	}
	flat, err := p.flatten(body, m)
	if err != nil {
		return nil, err
	}
	if op, _ := m.MetaGet(metaOperation); p.conf.tombstones && op == "delete" {
		flat = nil // and not empty: outputs tell the two apart
	}
	m.SetBytes(flat)
	if !p.conf.personal {
		deletePersonal(m)
	}
	m.MetaSetImmut(metaSchema, p.schema)
	return service.MessageBatch{m}, nil
}

// Close has nothing to do.
func (*processor) Close(context.Context) error { return nil }

// flatten makes the body of the flat message.
func (p *processor) flatten(body []byte, m *service.Message) ([]byte, error) {
	if !valid(body) {
		return nil, errNotJSON
	}
	// The same memory as body, which nobody may change: fields are parts of it
	// until they are written.
	root := gjson.Parse(unsafe.String(unsafe.SliceData(body), len(body))) //nolint:gosec // see above
	if !root.IsObject() {
		return nil, fmt.Errorf("want an item, which is a JSON object, and this is %s", kind(&root))
	}
	r := reader{meta: m, odd: odd(body)}
	r.left = leftover{off: !p.conf.personal, odd: r.odd}
	r.doc[schemaVersion] = value{s: version}
	r.setMetadata()
	read := r.item
	if r.isTalk(&root) {
		read = r.talkMessage
	}
	if err := read(&root); err != nil {
		return nil, err
	}
	if r.seen == seenVersion|seenID {
		return nil, errMapped
	}
	if r.doc[messageID].s == "" {
		r.doc[messageID] = metaText(m, metaMessageID)
	}
	if r.doc[messageID].s == "" {
		chat, _ := m.MetaGet(metaChatID)
		sum := sha256.Sum256(append([]byte(chat+"\n"), body...))
		r.doc[messageID] = value{s: "sha256:" + hex.EncodeToString(sum[:]), plain: true}
	}
	r.doc[extra] = value{s: r.left.json()}
	return r.doc.appendTo(make([]byte, 0, len(body)+512), p.conf.personal), nil
}

// valid says that a body is JSON, and not nested deeper than maxDepth.
func valid(body []byte) bool {
	if bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) > maxDepth {
		return json.Valid(body) // slower, and counts
	}
	return gjson.ValidBytes(body)
}

// odd says that some string in the body may not be copied as it is written. See
// jsonText.
func odd(body []byte) bool {
	return bytes.Contains(body, []byte(`\ud`)) || bytes.Contains(body, []byte(`\uD`)) || !utf8.Valid(body)
}

// kind names the type of a value that is no object.
func kind(v *gjson.Result) string {
	switch v.Type {
	case gjson.JSON:
		return "an array"
	case gjson.String:
		return "a string"
	case gjson.Number:
		return "a number"
	case gjson.Null:
		return "null"
	default:
		return "a boolean"
	}
}
