// SPDX-License-Identifier: Apache-2.0

package check

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// Calls of the sandbox.
const (
	history      = sandbox.EndpointHistory
	talks        = sandbox.EndpointTalks
	contactChats = sandbox.EndpointContactChats
	talk         = sandbox.EndpointTalk
	messages     = sandbox.EndpointTalkMessages
	events       = sandbox.EndpointEvents
	account      = sandbox.EndpointAccount
)

// quirks are the ways in which the sandbox misbehaves, and what the report has to say of
// each that it does not say otherwise.
var quirks = []struct {
	name   string
	faults []sandbox.Fault
	config sandbox.Config
	say    string // findings and answers, with spaces
}{
	// What answers in place of the API.
	{"account 401", fault("401,endpoint=account"), sandbox.Config{}, "account.answer=token_refused"},
	{"account 402", fault("402,endpoint=account"), sandbox.Config{}, "account.answer=plan"},
	{"account 403", fault("403,endpoint=account,body=json"), sandbox.Config{}, "account.answer=right"},
	{"account 404", fault("404,endpoint=account"), sandbox.Config{}, "account.answer=not_found"},
	{"account 500", fault("500,endpoint=account"), sandbox.Config{}, "account.address=server_error"},
	{"account blocked", fault("403,endpoint=account,body=html"), sandbox.Config{}, "account.stopped=blocked"},
	{"account blocked with text", fault("403,endpoint=account,body=text"), sandbox.Config{}, "account.stopped=blocked"},
	{"talks 403", fault("403,endpoint=talks,body=scope"), sandbox.Config{}, "talks.answer=scope"},
	{"contact chats 403", fault("403,endpoint=contact-chats,body=json"), sandbox.Config{}, "token.administrator=no"},
	{"events 403", fault("403,endpoint=events,body=scope"), sandbox.Config{}, "events.answer=scope"},
	{"messages 402", fault("402,endpoint=talk-messages"), sandbox.Config{}, "talks.given=plan messages.answer=plan"},
	{"messages 403", fault("403,endpoint=talk-messages,body=scope"), sandbox.Config{}, "talks.given=scope messages.answer=scope"},
	{"messages 400", fault("400,endpoint=talk-messages"), sandbox.Config{}, "talks.given=rejected messages.answer=rejected"},
	{"messages 404", fault("404,endpoint=talk-messages"), sandbox.Config{}, "talks.given=not_found messages.answer=not_found"},
	{"talk 404", fault("404,endpoint=talk"), sandbox.Config{}, "talk.answer=not_found"},
	{"history 403 signature", fault("403,endpoint=history,body=signature"), sandbox.Config{}, "channel.signature=signature"},
	{"history 403 empty", fault("403,endpoint=history,body=empty"), sandbox.Config{}, "channel.signature=refused"},
	{"history blocked", fault("403,endpoint=history,body=html"), sandbox.Config{}, "channel.stopped=blocked"},
	{"history not registered", fault("404,endpoint=history,body=not-registered"), sandbox.Config{}, "channel.signature=not_registered"},
	{"history 402", fault("402,endpoint=history"), sandbox.Config{}, "channel.signature=plan"},
	{"history 500", fault("500,endpoint=history"), sandbox.Config{}, "channel.address=server_error"},
	{"history 429", fault("429,endpoint=history,retry_after=300s,retry_after_in=body"), sandbox.Config{}, "channel.stopped=throttled channel.throttled=body"},
	{"503 with a long wait", fault("503,endpoint=talks,retry_after=300s"), sandbox.Config{}, "account.stopped=server_error account.limit_headers=some"},
	{"foreign", fault("foreign,chat=" + mainChat), sandbox.Config{}, "history.given=foreign"},
	{"html", fault("html,endpoint=talks"), sandbox.Config{}, "talks.answer=broken_answer"},
	{"redirect", fault("redirect,endpoint=history"), sandbox.Config{}, "channel.address=redirected"},
	{"reset", fault("reset,endpoint=events"), sandbox.Config{}, "events.answer=no_answer"},
	{"close", fault("close,endpoint=history"), sandbox.Config{}, "channel.address=no_answer"},
	{"hang", fault("hang,endpoint=account"), sandbox.Config{}, "account.address=timeout"},
	{"cut-length", fault("cut-length,endpoint=talk-messages"), sandbox.Config{}, "talks.given=broken_answer messages.answer=broken_answer"},
	{"cut-chunked", fault("cut-chunked,endpoint=events"), sandbox.Config{}, "events.answer=broken_answer"},
	{"cut-json", fault("cut-json,endpoint=talks"), sandbox.Config{}, "talks.answer=broken_answer"},
	{"huge", fault("huge,endpoint=talks"), sandbox.Config{}, "talks.answer=too_large"},
	{"bomb", fault("bomb,size=100000,chat=" + mainChat), sandbox.Config{}, "history.given=too_large"},

	// What comes on top of an answer.
	{"slow", fault("delay,delay=30ms"), sandbox.Config{}, "account.speed=slow channel.speed=slow"},
	{"slow server", nil, sandbox.Config{Latency: 30 * time.Millisecond}, "account.speed=slow channel.speed=slow"},
	{"429 once", fault("429,endpoint=talks,count=1"), sandbox.Config{}, "account.throttled=no_hint"},
	{"429 once, with a header", fault("429,endpoint=talks,count=1,retry_after=1s"), sandbox.Config{}, "account.throttled=header"},
	{"429 once, with both", fault("429,endpoint=talks,count=1,retry_after=1s,retry_after_in=both"), sandbox.Config{}, "account.throttled=body+header"},
	{"clock", fault("clock,shift=1h"), sandbox.Config{}, "account.clock=differs channel.clock=differs"},
	{"clock behind", fault("clock,shift=-20m"), sandbox.Config{}, "account.clock=differs channel.clock=differs"},
	{"date-off", fault("date-off,shift=1h"), sandbox.Config{}, "account.clock=differs channel.clock=date_off"},
	{"no-date", fault("no-date"), sandbox.Config{}, "account.clock=no_date channel.clock=no_date"},
	{"cached-date", fault("cached-date,endpoint=history"), sandbox.Config{}, "channel.clock=cached_date"},

	// What changes a page of the history.
	{"history hide-items", fault("hide-items,every=3,endpoint=history"), sandbox.Config{}, "history.pages=short"},
	{"history page-cap", fault("page-cap,limit=25,endpoint=history"), sandbox.Config{}, "history.pages=capped"},
	{"history ignore-limit", fault("ignore-limit"), sandbox.Config{}, "history.pages=limit_ignored"},
	{"history oldest-first", fault("oldest-first,endpoint=history"), sandbox.Config{}, "history.order=oldest_first"},
	{"history null-items", fault("null-items,endpoint=history"), sandbox.Config{}, "history.ids=not_objects"},
	{"history duplicates", fault("duplicates,endpoint=history"), sandbox.Config{}, "history.ids=repeated"},
	{"history no-id", fault("no-id,endpoint=history"), sandbox.Config{}, "history.ids=without_id"},
	{"history no-msec", fault("no-msec,endpoint=history"), sandbox.Config{}, "history.milliseconds=none"},
	{"history some no-msec", fault("no-msec,endpoint=history,every=3"), sandbox.Config{}, "history.milliseconds=some"},
	{"history big-items", fault("big-items,endpoint=history,every=20"), sandbox.Config{}, "history.size=large"},
	{"history clocks", stamp(history, sandbox.StampClocks), sandbox.Config{}, "history.order=roughly_newest_first"},
	{"history shifted", stamp(history, sandbox.StampShifted), sandbox.Config{}, "history.times=future"},
	{"history 2106", stamp(history, sandbox.Stamp2106), sandbox.Config{}, "history.times=future"},
	{"history 1970", stamp(history, sandbox.Stamp1970), sandbox.Config{}, "history.times=none history.milliseconds=none"},
	{"history msec in s", stamp(history, sandbox.StampMsecSeconds), sandbox.Config{}, "history.times=other_unit"},
	{"history msec in us", stamp(history, sandbox.StampMsecMicroseconds), sandbox.Config{}, "history.times=other_unit"},
	{"history msec negative", stamp(history, sandbox.StampMsecNegative), sandbox.Config{}, "history.times=other_unit"},
	{"history msec missing", stamp(history, sandbox.StampMsecMissing), sandbox.Config{}, "history.milliseconds=none"},
	{"history msec contradicts", stamp(history, sandbox.StampMsecContradicts), sandbox.Config{}, "history.times=contradict"},
	{"past-end", fault("past-end,past_end=empty-list"), sandbox.Config{}, "history.end=empty_list"},
	{"past-end of the server: list", nil, sandbox.Config{PastEnd: sandbox.PastEndEmptyList}, "history.end=empty_list"},
	{"past-end of the server: object", nil, sandbox.Config{PastEnd: sandbox.PastEndEmptyObject}, "history.end=empty_object"},
	{"past-end of the server: null", nil, sandbox.Config{PastEnd: sandbox.PastEndNull}, "history.end=null"},

	// What changes a page of a talk's messages.
	{"messages hide-items", fault("hide-items,every=3,endpoint=talk-messages"), sandbox.Config{}, "messages.pages=short messages.announced=not_listed"},
	{"messages page-cap", fault("page-cap,limit=25,endpoint=talk-messages"), sandbox.Config{}, "messages.pages=capped"},
	{"messages oldest-first", fault("oldest-first,endpoint=talk-messages"), sandbox.Config{}, "messages.order=oldest_first"},
	{"messages no-order", fault("no-order,endpoint=talk-messages"), sandbox.Config{}, "messages.order=none"},
	{"messages filter-ignored", fault("filter-ignored,endpoint=talk-messages"), sandbox.Config{}, "messages.filter=ignored"},
	{"messages filter-off", fault("filter-off,endpoint=talk-messages"), sandbox.Config{}, "messages.filter=ends_off"},
	{"messages filter-off back", fault("filter-off,shift=-1s,endpoint=talk-messages"), sandbox.Config{}, "messages.filter=ends_off"},
	{"messages filter-off far", fault("filter-off,shift=1h,endpoint=talk-messages"), sandbox.Config{}, "messages.filter=off"},
	{"messages null-items", fault("null-items,endpoint=talk-messages"), sandbox.Config{}, "messages.ids=not_objects"},
	{"messages duplicates", fault("duplicates,endpoint=talk-messages"), sandbox.Config{}, "messages.ids=repeated"},
	{"messages no-id", fault("no-id,endpoint=talk-messages,every=5"), sandbox.Config{}, "messages.ids=without_id messages.announced=not_listed"},
	{"messages no-msec", fault("no-msec,endpoint=talk-messages"), sandbox.Config{}, "messages.milliseconds=none"},
	{"messages big-items", fault("big-items,endpoint=talk-messages,every=20"), sandbox.Config{}, "messages.size=large"},
	{"messages clocks", stamp(messages, sandbox.StampClocks), sandbox.Config{}, "messages.order=roughly_newest_first"},
	{"messages shifted", stamp(messages, sandbox.StampShifted), sandbox.Config{}, "messages.times=future"},
	{"messages 2106", stamp(messages, sandbox.Stamp2106), sandbox.Config{}, "messages.times=future"},
	{"messages 1970", stamp(messages, sandbox.Stamp1970), sandbox.Config{}, "messages.times=none messages.milliseconds=none"},
	{"messages msec in s", stamp(messages, sandbox.StampMsecSeconds), sandbox.Config{}, "messages.times=other_unit"},
	{"messages msec in us", stamp(messages, sandbox.StampMsecMicroseconds), sandbox.Config{}, "messages.times=other_unit"},
	{"messages msec negative", stamp(messages, sandbox.StampMsecNegative), sandbox.Config{}, "messages.times=other_unit"},
	{"messages msec missing", stamp(messages, sandbox.StampMsecMissing), sandbox.Config{}, "messages.milliseconds=none"},
	{"messages msec contradicts", stamp(messages, sandbox.StampMsecContradicts), sandbox.Config{}, "messages.times=contradict"},
	{"messages delivery", fault("delivery"), sandbox.Config{}, "messages.bytes=change"},
	{"messages whole-chat", fault("whole-chat"), sandbox.Config{}, "messages.belong=whole_chat"},
	{"messages late", fault("late,endpoint=talk-messages,messages=talk-7-58"), sandbox.Config{}, "messages.announced=not_listed"},
	{"messages late by an hour", fault("late,endpoint=talk-messages,lag=1h,every=10"), sandbox.Config{}, "messages.announced=not_listed"},
	{"messages next missing", fault("next,next=missing,endpoint=talk-messages"), sandbox.Config{}, "messages.next=missing"},
	{"messages next elsewhere", fault("next,next=elsewhere,endpoint=talk-messages"), sandbox.Config{}, "messages.next=elsewhere"},
	{"messages next self", fault("next,next=self,endpoint=talk-messages"), sandbox.Config{}, "messages.next=wrong_page"},
	{"messages next always", fault("next,next=always,endpoint=talk-messages"), sandbox.Config{}, "messages.next=always"},

	// What changes a page of the events.
	{"events hide-items", fault("hide-items,every=3,endpoint=events"), sandbox.Config{}, "events.pages=short events.complete=not_announced"},
	{"events page-cap", fault("page-cap,limit=100,endpoint=events"), sandbox.Config{}, "events.pages=capped"},
	{"events oldest-first", fault("oldest-first,endpoint=events"), sandbox.Config{}, "events.order=oldest_first events.order_asked=ignored"},
	{"events newest-first", fault("newest-first,endpoint=events"), sandbox.Config{}, "events.order_asked=ignored"},
	{"events no-order", fault("no-order,endpoint=events"), sandbox.Config{}, "events.order=none events.order_asked=ignored"},
	{"events filter-ignored", fault("filter-ignored,endpoint=events"), sandbox.Config{}, "events.filter=ignored"},
	{"events filter-off", fault("filter-off,endpoint=events"), sandbox.Config{}, "events.filter=ends_off"},
	{"events null-items", fault("null-items,endpoint=events"), sandbox.Config{}, "events.ids=not_objects"},
	{"events duplicates", fault("duplicates,endpoint=events"), sandbox.Config{}, "events.ids=repeated"},
	{"events late", fault("late,endpoint=events,messages=talk-7-58"), sandbox.Config{}, "events.complete=not_announced"},
	{"events 1970", stamp(events, sandbox.Stamp1970), sandbox.Config{}, "events.times=none"},
	{"events 2106", stamp(events, sandbox.Stamp2106), sandbox.Config{}, "events.times=future"},
	{"events shifted", stamp(events, sandbox.StampShifted), sandbox.Config{}, "events.times=future"},
	{"events clocks", stamp(events, sandbox.StampClocks), sandbox.Config{}, "events.order=roughly_newest_first"},
	{"events next missing", fault("next,next=missing,endpoint=events"), sandbox.Config{}, "events.next=missing"},
	{"events next elsewhere", fault("next,next=elsewhere,endpoint=events"), sandbox.Config{}, "events.next=elsewhere"},
	{"events next self", fault("next,next=self,endpoint=events"), sandbox.Config{}, "events.next=wrong_page"},
	{"events next always", fault("next,next=always,endpoint=events"), sandbox.Config{}, "events.next=always"},

	// What changes a page of the other lists.
	{"talks hide-items", fault("hide-items,every=3,endpoint=talks"), sandbox.Config{}, "talks.pages=short talks.reach=ends_early"},
	{"talks page-cap", fault("page-cap,limit=8,endpoint=talks"), sandbox.Config{}, "talks.pages=capped"},
	{"talks 1970", stamp(talks, sandbox.Stamp1970), sandbox.Config{}, "talks.times=none"},
	{"talks 2106", stamp(talks, sandbox.Stamp2106), sandbox.Config{}, "talks.times=future"},
	{"talks next missing", fault("next,next=missing,endpoint=talks"), sandbox.Config{}, "talks.next=missing"},
	{"talks next elsewhere", fault("next,next=elsewhere,endpoint=talks"), sandbox.Config{}, "talks.next=elsewhere"},
	{"talks next self", fault("next,next=self,endpoint=talks"), sandbox.Config{}, "talks.next=wrong_page"},
	{"talks next always", fault("next,next=always,endpoint=talks"), sandbox.Config{}, "talks.next=always"},
	{"talks cap", nil, sandbox.Config{TalksCap: 9}, "talks.reach=ends_early"},
	{"contact chats hide-items", fault("hide-items,every=2,endpoint=contact-chats"), sandbox.Config{}, "contact_chats.pages=short"},
	{"contact chats page-cap", fault("page-cap,limit=4,endpoint=contact-chats"), sandbox.Config{}, "contact_chats.pages=capped"},
	{"contact chats next missing", fault("next,next=missing,endpoint=contact-chats"), sandbox.Config{}, "contact_chats.next=missing"},
	{"contact chats next elsewhere", fault("next,next=elsewhere,endpoint=contact-chats"), sandbox.Config{}, "contact_chats.next=elsewhere"},
	{"contact chats next always", fault("next,next=always,endpoint=contact-chats"), sandbox.Config{}, "contact_chats.next=always"},

	// The server's own limit.
	{"limit", nil, sandbox.Config{RequestsPerSecond: 1e-3}, "account.stopped=throttled account.throttled=no_hint"},
	{"limit, with a wait", nil, sandbox.Config{RequestsPerSecond: 1e-3, RetryAfter: time.Hour}, "account.stopped=throttled account.throttled=header"},
	{"limit, with a wait in the body", nil, sandbox.Config{RequestsPerSecond: 1e-3, RetryAfter: time.Hour, RetryAfterIn: sandbox.HintBody}, "account.stopped=throttled account.throttled=body"},
	{"limit, and a block", nil, sandbox.Config{RequestsPerSecond: 1e-3, BlockAfter: 1}, "account.stopped=blocked account.throttled=no_hint"},
	{"limit, and a block with text", nil, sandbox.Config{RequestsPerSecond: 1e-3, BlockAfter: 1, BlockBody: sandbox.BodyText}, "account.stopped=blocked account.throttled=no_hint"},

	// Credentials.
	{"another account", nil, sandbox.Config{ScopeID: "f90ba33d-c9d9-44da-b76c-c349b0ecbe41_another"}, "channel.scope=other_account channel.signature=not_registered"},
	{"wrong token", nil, sandbox.Config{AccessToken: "another"}, "account.answer=token_refused"},
	{"wrong secret", nil, sandbox.Config{Secret: "another"}, "channel.signature=signature"},
}

