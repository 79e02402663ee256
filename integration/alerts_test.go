// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// The alert rules are tested on recordings: the series that they use, as the
// services of config/kommo-connect.yaml and, from account- on, of config/account.yaml
// exposed them while they read a sandbox that had a bad day. Each file in recordings has a name from the table below. To record
// them anew, after make build-core build-sandbox:
//
//	go test -tags integration -count=1 -run TestAlerts_Record ./integration -record
var record = flag.Bool("record", false, "record the series of the alert rules' tests anew")

const (
	recordings = "recordings"

	// A recording runs 75 times as fast as what it stands for: scrapes, polls and
	// waits are that much closer together.
	scrapeInterval = 15 * time.Second
	recordInterval = 200 * time.Millisecond
	scrapes        = 80 // 20 minutes
)

var recorded = map[string]struct {
	sandbox []string          // flags
	env     map[string]string // of the service
	set     []string          // fields of the service
	alerts  []string          // that fire at the end
}{
	"healthy": {sandbox: []string{"--grow", "5/s"}},
	// The first batches take minutes to be delivered.
	"slow-start":          {set: []string{`pipeline.processors.-.sleep.duration=${! if count("slow") <= 150 { "30ms" } else { "0s" } }`}},
	"one-bad-day-is-over": {sandbox: []string{"--fault", "503,count=30"}},
	"server-errors":       {sandbox: []string{"--fault", "503"}, alerts: []string{"KommoAPIDown", "KommoRequestsFail"}},
	"timeouts":            {sandbox: []string{"--fault", "delay,delay=40s"}, alerts: []string{"KommoAPIDown", "KommoRequestsFail"}},
	"broken-bodies":       {sandbox: []string{"--fault", "cut-json"}, alerts: []string{"KommoAPIDown", "KommoRequestsFail"}},
	"unreachable":         {env: map[string]string{"KOMMO_BASE_URL": "http://127.0.0.1:1"}, alerts: []string{"KommoAPIDown", "KommoRequestsFail"}},
	"refused":             {env: map[string]string{"KOMMO_CHANNEL_SECRET": "not the secret"}, alerts: []string{"KommoAPIDown", "KommoRefused"}},
	"throttled":           {sandbox: []string{"--fault", "429,probability=0.2,retry_after=1s"}, alerts: []string{"KommoThrottled"}},
	"one-chat-fails":      {sandbox: []string{"--fault", "404,chat=0a7c4b1e-5d5b-4b0e-9a53-2f5f0c9f1a02"}, alerts: []string{"KommoFailingChats"}},
	"nothing-is-delivered": {
		env:    map[string]string{"KOMMO_OUTPUT": "reject", "KOMMO_OUTPUT_CONFIG": "no"},
		alerts: []string{"KommoNoAcknowledgement"},
	},
	"a-mapping-fails": {set: []string{"pipeline.processors.-.mapping=root = this.nothing.uppercase()"}, alerts: []string{"KommoNoAcknowledgement"}},
	"no-checkpoints": {
		sandbox: []string{"--grow", "5/s"}, env: map[string]string{"KOMMO_CHECKPOINT_CONFIG": "directory: /nowhere/at/all"},
		alerts: []string{"KommoCheckpointErrors"},
	},

	"account-healthy":       {sandbox: []string{"--grow", "5/s"}},
	"account-server-errors": {sandbox: []string{"--fault", "503"}, alerts: []string{"KommoAPIDown", "KommoRequestsFail"}},
	"account-unreachable":   {env: map[string]string{"KOMMO_API_URL": "http://127.0.0.1:1"}, alerts: []string{"KommoAPIDown", "KommoRequestsFail"}},
	"account-wrong-token":   {env: map[string]string{"KOMMO_ACCESS_TOKEN": "another-token"}, alerts: []string{"KommoAPIDown", "KommoRefused"}},
	"account-no-scope": {
		sandbox: []string{"--fault", "403,body=scope,endpoint=talk-messages"}, alerts: []string{"KommoAPIDown", "KommoRefused"},
	},
	"account-no-plan":        {sandbox: []string{"--fault", "402,endpoint=talk-messages"}, alerts: []string{"KommoAPIDown", "KommoRefused"}},
	"account-throttled":      {sandbox: []string{"--grow", "5/s", "--fault", "429,probability=0.2,retry_after=1s"}, alerts: []string{"KommoThrottled"}},
	"account-one-talk-fails": {sandbox: []string{"--fault", "400,endpoint=talk-messages,talks=6"}, alerts: []string{"KommoFailingChats"}},
	"account-nothing-is-delivered": {
		env:    map[string]string{"KOMMO_OUTPUT": "reject", "KOMMO_OUTPUT_CONFIG": "no"},
		alerts: []string{"KommoNoAcknowledgement"},
	},
	"account-no-checkpoints": {
		sandbox: []string{"--grow", "5/s"}, env: map[string]string{"KOMMO_CHECKPOINT_CONFIG": "directory: /nowhere/at/all"},
		alerts: []string{"KommoCheckpointErrors"},
	},
	"account-a-message-is-missing": {
		sandbox: []string{"--grow", "5/s", "--fault", "late,endpoint=talk-messages,messages=3ad119d2-5a58-4d8e-ba71-0d61209f6f91"},
		alerts:  []string{"KommoMessagesMissing"},
	},
}

