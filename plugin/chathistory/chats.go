// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
)

// mostWrong is how many wrong ids are named. A file of something else has many.
const mostWrong = 5

// readChats reads which chats there are to read.
func (c *config) readChats(r *component.FieldReader) {
	listed := c.readListed(r)
	file := r.Text(fieldChatsFile)
	var given []string
	for field, is := range map[string]bool{fieldChats: listed, fieldChatsFile: file != "", fieldChatsInput: r.Conf.Contains(fieldChatsInput)} {
		if is {
			given = append(given, field)
		}
	}
	slices.Sort(given)
	switch len(given) {
	case 0:
		r.Fail(errors.New("there is no chat to read: list them in chats, or set chats_input to an input that names them"))
	case 1:
	case 2:
		r.Require(false, "both %s and %s say what to read: remove one of them", given[0], given[1])
	default:
		r.Require(false, "%s, %s and %s all say what to read: remove two of them", given[0], given[1], given[2])
	}
	if file != "" && !listed {
		c.readFile(r, file)
	}
	if r.Conf.Contains(fieldChatsInput) {
		c.readChatID(r)
	}
}

// readListed reads the field chats: a list of ids, or a text with them. It reports
// whether there is any.
func (c *config) readListed(r *component.FieldReader) bool {
	entry := func(i int) string { return "entry " + strconv.Itoa(i+1) }
	switch chats := component.Read(r, func(path ...string) (any, error) { return r.Conf.FieldAny(path...) }, fieldChats).(type) {
	case nil:
		return false
	case string:
		c.chats = strings.FieldsFunc(chats, betweenIDs)
	case []any:
		c.chats = make([]string, len(chats))
		for i, id := range chats {
			switch id := id.(type) {
			case nil: // an empty variable
			case string:
				c.chats[i] = strings.TrimSpace(id)
			case int:
				c.chats[i] = strconv.Itoa(id)
			default:
				r.Require(false, "%s: entry %d is no text: want a chat's id in the Chats API", fieldChats, i+1)
				return true
			}
		}
	default:
		r.Require(false, "%s: want a list of ids, or one text with ids between commas, spaces or lines, got %T", fieldChats, chats)
		return true
	}
	checkChats(r, fieldChats, c.chats, entry)
	return len(c.chats) > 0
}

// readFile reads a file of ids.
func (c *config) readFile(r *component.FieldReader, path string) {
	text, err := os.ReadFile(path)
	var missing *fs.PathError
	switch {
	case r.Linting && errors.As(err, &missing):
		return // a configuration is often linted on another machine than the one that runs it
	case err != nil:
		r.Fail(fmt.Errorf("%s: %w", fieldChatsFile, err))
		return
	}
	whole := strings.TrimPrefix(string(text), "\ufeff")
	c.chats = strings.FieldsFunc(whole, betweenIDs)
	r.Require(len(c.chats) > 0, "%s: there is no id in %s", fieldChatsFile, path)
	checkChats(r, fieldChatsFile, c.chats, func(n int) string {
		for i, line := range strings.Split(whole, "\n") {
			if n -= len(strings.FieldsFunc(line, betweenIDs)); n < 0 {
				return "line " + strconv.Itoa(i+1)
			}
		}
		return "the end"
	})
}

func betweenIDs(r rune) bool { return r == ',' || unicode.IsSpace(r) }

// checkChats reports what is no id, and what is there twice. place says where an id is.
func checkChats(r *component.FieldReader, field string, ids []string, place func(int) string) {
	wrong := 0
	fail := func(err error) {
		if wrong++; wrong <= mostWrong {
			r.Fail(err)
		}
	}
	for i, id := range ids {
		if err := checkChatID(id); err != nil {
			fail(fmt.Errorf("%s: %s %w", field, place(i), err))
		}
	}
	order := make([]int32, len(ids)) // a map of them all would be many times as large
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(strings.Compare(ids[a], ids[b]), cmp.Compare(a, b))
	})
	first := int32(0)
	for n, i := range order {
		if n == 0 || ids[first] != ids[i] {
			first = i
			continue
		}
		if checkChatID(ids[i]) == nil {
			fail(fmt.Errorf("%s: %s is named twice, as %s and as %s: remove one of them", field, ids[i], place(int(first)), place(int(i))))
		}
	}
	r.Require(wrong <= mostWrong, "%s: %d more ids are wrong in such ways", field, wrong-mostWrong)
}

// readChatID reads how a message of chats_input names its chat.
func (c *config) readChatID(r *component.FieldReader) {
	if input, _ := r.Conf.FieldAny(fieldChatsInput); component.IsEmpty(input) {
		r.Require(false, "%s: it is empty: want an input, as in kommo_chats: {…}", fieldChatsInput)
	}
	text := component.Read(r, r.Conf.FieldString, fieldChatID)
	id, err := service.NewInterpolatedString(text)
	if err != nil {
		r.Fail(fmt.Errorf("%s: it can't be read as an interpolation, as in ${! @kommo_chat_id }: %w", fieldChatID, err))
		return
	}
	_, static := id.Static()
	r.Require(!static, "%s: it is the same for every message, got %q: want an interpolation, as in ${! @kommo_chat_id }", fieldChatID, text)
	c.chatID = id
}
