// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/kommo-connect/kommo-connect/plugin/sandbox"

const help = `kommo-sandbox serves Kommo's Chats API from memory, with the vendor's rules:
signature, date window, Content-Type, Content-MD5, at most 50 messages a page.
Write and test a pipeline against it before you have a channel of your own.

Usage
  kommo-sandbox [flags]

The first line on standard output is the URL it listens on; what else there is to
say goes to standard error. Ctrl-C or SIGTERM end it with exit code 0.

Point the input at it:

  input:
    kommo_chat_history:
      base_url: http://127.0.0.1:8480
      scope_id: ` + sandbox.DemoScopeID + `
      channel_secret: ` + sandbox.DemoSecret + `
      chats: [ ` + sandbox.DemoChatScripts + ` ]

Where and for whom
  --listen ADDRESS      host:port, default 127.0.0.1:8480; port 0 takes a free one.
                        Stay on a loopback address: /sandbox/ is unsigned
  --scope-id ID         {channel_id}_{amojo_id}; or KOMMO_SCOPE_ID. Default: as above
  --secret SECRET       the channel secret; or KOMMO_CHANNEL_SECRET, which keeps it
                        out of the process list. Default: as above
  --access-token TOKEN  of the CRM calls; or KOMMO_ACCESS_TOKEN. Default:
                        ` + sandbox.DemoAccessToken + `

Chats (several may be combined; without any: --demo)
  --demo                four small chats: many scripts, every type of message, sparse
                        fields, and one of 120 messages
  --seed FILE           JSON: an object of chat id to list of items, oldest first, which
                        are served byte for byte; - reads standard input
  --random chats=N,messages=N[,seed=N]
                        chats of varied messages that the seed decides
  --synthetic chats=N,messages=N[,start=TIME][,step=DURATION]
                        chats computed when asked for, so that a million messages take
                        no memory. start: RFC 3339, default 2026-01-01T00:00:00Z; step
                        between two messages, default 1s. Their ids are
                        00000000-0000-4000-8000-000000000001 and so on

While they are read
  --grow RATE           messages that arrive, over all chats: 2/s, 90/m, 10/h
  --shrink RATE         messages that are deleted, anywhere
  --random-seed N       decides what grows and shrinks and when faults strike; the
                        same number repeats the run. Default 0

Bad days
  --fault FAULT         may be given several times; see below
  --latency DURATION    before every answer, for example 200ms
  --past-end STYLE      how a page behind the last message is answered: 204 (default),
                        empty-list, empty-object, null
  --requests-per-second RATE, --burst N
                        answer more than that with 429. Default: no limit; burst 1
  --retry-after DURATION
                        send Retry-After with these 429
  --block-after N       after so many 429 block the client: 403 and nginx HTML
  --block-for DURATION  how long. Default: until DELETE /sandbox/ledger
  --talks-cap N         end a listing of talks after N without a next link

  --version, --help

Faults
  A FAULT is a status or a kind, then settings, joined by commas:

    500  502  503  429  403  ...   any status from 400 to 599; retry_after=5s,
                                   retry_after_date=true, body=json|html|empty
    reset  close                   the connection ends without an answer
    delay,delay=40s                a late answer
    cut-length  cut-chunked        the body breaks off
    cut-json                       a complete answer with half of the JSON
    html                           status 200 with HTML
    redirect,location=URL          302
    clock,shift=-20m               the server's clock is off
    huge,size=20971520             a page of that many bytes
    oldest-first                   the wrong order
    null-items  no-id  no-msec     odd items
    past-end,past_end=STYLE        as --past-end

  Settings of all: chat=ID (only this chat), endpoint=history|talks|contact-chats,
  after=N (let N requests pass), count=N (then be well again), probability=0.1.

Calls
  GET /v2/origin/custom/SCOPE_ID/chats/CHAT_ID/history?offset=0&limit=50    signed
  GET /api/v4/talks, GET /api/v4/contacts/chats                             bearer token

Control, unsigned, with JSON bodies
  GET    /sandbox/health
  GET    /sandbox/chats                      ids and counts
  GET    /sandbox/chats/ID/messages          oldest first
  POST   /sandbox/chats/ID/messages          append an item, or a list of them
  POST   /sandbox/chats/ID/messages?text=Hi  append a text message made here
  DELETE /sandbox/chats/ID/messages/MESSAGE_ID
  GET, PUT, POST, DELETE /sandbox/faults     show, replace, add, clear
  GET    /sandbox/ledger[?chat=ID]           requests by status, the peak in any one second,
                                             refused signatures with the reason
  DELETE /sandbox/ledger                     start it anew

Examples
  Chats that change while you read them, with an error now and then:
    kommo-sandbox --grow 2/s --shrink 1/s --fault 503,retry_after=2s,probability=0.02

  A million messages, 5 requests a second allowed, 200 ms away:
    kommo-sandbox --synthetic chats=1,messages=1000000 --requests-per-second 5 --latency 200ms

  Three times 429, switched on while a pipeline runs:
    curl -X PUT 127.0.0.1:8480/sandbox/faults -d '{"status":429,"retry_after":"5s","count":3}'

  Why am I refused? The answer is as silent as the vendor's, the ledger is not:
    curl 127.0.0.1:8480/sandbox/ledger
`
