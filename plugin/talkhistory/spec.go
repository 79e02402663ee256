// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// inputName is the name of the input, and the prefix of its metrics.
const inputName = "kommo_talk_history"

// The fields that only this input has, or that it shares with kommo_chats. They are a
// public contract.
const (
	fieldAPIURL     = "api_url"
	fieldTalks      = "talks"
	fieldTalksInput = "talks_input"
	fieldTalkID     = "talk_id"
	fieldDiscover   = "discover"
	fieldOrigins    = "origins"
)

// The values of discover.
const (
	discoverEvents = "events"
	discoverTalks  = "talks"
	discoverIDs    = "ids"
)

func spec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Beta().
		Categories("Services").
		Version("0.1.0").
		Summary("Reads the conversations of all channels of a Kommo (amoCRM) account through the CRM API with nothing but a token, complete and in order, goes on where it left off, and tells when something is missing.").
		Description(`
Each message becomes a message of the pipeline: its body is the API's own JSON, byte for byte, and who sent it to whom in which conversation is in the metadata. The messages of one talk come out oldest first; talks are read beside each other.

A talk is a conversation as the CRM has it; a chat has a new one each time a closed conversation is taken up again. Which talks there are the account's event feed tells, from its beginning: every talk that ever had a message. Or name them yourself, by `+"`talks` or `talks_input`"+`.

Without `+"`poll_interval`"+` everything is read once to its end and the input ends. With it, the input goes on and delivers what arrives.

### The token

The integration needs the scope External chat history (`+"`list_external_messages`"+`), and the account a plan that has the call: Trial, Pro, Enterprise or Technical. A token that tells its scopes and its end is looked at before the first request, and by a connection test. An answer 401, 402 or 403 stops all reading, is said with what to enable, and is never taken for an empty conversation; it is asked again now and then, and goes on once that is allowed. A 404 is the end of one talk.

### What was announced must come out

The feed names each message. If a talk was read and an announced message is neither in it nor covered by its checkpoint, the talk is read again for up to two minutes, since its list may lag behind the feed. Then the message is counted in `+"`kommo_talk_history_missing_total`"+` and reported once, with talk and message id. Messages before `+"`since`"+` are not missing. A message that was deleted can't be told from one that the API has lost. One that was announced an hour ago or earlier has had its two minutes: it is looked for once more after some seconds. Of a talk the newest 1,000 messages are checked that were announced since it was named last; a first listing of more than 20,000 events names the talks of each 20,000 by themselves, and what they announce of a talk that was named before is not checked. Talks that are named by `+"`talks` or `talks_input`"+` are not checked in this way, since nothing announces their messages.

### Delivery

At least once. A checkpoint covers only what the output has acknowledged, so after a crash the input goes on from there, in each talk and in the feed: the feed's position moves only when the talks that it named were read and delivered. To keep checkpoints across restarts set `+"`checkpoint_cache`"+`.

It is not known whether a talk lists only its own messages or all of its chat. In the second case the talks of one chat repeat the same messages; their `+"`kommo_message_id`"+` is the same, so a document or key by that id is written twice and no more.

A message whose `+"`delivery_status`"+` has changed since it was delivered is delivered again only with `+"`changes: true`"+`.

What an output rejects is sent again, and only that, where the output's report can be matched. Behind a pipeline that drops, adds, joins or divides messages the engine shifts the positions in such a report; the batch is then sent again in halves until each part is clear, so delivered messages can repeat a few times. A rejected message is overtaken only by messages of its own batch that the output accepted; the next batch of its talk waits, unless `+"`preserve_order` is `false`"+`.

A talk's next batch leaves only after the batch before it was acknowledged, so the order holds whatever the output's concurrency. An output that collects batches by `+"`count`"+` should have a `+"`period`"+` too, or it may wait for messages that wait for it; see `+"`preserve_order`"+`.

### Limits

No more requests are sent than `+"`requests_per_second` and `burst`"+` allow, those for the feed and retries included. A 429 pauses all requests of this input for as long as its body (`+"`retry_after`) or `Retry-After`"+` says, at most an hour. One that states no wait, or that comes again within a minute, also slows the input to 70% of what was accepted; it is near its old speed after half a minute to a minute and at full speed within five minutes without a 429. To share a limit between processes set `+"`rate_limit`"+`.

### Changes

Nothing of the API tells that a message was edited, read or deleted. With `+"`changes: true`"+` what lies within `+"`lookback`"+` is compared with what was delivered: a message whose bytes are others, such as the `+"`delivery_status`"+`, comes out again with `+"`kommo_operation: update`"+`, and one that is gone as an empty object with `+"`kommo_operation: delete`, `kommo_talk_id` and `kommo_message_id`"+`, and what else is known of its talk; all others have `+"`create`"+`. A message without an id of its own can't be named: with other bytes it is another message, and its deletion is not told. Neither is that of a message without a time, or of a talk that the API does not know any more.

### Metadata

Each message has these, as far as the API gave them. What the messages themselves do not say is known from what named the talk: the feed tells origin and entity, the list of talks and a look-up (`+"`discover: talks` and `ids`, `kommo_chats` in `talks_input`"+`) the contact too, and `+"`talks`"+` nothing.

`+"```text"+`
- kommo_talk_id               number
- kommo_chat_id               the chat's id in the Chats API
- kommo_message_id
- kommo_message_type          text, picture, file, … (new ones pass through)
- kommo_direction             incoming: from the client; outgoing: to the client
- kommo_timestamp             number, Unix seconds
- kommo_msec_timestamp        number, Unix milliseconds
- kommo_origin                the channel: waba, instagram_business, …
- kommo_contact_id            number
- kommo_entity_id             number
- kommo_entity_type           lead, …
- kommo_delivery_status       sent, delivered, read, error: when it was read
- kommo_sender_id, _name, _avatar, _type, _user_id
- kommo_receiver_id, _name, _avatar, _type, _user_id
- kommo_operation             create, update or delete; only with changes: true
`+"```"+`

A type is `+"`internal` (a user of the account, whose number is the `user_id`), `external` (the client) or `bot`"+`.

### Metrics

`+"```text"+`
- kommo_talk_history_requests_total{outcome}
- kommo_talk_history_request_duration_ns
- kommo_talk_history_limiter_wait_ns
- kommo_talk_history_throttled_total             answers that made all requests wait
- kommo_talk_history_messages_total
- kommo_talk_history_missing_total               messages that were announced and did not come out
- kommo_talk_history_realigned_total             pages that had shifted and were asked for again
- kommo_talk_history_checkpoint_errors_total
- kommo_talk_history_chats{state}                talks: waiting, reading, delivering, failing (also while it is tried again), done
- kommo_talk_history_newest_message_timestamp    Unix seconds
- kommo_talk_history_api_up                      1: the API answered last; 0: it does not answer, or refuses everything
`+"```"+`
`).
		Fields(
			service.NewURLField(fieldAPIURL).
				Description("The account's address.").
				Example("https://example.kommo.com"),
		).
		Fields(component.TokenFields(" with the scope External chat history")...).
		Fields(
			service.NewStringListField(fieldTalks).
				Description("Read only these talks, by their ids: `talk_id` in the CRM API and its webhooks, the number in the address of a conversation.").
				Default([]any{}).
				Example([]string{"1109"}),
			service.NewInputField(fieldTalksInput).
				Description("Instead: an input each of whose messages names a talk to read, once. The message is acknowledged when that talk has been read to its end, the output has acknowledged all of it, and its checkpoint is written. A talk that fails is tried again here, as `backoff` says; its message stays unacknowledged meanwhile, and is rejected only when this input is shut down. A talk that is named again while it is being read is read once more after that. With the metadata `kommo_reread` it has what was delivered of its talk delivered again: from a time in RFC 3339 on, to the second, or `all`. Only `since` still leaves out what is older. What has arrived meanwhile comes too, the checkpoint stays where it was until all of that was delivered, and a value that is neither is rejected as an id that is none. When the input in this field ends, so does the whole, after the last talk has been read, delivered and saved. An `inproc` has to be wrapped in a `sequence`.").
				Optional(),
			service.NewInterpolatedStringField(fieldTalkID).
				Description("How a message of `talks_input` names its talk. Space around an id is removed, and a message without a possible id is rejected.").
				Default("${! @kommo_talk_id }").
				Example(`${! json("talk_id") }`),
			service.NewStringEnumField(fieldDiscover, discoverEvents, discoverTalks, discoverIDs).
				Description("Where the talks come from that are read first, without `talks` and `talks_input`: the account's `events`, from the first one; the list of `talks`, which in one account ended after 250; or all `ids` from 1 to the highest, each looked up by itself, for an account in which neither reaches back. What is new and what changes comes from the events in each case.").
				Default(discoverEvents).
				LintRule(""), // the rule of the whole input says it, with what it got
			service.NewStringListField(fieldOrigins).
				Description("Read only talks of these channels, as the API's own `origin` has it. None means all. Without `talks` and `talks_input` only.").
				Default([]any{}).
				Example([]string{"waba", "instagram_business"}),
		).
		Fields(component.HistoryFields(component.HistoryTexts{
			Chat: "talk", Chats: "talks", MaxPage: crm.MaxLimit,
			PageSize:         "How many messages to ask for in a request, from 1 to 250, which is the most the API gives. 1 is sent as 2.",
			PollInterval:     "How long after the feed was read, or after one of `talks` was read and delivered to its end, it is read again. Without it everything is read once, and the input ends. With `talks_input` a talk is read when it is named, and this has no effect.",
			StartFrom:        "Where to begin without a checkpoint: with the `oldest` message, or after the `latest`, so that only what arrives from now on is delivered. A talk that opens later comes out whole; when it was opened each talk is asked once, before it is read for the first time in a process.",
			Since:            "Ignore messages that were sent before this time, in RFC 3339.",
			Lookback:         "How far behind its newest delivered message a talk is read again each time, for messages that came later with an older time. Those already delivered are not delivered again. The ids of what was delivered in it are kept in the checkpoint, at most 1,000 a talk: where more lie in the span, or share one second, the span is shorter.",
			Changes:          component.ChangesText("talk"),
			ChangesInterval:  component.ChangesIntervalText("talk", "Without `talks` that holds across restarts too; of `talks_input` a talk is looked after from when it is named on."),
			CheckpointLimit:  "How many messages may be read ahead or delivered and not yet acknowledged, over all talks, and how many talks may be named and not yet done. Beyond it, reading waits. Raise it together with the batch size of an output that collects large batches.",
			MaxBufferedPages: "How many pages of one talk are held at once: nothing is known of the API's order, so what is new in a talk is sorted before it is delivered. A longer stretch is cut by time; where the API does not heed the time, an error says to raise this.",
		})...).
		Fields(component.CallFields("The CRM API allows 7 per second for an account, whoever asks, then blocks addresses that go on.",
			"A talk that fails gives its place to the others after a few attempts, or sooner where `max_elapsed_time` says so. It counts as failing until it is read, and is tried again with growing waits, of at most `max_interval`.")...).
		Fields(component.CheckpointFields(inputName,
			"The label of a `cache` resource that keeps how far the feed was read and each talk was delivered, so that a restart goes on from there. A talk's checkpoint that vanishes from it or is set back while this process runs is written again from memory, with a warning; without `talks` that holds for the talks read last, some 65,000. Without a cache progress is kept in memory and lost at the end.",
			"The prefix of the keys in that cache: there is a small one for each talk, `{prefix}.{host}.{talk_id}`, with `=2e` for each dot of the host, and a few for the feed. Give each pipeline that reads the same account into another place a prefix of its own.",
			"A checkpoint is written at most this often for each talk, at every clean stop, and at the end of a run that has one. After a crash, what was acknowledged since comes again.")...).
		Fields(component.NetworkFields()...).
		Field(service.NewAutoRetryNacksToggleField()).
		LintRule(component.LintRule(inputName)).
		Example(
			"The whole account",
			"Every conversation from its beginning, then what arrives. Progress is kept in Redis, so that a restart goes on where it was.",
			`
input:
  kommo_talk_history:
    api_url: https://example.kommo.com
    access_token: ${KOMMO_ACCESS_TOKEN}
    poll_interval: 30s
    checkpoint_cache: progress

cache_resources:
  - label: progress
    redis:
      url: redis://localhost:6379
`,
		).
		Example(
			"Two conversations to the screen",
			"Reads two talks once, as flat documents.",
			`
input:
  kommo_talk_history:
    api_url: https://example.kommo.com
    access_token: ${KOMMO_ACCESS_TOKEN}
    talks: [ 1109, 1110 ]

pipeline:
  processors:
    - kommo_message: {}

output:
  stdout: {}
`,
		)
}