// apiUp is what the gauges of the API's state add to a recording that was made
// before there were any.
const apiUp = "kommo_chat_history_api_up"

func TestAlerts_FireOnWhatIsWrongAndOnNothingElse(t *testing.T) {
	tool := promtool(t)
	for name, tc := range recorded {
		t.Run(name, func(t *testing.T) {
			series := readRecording(t, name)
			end := time.Duration(scrapes-1) * scrapeInterval
			checks := []ruleCheck{{at: end, fire: tc.alerts}}
			if len(tc.alerts) == 0 { // at no time
				for at := scrapeInterval; at < end; at += scrapeInterval {
					checks = append(checks, ruleCheck{at: at})
				}
			} else { // not at once, but for what is wrong whenever it happens
				now := slices.DeleteFunc(slices.Clone(tc.alerts), func(alert string) bool {
					return !slices.Contains([]string{"KommoRefused", "KommoThrottled", "KommoCheckpointErrors"}, alert)
				})
				checks = append(checks, ruleCheck{at: 4 * time.Minute, fire: now})
			}
			testRules(t, tool, series, checks)
		})
	}
}

// What no recording of minutes can show.
func TestAlerts_OfLongerTimes(t *testing.T) {
	tool := promtool(t)
	chats := `kommo_chat_history_chats{job="kommo",instance="a",state="waiting"}`
	up := `up{job="kommo",instance="a"}`
	for name, tc := range map[string]struct {
		series map[string]string
		checks []ruleCheck
	}{
		"a service that is gone": {
			map[string]string{chats: "1x40 stale", up: "1x40 0x400"},
			[]ruleCheck{{at: 10 * time.Minute}, {at: 11 * time.Minute}, {at: 15 * time.Minute, fire: []string{"KommoDown"}}, {at: time.Hour, fire: []string{"KommoDown"}}},
		},
		"a service that starts again": {
			map[string]string{chats: "1x40 stale _x2 1x40", up: "1x40 0x2 1x40"},
			[]ruleCheck{{at: 11 * time.Minute}, {at: 12 * time.Minute}, {at: 15 * time.Minute}},
		},
		"another program that is gone": {
			map[string]string{chats: "1x400", up: "1x400", `up{job="another",instance="b"}`: "0x400"},
			[]ruleCheck{{at: time.Hour}},
		},
		"a lister that is gone": {
			map[string]string{`kommo_chats_listed_total{job="kommo",instance="a"}`: "1x40 stale", up: "1x40 0x400"},
			[]ruleCheck{{at: time.Hour, fire: []string{"KommoDown"}}},
		},
		"nobody has written for a day": {
			map[string]string{`kommo_chat_history_newest_message_timestamp{job="kommo",instance="a"}`: "1x6000"},
			[]ruleCheck{{at: 23 * time.Hour}, {at: 24*time.Hour + 20*time.Minute, fire: []string{"KommoNewestMessageTooOld"}}},
		},
		"an account's service that is gone": {
			map[string]string{`kommo_talk_history_chats{job="kommo",instance="a",state="waiting"}`: "1x40 stale", up: "1x40 0x400"},
			[]ruleCheck{{at: time.Hour, fire: []string{"KommoDown"}}},
		},
		"nobody has written in an account for a day": {
			map[string]string{`kommo_talk_history_newest_message_timestamp{job="kommo",instance="a"}`: "1x6000"},
			[]ruleCheck{{at: 23 * time.Hour}, {at: 24*time.Hour + 20*time.Minute, fire: []string{"KommoNewestMessageTooOld"}}},
		},
		"a message that was missing an hour ago": {
			map[string]string{`kommo_talk_history_missing_total{job="kommo",instance="a"}`: "0x20 1x500"},
			[]ruleCheck{{at: 5 * time.Minute}, {at: 6 * time.Minute, fire: []string{"KommoMessagesMissing"}}, {at: 70 * time.Minute}},
		},
		"both inputs in one process, of which the account's is down": {
			map[string]string{apiUp + `{job="kommo",instance="a"}`: "1x100", `kommo_talk_history_api_up{job="kommo",instance="a"}`: "1x20 0x100"},
			[]ruleCheck{{at: 6 * time.Minute}, {at: 15 * time.Minute, fire: []string{"KommoAPIDown"}}},
		},
		"a lister whose API is down": {
			map[string]string{`kommo_chats_api_up{job="kommo",instance="a"}`: "1x20 0x100"},
			[]ruleCheck{{at: 6 * time.Minute}, {at: 15 * time.Minute, fire: []string{"KommoAPIDown"}}},
		},
		"a chat that fails between attempts": {
			map[string]string{`kommo_chat_history_chats{job="kommo",instance="a",state="failing"}`: strings.Repeat("1x7 0x7 ", 10)},
			[]ruleCheck{{at: 5 * time.Minute}, {at: 20 * time.Minute, fire: []string{"KommoFailingChats"}}, {at: 30 * time.Minute, fire: []string{"KommoFailingChats"}}},
		},
	} {
		t.Run(name, func(t *testing.T) { testRules(t, tool, tc.series, tc.checks) })
	}
}

