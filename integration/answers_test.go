// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

// week is what the answers are computed of, by hand. It is in São Paulo, three hours behind UTC, where Tuesday, 4 March 2025, is Carnival;
// the office is open from Monday to Friday, from 9 to 18 o'clock. Times are those of São Paulo.
var week = []struct {
	chat, author, at string
	agent            string
}{
	// Asked on Monday at work. A bot answers at once, a person after 30 minutes, though the customer wrote again at 10:01.
	{"a", "customer", "2025-03-03 10:00:00", ""},
	{"a", "bot", "2025-03-03 10:00:05", "Bot"},
	{"a", "customer", "2025-03-03 10:01:00", ""},
	{"a", "person", "2025-03-03 10:30:00", "Rita"},
	{"a", "person", "2025-03-03 10:31:00", "Rita"}, // answers nothing more
	{"a", "customer", "2025-03-03 11:00:00", ""},
	{"a", "person", "2025-03-03 11:10:00", "Otto"}, // 10 minutes, and not the first
	// The same chat after a silence of more than a day: another conversation, and it waits.
	{"a", "customer", "2025-03-05 12:00:00", ""},
	{"a", "bot", "2025-03-05 12:00:02", "Bot"},
	{"a", "customer", "2025-03-05 12:05:00", ""},

	// Asked on Monday after work, answered on Wednesday at 9:30: Tuesday is a holiday. 39½ hours, of which half an hour is working time. An answer
	// begins no conversation, however late.
	{"b", "customer", "2025-03-03 18:00:00", ""},
	{"b", "person", "2025-03-05 09:30:00", "Rita"},

	// A person begins; the customer answers, and that is answered within its second, which the CRM API can't tell apart.
	{"c", "person", "2025-03-05 23:59:00", "Otto"},
	{"c", "customer", "2025-03-06 00:00:00", ""},
	{"c", "person", "2025-03-06 00:00:00", "Otto"},

	// A question that nobody answered but, two days or 18½ working hours later, a bot.
	{"d", "customer", "2025-03-05 17:00:00", ""},
	{"d", "bot", "2025-03-07 17:30:00", "Bot"},
}

// channels are those of the chats. The Chats API tells none: its channel is the scope.
var channels = map[string]map[string]any{
	"a": {"origin": "waba"}, "b": {"origin": "telegram"}, "c": {"scope_id": "scope"}, "d": {"origin": "telegram"},
}

// document returns the flat message of a row of week.
func document(t *testing.T, i int) map[string]any {
	t.Helper()
	m := week[i]
	at, err := time.Parse(time.DateTime+" -0700", m.at+" -0300")
	require.NoError(t, err)
	id := fmt.Sprintf("m%02d", len(week)-i) // their order is not that of the times
	flat := map[string]any{
		"schema_version": 1, "chat_id": m.chat, "message_id": id, "sent_at_ms": at.UnixMilli(), "sent_at": at.UTC().Format("2006-01-02T15:04:05.000Z"),
		"customer_id": "customer-" + m.chat, "customer_name": "Customer " + strings.ToUpper(m.chat), "direction": "incoming",
	}
	maps.Copy(flat, channels[m.chat])
	if m.author != "customer" {
		maps.Copy(flat, map[string]any{"direction": "outgoing", "agent_id": strings.ToLower(m.agent), "agent_name": m.agent})
		if _, talk := flat["origin"]; talk {
			flat["agent_type"] = map[string]string{"person": "user", "bot": "bot"}[m.author]
		}
	}
	return flat
}

func startAnswers(t *testing.T) *servers.Postgres {
	t.Helper()
	postgres := servers.StartPostgres(t)
	e := env{"POSTGRES_DSN": postgres.DSN}
	documented(t, "examples/warehouse/README.md", "psql", e)
	views := filepath.Join(project, "examples", "warehouse", "views.sql")
	postgres.File(t, views)
	postgres.Query(t, "UPDATE kommo_settings SET time_zone = 'America/Sao_Paulo'; INSERT INTO kommo_holidays VALUES ('2025-03-04')")
	postgres.File(t, views) // keeps the settings
	for i := range week {
		message, err := json.Marshal(document(t, i))
		require.NoError(t, err)
		postgres.Query(t, "INSERT INTO kommo_messages (message) VALUES ('"+string(message)+"')")
	}
	// What is not counted: a message that was deleted, one whose direction nothing tells, and one without a time.
	postgres.Query(t, `INSERT INTO kommo_messages (message) VALUES
		('{"chat_id": "b", "message_id": "x2", "origin": "telegram", "sent_at_ms": 1741035601000}'),
		('{"chat_id": "b", "message_id": "x3", "origin": "telegram", "direction": "outgoing"}')`)
	postgres.Query(t, `INSERT INTO kommo_messages (message, deleted) VALUES
		('{"chat_id": "b", "message_id": "x1", "origin": "telegram", "direction": "outgoing", "sent_at_ms": 1741035601000}', true)`)
	return postgres
}

