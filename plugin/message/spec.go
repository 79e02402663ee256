// SPDX-License-Identifier: Apache-2.0

package message

import "github.com/redpanda-data/benthos/v4/public/service"

// name is the name of the processor.
const name = "kommo_message"

// The fields of the processor. They are a public contract.
const (
	fieldPersonalData = "personal_data"
	fieldTombstones   = "tombstones"
)

func spec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Beta().
		Categories("Mapping").
		Version("0.1.0").
		Summary("Makes of each message of a Kommo input one flat JSON document of documented fields.").
		Description(`
It reads the API's item in the body and the metadata beside it, of `+"`kommo_chat_history` or `kommo_talk_history`"+`, and replaces the body. The fields are in [docs/schema.md](../schema.md); what they have no place for is under `+"`extra`"+`, so that nothing is lost.

Text and numbers are copied as they are written. What an item lacks, and what is null or empty in it, is left out.

### Failures

A body that is no item fails: one that is not a JSON object, and one that this processor made. The message is then as it was, and marked as failed; set `+"`error_handling.strict: true`"+`, or it goes on to the output as it is. With it the message is rejected, and the input sends it again. No error repeats what an item holds.

### Metadata

`+"`schema`"+` is set: the fields in the form that `+"`schema_registry_encode` and `parquet_encode`"+` take in `+"`schema_metadata: schema`"+`. `+"`extra`"+` is not among them. An output that makes headers of all metadata should leave this key out.

The rest of the metadata stays, but for what `+"`personal_data: false`"+` takes away.
`).
		Field(service.NewAnyField(fieldPersonalData).
			Description("`true` or `false`: whether to keep what names or reaches a person. `false` leaves out names, phone numbers, e-mail addresses, avatars, the ids of people on the integration's side, contact cards and `extra`, whose content nobody knows; and from the metadata all keys that begin with `kommo_sender_` or `kommo_receiver_` but for `…_id`, `…_type` and `…_user_id`, since outputs may write metadata as headers. Ids of the APIs, the text and the media's URL and file name stay, and what people wrote can still name them.").
			Default(true).
			LintRule(lintPersonalData)).
		Field(service.NewBoolField(fieldTombstones).
			Description("Whether a message with the metadata `kommo_operation: delete` loses its content and keeps its metadata. Kafka outputs write that as a tombstone, a record without a value, which a compacted topic takes for the end of its key. Else it is a document with the ids and `operation: delete`.").
			Default(false).
			Advanced()).
		Example(
			"Flat messages, and one field of one's own",
			"A `mapping` behind the processor adds what is missing.",
			`
input:
  kommo_chat_history:
    scope_id: ${KOMMO_SCOPE_ID}
    channel_secret: ${KOMMO_CHANNEL_SECRET}
    chats: [ 30477717-9f3c-4d3f-8101-60327e14dc48 ]

error_handling:
  strict: true

pipeline:
  processors:
    - kommo_message: {}
    - mapping: 'root = this.assign({ "day": this.sent_at.slice(0, 10) | null })'

output:
  stdout: {}
`,
		).
		Example(
			"Without names and phone numbers",
			"Neither the documents nor the records' headers name or reach anybody.",
			`
input:
  kommo_chat_history:
    scope_id: ${KOMMO_SCOPE_ID}
    channel_secret: ${KOMMO_CHANNEL_SECRET}
    chats: [ 30477717-9f3c-4d3f-8101-60327e14dc48 ]

error_handling:
  strict: true

pipeline:
  processors:
    - kommo_message:
        personal_data: false

output:
  kafka_franz:
    seed_brokers: [ localhost:9092 ]
    topic: kommo.messages
    key: ${! @kommo_chat_id }
    metadata:
      include_prefixes: [ kommo_ ]
`,
		)
}
