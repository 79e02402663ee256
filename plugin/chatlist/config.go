// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"slices"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// config is the configuration of the input kommo_chats, parsed and checked.
type config struct {
	apiURL       string
	source       source
	origins      []string
	updatedSince time.Time
	pageSize     int
	pollInterval time.Duration // 0: once

	component.TokenConfig
	component.CallConfig
	component.CheckpointConfig
}

func parseConfig(conf *service.ParsedConfig, mgr *service.Resources) (*config, error) {
	r := &component.FieldReader{Conf: conf}
	c := readConfig(r, mgr)
	return c, r.Err()
}

// readConfig leaves what is wrong in the reader.
func readConfig(r *component.FieldReader, l component.Labels) *config {
	conf := r.Conf
	c := &config{
		apiURL:           strings.TrimSpace(component.Read(r, conf.FieldString, fieldAPIURL)),
		source:           source(component.Read(r, conf.FieldString, fieldSource)),
		origins:          component.Read(r, conf.FieldStringList, fieldOrigins),
		pageSize:         component.Read(r, conf.FieldInt, fieldPageSize),
		TokenConfig:      r.Token(),
		CallConfig:       r.Call(l, parallelCalls),
		CheckpointConfig: r.Checkpoint(inputName, l),
	}
	r.Require(c.pageSize >= 1 && c.pageSize <= crm.MaxLimit, "%s: want 1 to %d, the most the API gives in a page, got %d", fieldPageSize, crm.MaxLimit, c.pageSize)
	r.Require(slices.Contains(sources, c.source), "%s: want %s, %s, %s or %s, got %q", fieldSource, sources[0], sources[1], sources[2], sources[3], string(c.source))
	if r.Text(fieldPollInterval) != "" {
		c.pollInterval = r.Duration(fieldPollInterval, time.Millisecond)
	}
	since := r.Text(fieldUpdatedSince)
	if since != "" {
		c.updatedSince = r.Time(fieldUpdatedSince, since)
	}
	if c.source == contactChats {
		r.Require(len(c.origins) == 0, "%s: %s tells no origin: remove %[1]s, or set %[3]s to %[4]s", fieldOrigins, contactChats, fieldSource, talks)
		r.Require(since == "", "%s: %s tells no time of update: remove %[1]s, or set %[3]s to %[4]s", fieldUpdatedSince, contactChats, fieldSource, talks)
	}
	for i, o := range c.origins {
		c.origins[i] = strings.TrimSpace(o)
		r.Require(c.origins[i] != "", "%s: entry %d is empty: want a talk's origin", fieldOrigins, i+1)
	}
	_, err := crm.NewClient(crm.Config{URL: c.apiURL, Token: "token"})
	r.Fail(err)
	return c
}
