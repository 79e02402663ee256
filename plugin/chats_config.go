// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/crm"
)

// chatsConfig is the configuration of the input kommo_chats, parsed and checked.
type chatsConfig struct {
	apiURL       string
	accessToken  string
	source       crm.Source
	origins      []string
	updatedSince time.Time
	pageSize     int
	pollInterval time.Duration // 0: once

	callConfig
	checkpointConfig
}

func parseChatsConfig(conf *service.ParsedConfig, mgr *service.Resources) (*chatsConfig, error) {
	r := &fieldReader{conf: conf}
	c := &chatsConfig{
		apiURL:           strings.TrimSpace(read(r, conf.FieldString, fieldAPIURL)),
		accessToken:      strings.TrimSpace(read(r, conf.FieldString, fieldAccessToken)),
		source:           crm.Source(read(r, conf.FieldString, fieldSource)),
		origins:          read(r, conf.FieldStringList, fieldOrigins),
		pageSize:         read(r, conf.FieldInt, fieldPageSize),
		callConfig:       r.call(),
		checkpointConfig: r.checkpoint(chatsName),
	}
	r.require(c.pageSize >= 1 && c.pageSize <= crm.MaxLimit, "%s: want 1 to %d, the most the API gives in a page, got %d", fieldPageSize, crm.MaxLimit, c.pageSize)
	r.require(c.source == crm.Talks || c.source == crm.ContactChats, "%s: want %s or %s, got %q", fieldSource, crm.Talks, crm.ContactChats, string(c.source))
	if poll := r.text(fieldPollInterval); poll != "" {
		c.pollInterval = r.duration(fieldPollInterval, time.Millisecond)
	}
	since := r.text(fieldUpdatedSince)
	if since != "" {
		c.updatedSince = r.time(fieldUpdatedSince, since)
	}
	if c.source == crm.ContactChats {
		r.require(len(c.origins) == 0, "%s: %s tells no origin: remove %[1]s, or set %[3]s to %[4]s", fieldOrigins, crm.ContactChats, fieldSource, crm.Talks)
		r.require(since == "", "%s: %s tells no time of update: remove %[1]s, or set %[3]s to %[4]s", fieldUpdatedSince, crm.ContactChats, fieldSource, crm.Talks)
	}
	for i, o := range c.origins {
		r.require(o != "", "%s: entry %d is empty: want a talk's origin", fieldOrigins, i+1)
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := c.checkCache(mgr); err != nil {
		return nil, err
	}
	if err := c.finishCall(r, mgr, 1); err != nil {
		return nil, err
	}
	return c, nil
}
