// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// acknowledgeAll takes what comes until the bubble's test ends, and keeps the chats
// that it is of.
func acknowledgeAll(t *testing.T, in *input) (chats func() []string) {
	t.Helper()
	got := make(chan string, 1000)
	go func() {
		for {
			if in.Connect(t.Context()) != nil {
				return
			}
			b, err := in.Read(t.Context())
			if err == nil {
				chat, _ := b.Messages[0].MetaGetMut("kommo_chat_id")
				got <- fmt.Sprint(chat)
				b.Ack()
			} else if t.Context().Err() != nil {
				return
			}
		}
	}()
	var all []string
	return func() []string {
		synctest.Wait()
		for len(got) > 0 {
			all = append(all, <-got)
		}
		return slices.Clone(all)
	}
}

func syntheticChats(from, to int) (ids []string) {
	for i := from; i < to; i++ {
		ids = append(ids, sandbox.SyntheticChat(i))
	}
	return ids
}

// However the API refuses a chat of another channel, it costs that chat only.
func TestHealth_ChatsOfOtherChannelsStarveNoOther(t *testing.T) {
	t.Parallel()
	for _, body := range []sandbox.Body{sandbox.BodySignature, sandbox.BodyJSON, sandbox.BodyEmpty} {
		t.Run(string(body), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				foreign := syntheticChats(0, 50)
				in, log, kommo := startInBubbleWith(t, 60, 3, "poll_interval: 1m", sandbox.Fault{
					Kind: sandbox.FaultForeign, Body: body, Chats: foreign,
				})
				read := acknowledgeAll(t, in)
				// With its default limits and waits. All that is asked for are two pages
				// for each of the ten and one for each other, at 5 a second.
				time.Sleep(75 * time.Second)
				assert.Subset(t, read(), syntheticChats(50, 60))

				time.Sleep(30 * time.Minute)
				synctest.Wait()
				told := log.With("chats of other channels")
				require.NotEmpty(t, told)
				assert.LessOrEqual(t, len(told), 3)
				assert.Regexp(t, `^WARN [2-5]\d chats of other channels: `, told[len(told)-1])
				for _, chat := range foreign {
					assert.LessOrEqual(t, len(kommo.Ledger().Chats[chat].Pages), 6, "then it is left alone for an hour")
				}
				assert.Empty(t, log.With("No acknowledgement"))
				assert.LessOrEqual(t, len(log.With("ERROR ")), 4, "before the first answer nobody knows: %s", log.With("ERROR "))
			})
		})
	}
}