// fault reads one, and whom the part behind a bar is for.
func fault(text string) []sandbox.Fault {
	f, err := sandbox.ParseFault(strings.TrimSuffix(text, "|"))
	if err != nil {
		panic(err)
	}
	return []sandbox.Fault{f}
}

func stamp(endpoint sandbox.Endpoint, stamp sandbox.Stamp) []sandbox.Fault {
	return []sandbox.Fault{{Kind: sandbox.FaultStamp, Endpoint: endpoint, Stamp: stamp}}
}

func TestCheck_NamesEachQuirkThatIsOnAndOnlyThose(t *testing.T) {
	t.Parallel()
	plain := answers(checked(t, world(t, sandbox.Config{})))
	require.NotEmpty(t, plain)
	for _, tc := range quirks {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := world(t, tc.config)
			require.NoError(t, s.SetFaults(tc.faults...))
			report := checked(t, s, func(c *Config) {
				switch {
				case strings.HasPrefix(tc.name, "slow"):
					c.slow = 25 * time.Millisecond
				case tc.name == "hang":
					c.Timeout = 500 * time.Millisecond
				}
			})
			assertNothingPrivate(t, report)
			said := []string{}
			for answer := range answers(report) {
				if !plain[answer] && !strings.HasSuffix(answer, NotSeen) {
					said = append(said, strings.ReplaceAll(answer, " ", "="))
				}
			}
			assert.ElementsMatch(t, strings.Fields(tc.say), said)
		})
	}
}

