// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
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

	readAhead int

	component.HistoryConfig
}

// mostReadAhead is more than any limit and any answer's time need.
const mostReadAhead = 1000

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
		readAhead:     r.Positive(fieldReadAhead),
	}
	c.HistoryConfig = r.History(inputName, l, amojo.MaxLimit, c.readAhead)
	r.Require(c.readAhead <= mostReadAhead, "%s: want 1 to %d, got %d", fieldReadAhead, mostReadAhead, c.readAhead)
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