func TestAnswers(t *testing.T) {
	postgres := startAnswers(t)
	is := func(name, sql string, rows ...string) {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, strings.Join(rows, "\n"), postgres.Query(t, "SET timezone TO 'America/Sao_Paulo'; "+sql))
		})
	}

	is("replies", `SELECT chat_id, conversation, responder, agent_name, asked_at::timestamp, reply_seconds, working_seconds, in_working_hours, first_reply
			FROM kommo_replies ORDER BY chat_id, asked_at, responder`,
		"a|1|bot|Bot|2025-03-03 10:00:00|5|5|t|t",
		"a|1|person|Rita|2025-03-03 10:00:00|1800|1800|t|t",
		"a|1|person|Otto|2025-03-03 11:00:00|600|600|t|f",
		"a|2|bot|Bot|2025-03-05 12:00:00|2|2|t|t",
		"b|1|person|Rita|2025-03-03 18:00:00|142200|1800|f|t",
		"c|1|person|Otto|2025-03-06 00:00:00|0|0|f|t",
		"d|1|bot|Bot|2025-03-05 17:00:00|174600|66600|t|t",
	)
	is("reply times by agent and channel", `SELECT responder, channel, agent_name, in_working_hours, replies, median_seconds, p90_seconds, median_working_seconds,
			first_replies, median_first_seconds FROM kommo_reply_times ORDER BY 1, 2, 3, 4`,
		"bot|telegram|Bot|t|1|174600|174600|66600|1|174600",
		"bot|waba|Bot|t|2|3.5|4.7|3.5|2|3.5",
		"person|scope|Otto|f|1|0|0|0|1|0",
		"person|telegram|Rita|f|1|142200|142200|1800|1|142200",
		"person|waba|Otto|t|1|600|600|600|0|",
		"person|waba|Rita|t|1|1800|1800|1800|1|1800",
	)
	is("conversations", `SELECT chat_id, conversation, channel, customer_messages, person_messages, bot_messages,
			asked_at::timestamp, person_replied_at::timestamp, bot_replied_at::timestamp FROM kommo_conversations ORDER BY 1, 2`,
		"a|1|waba|3|3|1|2025-03-03 10:00:00|2025-03-03 10:30:00|2025-03-03 10:00:05",
		"a|2|waba|2|0|1|2025-03-05 12:00:00||2025-03-05 12:00:02",
		"b|1|telegram|1|1|0|2025-03-03 18:00:00|2025-03-05 09:30:00|",
		"c|1|scope|1|2|0|2025-03-06 00:00:00|2025-03-06 00:00:00|",
		"d|1|telegram|1|0|1|2025-03-05 17:00:00||2025-03-07 17:30:00",
	)
	is("what waits", `SELECT chat_id, conversation, channel, customer_name, waiting_since::timestamp, last_message_at::timestamp, messages, bot_replied, last_agent_name,
			abs(waiting_seconds - extract(epoch FROM now() - waiting_since)) < 1
			FROM kommo_waiting ORDER BY 1`,
		"a|2|waba|Customer A|2025-03-05 12:00:00|2025-03-05 12:05:00|2|t|Otto|t",
		"d|1|telegram|Customer D|2025-03-05 17:00:00|2025-03-05 17:00:00|1|t||t",
	)
	is("volumes by day", `SELECT * FROM kommo_daily_messages ORDER BY day, channel, author`,
		"2025-03-03|telegram|customer|1|1",
		"2025-03-03|waba|bot|1|1",
		"2025-03-03|waba|customer|3|1",
		"2025-03-03|waba|person|3|1",
		"2025-03-05|scope|person|1|1",
		"2025-03-05|telegram|customer|1|1",
		"2025-03-05|telegram|person|1|1",
		"2025-03-05|waba|bot|1|1",
		"2025-03-05|waba|customer|2|1",
		"2025-03-06|scope|customer|1|1",
		"2025-03-06|scope|person|1|1",
		"2025-03-07|telegram|bot|1|1",
	)

	t.Run("working time", func(t *testing.T) {
		for between, seconds := range map[[2]string]int{
			{"2025-03-07 17:00-03", "2025-03-10 10:00-03"}: 2 * 3600, // over a weekend
			{"2025-03-03 00:00-03", "2025-03-10 00:00-03"}: 4 * 9 * 3600,
			{"2025-03-03 10:00-03", "2025-03-03 10:00-03"}: 0,
			{"2025-03-03 12:00-03", "2025-03-03 10:00-03"}: 0, // never less than none
		} {
			assert.Equal(t, fmt.Sprint(seconds), postgres.Query(t, fmt.Sprintf("SELECT kommo_working_seconds('%s', '%s')", between[0], between[1])), between)
		}
		for at, is := range map[string]string{"2025-03-03 09:00-03": "t", "2025-03-03 08:59:59-03": "f", "2025-03-03 17:59:59-03": "t", "2025-03-03 18:00-03": "f", "2025-03-04 12:00-03": "f", "2025-03-08 12:00-03": "f"} {
			assert.Equal(t, is, postgres.Query(t, "SELECT kommo_is_working_time('"+at+"')"), at)
		}
		// In Berlin the night to 30 March 2025 is an hour shorter; a shift goes over midnight, and the clock from 2 to 3.
		assert.Equal(t, "21600", postgres.Query(t, `BEGIN; UPDATE kommo_settings SET time_zone = 'Europe/Berlin'; DELETE FROM kommo_working_hours;
			INSERT INTO kommo_working_hours VALUES (6, '22:00', '24:00'), (7, '00:00', '05:00');
			SELECT kommo_working_seconds('2025-03-29 12:00+01', '2025-03-30 12:00+02'); ROLLBACK`))
	})
}