func TestAlerts_RulesAreValid(t *testing.T) {
	out, err := exec.Command(promtool(t), "check", "rules", filepath.Join(project, "config", "prometheus-alerts.yaml")).CombinedOutput()
	require.NoError(t, err, string(out))
}

// promtool returns the program that tests rules.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	require.NoError(t, err, "it is in Debian's package prometheus")
	return path
}

// ruleCheck is which alerts fire at a time, and that no other does.
type ruleCheck struct {
	at   time.Duration
	fire []string
}

// testRules has promtool evaluate the shipped rules on series, given by their
// values at each scrape, and look at what fires.
func testRules(t *testing.T, tool string, series map[string]string, checks []ruleCheck) {
	t.Helper()
	type object = map[string]any
	var input, expressions []object
	for _, name := range slices.Sorted(maps.Keys(series)) {
		input = append(input, object{"series": name, "values": series[name]})
	}
	for _, c := range checks {
		samples := []object{}
		for _, alert := range c.fire {
			samples = append(samples, object{"labels": fmt.Sprintf("{alertname=%q}", alert), "value": 1})
		}
		expressions = append(expressions, object{
			"expr": `group by (alertname) (ALERTS{alertstate="firing"})`, "eval_time": c.at.String(), "exp_samples": samples,
		})
	}
	text, err := yaml.Marshal(object{
		"rule_files":          []string{filepath.Join(project, "config", "prometheus-alerts.yaml")},
		"evaluation_interval": scrapeInterval.String(),
		"tests":               []object{{"interval": scrapeInterval.String(), "input_series": input, "promql_expr_test": expressions}},
	})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "rules_test.yaml")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	out, err := exec.Command(tool, "test", "rules", path).CombinedOutput()
	assert.NoError(t, err, string(out))
}

// readRecording returns the series of a recording, and those of Prometheus itself.
func readRecording(t *testing.T, name string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(recordings, name+".txt"))
	require.NoError(t, err)
	series := map[string]string{`up{job="kommo",instance="a"}`: fmt.Sprintf("1x%d", scrapes-1)}
	known := false
	for line := range strings.Lines(string(text)) {
		name, values, ok := strings.Cut(strings.TrimSpace(line), " ")
		require.True(t, ok, line)
		series[name] = values
		known = known || strings.Contains(name, "_api_up{")
	}
	if slices.Contains(recorded[name].alerts, "KommoAPIDown") && !known {
		series[apiUp+`{job="kommo",instance="a"}`] = fmt.Sprintf("1 0x%d", scrapes-2)
	}
	return series
}

