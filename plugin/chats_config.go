// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
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
	c := readChatsConfig(r, mgr)
	return c, r.err()
}

// readChatsConfig leaves what is wrong in the reader.
func readChatsConfig(r *fieldReader, l labels) *chatsConfig {
	conf := r.conf
	c := &chatsConfig{
		apiURL:           strings.TrimSpace(read(r, conf.FieldString, fieldAPIURL)),
		accessToken:      strings.TrimSpace(read(r, conf.FieldString, fieldAccessToken)),
		source:           crm.Source(read(r, conf.FieldString, fieldSource)),
		origins:          read(r, conf.FieldStringList, fieldOrigins),
		pageSize:         read(r, conf.FieldInt, fieldPageSize),
		callConfig:       r.call(l, 1),
		checkpointConfig: r.checkpoint(chatsName, l),
	}
	r.require(c.pageSize >= 1 && c.pageSize <= crm.MaxLimit, "%s: want 1 to %d, the most the API gives in a page, got %d", fieldPageSize, crm.MaxLimit, c.pageSize)
	r.require(c.source == crm.Talks || c.source == crm.ContactChats, "%s: want %s or %s, got %q", fieldSource, crm.Talks, crm.ContactChats, string(c.source))
	if r.text(fieldPollInterval) != "" {
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
		c.origins[i] = strings.TrimSpace(o)
		r.require(c.origins[i] != "", "%s: entry %d is empty: want a talk's origin", fieldOrigins, i+1)
	}
	c.checkClient(r)
	return c
}

// checkClient has the client check what is its own, one field at a time so that
// each is reported.
func (c *chatsConfig) checkClient(r *fieldReader) {
	for _, conf := range []crm.Config{
		{URL: c.apiURL, Token: "token"},
		{URL: "https://example.kommo.com", Token: c.accessToken},
	} {
		_, err := crm.NewClient(conf)
		r.fail(err)
	}
}
