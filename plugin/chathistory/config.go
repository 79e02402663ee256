// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
)

// config is the configuration of the input, parsed and checked.
type config struct {
	baseURL       string
	scopeID       string
	channelSecret string

	chats      []string
	chatsInput *service.OwnedInput
	chatID     *service.InterpolatedString

	component.HistoryConfig
}

func parseConfig(conf *service.ParsedConfig, mgr *service.Resources) (*config, error) {
	r := &component.FieldReader{Conf: conf}
	c := readConfig(r, mgr)
	if err := r.Err(); err != nil {
		return nil, err
	}
	// Last, because it builds the input that is in the field.
	if conf.Contains(fieldChatsInput) {
		var err error
		if c.chatsInput, err = conf.FieldInput(fieldChatsInput); err != nil {
			return nil, fmt.Errorf("%s: %w", fieldChatsInput, err)
		}
	}
	return c, nil
}

// readConfig reads all but the input in chats_input. What is wrong is in the
// reader.
func readConfig(r *component.FieldReader, l component.Labels) *config {
	conf := r.Conf
	c := &config{
		baseURL:       strings.TrimSpace(component.Read(r, conf.FieldString, fieldBaseURL)),
		scopeID:       strings.TrimSpace(component.Read(r, conf.FieldString, fieldScopeID)),
		channelSecret: r.Secret(fieldChannelSecret),
		chats:         component.Read(r, conf.FieldStringList, fieldChats),
	}
	c.HistoryConfig = r.History(inputName, l, amojo.MaxLimit)
	c.readChats(r)
	c.checkClient(r)
	return c
}

// checkClient has the client check what is its own, one field at a time so that
// each is reported.
func (c *config) checkClient(r *component.FieldReader) {
	const scope, secret = "channel_account", "secret" // any that are right
	for _, conf := range []amojo.Config{
		{BaseURL: c.baseURL, ScopeID: scope, Secret: secret},
		{ScopeID: c.scopeID, Secret: secret},
		{ScopeID: scope, Secret: c.channelSecret},
	} {
		_, err := amojo.NewClient(conf)
		r.Fail(err)
	}
}

// readChats reads which chats there are to read.
func (c *config) readChats(r *component.FieldReader) {
	listed, fromInput := len(c.chats) > 0, r.Conf.Contains(fieldChatsInput)
	switch {
	case !listed && !fromInput:
		r.Fail(errors.New("there is no chat to read: list them in chats, or set chats_input to an input that names them"))
	case listed && fromInput:
		r.Fail(errors.New("both chats and chats_input say what to read: remove one of them"))
	}
	seen := make(map[string]int, len(c.chats))
	for i, id := range c.chats {
		id = strings.TrimSpace(id)
		c.chats[i] = id
		if err := checkChatID(id); err != nil {
			r.Fail(fmt.Errorf("%s: entry %d %w", fieldChats, i+1, err))
			continue
		}
		if first, twice := seen[id]; twice {
			r.Require(false, "%s: %s is named twice, as entry %d and as entry %d: remove one of them", fieldChats, id, first, i+1)
			continue
		}
		seen[id] = i + 1
	}
	if !fromInput {
		return
	}
	if input, _ := r.Conf.FieldAny(fieldChatsInput); component.IsEmpty(input) {
		r.Require(false, "%s: it is empty: want an input, as in kommo_chats: {…}", fieldChatsInput)
	}
	text := component.Read(r, r.Conf.FieldString, fieldChatID)
	id, err := service.NewInterpolatedString(text)
	if err != nil {
		r.Fail(fmt.Errorf("%s: it can't be read as an interpolation, as in ${! @kommo_chat_id }: %w", fieldChatID, err))
		return
	}
	_, static := id.Static()
	r.Require(!static, "%s: it is the same for every message, got %q: want an interpolation, as in ${! @kommo_chat_id }", fieldChatID, text)
	c.chatID = id
}