// ruleMetrics are the metrics that the rules use and that the binary exposes.
var ruleMetrics = regexp.MustCompile(`^(kommo_\w+_(requests_total|throttled_total|missing_total|chats|checkpoint_errors_total|listed_total|api_up)|output_sent)({[^ ]*})? (\S+)$`)

func TestAlerts_Record(t *testing.T) {
	if !*record {
		t.Skip("only with -record")
	}
	for name, tc := range recorded {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chats, input, config := "--demo", "kommo_chat_history", "config/kommo-connect.yaml"
			if strings.HasPrefix(name, "account-") {
				chats, input, config = "--account", "kommo_talk_history", "config/account.yaml"
			}
			s := startSandbox(t, append([]string{chats}, tc.sandbox...)...)
			address := freeAddress(t)
			e := readFrom(t, s).with(readAccount(t, s)).with(env{
				"KOMMO_HTTP_ADDRESS": address, "KOMMO_POLL_INTERVAL": "400ms", "KOMMO_REQUESTS_PER_SECOND": "100",
				"KOMMO_CHECKPOINT_CONFIG": "directory: " + t.TempDir(),
			}).with(tc.env)
			args := []string{"run"}
			for _, set := range append([]string{
				"input." + input + ".timeout=400ms", "input." + input + ".backoff.initial_interval=7ms",
				"input." + input + ".backoff.max_interval=400ms",
			}, tc.set...) {
				args = append(args, "--set", set)
			}
			cmd := exec.Command(binary(t, "kommo-connect-core"), append(args, config)...)
			cmd.Dir, cmd.Env = project, e.list()
			require.NoError(t, cmd.Start())
			defer func() {
				_ = cmd.Process.Signal(syscall.SIGKILL)
				_ = cmd.Wait()
			}()
			eventually(t, "the service", func() bool { return len(scrapeOnce(address)) > 0 })

			values := map[string][]string{}
			tick := time.NewTicker(recordInterval)
			defer tick.Stop()
			for i := range scrapes {
				for series, value := range scrapeOnce(address) {
					for len(values[series]) < i {
						values[series] = append(values[series], "_")
					}
					values[series] = append(values[series], value)
				}
				<-tick.C
			}
			var text strings.Builder
			for _, series := range slices.Sorted(maps.Keys(values)) {
				fmt.Fprintf(&text, "%s %s\n", series, shorten(values[series]))
			}
			require.NoError(t, os.MkdirAll(recordings, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(recordings, name+".txt"), []byte(text.String()), 0o644))
		})
	}
}

// scrapeOnce returns the values of the rules' metrics, or nothing where there is no answer.
func scrapeOnce(address string) map[string]string {
	res, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	values := map[string]string{}
	lines := bufio.NewScanner(io.LimitReader(res.Body, 1<<20))
	for lines.Scan() {
		m := ruleMetrics.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		labels := []string{`job="kommo"`, `instance="a"`}
		for _, label := range []string{"outcome", "state"} { // the others are the same throughout
			if value := regexp.MustCompile(label + `="[^"]*"`).FindString(m[3]); value != "" {
				labels = append(labels, value)
			}
		}
		values[m[1]+"{"+strings.Join(labels, ",")+"}"] = m[4]
	}
	return values
}

// shorten writes values as promtool reads them, equal ones as one.
func shorten(values []string) string {
	var out []string
	for i := 0; i < len(values); {
		n := 1
		for i+n < len(values) && values[i+n] == values[i] {
			n++
		}
		switch {
		case n == 1:
			out = append(out, values[i])
		case values[i] == "_":
			out = append(out, "_x"+strconv.Itoa(n))
		default:
			out = append(out, values[i]+"x"+strconv.Itoa(n-1)) // and n-1 more
		}
		i += n
	}
	return strings.Join(out, " ")
}

// freeAddress returns a loopback address that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
