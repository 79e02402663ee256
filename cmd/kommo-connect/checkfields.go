// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/redpanda-data/benthos/v4/public/service"
	"gopkg.in/yaml.v3"

	"github.com/kommo-connect/kommo-connect/plugin/check"
)

// checkVariables are the fields that check takes, and the variables of the environment that
// have them; "" for none.
var checkVariables = map[string]string{ //nolint:gosec // names
	"api_url":             "KOMMO_API_URL",
	"access_token":        "KOMMO_ACCESS_TOKEN",
	"access_token_file":   "KOMMO_ACCESS_TOKEN_FILE",
	"talks":               "",
	"origins":             "KOMMO_ORIGINS",
	"discover":            "KOMMO_DISCOVER",
	"since":               "KOMMO_SINCE",
	"base_url":            "KOMMO_BASE_URL",
	"scope_id":            "KOMMO_SCOPE_ID",
	"channel_id":          "KOMMO_CHANNEL_ID",
	"channel_secret":      "KOMMO_CHANNEL_SECRET",
	"chats":               "KOMMO_CHATS",
	"requests_per_second": "KOMMO_REQUESTS_PER_SECOND",
	"timeout":             "",
	"proxy_url":           "",
}

// instead are the fields that a field of the command line takes the place of.
var instead = map[string]string{
	"access_token": "access_token_file", "access_token_file": "access_token", "scope_id": "channel_id", "channel_id": "scope_id",
}

// checkFields are fields by their names in the inputs, as text. A list has spaces between.
type checkFields map[string]string

func fieldsOfEnvironment() checkFields {
	fields := checkFields{}
	for name, variable := range checkVariables {
		if value := os.Getenv(variable); variable != "" && value != "" {
			fields[name] = value
		}
	}
	return fields
}

// defaultRate is that of the inputs.
const defaultRate = 5

