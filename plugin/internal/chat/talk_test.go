// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// talk makes one pass over a talk.
func talk(server *evidence.Server, src chat.TalkSource, size, maxPages int, with func(*chat.Start)) ([]string, chat.Result, error) {
	var got []string
	s := chat.Start{
		Chat: "1", PageSize: size, MaxKept: size * maxPages, Now: time.UnixMilli(1_700_000_000_000),
		Emit: func(_ context.Context, items []chat.Item, _ int64) error {
			got = append(got, chattest.IDsOf(items)...)
			return nil
		},
		Call:         func(ctx context.Context, request func(context.Context) error) error { return request(ctx) },
		OnRealigned:  func() {},
		OnShortPages: func() {},
	}
	if with != nil {
		with(&s)
	}
	found, err := chat.FromTalks(src, server)(s).Run(context.Background())
	return got, found, err
}

// talkBound is how many requests n messages of news may take.
func talkBound(n, size int) int {
	if n < size {
		return 1
	}
	return (n+199)/200 + 2
}

func TestTalk_RequestsOfAQuietTalk(t *testing.T) {
	for _, order := range []string{"newest", "oldest"} {
		for _, next := range []string{"", "missing", "always"} {
			for _, n := range []int{0, 1, 100, 249, 250, 251, 400, 500, 501, 1000, 5000, 20_000, 25_000, } {
				m := chattest.NewTalk()
				m.Order, m.Next = order, next
				m.Arrive(n, func() int64 { return 700 })
				got, _, err := talk(chattest.Trusting(), m, 250, 100, nil)
				require.NoError(t, err)
				require.Equal(t, m.IDs(), append([]string{}, got...), "%d messages, %s first", n, order)
				bound := talkBound(n, 250)
				if next == "always" && n < 250 {
					bound += 2
				}
				require.LessOrEqual(t, m.Requests, bound, "%d messages, %s first, next %s", n, order, next)
			}
		}
	}
}
