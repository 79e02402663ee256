// SPDX-License-Identifier: Apache-2.0

// Package message registers the processor kommo_message, which makes of an item
// of either of Kommo's APIs, and of the metadata that the input gave it, one flat
// message of documented fields: docs/schema.md.
//
// Import it for its side effect; the package plugin does.
//
// A message goes one way through the files:
//
//	processor.go  body and metadata in, body and metadata out
//	item.go       the Chats API's item, as kommo_chat_history gives it
//	talk.go       the CRM API's message, as kommo_talk_history gives it
//	value.go      which values count as text, as a number, as a time, as a place
//	extra.go      what the fields have no place for
//	document.go   the fields, in the order in which they are written
//	schema.go     the same fields for schema_registry_encode and parquet_encode
//
// Values are copied from item to document as they are written, escapes and digits
// included: nothing is decoded that need not be looked at. That is what makes the
// processor cheap, and numbers of any size exact.
package message
