// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
	"unicode/utf16"
)

// Chats of Demo, by their Chats API ids.
const (
	// DemoChatScripts has text in many scripts, plain and escaped.
	DemoChatScripts = "0a7c4b1e-5d5b-4b0e-9a53-2f5f0c9f1a01"
	// DemoChatMedia has every type of message, an album, and a type nobody knows.
	DemoChatMedia = "0a7c4b1e-5d5b-4b0e-9a53-2f5f0c9f1a02"
	// DemoChatSparse has messages that lack names, receivers or milliseconds, or
	// share their time.
	DemoChatSparse = "0a7c4b1e-5d5b-4b0e-9a53-2f5f0c9f1a03"
	// DemoChatLong has 120 messages, more than two pages.
	DemoChatLong = "0a7c4b1e-5d5b-4b0e-9a53-2f5f0c9f1a04"
)

// demoStart is fixed, so that each demo prints the same.
var demoStart = time.Date(2026, time.January, 12, 8, 0, 0, 0, time.UTC)

// Demo adds four small chats of varied, well-formed messages, the same ones each
// time.
func (s *Server) Demo() {
	random := rand.New(rand.NewPCG(1, 2))
	id := func() string { return uuid(random.Uint64(), random.Uint64()) }

	at := demoStart
	for i, m := range texts {
		m.ID = id()
		item := directed(m, i%2 == 0).At(at).Raw()
		if i%3 == 2 {
			item = escaped(item)
		}
		s.Append(DemoChatScripts, item)
		at = at.Add(61*time.Second + 37*time.Millisecond)
	}

	at = demoStart.Add(time.Hour)
	for i, m := range attachments {
		m.ID = id()
		s.Append(DemoChatMedia, directed(m, i%2 == 0).At(at).Raw())
		at = at.Add(90*time.Second + 250*time.Millisecond)
	}
	s.Append(DemoChatMedia, unknownType(id(), at))

	s.Append(DemoChatSparse, sparse(demoStart.Add(2*time.Hour), id)...)

	at = demoStart.Add(3 * time.Hour)
	for i := range 120 {
		m := Message{ID: id(), Type: "text", Text: fmt.Sprintf("Message %d of 120 about order 4711", i+1)}
		s.Append(DemoChatLong, directed(m, i%3 != 0).At(at).Raw())
		at = at.Add(47*time.Second + 11*time.Millisecond)
	}
}

// Seed adds chats of varied messages, as many in each, that a seed decides: the
// same seed gives the same bytes. The ids of the new chats are returned.
// Messages share their time now and then, and some lack names, a receiver or
// their milliseconds.
func (s *Server) Seed(seed uint64, chats, messages int) []string {
	random := rand.New(rand.NewPCG(seed, 3))
	ids := make([]string, 0, chats)
	for range chats {
		id := uuid(random.Uint64(), random.Uint64())
		ids = append(ids, id)
		s.Append(id)
		at := demoStart.Add(time.Duration(random.IntN(3600)) * time.Second)
		for range messages {
			s.Append(id, randomItem(random, at))
			if random.IntN(8) > 0 {
				at = at.Add(time.Duration(random.IntN(600_000)) * time.Millisecond)
			}
		}
	}
	return ids
}

// randomItem picks one of the varied messages, and its oddities.
func randomItem(random *rand.Rand, at time.Time) json.RawMessage {
	id := uuid(random.Uint64(), random.Uint64())
	pick := random.IntN(len(texts) + len(attachments) + 1)
	var m Message
	switch {
	case pick < len(texts):
		m = texts[pick]
	case pick < len(texts)+len(attachments):
		m = attachments[pick-len(texts)]
	default:
		return unknownType(id, at)
	}
	m.ID = id
	item := directed(m, random.IntN(2) == 0).At(at)
	switch random.IntN(12) {
	case 0:
		item.MsecTimestamp = 0
	case 1:
		item.Sender.Name = ""
	case 2:
		return escaped(item.Raw())
	}
	return item.Raw()
}

// directed addresses a message: to the client, or from the client and so without
// a receiver.
func directed(m Message, toClient bool) Item {
	from, to := client, agent
	if !toClient {
		return Item{Sender: &from, Message: m}
	}
	m.ClientID = "desk-" + m.ID[:8]
	return Item{Sender: &to, Receiver: &from, Message: m}
}

var texts = []Message{
	{Type: "text", Text: "Hello, is the blue one still available?"},
	{Type: "text", Text: "Здравствуйте! Да, есть в наличии — отправим сегодня."},
	{Type: "text", Text: "Ça coûte combien, livraison à Genève comprise ? Größe 42½, señor Ñandú."},
	{Type: "text", Text: "مرحبا، هل يمكنني الدفع عند الاستلام؟"},
	{Type: "text", Text: "请问什么时候发货?東京まで何日かかりますか。서울은요?"},
	{Type: "text", Text: "👍🏽 👨‍👩‍👧‍👦 🇰🇿 thanks!"},
	{Type: "text", Text: "שלום, נמשיך מחר. नमस्ते, कल बात करते हैं। สวัสดีค่ะ"},
	{Type: "text", Text: "Quote \"as is\", back\\slash, tab\there\nand a second line\r\n\u2028<b>not bold</b> & done"},
	{Type: "text", Text: ""},
	{Type: "text", Text: "Γειά σας, Շնորհակալություն, გმადლობთ, e\u0301 decomposed, zero\u200bwidth"},
}

