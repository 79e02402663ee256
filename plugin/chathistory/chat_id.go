// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"errors"
	"strings"
	"unicode"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// What a chat's id may be is not documented. In the list of chats, where a person is
// there to correct it, all is refused that can't be one. In a message of chats_input
// only what is certainly none is: a wrong refusal would lose a chat.

// checkChatID says why a text can't be the id of a chat, or returns nil. The error
// continues a sentence that has named where the text is from, and does not repeat
// it: it may be anything.
func checkChatID(id string) error {
	switch {
	case id == "":
		return errors.New("is empty: want a chat's id in the Chats API")
	case strings.ContainsAny(id, `{}[]"`):
		return errors.New("is JSON, not a chat's id: want the id alone")
	case strings.Contains(id, "://") || id == "." || id == "..":
		return errors.New("is an address or a path, not a chat's id: want the id alone")
	case strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == ',' || r == ';' }):
		return errors.New("has a space, a comma or the like in it, so it is no chat's id: want one id an entry, with commas between the entries")
	}
	return nil
}

// What is wrong with a message of chats_input.
var (
	errNoChat = errors.New("there is no id: check that chat_id finds a chat's id in the message")
	errNoID   = errors.New("what chat_id finds is no id, but JSON or text: check that it finds a chat's id alone in the message")
)

// queuedChat returns the id in a message of chats_input.
func (in *input) queuedChat(m *service.Message) (string, error) {
	id, err := in.conf.chatID.TryString(m)
	id = strings.TrimSpace(id)
	switch {
	case err != nil:
		return "", err
	case id == "" || id == "null":
		return "", errNoChat
	case len(id) > longestID || strings.ContainsAny(id, "{}[]\"<> \t\r\n"):
		return "", errNoID
	}
	return id, nil
}

// longestID is how long an id may be. Those of the API have 36 characters.
const longestID = 1000
