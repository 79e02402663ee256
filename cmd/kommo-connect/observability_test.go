// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

const (
	dashboardFile = "config/grafana/kommo-connect.json"
	alertsFile    = "config/prometheus-alerts.yaml"
)

// targetLabels are the labels that Prometheus itself gives to what it scrapes.
var targetLabels = []string{"job", "instance"}

// notScraped are metrics that a rule may use although no page shows them here:
// Prometheus's own.
var notScraped = []string{"up"}

func TestObservability_QueriesFitTheRunningBinary(t *testing.T) {
	t.Parallel()
	exposed := scrape(t)
	queries := map[string]string{}
	for name, q := range dashboardQueries(t) {
		queries["dashboard: "+name] = q
	}
	for name, q := range alertQueries(t) {
		queries["alert: "+name] = q
	}
	for name, q := range queries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			query, err := parsePromQL(q)
			require.NoError(t, err, q)
			for _, problem := range query.check(exposed) {
				t.Errorf("%s\n%s", problem, q)
			}
		})
	}
}

func TestObservability_DashboardShowsEveryMetricOfTheInputs(t *testing.T) {
	t.Parallel()
	var all []string
	for _, q := range dashboardQueries(t) {
		all = append(all, q)
	}
	text := strings.Join(all, "\n")
	for name := range scrape(t) {
		family := strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		if strings.HasPrefix(name, "kommo_") {
			assert.True(t, regexp.MustCompile(`\b`+family+`(_sum|_count)?\b`).MatchString(text), "%s is on no panel", family)
		}
	}
}

func TestObservability_DashboardHangsTogether(t *testing.T) {
	t.Parallel()
	board := readDashboard(t)
	ids := map[int]bool{}
	for _, p := range board.Panels {
		assert.False(t, ids[p.ID], "two panels have the id %d", p.ID)
		ids[p.ID] = true
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for _, other := range board.Panels {
			if other.ID != p.ID {
				a, b := p.GridPos, other.GridPos
				apart := a.X+a.W <= b.X || b.X+b.W <= a.X || a.Y+a.H <= b.Y || b.Y+b.H <= a.Y
				assert.True(t, apart, "%s lies over %s", p.Title, other.Title)
			}
		}
		for _, target := range p.Targets {
			query, err := parsePromQL(target.Expr)
			require.NoError(t, err, target.Expr)
			for _, m := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				assert.Contains(t, query.grouping, m[1], "%s: its legend names a label that its query leaves out", p.Title)
			}
		}
	}
}

func TestObservability_AlertsCoverWhatOperatorsMustKnow(t *testing.T) {
	t.Parallel()
	names := alertQueries(t)
	for _, want := range []string{
		"KommoDown", "KommoAPIDown", "KommoRequestsFail", "KommoRefused", "KommoThrottled", "KommoNoAcknowledgement",
		"KommoNewestMessageTooOld", "KommoFailingChats", "KommoCheckpointErrors", "KommoMessagesMissing",
	} {
		assert.Contains(t, names, want)
	}
}