// What the README has as SQL can be run, in its order.
func TestAnswers_README(t *testing.T) {
	postgres := startAnswers(t)
	readme, err := os.ReadFile(filepath.Join(project, "examples", "warehouse", "README.md"))
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		postgres.Query(t, block[1])
	}
	assert.Equal(t, "America/Sao_Paulo|12:00:00|6|4", postgres.Query(t,
		"SELECT time_zone, silence, (SELECT count(*) FROM kommo_working_hours), (SELECT count(*) FROM kommo_replies_kept WHERE responder = 'person') FROM kommo_settings"))
}

// macros are Grafana's of PostgreSQL, and the dashboard's variables, as Grafana replaces them.
var macros = []struct{ macro, sql string }{
	{`\$__timeFilter\(([^)]*)\)`, "$1 BETWEEN '2025-03-03T03:00:00Z' AND '2025-03-08T03:00:00Z'"},
	{`\$\{channel:sqlstring\}`, "'waba','telegram','scope'"},
}

// The dashboard's queries say what is known of the week.
func TestAnswers_Dashboard(t *testing.T) {
	postgres := startAnswers(t)
	type target struct {
		RawSQL     string `json:"rawSql"`
		Format     string `json:"format"`
		Datasource struct{ Type, UID string }
	}
	var board struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []target
		}
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
	}
	content, err := os.ReadFile(filepath.Join(project, "examples", "warehouse", "grafana.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &board))
	ask := func(t *testing.T, sql string) string {
		t.Helper()
		for _, m := range macros {
			sql = regexp.MustCompile(m.macro).ReplaceAllString(sql, m.sql)
		}
		require.NotRegexp(t, `\$\{|\$__`, sql, "a macro or variable that the test does not know")
		return postgres.Query(t, "SET timezone TO 'UTC'; "+sql)
	}

	for _, variable := range board.Templating.List {
		if variable.Type == "query" {
			assert.Equal(t, "scope\ntelegram\nwaba", ask(t, variable.Query), variable.Name)
		}
	}
	want := map[string][]string{
		"Waiting now":                {"2"},
		"First reply of a person":    {"1800"}, // of 0, 1,800 and 142,200
		"Replies of persons":         {"1200"}, // of these and 600
		"Conversations with a reply": {"0.6"},  // three of five
		"Messages a day": {
			"2025-03-03 03:00:00+00|bot|1", "2025-03-03 03:00:00+00|customer|4", "2025-03-03 03:00:00+00|person|3",
			"2025-03-05 03:00:00+00|bot|1", "2025-03-05 03:00:00+00|customer|3", "2025-03-05 03:00:00+00|person|2",
			"2025-03-06 03:00:00+00|customer|1", "2025-03-06 03:00:00+00|person|1",
			"2025-03-07 03:00:00+00|bot|1",
		},
		"First reply by day": {
			"2025-03-03 03:00:00+00|inside working hours|1800", "2025-03-03 03:00:00+00|outside of them|142200", "2025-03-06 03:00:00+00|outside of them|0",
		},
		"Reply times by agent":         {"person|Otto|2|300|540|300|0", "person|Rita|2|72000|128160|1800|72000", "bot|Bot|3|5|139681|5|5"},
		"Reply times by channel":       {"person|waba|2|1200|1680|1200|1800", "person|scope|1|0|0|0|0", "person|telegram|1|142200|142200|1800|142200", "bot|waba|2|3.5|4.7|3.5|3.5", "bot|telegram|1|174600|174600|66600|174600"},
		"Inside and outside of hours":  {"person|inside|2|1200|1680|1200|1800", "person|outside|2|71100|127980|900|71100", "bot|inside|3|5|139681|5|5"},
		"Conversations that wait":      {"2025-03-05 15:00:00+00|SECONDS|waba|Customer A|2|t|Otto||", "2025-03-05 20:00:00+00|SECONDS|telegram|Customer D|1|t|||"},
		"Conversations begun, by hour": {"00|1", "10|1", "12|1", "17|1", "18|1"},
	}
	var titles []string
	for _, panel := range board.Panels {
		if panel.Type == "row" || panel.Type == "text" {
			continue
		}
		titles = append(titles, panel.Title)
		t.Run(panel.Title, func(t *testing.T) {
			require.Len(t, panel.Targets, 1)
			assert.Equal(t, "${datasource}", panel.Targets[0].Datasource.UID)
			rows := regexp.MustCompile(`\|\d{7,}(\.\d+)?\|`).ReplaceAllString(ask(t, panel.Targets[0].RawSQL), "|SECONDS|") // since then until now
			assert.Equal(t, strings.Join(want[panel.Title], "\n"), rows)
		})
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(want)), titles)
}