// Of what the sandbox can do otherwise, what no report can name, and why.
var (
	unseenKinds  = map[sandbox.FaultKind]string{}
	unseenFields = map[string]string{
		"Limit":       "how a limit counts shows only to who exceeds it on purpose",
		"LimitWindow": "the same",
		"Burst":       "the same",
		"BlockFor":    "it would have to be waited for, and asked during a block",
		"RandomSeed":  "it decides which requests a fault strikes, and is none itself",
		"Order":       "it shows only in a chat with a message that came late: TestCheck_MessagesThatCameLateShow",
		"Now":         "the fault clock is the same",
	}
)

func TestQuirks_HaveEverySwitchOfTheSandbox(t *testing.T) {
	t.Parallel()
	kinds, fields := map[sandbox.FaultKind]bool{}, map[string]bool{}
	for _, tc := range quirks {
		for _, f := range tc.faults {
			kinds[f.Kind] = true
		}
		config := reflect.ValueOf(tc.config)
		for i := range config.NumField() {
			if !config.Field(i).IsZero() {
				fields[config.Type().Field(i).Name] = true
			}
		}
	}
	for _, kind := range sandbox.FaultKinds() {
		assert.NotEqual(t, kinds[kind], unseenKinds[kind] != "", kind)
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[sandbox.Config]()) {
		assert.NotEqual(t, fields[field.Name], unseenFields[field.Name] != "", field.Name)
	}
}