func TestParsePromQL(t *testing.T) {
	t.Parallel()
	exposed := metrics{
		"a_total": {{"outcome": "ok"}, {"outcome": "refused"}},
		"b":       {{"path": "root.input", "quantile": "0.5"}},
	}
	tests := map[string]string{ // query → what is wrong with it, or nothing
		`sum by (outcome) (rate(a_total{outcome="ok"}[5m]))`:                     "",
		`sum(rate(a_total{job=~"$job"}[$__rate_interval])) / on(job) max(b) > 1`: "",
		`time() - max(b{path=~"root.*"} > 0) and a_total{outcome!="ok"}`:         "",
		`max by (quantile, instance) (b)`:                                        "",
		`sum(c)`:                                                                 "nothing exposes c",
		`sum(rate(a_total{result="ok"}[5m]))`:                                    `a_total has no label result`,
		`sum(rate(a_total{outcome="fine"}[5m]))`:                                 `a_total has no outcome="fine"`,
		`sum by (path) (a_total)`:                                                `nothing in it has the label path`,
		`sum(rate(a_total[5m])`:                                                  "parentheses",
		`sum(rate(a_total[5 m]))`:                                                "range",
		`sum(rate(a_total{outcome=ok}[5m]))`:                                     "matcher",
		`sum(rte(a_total[5m]))`:                                                  "unknown function rte",
		`a_total{outcome="ok"`:                                                   "braces",
		`{__name__=~"a_.*|z", outcome="ok"}`:                                     "",
		`{__name__=~"z_.*"}`:                                                     `nothing exposes {__name__=~"z_.*"}`,
		`1 + 2`:                                                                  "names no metric",
	}
	for q, want := range tests {
		t.Run(q, func(t *testing.T) {
			t.Parallel()
			var problems []string
			query, err := parsePromQL(q)
			if err != nil {
				problems = append(problems, err.Error())
			} else {
				problems = query.check(exposed)
			}
			if want == "" {
				assert.Empty(t, problems)
			} else {
				assert.Contains(t, strings.Join(problems, "\n"), want)
			}
		})
	}
}

// metrics are the labels of each series, by the name of the metric.
type metrics map[string][]map[string]string

var (
	seriesLine = regexp.MustCompile(`^([a-zA-Z_:][\w:]*)(?:{(.*)})? \S+$`)
	labelPair  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// scrape returns what the binary exposes: as the shipped services, after they have
// read a sandbox's chats and talks, and as the webhook example, which lists chats too.
func scrape(t *testing.T) metrics {
	t.Helper()
	with := newSeeded(t, 2, 60)
	s := start(t, with.env, "run")
	s.waitFor(t, func() bool { return s.stdout.count("\n") == 120 }, "the 120 messages of both chats")

	exposed := metrics{}
	exposed.add(t, "http://"+with.address+"/metrics")
	exposed.add(t, "http://"+startWebhooks(t, "1h").http+"/metrics")
	exposed.add(t, "http://"+startAccount(t, 2, 60)+"/metrics")
	return exposed
}

// startAccount starts the shipped service of an account, waits until it has read one of so many talks and messages, and returns
// its address.
func startAccount(t *testing.T, talks, messages int) (address string) {
	t.Helper()
	kommo, err := sandbox.New(sandbox.Config{AccessToken: sandbox.DemoAccessToken})
	require.NoError(t, err)
	server := httptest.NewServer(kommo)
	t.Cleanup(server.Close)
	require.NoError(t, kommo.SyntheticTalks(talks, messages, time.Now().Add(-time.Hour), time.Second))
	env := accountEnv()
	address = freeAddress(t)
	env["KOMMO_API_URL"], env["KOMMO_HTTP_ADDRESS"] = server.URL, address
	env["KOMMO_CHECKPOINT_CONFIG"], env["KOMMO_REQUESTS_PER_SECOND"] = "directory: "+t.TempDir(), "100"
	s := start(t, env, "run", accountConfig)
	s.waitFor(t, func() bool { return s.stdout.count("\n") == talks*messages }, "the messages of all talks")
	return address
}

// add reads a page of metrics.
func (m metrics) add(t *testing.T, url string) {
	t.Helper()
	status, text := get(t, url)
	require.Equal(t, http.StatusOK, status)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := seriesLine.FindStringSubmatch(line)
		require.NotNil(t, parts, line)
		labels := map[string]string{}
		for _, pair := range labelPair.FindAllStringSubmatch(parts[2], -1) {
			labels[pair[1]] = pair[2]
		}
		m[parts[1]] = append(m[parts[1]], labels)
	}
}

type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, LegendFormat string }
	}
	Templating struct{ List []struct{ Definition string } }
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), dashboardFile))
	require.NoError(t, err)
	var board dashboard
	require.NoError(t, json.Unmarshal(text, &board))
	return board
}

