// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"fmt"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// config is the configuration of the input, parsed and checked.
type config struct {
	apiURL string

	talks      []string
	talksInput *service.OwnedInput
	queued     bool // there is a talks_input
	talkID     *service.InterpolatedString
	discover   string
	origins    []string

	component.TokenConfig
	component.HistoryConfig
}

// account says that the account's own feed names the talks.
func (c *config) account() bool { return len(c.talks) == 0 && !c.queued }

func parseConfig(conf *service.ParsedConfig, mgr *service.Resources) (*config, error) {
	r := &component.FieldReader{Conf: conf}
	c := readConfig(r, mgr)
	if err := r.Err(); err != nil {
		return nil, err
	}
	// Last, because it builds the input that is in the field.
	if c.queued {
		var err error
		if c.talksInput, err = conf.FieldInput(fieldTalksInput); err != nil {
			return nil, fmt.Errorf("%s: %w", fieldTalksInput, err)
		}
	}
	return c, nil
}

// readConfig reads all but the input in talks_input. What is wrong is in the reader.
func readConfig(r *component.FieldReader, l component.Labels) *config {
	conf := r.Conf
	c := &config{
		apiURL:      strings.TrimSpace(component.Read(r, conf.FieldString, fieldAPIURL)),
		TokenConfig: r.Token(),
		talks:       component.Read(r, conf.FieldStringList, fieldTalks),
		queued:      conf.Contains(fieldTalksInput),
		discover:    r.Text(fieldDiscover),
		origins:     component.Read(r, conf.FieldStringList, fieldOrigins),
	}
	c.HistoryConfig = r.History(inputName, l, crm.MaxLimit)
	c.readTalks(r)
	c.readDiscovery(r)
	_, err := crm.NewClient(crm.Config{URL: c.apiURL, Token: "token"})
	r.Fail(err)
	return c
}

// readTalks reads which talks there are to read, where it is not the account that says
// so.
func (c *config) readTalks(r *component.FieldReader) {
	r.Require(len(c.talks) == 0 || !c.queued, "both %s and %s say what to read: remove one of them", fieldTalks, fieldTalksInput)
	seen := make(map[string]int, len(c.talks))
	for i, id := range c.talks {
		id = strings.TrimSpace(id)
		c.talks[i] = id
		if err := crm.CheckTalkID(id); err != nil {
			r.Fail(fmt.Errorf("%s: entry %d: %w", fieldTalks, i+1, err))
			continue
		}
		if first, twice := seen[id]; twice {
			r.Require(false, "%s: %s is named twice, as entry %d and as entry %d: remove one of them", fieldTalks, id, first, i+1)
			continue
		}
		seen[id] = i + 1
	}
	if !c.queued {
		return
	}
	if input, _ := r.Conf.FieldAny(fieldTalksInput); component.IsEmpty(input) {
		r.Require(false, "%s: it is empty: want an input, as in kommo_chats: {…}", fieldTalksInput)
	}
	text := component.Read(r, r.Conf.FieldString, fieldTalkID)
	id, err := service.NewInterpolatedString(text)
	if err != nil {
		r.Fail(fmt.Errorf("%s: it can't be read as an interpolation, as in ${! @kommo_talk_id }: %w", fieldTalkID, err))
		return
	}
	_, static := id.Static()
	r.Require(!static, "%s: it is the same for every message, got %q: want an interpolation, as in ${! @kommo_talk_id }", fieldTalkID, text)
	c.talkID = id
}

// readDiscovery checks how the account says what to read.
func (c *config) readDiscovery(r *component.FieldReader) {
	switch c.discover {
	case "":
		c.discover = discoverEvents
	case discoverEvents, discoverTalks, discoverIDs:
	default:
		r.Require(false, "%s: want %s, %s or %s, got %q", fieldDiscover, discoverEvents, discoverTalks, discoverIDs, c.discover)
	}
	seen := make(map[string]int, len(c.origins))
	for i, o := range c.origins {
		c.origins[i] = strings.TrimSpace(o)
		r.Require(c.origins[i] != "", "%s: entry %d is empty: want a talk's origin, as in waba", fieldOrigins, i+1)
		if first, twice := seen[c.origins[i]]; twice {
			r.Require(false, "%s: %s is named twice, as entry %d and as entry %d: remove one of them", fieldOrigins, c.origins[i], first, i+1)
		}
		seen[c.origins[i]] = i + 1
	}
	names := fieldTalks
	if c.queued {
		names = fieldTalksInput
	}
	if !c.account() {
		r.Require(len(c.origins) == 0, "%s: %s says already which talks are read: remove one of the two", fieldOrigins, names)
		r.Require(c.discover == discoverEvents, "%s: %s says already which talks are read: remove one of the two", fieldDiscover, names)
	}
}
