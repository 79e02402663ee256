// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/schema"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/tidwall/gjson"
)

// The metadata that the inputs set and this processor reads. docs/reference has
// them all.
const (
	metaScopeID       = "kommo_scope_id"
	metaChatID        = "kommo_chat_id"
	metaTalkID        = "kommo_talk_id"
	metaMessageID     = "kommo_message_id"
	metaDirection     = "kommo_direction"
	metaTimestamp     = "kommo_timestamp"
	metaMsecTimestamp = "kommo_msec_timestamp"
	metaOperation     = "kommo_operation"
)

// metaSchema is the key that this processor sets, as inputs of databases do.
const metaSchema = "schema"

// The values of the field direction, as they are written.
const (
	directionIncoming = `"incoming"`
	directionOutgoing = `"outgoing"`
)

// metadataFields are the fields that the metadata gives for either API.
var metadataFields = []struct {
	field field
	key   string
}{
	{scopeID, metaScopeID},
	{chatID, metaChatID},
	{talkID, metaTalkID},
	{contactID, "kommo_contact_id"},
	{entityID, "kommo_entity_id"},
	{entityType, "kommo_entity_type"},
	{origin, "kommo_origin"},
	{operation, metaOperation},
	{deliveryStatus, "kommo_delivery_status"},
}

// setMetadata sets what the metadata says of a message. What the item says itself
// goes over it.
func (r *reader) setMetadata() {
	for _, m := range metadataFields {
		v := metaText(r.meta, m.key)
		if fields[m.field].kind != schema.Int64 {
			r.doc[m.field] = v
		} else if n, ok := digits(v.s); ok && n > 0 {
			r.doc.setInt(m.field, n)
		}
	}
	switch v := metaText(r.meta, metaDirection); v.s {
	case "incoming":
		r.setDirection(false)
	case "outgoing":
		r.setDirection(true)
	}
}

func (r *reader) setDirection(outgoing bool) {
	if outgoing {
		r.doc[direction] = value{s: directionOutgoing}
	} else {
		r.doc[direction] = value{s: directionIncoming}
	}
}

// deleted says that the message has vanished: there is no item, and what is not
// known of it can't be told from it.
func (r *reader) deleted() bool { return r.doc[operation].s == "delete" }

// setMetadataTime sets the time that the input found.
func (r *reader) setMetadataTime() {
	ms, ok := metaMoment(r.meta, metaMsecTimestamp, 1)
	if !ok {
		ms, ok = metaMoment(r.meta, metaTimestamp, 1000)
	}
	if ok {
		r.doc.setTime(ms)
	}
}

func metaMoment(m *service.Message, key string, unit int64) (ms int64, ok bool) {
	return moment(&gjson.Result{Type: gjson.String, Str: metaText(m, key).s}, unit)
}

// metaText returns a value of the metadata as text, or nothing.
func metaText(m *service.Message, key string) value {
	v, ok := m.MetaGetMut(key)
	if !ok {
		return value{}
	}
	switch v := v.(type) {
	case string:
		return value{s: v, plain: true}
	case int64:
		return value{s: strconv.FormatInt(v, 10), plain: true}
	case int:
		return value{s: strconv.Itoa(v), plain: true}
	case json.Number:
		return value{s: v.String(), plain: true}
	case float64:
		return value{s: strconv.FormatFloat(v, 'f', -1, 64), plain: true}
	case bool:
		return value{s: strconv.FormatBool(v), plain: true}
	default:
		return value{}
	}
}

// deletePersonal takes away the metadata that names or reaches a person: of the
// sender and the receiver everything but ids and types, so that a key that is new
// goes, too.
func deletePersonal(m *service.Message) {
	var personal []string
	_ = m.MetaWalkMut(func(key string, _ any) error { // the function never fails
		of, ok := strings.CutPrefix(key, "kommo_sender_")
		if !ok {
			of, ok = strings.CutPrefix(key, "kommo_receiver_")
		}
		if ok && of != "id" && of != "type" && of != "user_id" {
			personal = append(personal, key)
		}
		return nil
	})
	for _, key := range personal {
		m.MetaDelete(key)
	}
}
