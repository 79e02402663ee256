// SPDX-License-Identifier: Apache-2.0

package chatlist_test

import (
	"fmt"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

const ownOrigin = "com.example.channel"

func talkChat(i int) string { return fmt.Sprintf("7a1c0000-0000-4000-8000-%012d", i) }

// talk returns the i-th talk, updated i minutes after noon.
func talk(i int) sandbox.Talk {
	at := pipetest.Noon.Add(time.Duration(i) * time.Minute).Unix()
	return sandbox.Talk{
		ID: i + 1, ChatID: talkChat(i), ContactID: 500 + i, EntityID: 900 + i, EntityType: "lead", Status: "in_work",
		Origin: ownOrigin, SourceID: 3, IsInWork: true, CreatedAt: at, UpdatedAt: at,
	}
}

func addTalks(k *pipetest.Kommo, n int) {
	for i := range n {
		k.SetTalk(talk(i))
	}
}

// touchTalk updates the i-th talk some minutes after noon.
func touchTalk(k *pipetest.Kommo, i, minutes int) {
	if !k.TouchTalk(i+1, pipetest.Noon.Add(time.Duration(minutes)*time.Minute)) {
		panic("no such talk")
	}
}

func talkChats(indexes ...int) []string {
	chats := []string{}
	for _, i := range indexes {
		chats = append(chats, talkChat(i))
	}
	return chats
}

func upTo(n int) (indexes []int) {
	for i := range n {
		indexes = append(indexes, i)
	}
	return indexes
}
