// SPDX-License-Identifier: Apache-2.0

// Package amojo reads chat history from Kommo's Chats API, one page per call.
//
// It knows the API's signature, paths, errors and JSON, and leaves waiting and
// trying again to package apicall. It knows nothing of paging: in which order to
// ask for pages, and what a page means for a chat, is the reader's business.
//
// The facts it rests on are those of chats-api.md, named where they are used.
package amojo