// fill sets what the fields say. An error names the field.
func (f checkFields) fill(c *check.Config) (err error) {
	text := func(name string) string { return strings.TrimSpace(f[name]) }
	list := func(name string) []string {
		return strings.FieldsFunc(f[name], func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	}
	c.APIURL, c.AccessToken, c.AccessTokenFile = text("api_url"), text("access_token"), text("access_token_file")
	c.Talks, c.Origins, c.Discover = list("talks"), list("origins"), text("discover")
	c.BaseURL, c.ScopeID, c.ChannelID, c.ChannelSecret = text("base_url"), text("scope_id"), text("channel_id"), f["channel_secret"]
	c.Chats, c.ProxyURL = list("chats"), text("proxy_url")
	c.RequestsPerSecond = defaultRate
	if rate := text("requests_per_second"); rate != "" {
		if c.RequestsPerSecond, err = strconv.ParseFloat(rate, 64); err != nil {
			return fmt.Errorf("requests_per_second: want a number, got %q", rate)
		}
	}
	if timeout := text("timeout"); timeout != "" {
		if c.Timeout, err = time.ParseDuration(timeout); err != nil {
			return fmt.Errorf("timeout: want a duration such as 30s, got %q", timeout)
		}
	}
	if since := text("since"); since != "" {
		if c.Since, err = readTime(since); err != nil {
			return err
		}
	}
	return nil
}

// fieldsOfPipeline reads the kommo_ inputs of a pipeline, wherever in it they stand, and its
// rate limit and TLS.
func fieldsOfPipeline(path string, o *checkOptions, done *func()) (checkFields, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	texts, unset := readConfigs([]string{path})
	text, ok := texts[path]
	if !ok {
		return nil, fmt.Errorf("%s can't be read", path)
	}
	var pipeline struct {
		Whole      map[string]any   `yaml:",inline"`
		RateLimits []map[string]any `yaml:"rate_limit_resources"`
	}
	if err := yaml.Unmarshal([]byte(text), &pipeline); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	fields, inputs, limit := checkFields{}, 0, ""
	err := kommoInputs(pipeline.Whole, func(of map[string]any) error {
		inputs++
		if label, _ := of["rate_limit"].(string); label != "" {
			limit = label
		}
		if of["tls"] != nil && o.TLS == nil {
			if err := o.readTLS(of["tls"]); err != nil {
				return err
			}
		}
		return fields.merge(of)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case inputs == 0:
		return nil, fmt.Errorf("%s has no kommo_ input", path)
	}
	if file := fields["chats_file"]; file != "" {
		ids, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("chats_file: %w", err)
		}
		fields["chats"] = strings.TrimPrefix(string(ids), "\ufeff")
	}
	if limit != "" {
		if err := o.shareLimit(pipeline.RateLimits, limit, done); err != nil {
			return nil, fmt.Errorf("%s: rate_limit: %w", path, err)
		}
	}
	o.unset = unset
	return fields, nil
}

// kommoInputs hands on the fields of each kommo_ input, in whatever it is nested. The engine's
// own way to find them refuses a pipeline with an output that this binary does not have.
func kommoInputs(node any, found func(fields map[string]any) error) error {
	switch node := node.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(node)) {
			fields, ok := node[name].(map[string]any)
			if ok && slices.Contains([]string{"kommo_chat_history", "kommo_talk_history", "kommo_chats"}, name) {
				if err := found(fields); err != nil {
					return err
				}
			}
			if err := kommoInputs(node[name], found); err != nil {
				return err
			}
		}
	case []any:
		for _, entry := range node {
			if err := kommoInputs(entry, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// one are fields of which there can be one only: a check is of one account and one channel.
var one = []string{"api_url", "access_token", "access_token_file", "base_url", "scope_id", "channel_secret"}

// merge adds the fields of another input.
func (f checkFields) merge(of map[string]any) error {
	more := checkFields{}
	for name, value := range of {
		_, known := checkVariables[name]
		if text, ok := plainText(value); ok && (known || name == "chats_file") {
			more[name] = text
		}
	}
	for _, name := range one {
		if f[name] != "" && more[name] != "" && f[name] != more[name] {
			return fmt.Errorf("its inputs differ in %s: check them one after the other, with options in place of the pipeline", name)
		}
	}
	slower, err := strconv.ParseFloat(more["requests_per_second"], 64)
	if have, haveErr := strconv.ParseFloat(f["requests_per_second"], 64); haveErr == nil && have > 0 && (err != nil || slower == 0 || have < slower) {
		delete(more, "requests_per_second")
	}
	for _, name := range []string{"chats", "talks", "origins"} {
		more[name] = strings.TrimSpace(f[name] + " " + more[name])
	}
	maps.Copy(f, more)
	return nil
}

// plainText is a value of a field as text. A list has spaces between its entries.
func plainText(value any) (string, bool) {
	switch value := value.(type) {
	case nil:
		return "", true
	case []any:
		var all []string
		for _, v := range value {
			text, ok := plainText(v)
			if !ok {
				return "", false
			}
			all = append(all, text)
		}
		return strings.Join(all, " "), true
	case map[string]any:
		return "", false
	default:
		return fmt.Sprint(value), true
	}
}

// readTLS reads the field tls as the inputs do.
func (o *checkOptions) readTLS(value any) error {
	text, err := yaml.Marshal(map[string]any{"tls": value})
	if err != nil {
		return err
	}
	parsed, err := service.NewConfigSpec().Field(service.NewTLSToggledField("tls")).ParseYAML(string(text), nil)
	if err != nil {
		return err
	}
	conf, enabled, err := parsed.FieldTLSToggled("tls")
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	if enabled {
		o.TLS = conf
	}
	return nil
}

// shareLimit has the check ask the rate limit that the inputs ask.
func (o *checkOptions) shareLimit(resources []map[string]any, label string, done *func()) error {
	for _, conf := range resources {
		if conf["label"] != label {
			continue
		}
		one, err := yaml.Marshal(conf)
		if err != nil {
			return err
		}
		builder := service.NewResourceBuilder()
		if err := builder.AddRateLimitYAML(string(one)); err != nil {
			return fmt.Errorf("this binary can't make the resource %q: %w", label, err)
		}
		shared, stop, err := builder.Build()
		if err != nil {
			return err
		}
		*done = func() { _ = stop(context.Background()) } // nothing is written by then
		o.SharedLimit = func(ctx context.Context) (wait time.Duration, err error) {
			if accessErr := shared.AccessRateLimit(ctx, label, func(r service.RateLimit) { wait, err = r.Access(ctx) }); accessErr != nil {
				return 0, accessErr
			}
			if wait > 0 {
				wait += time.Millisecond // as the inputs do: 0 would mean a grant
			}
			return wait, err
		}
		return nil
	}
	return fmt.Errorf("there is no resource %q in rate_limit_resources", label)
}