// The saved searches for OpenSearch Dashboards find what they say in a real OpenSearch. There is no Dashboards here to import them: the test asks what
// it would ask.
func TestAnswers_SavedSearches(t *testing.T) {
	engine := servers.StartOpenSearch(t)
	documented(t, "examples/opensearch/README.md", "curl", env{"OPENSEARCH_URL": engine.URL})
	authors := map[string]string{}
	for i, m := range week {
		flat := document(t, i)
		flat["@timestamp"] = flat["sent_at"]
		id, _ := flat["message_id"].(string)
		authors[id] = m.author
		call(t, http.MethodPut, engine.URL+index+"/_doc/"+id, flat, nil)
	}
	require.Equal(t, len(week), documents(t, engine))
	written := func(author string) (ids []string) {
		for id, by := range authors {
			if by == author {
				ids = append(ids, id)
			}
		}
		return ids
	}

	t.Run("who waits", func(t *testing.T) {
		content, err := os.ReadFile(filepath.Join(project, "examples", "opensearch", "waiting.json"))
		require.NoError(t, err)
		ask := strings.Replace(string(content), "now-30d", "2025-03-01", 1)
		require.NotEqual(t, string(content), ask)
		var answer struct {
			Aggregations struct {
				Chats struct {
					Buckets []struct {
						Key   string
						Asked struct {
							At struct {
								Text string `json:"value_as_string"`
							}
						}
					}
				}
			}
		}
		call(t, http.MethodPost, engine.URL+index+"/_search", json.RawMessage(ask), &answer)
		var waiting []string
		for _, chat := range answer.Aggregations.Chats.Buckets {
			waiting = append(waiting, chat.Key+" "+chat.Asked.At.Text)
		}
		assert.Equal(t, []string{"a 2025-03-05T15:05:00.000Z", "d 2025-03-05T20:00:00.000Z"}, waiting)
	})

	content, err := os.ReadFile(filepath.Join(project, "examples", "opensearch", "saved-searches.ndjson"))
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		var object struct {
			Type, ID   string
			Attributes struct {
				Columns []string
				Meta    struct {
					Source string `json:"searchSourceJSON"`
				} `json:"kibanaSavedObjectMeta"`
				VisState string
			}
			References []struct{ Type, ID string }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &object))
		for _, reference := range object.References {
			assert.True(t, seen[reference.Type+reference.ID], "%s names %s, which is not before it", object.ID, reference.ID)
		}
		seen[object.Type+object.ID] = true
		switch object.Type {
		case "search":
			var source struct{ Query savedQuery }
			require.NoError(t, json.Unmarshal([]byte(object.Attributes.Meta.Source), &source))
			author := strings.TrimSuffix(strings.TrimPrefix(object.ID, "kommo-written-by-"), "s")
			assert.ElementsMatch(t, written(author), search(t, engine, source.Query.dsl()), object.ID)
			for _, column := range object.Attributes.Columns {
				var mapping map[string]struct{ Mappings map[string]any }
				call(t, http.MethodGet, engine.URL+index+"/_mapping/field/"+column, nil, &mapping)
				assert.NotEmpty(t, mapping["kommo-messages"].Mappings, "%s: no field %s", object.ID, column)
			}
		case "visualization":
			var state struct {
				Aggs []struct {
					Type   string
					Params struct {
						Field    string
						Interval string
						Filters  []struct {
							Label string
							Input savedQuery
						}
					}
				}
			}
			require.NoError(t, json.Unmarshal([]byte(object.Attributes.VisState), &state))
			var source struct{ Query savedQuery }
			require.NoError(t, json.Unmarshal([]byte(object.Attributes.Meta.Source), &source))
			// As Dashboards nests them: the first outermost.
			aggs := map[string]any{}
			for _, agg := range slices.Backward(state.Aggs) {
				of := map[string]any{}
				switch agg.Type {
				case "count":
					continue
				case "date_histogram":
					of["date_histogram"] = map[string]any{"field": agg.Params.Field, "calendar_interval": "1" + agg.Params.Interval, "min_doc_count": 1, "format": "yyyy-MM-dd", "time_zone": "America/Sao_Paulo"}
				case "terms":
					of["terms"] = map[string]any{"field": agg.Params.Field}
				case "filters":
					filters := map[string]any{}
					for _, f := range agg.Params.Filters {
						filters[f.Label] = f.Input.dsl()
					}
					of["filters"] = map[string]any{"filters": filters}
				default:
					t.Fatalf("%s: the test does not know the aggregation %s", object.ID, agg.Type)
				}
				if len(aggs) > 0 {
					of["aggs"] = aggs
				}
				aggs = map[string]any{"by": of}
			}
			var answer struct{ Aggregations struct{ By json.RawMessage } }
			call(t, http.MethodPost, engine.URL+index+"/_search", map[string]any{"size": 0, "query": source.Query.dsl(), "aggs": aggs}, &answer)
			rows := buckets(t, "", answer.Aggregations.By)
			slices.Sort(rows)
			assert.Equal(t, map[string][]string{
				"kommo-messages-a-day": {
					"2025-03-03 bots 1", "2025-03-03 customers 4", "2025-03-03 persons 3",
					"2025-03-05 bots 1", "2025-03-05 customers 3", "2025-03-05 persons 2",
					"2025-03-06 customers 1", "2025-03-06 persons 1",
					"2025-03-07 bots 1",
				},
				"kommo-messages-by-agent": {"bots bot telegram 1", "bots bot waba 2", "persons otto waba 1", "persons rita telegram 1", "persons rita waba 2"},
			}[object.ID], rows, object.ID)
		}
	}
	assert.Len(t, seen, 6)
}