const files = "https://files.example.com/"

var attachments = []Message{
	{Type: "picture", Text: "The box as it came", Media: files + "p/box.jpg", Thumbnail: files + "p/box_320.jpg",
		FileName: "box.jpg", FileSize: 482133},
	{Type: "picture", Media: files + "a/1.jpg", Thumbnail: files + "a/1_320.jpg", FileName: "1.jpg", FileSize: 201554, MediaGroupID: "b7c1f0de-10aa-4b5a-8a35-7f5b4bb4f001"},
	{Type: "picture", Media: files + "a/2.jpg", Thumbnail: files + "a/2_320.jpg", FileName: "2.jpg", FileSize: 198021, MediaGroupID: "b7c1f0de-10aa-4b5a-8a35-7f5b4bb4f001"},
	{Type: "video", Media: files + "a/3.mp4", Thumbnail: files + "a/3.jpg", FileName: "3.mp4", FileSize: 7340032, MediaGroupID: "b7c1f0de-10aa-4b5a-8a35-7f5b4bb4f001"},
	{Type: "file", Media: files + "d/invoice.pdf", FileName: "счёт № 17 (копия).pdf", FileSize: 91822},
	{Type: "voice", Media: files + "v/17.ogg", FileName: "17.ogg", FileSize: 40960},
	{Type: "video", Text: "How it rattles", Media: files + "m/rattle.mp4", Thumbnail: files + "m/rattle.jpg", FileName: "rattle.mp4", FileSize: 3_221_225_472},
	{Type: "audio", Media: files + "m/jingle.mp3", FileName: "jingle.mp3", FileSize: 3145728},
	{Type: "sticker", Media: files + "s/wave.webp", FileName: "wave.webp", FileSize: 20480},
	{Type: "contact", Contact: &Contact{Name: "Иван Иванов", Phone: "+15550100142"}},
	{Type: "location", Location: &Location{Lon: 76.945465, Lat: 43.238293}},
}

// unknownType has a type and fields that no document names; they have to pass
// through.
func unknownType(id string, at time.Time) json.RawMessage {
	return fmt.Appendf(nil, `{"timestamp":%d,"msec_timestamp":%d,"sender":%s,"message":{"id":"%s","type":"hologram",`+
		`"hologram":{"scale":1.50,"frames":[1,2,3],"big":12345678901234567890},"text":"","media":"%sh/1.holo"},"edited":null}`,
		at.Unix(), at.UnixMilli(), encode(client), id, files)
}

// sparse returns messages that leave out what may be left out. The last four
// share one second, two of them one millisecond.
func sparse(at time.Time, id func() string) []json.RawMessage {
	seconds := func(i int) int64 { return at.Add(time.Duration(i) * time.Minute).Unix() }
	items := []json.RawMessage{
		Item{Timestamp: seconds(0), Sender: &client, Message: Message{ID: id(), Type: "text", Text: "No milliseconds"}}.Raw(),
		Item{Timestamp: seconds(1), Sender: &Party{ID: client.ID}, Message: Message{ID: id(), Type: "text", Text: "No name"}}.Raw(),
		fmt.Appendf(nil, `{"timestamp":%d,"sender":{"id":"%s","name":"","client_id":"","avatar":"","phone":"","email":""},`+
			`"receiver":{"id":"%s","name":""},"message":{"id":"%s","client_id":"","type":"text","text":"","media":"","thumbnail":"",`+
			`"file_name":"","file_size":0,"media_group_id":""}}`, seconds(2), agent.ID, client.ID, id()),
		fmt.Appendf(nil, `{"timestamp":%d,"message":{"id":"%s","type":"text","text":"Nothing but the message"}}`, seconds(3), id()),
		fmt.Appendf(nil, `{ "message" : { "text" : "Other order, with spaces", "id" : "%s", "type" : "text" }, "timestamp" : %d }`,
			id(), seconds(4)),
		fmt.Appendf(nil, `{"timestamp":%d,"message":{"id":"%s","type":"file","file_name":"a.txt","file_size":"12","media":"%sa.txt"}}`,
			seconds(5), id(), files),
	}
	for i, ms := range []int{0, 250, 250, 900} {
		m := Message{ID: id(), Type: "text", Text: fmt.Sprintf("Same second, %d of 4", i+1)}
		items = append(items, directed(m, i%2 == 0).At(at.Add(6*time.Minute+time.Duration(ms)*time.Millisecond)).Raw())
	}
	return items
}

// escaped spells everything beyond ASCII, and the slash, with JSON escapes, as
// many a server does.
func escaped(item json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	for _, r := range string(item) {
		switch {
		case r == '/':
			b.WriteString(`\/`)
		case r < 0x80:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}
