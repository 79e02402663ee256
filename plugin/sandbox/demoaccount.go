// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
)

// DemoAccount adds the chats of [Server.Demo] with the talks 1 to 4, and some
// conversations of other channels, the same ones each time: over WhatsApp (waba),
// Instagram, Telegram and Messenger, with clients, users of the account and a bot, and
// with several talks in a chat where a closed conversation was taken up again. One talk
// has no message.
func (s *Server) DemoAccount() {
	s.Demo()
	for i, chat := range []string{DemoChatScripts, DemoChatMedia, DemoChatSparse, DemoChatLong} {
		messages := s.ownConversation(chat)
		s.setOwnTalk(Talk{
			ID: i + 1, ChatID: chat, ContactID: 2001 + i, EntityID: 3001 + i, EntityType: "lead", Status: "in_work",
			Origin: DemoOrigin, SourceID: 17, IsInWork: true, CreatedAt: messages.at(0), UpdatedAt: messages.at(messages.len() - 1),
		})
	}
	random := rand.New(rand.NewPCG(5, 6))
	id := 4
	for i, c := range demoConversations {
		chat := uuid(random.Uint64(), random.Uint64())
		person := TalkPerson{ID: uuid(random.Uint64(), random.Uint64()), Type: "external", Name: c.client, AvatarURL: "https://images.example.com/clients/" + fmt.Sprint(i) + ".jpg"}
		at := demoStart.Add(time.Duration(i) * 7 * time.Hour)
		for k, n := range c.talks {
			id++
			entity := "lead"
			if i%3 == 2 {
				entity = "contact"
			}
			first := at
			items := make([]json.RawMessage, 0, n)
			for j := range n {
				m := randomTalkMessage(random, chat, at)
				m.ID = uuid(random.Uint64(), random.Uint64())
				demoDirection(&m, person, j)
				items = append(items, m.Raw())
				at = at.Add(time.Duration(1+random.IntN(900)) * time.Second)
			}
			last := k == len(c.talks)-1
			status := "closed"
			if last {
				status = "in_work"
			}
			s.SetTalk(Talk{
				ID: id, ChatID: chat, ContactID: 2100 + i, EntityID: 3100 + i, EntityType: entity, Status: status, Origin: c.origin,
				SourceID: 100 + len(c.origin), IsInWork: last, IsRead: i%2 == 0, CreatedAt: first.Unix(), UpdatedAt: first.Unix(),
			})
			// The talk is none of an own chat's, the only error there is.
			_ = s.seedTalk(id, items...)
			at = at.Add(26 * time.Hour)
		}
	}
}

// demoConversations are chats: whose, over which channel, and how many messages each
// of their talks has.
var demoConversations = []struct {
	client, origin string
	talks          []int
}{
	{"Анна Петрова", "waba", []int{12, 300}},
	{"John Carter", "waba", []int{7}},
	{"Mariana Souza", "instagram_business", []int{3, 5, 9}},
	{"李小龙", "instagram_business", []int{1}},
	{"Омар Әлиев", "telegram", []int{40, 0}},
	{"", "telegram", []int{4}},
	{"Zoë Müller", "facebook", []int{11, 2}},
}

// demoDirection says who wrote the j-th message of a talk: first the client, whom a bot
// greets, and then client and user in turn.
func demoDirection(m *TalkMessage, person TalkPerson, j int) {
	user, bot := talkUser, talkBot
	switch {
	case j%2 == 0:
		m.Type, m.Author, m.Recipient, m.DeliveryStatus = TalkIncoming, &person, nil, ""
	case j == 1:
		m.Type, m.Author, m.Recipient, m.DeliveryStatus = TalkOutgoing, &bot, &person, "read"
	default:
		m.Type, m.Author, m.Recipient = TalkOutgoing, &user, &person
		m.DeliveryStatus = []string{"sent", "delivered", "read", "error"}[j/2%4]
	}
}

// randomTalkMessage picks one of the varied messages.
func randomTalkMessage(random *rand.Rand, chat string, at time.Time) TalkMessage {
	m := TalkMessage{ID: uuid(random.Uint64(), random.Uint64()), ChatID: chat}
	pick := random.IntN(2*len(texts) + len(attachments))
	of := texts[pick%len(texts)]
	if pick >= 2*len(texts) {
		of = attachments[pick-2*len(texts)]
	}
	m.MessageType, m.Text, m.Location, m.Contact = of.Type, of.Text, of.Location, of.Contact
	if of.Media != "" {
		m.Attachment = &Attachment{Type: of.Type, Link: of.Media, FileName: of.FileName}
	}
	demoDirection(&m, talkClient, 2*random.IntN(2)+random.IntN(2))
	m = m.At(at)
	if random.IntN(6) == 0 {
		m.MsecCreatedAt = 0
	}
	return m
}
