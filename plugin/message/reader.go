// SPDX-License-Identifier: Apache-2.0

package message

import (
	"errors"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/tidwall/gjson"
)

// reader makes a document of one item.
type reader struct {
	meta *service.Message // for its metadata alone
	odd  bool             // see textOf
	doc  document
	left leftover // of the item
	seen byte
}

// What of a flat message was seen at the top of the item.
const (
	seenVersion = 1 << iota
	seenID
)

// party is where a person's values go.
type party struct{ id, clientID, name, phone, email, avatar, kind, userID field }

var (
	sender   = party{senderID, senderClientID, senderName, senderPhone, senderEmail, senderAvatar, senderType, senderUserID}
	receiver = party{
		receiverID, receiverClientID, receiverName, receiverPhone, receiverEmail, receiverAvatar, receiverType, receiverUserID,
	}
)

// taker takes a member of an object. What it has no field for it adds to left.
type taker func(key string, v *gjson.Result, left *leftover) error

// object gives the members of an object to take. Another value, but for an empty
// one, is left over.
func (r *reader) object(key string, v *gjson.Result, left *leftover, take taker) error {
	if !v.IsObject() {
		return left.add(key, v)
	}
	inside := left.inside()
	err := eachMember(v, &inside, take)
	left.addAll(key, &inside)
	return err
}

func eachMember(v *gjson.Result, left *leftover, take taker) (err error) {
	var at gjson.Result // one for all members: each would be an allocation
	v.ForEach(func(key, v gjson.Result) bool {
		at = v
		err = take(key.Str, &at, left)
		return err == nil
	})
	return err
}

// unknown takes a member of the item that has no field.
func (r *reader) unknown(key string, v *gjson.Result) error {
	switch key {
	case fields[schemaVersion].name:
		r.seen |= seenVersion
	case fields[messageID].name:
		r.seen |= seenID
	}
	return r.left.add(key, v)
}

// text takes a value that should be text.
func (r *reader) text(f field, key string, v *gjson.Result, left *leftover) error {
	r.doc[f] = value{}
	if !scalar(v) {
		return left.add(key, v)
	}
	r.doc[f] = textOf(v, r.odd)
	left.forget(key)
	return nil
}

// integer takes a value that should be a whole number of something: 0 is none.
func (r *reader) integer(f field, key string, v *gjson.Result, left *leftover) error {
	r.doc[f] = value{}
	n, ok := whole(v)
	if !ok {
		return left.add(key, v)
	}
	if n > 0 {
		r.doc.setInt(f, n)
	}
	left.forget(key)
	return nil
}

// place takes a location. What is no place on Earth is left over whole.
func (r *reader) place(key string, v *gjson.Result, left *leftover) error {
	r.doc[location] = value{}
	if !v.IsObject() {
		return left.add(key, v)
	}
	var lat, lon gjson.Result
	inside := left.inside()
	err := eachMember(v, &inside, func(key string, v *gjson.Result, inside *leftover) error {
		switch key {
		case "lat":
			lat = *v
		case "lon":
			lon = *v
		default:
			return inside.add(key, v)
		}
		return nil
	})
	if r.doc[location] = position(&lat, &lon); r.doc[location].s == "" && err == nil {
		err = errors.Join(inside.add("lat", &lat), inside.add("lon", &lon))
	}
	left.addAll(key, &inside)
	return err
}

// contact takes a contact card.
func (r *reader) contact(key string, v *gjson.Result, left *leftover) error {
	r.doc[contactName], r.doc[contactPhone] = value{}, value{}
	return r.object(key, v, left, func(key string, v *gjson.Result, left *leftover) error {
		switch key {
		case "name":
			return r.text(contactName, key, v, left)
		case "phone":
			return r.text(contactPhone, key, v, left)
		default:
			return left.add(key, v)
		}
	})
}
