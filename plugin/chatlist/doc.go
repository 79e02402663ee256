// SPDX-License-Identifier: Apache-2.0

// Package chatlist registers the input kommo_chats, which lists the chats of an account
// through the CRM API: all of them first, then those that are new or have changed.
//
// The lister (package listing) asks the source for pages and says which chats to
// deliver. The input makes messages of them, one a chat, and passes their
// acknowledgements on one by one. It is meant as the chats_input of kommo_chat_history.
package chatlist
