// SPDX-License-Identifier: Apache-2.0

package amojo

import (
	"fmt"
	"strings"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/jsonscan"
)

// scanner reads a page in a single pass.
type scanner struct {
	jsonscan.Scanner

	parties jsonscan.Recent[Party]

	tooMany bool // the failure is that there are more than MaxItems
}

func (d *scanner) err() error {
	if d.tooMany {
		return fmt.Errorf("it has more than %d items, and no more than %d were asked for: check base_url and proxy_url: %w",
			MaxItems, MaxLimit, apicall.ErrTooLarge)
	}
	if d.S == "" {
		return fmt.Errorf("it is empty: %w", apicall.ErrBrokenBody)
	}
	at, want := d.Failure()
	if at >= len(d.S) {
		return fmt.Errorf("it breaks off: %w", apicall.ErrBrokenBody)
	}
	return fmt.Errorf("at byte %d: %s: %w", at, want, apicall.ErrBrokenBody)
}

// page reads the whole body. What is wrong with the type of messages is said
// last, because a second messages member would replace the first.
func (d *scanner) page() (items []Item, end int) {
	i := d.Space(0)
	if i == len(d.S) || d.S[i] != '{' {
		return nil, d.Fail(i, "want a JSON object")
	}
	wrongType, failure, listed := -1, -1, false
	key, at, more := d.Member(i+1, true)
	for ; more; key, at, more = d.Member(i, false) {
		listed = listed || key == "messages"
		if key != "messages" {
			if strings.HasPrefix(key, "error") && !strings.HasPrefix(d.S[at:], "null") {
				failure = at
			}
			i = d.Value(at, 1)
		} else if wrongType, items = -1, items[:0]; at < len(d.S) && d.S[at] == '[' {
			items, i = d.items(items, at, 2)
		} else {
			if !strings.HasPrefix(d.S[at:], "null") {
				wrongType = at
			}
			i = d.Value(at, 1)
		}
		if i < 0 {
			return nil, -1
		}
	}
	if at < 0 {
		return nil, -1
	}
	if i = d.Space(at); i < len(d.S) {
		return nil, d.Fail(i, "want nothing after the JSON object")
	}
	if wrongType >= 0 {
		return nil, d.Fail(wrongType, "want messages to be an array")
	}
	if failure >= 0 && !listed {
		// error_code and the like, which a 400 has (chats-api.md, The history
		// call). With a 200 it must not pass for a chat's end.
		return nil, d.Fail(failure, "want messages, and this is an error with status 200")
	}
	return items, i
}

func (d *scanner) items(items []Item, i, depth int) (_ []Item, end int) {
	end = d.Elements(i, func(i int) int {
		if cap(items) == 0 {
			// An item is longer than 256 bytes but for the shortest texts, so this is
			// rarely too few, and for an ordinary page never too many.
			items = make([]Item, 0, min(len(d.S)/256+1, MaxLimit))
		}
		if len(items) == MaxItems {
			d.tooMany = true
			return d.Fail(i, "too many items")
		}
		items = append(items, Item{})
		return d.item(i, depth, &items[len(items)-1])
	})
	if end < 0 {
		return nil, -1
	}
	return items, end
}

func (d *scanner) item(start, depth int, item *Item) int {
	if start == len(d.S) || d.S[start] != '{' {
		end := d.Value(start, depth)
		if end >= 0 {
			item.Raw = d.Raw(start, end)
		}
		return end
	}
	depth++
	var i int
	key, at, more := d.Member(start+1, true)
	for ; more; key, at, more = d.Member(i, false) {
		switch key {
		case "timestamp":
			item.Timestamp, i = d.Integer(at, depth)
		case "msec_timestamp":
			item.MsecTimestamp, i = d.Integer(at, depth)
		case "sender":
			i = d.party(at, depth, &item.Sender)
		case "receiver":
			i = d.party(at, depth, &item.Receiver)
		case "message":
			i = d.message(at, depth, item)
		default:
			i = d.Value(at, depth)
		}
		if i < 0 {
			return -1
		}
	}
	if at < 0 {
		return -1
	}
	item.Raw = d.Raw(start, at)
	item.Object = true
	item.HasReceiver = item.Receiver != Party{}
	return at
}

func (d *scanner) message(i, depth int, item *Item) int {
	item.ID, item.ClientID, item.Type, item.MediaGroupID = "", "", "", ""
	if i == len(d.S) || d.S[i] != '{' {
		return d.Value(i, depth)
	}
	depth++
	key, at, more := d.Member(i+1, true)
	for ; more; key, at, more = d.Member(i, false) {
		switch key {
		case "id":
			item.ID, i = d.Text(at, depth)
		case "client_id":
			item.ClientID, i = d.Text(at, depth)
		case "type":
			item.Type, i = d.Text(at, depth)
		case "media_group_id":
			item.MediaGroupID, i = d.Text(at, depth)
		default:
			i = d.Value(at, depth)
		}
		if i < 0 {
			return -1
		}
	}
	return at
}

func (d *scanner) party(start, depth int, party *Party) int {
	*party = Party{}
	if start == len(d.S) || d.S[start] != '{' {
		return d.Value(start, depth)
	}
	if known, end := d.parties.At(d.S, start, depth); known != nil {
		*party = *known
		return end
	}
	end := d.newParty(start, depth+1, party)
	if end >= 0 {
		d.parties.Keep(d.S[start:end], depth, party)
	}
	return end
}

func (d *scanner) newParty(i, depth int, party *Party) int {
	key, at, more := d.Member(i+1, true)
	for ; more; key, at, more = d.Member(i, false) {
		switch key {
		case "id":
			party.ID, i = d.Text(at, depth)
		case "name":
			party.Name, i = d.Text(at, depth)
		case "client_id":
			party.ClientID, i = d.Text(at, depth)
		case "avatar":
			party.Avatar, i = d.Text(at, depth)
		case "phone":
			party.Phone, i = d.Text(at, depth)
		case "email":
			party.Email, i = d.Text(at, depth)
		default:
			i = d.Value(at, depth)
		}
		if i < 0 {
			return -1
		}
	}
	return at
}