func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	queries := map[string]string{}
	board := readDashboard(t)
	for _, p := range board.Panels {
		for i, target := range p.Targets {
			queries[fmt.Sprintf("%d %s %d", p.ID, p.Title, i)] = target.Expr
		}
	}
	for _, v := range board.Templating.List {
		if m := regexp.MustCompile(`^label_values\((.*), \w+\)$`).FindStringSubmatch(v.Definition); m != nil {
			queries[v.Definition] = m[1]
		}
	}
	require.NotEmpty(t, queries)
	return queries
}

func alertQueries(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), alertsFile))
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	queries := map[string]string{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			require.NotEmpty(t, r.Alert)
			queries[r.Alert] = r.Expr
		}
	}
	require.NotEmpty(t, queries)
	return queries
}

// promQuery is what a query of PromQL refers to.
type promQuery struct {
	selectors []selector
	grouping  []string // labels of by, without, on, ignoring
}

type selector struct {
	metric   string
	matchers []matcher
}

type matcher struct{ label, operator, value string }

// check says what a query refers to that is not there.
func (q promQuery) check(exposed metrics) []string {
	if len(q.selectors) == 0 {
		return []string{"it names no metric"}
	}
	var problems []string
	has := func(metric, label string) bool {
		return slices.Contains(targetLabels, label) ||
			slices.ContainsFunc(exposed[metric], func(labels map[string]string) bool { return labels[label] != "" })
	}
	for _, s := range q.selectors {
		if s.metric == "" { // one by its name's pattern
			name := s.matchers[0]
			for metric := range exposed {
				if name.matches(metric) {
					s.metric = metric
				}
			}
			if s.metric == "" {
				problems = append(problems, fmt.Sprintf("nothing exposes {__name__%s%q}", name.operator, name.value))
				continue
			}
			s.matchers = s.matchers[1:]
		}
		if slices.Contains(notScraped, s.metric) && len(exposed[s.metric]) == 0 {
			continue
		}
		if len(exposed[s.metric]) == 0 {
			problems = append(problems, "nothing exposes "+s.metric)
			continue
		}
		for _, m := range s.matchers {
			switch {
			case !has(s.metric, m.label):
				problems = append(problems, fmt.Sprintf("%s has no label %s", s.metric, m.label))
			case slices.Contains(targetLabels, m.label):
			case !slices.ContainsFunc(exposed[s.metric], func(labels map[string]string) bool { return m.matches(labels[m.label]) }):
				problems = append(problems, fmt.Sprintf("%s has no %s%s%q", s.metric, m.label, m.operator, m.value))
			}
		}
	}
	for _, label := range q.grouping {
		if !slices.ContainsFunc(q.selectors, func(s selector) bool { return has(s.metric, label) }) {
			problems = append(problems, "nothing in it has the label "+label)
		}
	}
	return problems
}

func (m matcher) matches(value string) bool {
	var same bool
	if strings.HasSuffix(m.operator, "~") {
		same = regexp.MustCompile(`^(?:` + m.value + `)$`).MatchString(value)
	} else {
		same = value == m.value
	}
	return same != strings.HasPrefix(m.operator, "!")
}

var (
	promToken = regexp.MustCompile(`^(?:\s+|"(?:[^"\\]|\\.)*"|\$?[a-zA-Z_][\w:]*|\d+(?:\.\d+)?(?:ms|[smhdwy])?|=~|!~|[!=<>]=|[-+*/%^<>=(){}\[\],])`)
	promRange = regexp.MustCompile(`^(?:\d+[smhdw]|\$__(?:rate_interval|interval|range))$`)
	// The parts of PromQL that the shipped queries may use.
	promFunctions = strings.Fields("time sum max min avg count rate increase max_over_time min_over_time count_over_time clamp_min")
	promOperators = strings.Fields("and or unless bool group_left")
	promGrouping  = strings.Fields("by without on ignoring")
)

