// SPDX-License-Identifier: Apache-2.0

package message

import (
	"errors"

	"github.com/tidwall/gjson"
)

// item reads an item of the Chats API: timestamp, msec_timestamp, sender,
// receiver, message (chats-api.md, Items).
func (r *reader) item(root *gjson.Result) error {
	var seconds, milliseconds, from, to, content gjson.Result
	err := eachMember(root, &r.left, func(key string, v *gjson.Result, _ *leftover) error {
		switch key {
		case "timestamp":
			seconds = *v
		case "msec_timestamp":
			milliseconds = *v
		case "sender":
			from = *v
		case "receiver":
			to = *v
		case "message":
			content = *v
		default:
			return r.unknown(key, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := errors.Join(
		r.time(
			timestamp{"msec_timestamp", &milliseconds, 1},
			timestamp{"timestamp", &seconds, 1000},
		),
		r.person("sender", &from, &sender),
		r.person("receiver", &to, &receiver),
		r.object("message", &content, &r.left, r.content),
	); err != nil {
		return err
	}
	outgoing := r.doc[direction].s == directionOutgoing
	if r.doc[direction].s == "" && !r.deleted() {
		// A message from the client has no receiver (chats-api.md, Items).
		outgoing = to.IsObject() && !empty(&to)
		r.setDirection(outgoing)
	}
	r.doc.setSides(outgoing)
	return nil
}

func (r *reader) person(key string, v *gjson.Result, p *party) error {
	return r.object(key, v, &r.left, func(key string, v *gjson.Result, left *leftover) error {
		switch key {
		case "id":
			return r.text(p.id, key, v, left)
		case "name":
			return r.text(p.name, key, v, left)
		case "client_id":
			return r.text(p.clientID, key, v, left)
		case "avatar":
			return r.text(p.avatar, key, v, left)
		case "phone":
			return r.text(p.phone, key, v, left)
		case "email":
			return r.text(p.email, key, v, left)
		default:
			return left.add(key, v)
		}
	})
}

// content takes the members of message.
func (r *reader) content(key string, v *gjson.Result, left *leftover) error {
	switch key {
	case "id":
		return r.text(messageID, key, v, left)
	case "client_id":
		return r.text(messageClientID, key, v, left)
	case "type":
		return r.text(messageType, key, v, left)
	case "text":
		return r.text(text, key, v, left)
	case "media":
		return r.text(mediaURL, key, v, left)
	case "thumbnail":
		return r.text(mediaThumbnailURL, key, v, left)
	case "file_name":
		return r.text(mediaFileName, key, v, left)
	case "file_size":
		return r.integer(mediaFileSize, key, v, left)
	case "media_group_id":
		return r.text(mediaGroupID, key, v, left)
	case "location":
		return r.place(key, v, left)
	case "contact":
		return r.contact(key, v, left)
	default:
		return left.add(key, v)
	}
}

// timestamp is a time in an item, as a number of units of so many ms.
type timestamp struct {
	key  string
	v    *gjson.Result
	unit int64
}

// time sets the time of the first of them that names one, or else of the metadata.
// What can't be a time, and is not 0 either, is left over.
func (r *reader) time(of ...timestamp) error {
	found := false
	for _, t := range of {
		ms, ok := moment(t.v, t.unit)
		if !ok {
			if n, ok := whole(t.v); !ok || n != 0 {
				if err := r.left.add(t.key, t.v); err != nil {
					return err
				}
			}
			continue
		}
		if !found {
			r.doc.setTime(ms)
		}
		found = true
	}
	if !found {
		r.setMetadataTime()
	}
	return nil
}
