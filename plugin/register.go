// SPDX-License-Identifier: Apache-2.0

package plugin

// Each registers itself.
import (
	_ "github.com/kommo-connect/kommo-connect/plugin/chathistory"
	_ "github.com/kommo-connect/kommo-connect/plugin/chatlist"
	_ "github.com/kommo-connect/kommo-connect/plugin/message"
	_ "github.com/kommo-connect/kommo-connect/plugin/talkhistory"
)
