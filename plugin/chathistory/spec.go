// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
)

// inputName is the name of the input, and the prefix of its metrics.
const inputName = "kommo_chat_history"

// The fields of the input. They are a public contract.
const (
	fieldBaseURL       = "base_url"
	fieldScopeID       = "scope_id"
	fieldChannelSecret = "channel_secret"
	fieldChats         = "chats"
	fieldChatsFile     = "chats_file"
	fieldChatsInput    = "chats_input"
	fieldChatID        = "chat_id"
	fieldReadAhead     = "read_ahead"
)

func spec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Beta().
		Categories("Services").
		Version("0.1.0").
		Summary("Reads the chat history of a Kommo (amoCRM) channel through the Chats API, complete and in order, and goes on where it left off.").
		Description(`
Each message of a chat becomes a message of the pipeline: its body is the API's own JSON, byte for byte, and who sent it to whom is in the metadata. The messages of one chat come out oldest first; chats are read beside each other.

Without `+"`poll_interval`"+` every chat is read once to its end and the input ends. With it, the input goes on and delivers what arrives.

### Delivery

At least once. A checkpoint covers only what the output has acknowledged, so after a crash the input goes on from there. To keep checkpoints across restarts set `+"`checkpoint_cache`"+`.

What an output rejects is sent again, and only that, where the output's report can be matched. Behind a pipeline that drops, adds, joins or divides messages the engine shifts the positions in such a report; the batch is then sent again in halves until each part is clear, so delivered messages can repeat a few times. A rejected message is overtaken only by messages of its own batch that the output accepted; the next batch of its chat waits, unless `+"`preserve_order` is `false`"+`.

A chat's next batch leaves only after the batch before it was acknowledged, so the order holds whatever the output's concurrency. An output that collects batches by `+"`count`"+` should have a `+"`period`"+` too, or it may wait for messages that wait for it; see `+"`preserve_order`"+`.

### Limits

No more requests are sent than `+"`requests_per_second` and `burst`"+` allow, retries included. A 429 pauses all requests of this input for as long as its body (`+"`retry_after`) or `Retry-After`"+` says, at most an hour. One that states no wait, or that comes again within a minute, also slows the input to 70% of what was accepted; it is near its old speed after half a minute to a minute and at full speed within five minutes without a 429. To share a limit between processes set `+"`rate_limit`"+`.

### Changes

Nothing of the API tells that a message was edited or deleted. With `+"`changes: true`"+` what lies within `+"`lookback`"+` is compared with what was delivered: a message whose bytes are others comes out again with `+"`kommo_operation: update`"+`, and one that is gone as an empty object with `+"`kommo_operation: delete`, `kommo_scope_id`, `kommo_chat_id` and `kommo_message_id`"+`; all others have `+"`create`"+`. A message without an id of its own can't be named: with other bytes it is another message, and its deletion is not told.

### Metadata

Each message has these, as far as the API gave them:

`+"```text"+`
- kommo_scope_id
- kommo_chat_id
- kommo_message_id
- kommo_message_client_id
- kommo_message_type          text, picture, file, … (new ones pass through)
- kommo_media_group_id
- kommo_direction             incoming: from the client; outgoing: to the client
- kommo_timestamp             number, Unix seconds
- kommo_msec_timestamp        number, Unix milliseconds
- kommo_sender_id, _name, _client_id, _avatar, _phone, _email
- kommo_receiver_id, _name, _client_id, _avatar, _phone, _email
- kommo_operation             create, update or delete; only with changes: true
`+"```"+`

### Metrics

`+"```text"+`
- kommo_chat_history_requests_total{outcome}
- kommo_chat_history_request_duration_ns
- kommo_chat_history_limiter_wait_ns
- kommo_chat_history_throttled_total             answers that made all requests wait
- kommo_chat_history_messages_total
- kommo_chat_history_realigned_total             pages that had shifted and were asked for again
- kommo_chat_history_checkpoint_errors_total
- kommo_chat_history_chats{state}                waiting, reading, delivering, failing (also while it is tried again), done
- kommo_chat_history_newest_message_timestamp    Unix seconds
- kommo_chat_history_api_up                      1: the API answered last; 0: it does not answer, or refuses everything
`+"```"+`
`).
		Fields(
			service.NewURLField(fieldBaseURL).
				Description("Where the Chats API is: `https://amojo.kommo.com` for Kommo, `https://amojo.amocrm.ru` or `https://amojo.amocrm.com` for amoCRM.").
				Default(amojo.DefaultBaseURL),
			service.NewStringField(fieldScopeID).
				Description("`{channel_id}_{amojo_id}`, as the channel's connect call returned it.").
				Example("f62a0162-46a7-430e-b06c-0ef798d76a21_52fd2a28-d2eb-4bd8-b862-a67934927b38"),
			service.NewStringField(fieldChannelSecret).
				Description("The channel's secret, given when the channel was registered. It signs each request.").
				Secret(),
			service.NewAnyField(fieldChats).
				Description("The chats to read, by their Chats API ids: `message.conversation.id` in the channel's webhook, `chat_id` in the CRM API. Not the ids that the integration gave them. A list, or one text with commas, spaces or lines between the ids: for very many chats: the engine holds each entry of a list several times over while it starts, some 120 MiB for 100,000.").
				Default([]any{}).
				Example([]string{"30477717-9f3c-4d3f-8101-60327e14dc48"}).
				Example("${KOMMO_CHATS}"),
			service.NewStringField(fieldChatsFile).
				Description("Instead of `chats`: a file of ids, with commas, spaces or lines between them. It is read when the pipeline starts.").
				Optional().
				Example("/etc/kommo/chats.txt"),
			service.NewInputField(fieldChatsInput).
				Description("Instead of `chats`: an input each of whose messages names a chat to read, once. The message is acknowledged when that chat has been read to its end, the output has acknowledged all of it, and its checkpoint is written. A chat that fails is tried again here, as `backoff` says; its message stays unacknowledged meanwhile, and is rejected only when this input is shut down. A chat that is named again while it is being read is read once more after that. With the metadata `kommo_reread` it has what was delivered of its chat delivered again: from a time in RFC 3339 on, to the second, or `all`. Only `since` still leaves out what is older. What has arrived meanwhile comes too, the checkpoint stays where it was until all of that was delivered, and a value that is neither is rejected as an id that is none. When the input in this field ends, so does the whole, after the last chat has been read, delivered and saved. An `inproc` has to be wrapped in a `sequence`.").
				Optional(),
			service.NewInterpolatedStringField(fieldChatID).
				Description("How a message of `chats_input` names its chat. Unless set, that is its metadata `kommo_chat_id`, as `kommo_chats` gives it, and where it has none its whole content. Space around an id is removed, and a message without a possible id is rejected.").
				Default("${! @kommo_chat_id.or(content().string()).string().trim() }").
				Example(`${! json("message.conversation.id") }`),
		).
		Fields(component.HistoryFields(component.HistoryTexts{
			Chat: "chat", Chats: "chats", MaxPage: amojo.MaxLimit,
			PageSize:         "How many messages to ask for in a request, from 1 to 50, which is the most the API gives. Consecutive pages overlap by one message, so 1 is sent as 2.",
			PollInterval:     "How long after a chat was read and delivered to its end it is read again. Without it every chat is read once, and the input ends. With `chats_input` a chat is read when it is named, and this has no effect.",
			StartFrom:        "Where to begin in a chat that has no checkpoint: with its `oldest` message, or after its `latest`, so that only what arrives from now on is delivered.",
			Since:            "Ignore messages that were sent before this time, in RFC 3339. Since a single time can be wrong, a chat without a checkpoint is read on until 50 messages in a row are older.",
			Lookback:         "How far behind its newest delivered message a chat is searched each time for messages that came later with an older time. It matters where the API lists by time: a message that is listed where it arrived is found whatever its time. Those already delivered are not delivered again. As long as the span fits a chat's newest page it costs no request; pages beyond that are read again in each poll. The ids of what was delivered in it are kept in the checkpoint, at most 1,000 a chat: where more lie in the span, or share one second, the span is shorter.",
			Changes:          component.ChangesText("chat"),
			ChangesInterval:  component.ChangesIntervalText("chat", "Of `chats_input` a chat is looked after from when it is named on; after a restart, from when it is named again."),
			CheckpointLimit:  "How many messages may be read ahead or delivered and not yet acknowledged, over all chats. Beyond it, reading waits. Raise it together with the batch size of an output that collects large batches.",
			MaxBufferedPages: "How many pages of one chat are held while its end is searched. A chat that fits is read with one request per page and delivered as one batch; a longer one takes a few requests more, and its first messages leave after this many.",
		})...).
		Field(service.NewIntField(fieldReadAhead).
			Description("How many pages of one chat are asked for at once where it is known that they are needed: in a chat that is longer than `max_buffered_pages`, on the way from its beginning to what was buffered. `1` asks for each alone, so that a chat gets one page in the time of an answer, whatever `requests_per_second` allows. For a single long chat that is to fill the limit, set `requests_per_second` times the seconds that an answer takes, and a few more. The pages are held in memory, and all chats together may have `parallel_chats` times as many requests under way. The order and the number of requests stay the same, but where a chat changes much while it is read: then some are asked for again.").
			Default(4).
			Advanced()).
		Fields(component.CallFields("Kommo documents no limit for the Chats API; its CRM API blocks addresses that exceed 7 per second.",
			"A chat that fails gives its place to the others after a few attempts, or sooner where `max_elapsed_time` says so. It counts as failing until it is read, and is tried again with growing waits, of at most `max_interval`; a chat of another channel is tried again after one minute, four and sixteen, and then every hour.")...).
		Fields(component.CheckpointFields(inputName,
			"The label of a `cache` resource that keeps how far each chat was delivered, so that a restart goes on from there. A checkpoint that vanishes from it or is set back while this process runs is written again from memory, with a warning; with `chats_input` that holds for the chats read last, some 65,000. Without a cache progress is kept in memory and lost at the end.",
			"The prefix of the keys in that cache: there is a small one for each scope and chat, `{prefix}.{scope_id}.{chat_id}`, with a hash in place of a long chat id. Give each pipeline that reads the same chats into another place a prefix of its own.",
			"Acknowledged progress is written at most this often for each chat, at once when one of `chats` is through in a run that has an end, and at every clean stop.")...).
		Fields(component.NetworkFields()...).
		Field(service.NewAutoRetryNacksToggleField()).
		LintRule(component.LintRule(inputName)).
		Example(
			"All messages of two chats, once",
			"Each message goes to standard output, with its chat and direction beside the API's own JSON.",
			`
input:
  kommo_chat_history:
    scope_id: ${KOMMO_SCOPE_ID}
    channel_secret: ${KOMMO_CHANNEL_SECRET}
    chats:
      - 30477717-9f3c-4d3f-8101-60327e14dc48
      - 8e4d4baa-9e6c-4a88-838a-5f62be227bdc

pipeline:
  processors:
    - mapping: |
        root = this
        root.chat = @kommo_chat_id
        root.direction = @kommo_direction

output:
  stdout: {}
`,
		).
		Example(
			"Everything once, then what arrives",
			"Progress is kept in Redis, so that a restart goes on where it was.",
			`
input:
  kommo_chat_history:
    scope_id: ${KOMMO_SCOPE_ID}
    channel_secret: ${KOMMO_CHANNEL_SECRET}
    chats: [ 30477717-9f3c-4d3f-8101-60327e14dc48 ]
    poll_interval: 30s
    checkpoint_cache: progress

cache_resources:
  - label: progress
    redis:
      url: redis://localhost:6379
`,
		)
}