// parsePromQL reads the part of PromQL that the shipped queries use: enough to
// find every metric and label, and to refuse what is misspelt.
func parsePromQL(text string) (promQuery, error) {
	var tokens []string
	for rest := text; rest != ""; {
		token := promToken.FindString(rest)
		if token == "" {
			return promQuery{}, fmt.Errorf("can't read %q", rest)
		}
		if rest = rest[len(token):]; strings.TrimSpace(token) != "" {
			tokens = append(tokens, token)
		}
	}
	p := promParser{tokens: tokens}
	for p.more() {
		if err := p.step(); err != nil {
			return promQuery{}, err
		}
	}
	if p.depth != 0 {
		return promQuery{}, fmt.Errorf("%d parentheses are left open", p.depth)
	}
	return p.query, nil
}

type promParser struct {
	tokens []string
	depth  int
	query  promQuery
}

func (p *promParser) more() bool { return len(p.tokens) > 0 }

func (p *promParser) peek() string {
	if !p.more() {
		return ""
	}
	return p.tokens[0]
}

func (p *promParser) next() string {
	token := p.peek()
	if p.more() {
		p.tokens = p.tokens[1:]
	}
	return token
}

func (p *promParser) step() error {
	token := p.next()
	switch {
	case token == "(":
		p.depth++
	case token == ")":
		if p.depth--; p.depth < 0 {
			return fmt.Errorf("parentheses: one too many is closed")
		}
	case token == "[":
		if inside := p.next(); !promRange.MatchString(inside) || p.next() != "]" {
			return fmt.Errorf("%q is no range", inside)
		}
	case token == "{" && p.peek() == "__name__":
		p.tokens = append([]string{token}, p.tokens...)
		return p.selector("")
	case token == "{" || token == "}":
		return fmt.Errorf("braces without a metric")
	case !isName(token) || slices.Contains(promOperators, token):
	case slices.Contains(promGrouping, token):
		return p.labels()
	case slices.Contains(promFunctions, token):
		if next := p.peek(); next != "(" && !slices.Contains(promGrouping, next) {
			return fmt.Errorf("%s is not called", token)
		}
	case p.peek() == "(":
		return fmt.Errorf("unknown function %s", token)
	default:
		return p.selector(token)
	}
	return nil
}

// labels reads the list of a grouping.
func (p *promParser) labels() error {
	if p.next() != "(" {
		return fmt.Errorf("a grouping without its labels")
	}
	for {
		label := p.next()
		if !isName(label) {
			return fmt.Errorf("%q is no label", label)
		}
		p.query.grouping = append(p.query.grouping, label)
		switch separator := p.next(); separator {
		case ")":
			return nil
		case ",":
		default:
			return fmt.Errorf("%q between the labels of a grouping", separator)
		}
	}
}

// selector reads what may follow a metric's name: its matchers.
func (p *promParser) selector(metric string) error {
	s := selector{metric: metric}
	if p.peek() == "{" {
		p.next()
		for p.peek() != "}" {
			m := matcher{label: p.next(), operator: p.next(), value: p.next()}
			if !isName(m.label) || !slices.Contains([]string{"=", "!=", "=~", "!~"}, m.operator) || !strings.HasPrefix(m.value, `"`) {
				return fmt.Errorf("%s%s%s is no matcher", m.label, m.operator, m.value)
			}
			m.value = strings.Trim(m.value, `"`)
			s.matchers = append(s.matchers, m)
			if p.peek() == "," {
				p.next()
			} else if p.peek() != "}" {
				return fmt.Errorf("the braces of %s are left open", metric)
			}
		}
		p.next()
	}
	p.query.selectors = append(p.query.selectors, s)
	return nil
}

func isName(token string) bool { return regexp.MustCompile(`^[a-zA-Z_]`).MatchString(token) }
