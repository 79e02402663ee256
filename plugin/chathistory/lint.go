// SPDX-License-Identifier: Apache-2.0

package chathistory

// completeForLint lists a chat where none is but may be: it is reported already that
// the list can't be read, or the list is empty because of a variable. A list without
// entries is the same as none; without news of variables it is taken for that.
func completeForLint(config, written map[string]any, emptied bool) {
	for _, field := range []string{fieldChats, fieldChatsFile, fieldChatsInput} {
		if config[field] != nil {
			return
		}
	}
	none := false
	switch chats := written[fieldChats].(type) {
	case []any:
		none = len(chats) == 0
	case string:
		none = chats == ""
	}
	_, fromFile := written[fieldChatsFile]
	if !none || fromFile || emptied {
		config[fieldChats] = []any{"chat"}
	}
}
