// SPDX-License-Identifier: Apache-2.0

package message

import (
	"errors"

	"github.com/tidwall/gjson"
)

// isTalk says that the item is a message of the CRM API. The metadata of the input
// tells, and where there is none the keys.
func (r *reader) isTalk(root *gjson.Result) bool {
	if _, ok := r.meta.MetaGetMut(metaScopeID); ok {
		return false
	}
	if _, ok := r.meta.MetaGetMut(metaTalkID); ok {
		return true
	}
	if root.Get("message").Exists() {
		return false
	}
	for _, key := range []string{"author", "recipient", "message_type", "created_at"} {
		if root.Get(key).Exists() {
			return true
		}
	}
	return false
}

// talkMessage reads a message of the CRM API (chats-api.md, Messages of every
// channel).
func (r *reader) talkMessage(root *gjson.Result) error {
	var way, from, to, created, seconds, milliseconds, file gjson.Result
	err := eachMember(root, &r.left, func(key string, v *gjson.Result, left *leftover) error {
		switch key {
		case "id":
			return r.text(messageID, key, v, left)
		case "chat_id":
			return r.known(chatID, key, v, left)
		case "type":
			way = *v
		case "message_type":
			return r.text(messageType, key, v, left)
		case "author":
			from = *v
		case "recipient":
			to = *v
		case "text":
			return r.text(text, key, v, left)
		case "created_at":
			created = *v
		case "sec_created_at":
			seconds = *v
		case "msec_created_at":
			milliseconds = *v
		case "delivery_status":
			return r.known(deliveryStatus, key, v, left)
		case "attachment":
			file = *v
		case "location":
			return r.place(key, v, left)
		case "contact":
			return r.contact(key, v, left)
		default:
			return r.unknown(key, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := errors.Join(
		r.crmPerson("author", &from, &sender),
		r.crmPerson("recipient", &to, &receiver),
		r.object("attachment", &file, &r.left, r.attachment),
		r.time(
			timestamp{"msec_created_at", &milliseconds, 1},
			timestamp{"sec_created_at", &seconds, 1000},
			timestamp{"created_at", &created, 1000},
		),
		r.way(&way),
	); err != nil {
		return err
	}
	if r.doc[direction].s != "" {
		r.doc.setSides(r.doc[direction].s == directionOutgoing)
	}
	return nil
}

// known takes text that the metadata may have, too: what the item says counts.
func (r *reader) known(f field, key string, v *gjson.Result, left *leftover) error {
	before := r.doc[f]
	err := r.text(f, key, v, left)
	if r.doc[f].s == "" {
		r.doc[f] = before
	}
	return err
}

func (r *reader) crmPerson(key string, v *gjson.Result, p *party) error {
	return r.object(key, v, &r.left, func(key string, v *gjson.Result, left *leftover) error {
		switch key {
		case "id":
			return r.text(p.id, key, v, left)
		case "name":
			return r.text(p.name, key, v, left)
		case "avatar_url":
			return r.text(p.avatar, key, v, left)
		case "type":
			return r.text(p.kind, key, v, left)
		case "user_id":
			return r.integer(p.userID, key, v, left)
		default:
			return left.add(key, v)
		}
	})
}

// attachment takes the members of attachment. Its type is left over where it is
// not the message's.
func (r *reader) attachment(key string, v *gjson.Result, left *leftover) error {
	switch key {
	case "link":
		return r.text(mediaURL, key, v, left)
	case "file_name":
		return r.text(mediaFileName, key, v, left)
	case "type":
		if kind := textOf(v, r.odd); r.doc[messageType].s == "" {
			r.doc[messageType] = kind
		} else if kind == r.doc[messageType] {
			return nil
		} else {
			return left.add(key, v)
		}
		if !scalar(v) {
			return left.add(key, v)
		}
		return nil
	default:
		return left.add(key, v)
	}
}

// way sets the direction: type, in this API, says it. Where it does not, the
// metadata does, or who wrote.
func (r *reader) way(v *gjson.Result) error {
	switch v.Str {
	case "incoming":
		r.setDirection(false)
		return nil
	case "outgoing":
		r.setDirection(true)
		return nil
	}
	if r.doc[direction].s == "" {
		switch r.doc[senderType].s {
		case `"external"`:
			r.setDirection(false)
		case `"internal"`, `"bot"`:
			r.setDirection(true)
		}
	}
	return r.left.add("type", v)
}
