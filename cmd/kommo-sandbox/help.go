// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/kommo-connect/kommo-connect/plugin/sandbox"

const help = `kommo-sandbox serves Kommo's Chats API from memory, with the vendor's rules:
signature, date window, Content-Type, Content-MD5, at most 50 messages a page; and
the calls of the CRM API that read the conversations of all channels with a token.
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
                        A JWT may do what its scopes say, until it expires. More
                        tokens: POST /sandbox/tokens

Chats (several may be combined; without any: --demo)
  --demo                four small chats: many scripts, every type of message, sparse
                        fields, and one of 120 messages
  --account             the demo's chats as talks 1 to 4, and conversations of WhatsApp,
                        Instagram, Telegram and Messenger as talks 5 to 16
  --seed FILE           JSON: an object of chat id to list of items, oldest first, which
                        are served byte for byte; - reads standard input
  --random chats=N,messages=N[,seed=N]
                        chats of varied messages that the seed decides
  --synthetic chats=N,messages=N[,start=TIME][,step=DURATION]
                        chats computed when asked for, so that a million messages take
                        no memory. start: RFC 3339, default 2026-01-01T00:00:00Z; step
                        between two messages, default 1s. Their ids are
                        00000000-0000-4000-8000-000000000001 and so on
  --synthetic-talks talks=N,messages=M[,start=TIME][,step=DURATION]
                        talks 1 to N of other channels with M messages each, computed as
                        well, events included. All go on side by side, a step between
                        any two messages of the account

While they are read
  --grow RATE           messages that arrive, over all chats, and talks that have
                        stored messages: 2/s, 90/m, 10/h
  --shrink RATE         messages that are deleted, anywhere
  --order ORDER         histories list by arrival (default), or by time: then a late
                        message is found where its time belongs
  --clocks LIST         clocks of the messages that arrive, as distances from the
                        server's: 0s,3s,1h
  --random-seed N       decides what grows and shrinks and when faults strike; the
                        same number repeats the run. Default 0

Bad days
  --fault FAULT         may be given several times; see below
  --latency DURATION    before every answer, for example 200ms
  --past-end STYLE      how a page behind the last message is answered: 204 (default),
                        empty-list, empty-object, null
  --requests-per-second RATE, --burst N
                        answer more than that with 429. Default: no limit; burst 1
  --limit-kind KIND, --limit-window DURATION
                        how they are counted: bucket (default), or fixed-window or
                        sliding-window, of a second
  --retry-after DURATION, --retry-after-in PLACE
                        tell with these 429 how long to wait: in the header (default),
                        in the body, which is documented, or in both
  --block-after N       after so many 429 block the client with 403
  --block-for DURATION  how long. Default: until DELETE /sandbox/ledger
  --block-body BODY     with what: html (default), text, empty
  --talks-cap N         end a listing of talks after N without a next link

  --version, --help

Faults
  A FAULT is a status or a kind, then settings, joined by commas:

    500  502  503  429  403  ...   any status from 400 to 599;
                                   body=json|signature|not-registered|text|html|empty,
                                   error_type=NAME, detail=TEXT, retry_after=5s,
                                   retry_after_in=header|body|both,
                                   retry_after_date=true, retry_after_text=ANYTHING
    foreign,chats=ID|ID            403 as for chats of another channel; body=...,
                                   error_type=NAME
    reset  close  hang             the connection ends, or waits, without an answer
    delay,delay=40s                a late answer
    cut-length  cut-chunked        the body breaks off
    cut-json                       a complete answer with half of the JSON
    html                           status 200 with HTML
    redirect,location=URL          302
    clock,shift=-20m               the server's clock is off
    date-off,shift=1h  no-date     the Date header is off, or missing
    cached-date,shift=10m          the Date of an answer from a cache
    huge,size=20971520             a page of that many bytes
    bomb,size=16777216             {},{},... of that many bytes, sent as gzip
    ignore-limit                   all that follows on the offset
    page-cap,limit=25              no page has more items
    hide-items                     missing from the page, though more follows
    stamp,stamp=STYLE              wrong times: clocks, shifted (shift=1h), 2106, 1970,
                                   msec-in-seconds, msec-in-microseconds, msec-negative,
                                   msec-missing, msec-contradicts
    big-items,size=1048577         items of that many bytes
    no-id  no-msec                 items without their id, without milliseconds
    null-items  duplicates         items that are null, or there twice
    oldest-first                   the wrong order
    past-end,past_end=STYLE        as --past-end
    next,next=STYLE                of a listing: missing, elsewhere, self, always

  Of a talk's messages (endpoint=talk-messages) and the event feed (endpoint=events):
    402  403,body=scope  401       no such plan, scope, token
    newest-first  no-order         with oldest-first: the order, whatever is asked for
    filter-ignored                 filter[created_at] has no effect
    filter-off,shift=1s            it is off by that much; -1s: the other way
    late,lag=60s                   listed only so long after it came; no lag: never. So
                                   the feed lags, or a talk loses what was announced
    delivery                       another delivery_status with every request
    whole-chat                     a talk lists all talks of its chat

  Which items (hide-items, stamp, big-items, no-id, no-msec, late, delivery; default all):
    messages=ID|ID, every=N, from=N, to=N     places count from the oldest, 0

  Settings of all: chat=ID or chats=ID|ID, talks=ID|ID (only these),
  endpoint=history|talks|contact-chats|talk|talk-messages|events|account,
  after=N (let N requests pass), count=N (then be well again), probability=0.1,
  starts=10s (wait until then), lasts=4s (be well again after).

Calls
  GET /v2/origin/custom/SCOPE_ID/chats/CHAT_ID/history?offset=0&limit=50    signed
  GET /api/v4/talks, GET /api/v4/contacts/chats                             bearer token
  GET /api/v4/talks/ID, GET /api/v4/talks/ID/messages, GET /api/v4/events   bearer token
  GET /api/v4/account                                                       bearer token

Control, unsigned, with JSON bodies
  GET    /sandbox/health
  GET    /sandbox/chats                      ids and counts
  GET    /sandbox/chats/ID/messages          oldest first
  POST   /sandbox/chats/ID/messages          append an item, or a list of them
  POST   /sandbox/chats/ID/messages?text=Hi  append a text message made here
  POST   /sandbox/chats/ID/messages?at=TIME  with either: their time, for --order time
  DELETE /sandbox/chats/ID/messages/MESSAGE_ID
  GET, POST /sandbox/talks                   show; add or replace, by talk_id
  GET    /sandbox/talks/ID/messages          oldest first
  POST   /sandbox/talks/ID/messages          append and announce: as for a chat, with ?text=Hi
                                             also &type=outgoing; at is when it is announced
  PUT, DELETE /sandbox/talks/ID/messages/MESSAGE_ID
  POST   /sandbox/tokens?scopes=A,B&expires_in=24h   issue a token, a JWT
  DELETE /sandbox/tokens                     revoke all of these
  GET, PUT, POST, DELETE /sandbox/faults     show, replace, add, clear
  GET    /sandbox/ledger[?chat=ID|?talk=ID]  requests by status, the peak in any one second,
                                             refused signatures with the reason
  DELETE /sandbox/ledger                     start it anew

Examples
  Chats that change while you read them, with an error now and then:
    kommo-sandbox --grow 2/s --shrink 1/s --fault 503,retry_after=2s,probability=0.02

  A million messages, 5 requests a second allowed, 200 ms away:
    kommo-sandbox --synthetic chats=1,messages=1000000 --requests-per-second 5 --latency 200ms

  A whole account, of which the feed is late and one message is never listed:
    kommo-sandbox --account --grow 1/s --fault late,endpoint=events,lag=60s,every=2 \
      --fault late,endpoint=talk-messages,messages=ID

  An outage of four seconds, ten seconds from now, and a chat that never answers:
    kommo-sandbox --fault reset,starts=10s,lasts=4s --fault hang,chat=ID

  Three times 429, switched on while a pipeline runs:
    curl -X PUT 127.0.0.1:8480/sandbox/faults -d '{"status":429,"retry_after":"5s","count":3}'

  Why am I refused? The answer is as silent as the vendor's, the ledger is not:
    curl 127.0.0.1:8480/sandbox/ledger
`