// savedQuery is a query as Dashboards saves it.
type savedQuery struct{ Query, Language string }

// dsl is what Dashboards makes of it for the engine.
func (q savedQuery) dsl() map[string]any {
	if q.Query == "" {
		return map[string]any{"match_all": map[string]any{}}
	}
	return map[string]any{"query_string": map[string]any{"query": q.Query}}
}

// buckets returns the keys of the innermost buckets with their counts, but for empty ones.
func buckets(t *testing.T, prefix string, by json.RawMessage) (rows []string) {
	t.Helper()
	type bucket struct {
		Key         any
		KeyAsString string `json:"key_as_string"`
		DocCount    int    `json:"doc_count"`
		By          json.RawMessage
	}
	var list struct{ Buckets []bucket }
	if json.Unmarshal(by, &list) != nil { // of filters, by their names
		var named struct{ Buckets map[string]bucket }
		require.NoError(t, json.Unmarshal(by, &named))
		for name, b := range named.Buckets {
			b.KeyAsString = name
			list.Buckets = append(list.Buckets, b)
		}
	}
	for _, b := range list.Buckets {
		key := b.KeyAsString
		if key == "" {
			key = fmt.Sprint(b.Key)
		}
		switch {
		case len(b.By) > 0:
			rows = append(rows, buckets(t, prefix+key+" ", b.By)...)
		case b.DocCount > 0:
			rows = append(rows, fmt.Sprint(prefix, key, " ", b.DocCount))
		}
	}
	return rows
}
