// SPDX-License-Identifier: Apache-2.0

package chathistory

// completeForLint lists a chat where none is but may be: it is reported already that
// the list can't be read, or the list is empty because of a variable. A list without
// entries is the same as none; without news of variables it is taken for that.
func completeForLint(config, written map[string]any, emptied bool) {
	if config[fieldChats] != nil {
		return
	}
	if _, queued := config[fieldChatsInput]; queued {
		return
	}
	if entries, ok := written[fieldChats].([]any); !ok || len(entries) > 0 || emptied {
		config[fieldChats] = []any{"chat"}
	}
}
