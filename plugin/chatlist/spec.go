// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// inputName is the name of the input, and the prefix of its metrics.
const inputName = "kommo_chats"

// The fields of the input. They are a public contract.
const (
	fieldAPIURL       = "api_url"
	fieldSource       = "source"
	fieldOrigins      = "origins"
	fieldUpdatedSince = "updated_since"
	fieldPageSize     = "page_size"
	fieldPollInterval = "poll_interval"
)

func spec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Beta().
		Categories("Services").
		Version("0.1.0").
		Summary("Lists the chats of a Kommo (amoCRM) account through the CRM API: all of them first, then those that are new or have changed.").
		Description(`
Each chat becomes a message: its body is the API's own JSON entry, byte for byte, and its ids are in the metadata. It is meant as the `+"`chats_input` of `kommo_chat_history`"+`, which then reads only the chats in which something happened, or to feed a queue of talks.

Without `+"`poll_interval`"+` the account is listed once and the input ends. With it, the input goes on and delivers each chat that is new or has changed since.

### Sources

`+"`talks`"+` lists conversations, each with the time of its last update. A chat is delivered again when one of its talks was updated. Of several talks of one chat that changed, one listing delivers the one it meets first, and another only if that was updated later still.

`+"`contact_chats`"+` lists the chats of contacts, of the channels that the integration may access. It does not tell when a chat changed, so each chat is delivered once, when it is first seen. It needs an administrator's token.

`+"`events`"+` reads the event feed: each talk in which a message came or was sent, once in a listing however many there were, from the feed's beginning or `+"`updated_since`"+`, and then those with news. It is the only list of all talks that ever had a message, needs no right but that of the account's API, and takes one request for 250 events, and one for a poll without news. The body is the talk's latest event, which names no chat.

`+"`talk_ids`"+` looks up every id from 1 to the highest that the talks and events tell of, and some more, one request each: for accounts in which neither list nor feed reaches back. After that the feed says what is new, and each talk with news is looked up. The body is the talk.

Only chats of the own channel answer the signed call of `+"`kommo_chat_history`"+`. With `+"`talks`"+`, name the channel's origin in `+"`origins`"+`: chats of other channels would be refused one by one.

### What a listing guarantees

Every chat that is in the list while it is read is delivered, however many talks move to the front meanwhile: pages overlap, a page that does not continue the one before is asked for again, and the front is read once more at the end. A page that is not full is not taken for the last: one more request looks behind it, until nothing was found there 32 times, and now and then after that; if something was, always, with a warning, and chats that were passed over are delivered then, others once again.

Nothing is documented about the order of the list, so all of it is read each time: with 250 entries a page, 10,000 talks take about 45 requests. Once a whole listing of more than one page has shown that the talks updated last come first, in a way that no order by age could, later listings end where nothing new can follow: a poll then takes one request, or one for about every 250 talks that changed since the last poll or in the two minutes before. All of the list is still read once a day, to see that this holds; if it ever does not, the chats since the last whole listing are delivered again.

One account is known in which the API lists about 250 talks, the newest, and no more. Chats beyond that can't be found through `+"`talks`"+` there, except when something happens in them; use `+"`contact_chats`"+` beside it.

Nothing is documented about the order of the events either. Oldest first is asked for, and if that shows to hold, the feed is read from the last event on, so that nothing can shift. Otherwise pages overlap, and a long feed is read in parts by time; if the API ignores the time filter, with a warning, as a whole. Events show up to two minutes late, so each listing reads the last 150 seconds again, of which it delivers what is new. In a listing of more than 20,000 events a talk is delivered again for what came while it ran.

A talk that appears in the list with an update of more than two minutes ago, for instance because the token's user may see it only now, is not noticed until it is updated.

### Delivery

At least once. A checkpoint covers only what the output has acknowledged, and is kept also in the middle of a listing. To keep checkpoints across restarts set `+"`checkpoint_cache`"+`. A talk that was updated within the last seconds before it was listed is delivered once more by the next listing, because a second update within the same second would not show.

Each chat is acknowledged by itself: one that is rejected again and again is sent again, alone where the output says which it was, and holds up no other. Up to 65,536 may be out before listing waits. What was listed after it is delivered again after a restart; with `+"`contact_chats`"+` only it is. A checkpoint that vanishes from the cache, is torn or replaced is noticed after a listing and written again, with a warning.

For `+"`talks`"+` the checkpoint is a time, and the talks updated in the two minutes around it. For `+"`contact_chats`"+` it is the id of every chat ever delivered, 22 bytes each in 64 keys, and about 40 bytes of memory for each: some 40 MB for a million chats. For `+"`events`"+` it is a time and the ids of the events since then; it moves on in steps of up to 20,000 events. For `+"`talk_ids`"+` it is the next id, and the same.

A listing that fails is tried again and goes on where it was. An expired token is reported at the start if it says so itself, and each time that it is refused; nothing is delivered until there is a new one, in `+"`access_token_file`"+` without a restart.

### Limits

No more requests are sent than `+"`requests_per_second` and `burst`"+` allow, retries included. A 429 pauses all requests of this input for as long as its body (`+"`retry_after`) or `Retry-After`"+` says, at most an hour. One that states no wait, or that comes again within a minute, also slows the input to 70% of what was accepted; it is near its old speed after half a minute to a minute and at full speed within five minutes without a 429.

### Metadata

Each message has these, as far as the API gave them:

`+"```text"+`
- kommo_chat_id       the chat's id in the Chats API; not of events
- kommo_talk_id       number; not of contact_chats
- kommo_contact_id    number; not of events
- kommo_origin        not of contact_chats
- kommo_entity_id     number; of events and talk_ids
- kommo_entity_type   lead, ...; of events and talk_ids
- kommo_updated_at    number, Unix seconds; of events the time of the latest; not of contact_chats
`+"```"+`

### Metrics

`+"```text"+`
- kommo_chats_requests_total{outcome}
- kommo_chats_request_duration_ns
- kommo_chats_limiter_wait_ns
- kommo_chats_throttled_total             answers that made all requests wait
- kommo_chats_listed_total                messages, one for each chat or talk that was new or changed
- kommo_chats_checkpoint_errors_total
- kommo_chats_newest_update_timestamp     Unix seconds; not of contact_chats
- kommo_chats_api_up                      1: the API answered last; 0: it does not answer, or refuses everything
`+"```"+`
`).
		Fields(
			service.NewURLField(fieldAPIURL).
				Description("The account's address.").
				Example("https://example.kommo.com"),
		).
		Fields(component.TokenFields("")...).
		Fields(
			service.NewStringEnumField(fieldSource, string(talks), string(contactChats), string(events), string(talkIDs)).
				Description("What to read: `talks` tells when a chat changed; `contact_chats` does not, and delivers each chat once; `events` names every talk that ever had a message; `talk_ids` looks up every id.").
				Default(string(talks)).
				LintRule(""), // the rule of the whole input says it, with what it got
			service.NewStringListField(fieldOrigins).
				Description("Deliver only chats with one of these origins, as the talks' or events' own `origin` has it. None means all. Only chats of the own channel answer `kommo_chat_history`, so name that channel's origin. When this changes, the listing starts over.").
				Default([]any{}).
				Example([]string{"com.example.channel"}),
			service.NewStringField(fieldUpdatedSince).
				Description("Ignore talks that were updated before this time, in RFC 3339; with `events`, events before it.").
				Optional().
				Example("2024-01-01T00:00:00Z"),
			service.NewIntField(fieldPageSize).
				Description("How many entries to ask for in a request, from 1 to 250, which is the most the API gives. Consecutive pages overlap by an entry or a few, for which a size below 25 is exceeded now and then.").
				Default(crm.MaxLimit).
				Advanced(),
			service.NewDurationField(fieldPollInterval).
				Description("How long after a listing the next one begins. Without it the account is listed once, and the input ends.").
				Optional().
				Example("30s"),
		).
		Fields(component.CallFields(
			"The CRM API allows 7 per second for an account, whoever asks, then blocks addresses that go on.",
			"When `max_elapsed_time` has passed, or the API refuses, that is reported and the same page is asked for again after `max_interval`.")...).
		Fields(component.CheckpointFields(inputName,
			"The label of a `cache` resource that keeps what was delivered, so that a restart goes on from there. Without it progress is kept in memory, and a restart lists all chats as new.",
			"The prefix of the keys in that cache: `{prefix}.{host}.talks`, `{prefix}.{host}.contact_chats-00` to `-63`, or `{prefix}.{host}.events` and `.start`, with `=2e` for each dot of the host. Give each pipeline that lists the same account into another place a prefix of its own.",
			"Acknowledged progress is written at most this often, and at every clean stop.")...).
		Fields(component.NetworkFields()...).
		Field(service.NewAutoRetryNacksToggleField()).
		LintRule(component.LintRule(inputName)).
		Example(
			"The messages of all chats, then of those in which something happens",
			"Lists the talks of one channel every 30 seconds and reads the chats that are new or changed. Both inputs keep their progress in Redis; a chat's entry is acknowledged when its messages are delivered.",
			`
input:
  kommo_chat_history:
    scope_id: ${KOMMO_SCOPE_ID}
    channel_secret: ${KOMMO_CHANNEL_SECRET}
    chats_input:
      kommo_chats:
        api_url: https://example.kommo.com
        access_token: ${KOMMO_ACCESS_TOKEN}
        origins: [ com.example.channel ]
        poll_interval: 30s
        checkpoint_cache: progress
    checkpoint_cache: progress

cache_resources:
  - label: progress
    redis:
      url: redis://localhost:6379
`,
		).
		Example(
			"The talks of all channels with news, into a queue",
			"Each talk that ever had a message, and then each with news, becomes an entry of a Kafka topic, for workers that read them.",
			`
input:
  kommo_chats:
    api_url: https://example.kommo.com
    access_token_file: /run/secrets/kommo-access-token
    source: events
    poll_interval: 30s
    checkpoint_cache: progress

pipeline:
  processors:
    - mapping: root.talk_id = @kommo_talk_id

output:
  kafka_franz:
    seed_brokers: [ localhost:9092 ]
    topic: talks
    key: ${! @kommo_talk_id }

cache_resources:
  - label: progress
    redis:
      url: redis://localhost:6379
`,
		).
		Example(
			"A list of all chats",
			"Each chat that the integration may access becomes a line of a file.",
			`
input:
  kommo_chats:
    api_url: https://example.kommo.com
    access_token: ${KOMMO_ACCESS_TOKEN}
    source: contact_chats

output:
  file:
    path: chats.jsonl
`,
		)
}
